"""The order in which kinds come back: waves, one after the other.

After Velero's default resource priorities (pkg/cmd/server/config/config.go), with what those leave open: the history of
workloads after these, quotas when what they count is there, and last whatever can refuse or redirect requests
(admission, aggregated APIs), because its backend is not up yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from backstay.tiers.objects.names import APISERVICES, CLAIMS, CRDS, NAMESPACES, WEBHOOKS

FIRST = (
    CRDS,
    NAMESPACES,
    "storageclasses.storage.k8s.io",
    "volumesnapshotclasses.snapshot.storage.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "datauploads.velero.io",
    "persistentvolumes",
    CLAIMS,
    "clusterroles.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "serviceaccounts",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "secrets",
    "configmaps",
    "limitranges",
    "priorityclasses.scheduling.k8s.io",
    "pods",
    "clusterclasses.cluster.x-k8s.io",
    "endpoints",
    "services",
)
LATE = (
    "controllerrevisions.apps",  # the history of workloads, each given to its owner at once: see ``wave``
    "replicasets.apps",
    "clusterbootstraps.run.tanzu.vmware.com",
    "clusters.cluster.x-k8s.io",
    "clusterresourcesets.addons.cluster.x-k8s.io",
    "apps.kappctrl.k14s.io",
    "packageinstalls.packaging.carvel.dev",
    "resourcequotas",
)
GUARDS = frozenset(
    {
        APISERVICES,
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
        *WEBHOOKS,
    }
)
REST = "other kinds"
LAST = "admission and API services"


@dataclass(frozen=True)
class Wave:
    """Kinds that are restored side by side. ``name`` is what a journal calls it."""

    name: str
    resources: tuple[str, ...]


def waves(resources: Iterable[str]) -> list[Wave]:
    """The kinds given, in waves. Each kind with a priority of its own is one; all others together are one.

    Custom resources are among the others, which come long after their definitions. In the last wave webhooks come
    after policies; neither is asked about the other.
    """
    left = set(resources)
    found = [Wave(name, (name,)) for name in FIRST if name in left]
    late = [Wave(name, (name,)) for name in LATE if name in left]
    left -= {*FIRST, *LATE}
    if rest := sorted(left - GUARDS):
        found.append(Wave(REST, tuple(rest)))
    found += late
    if guards := sorted(left & GUARDS, key=_from_harmless_on):
        found.append(Wave(LAST, tuple(guards)))
    return found


def _from_harmless_on(resource: str) -> tuple[bool, bool, str]:
    return "webhook" in resource, "policies" in resource, resource
