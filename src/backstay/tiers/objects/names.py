"""Kinds that are treated apart in more than one place, as resources are named."""

CLAIMS = "persistentvolumeclaims"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
NAMESPACES = "namespaces"
SNAPSHOTS = "volumesnapshots.snapshot.storage.k8s.io"
VOLUMES = "persistentvolumes"
