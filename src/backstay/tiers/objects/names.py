"""Kinds that are treated apart in more than one place, as resources are named."""

APISERVICES = "apiservices.apiregistration.k8s.io"
CLAIMS = "persistentvolumeclaims"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
NAMESPACES = "namespaces"
SNAPSHOTS = "volumesnapshots.snapshot.storage.k8s.io"
VOLUMES = "persistentvolumes"
WEBHOOKS = (
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
)
