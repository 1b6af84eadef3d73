"""Objects in no namespace that a part of a cluster cannot do without, and how it is known which those are.

They are what Velero adds where nobody said whether cluster-scoped objects are wanted (pkg/util/actionhelpers;
pkg/backup/backup.go, ``backupCRD``; pkg/backup/actions/csi/volumesnapshot_action.go): the volume of a claim, the
PriorityClass of a pod, ClusterRoleBindings that name a ServiceAccount with their ClusterRoles, the definition of a
custom resource, the class of a VolumeSnapshot. Three things are not as there: a RoleBinding's ClusterRole is one of
them; the template of a workload counts as its pods do, for there may be none just now; and the content of a snapshot
only where it was made by hand, because any other is made again.
"""

from collections import defaultdict
from collections.abc import Callable

import msgspec

from backstay.cluster.base import Object
from backstay.cluster.parts import at, items
from backstay.tiers.objects.change.maps import POD_TEMPLATES
from backstay.tiers.objects.names import CLAIMS, CRDS, SNAPSHOTS, VOLUMES

PRIORITIES = "priorityclasses.scheduling.k8s.io"
SNAPSHOT_CLASSES = "volumesnapshotclasses.snapshot.storage.k8s.io"
SNAPSHOT_CONTENTS = "volumesnapshotcontents.snapshot.storage.k8s.io"
ROLES = "clusterroles.rbac.authorization.k8s.io"
BINDINGS = "clusterrolebindings.rbac.authorization.k8s.io"
ACCOUNTS = "serviceaccounts"
# In the order in which they are found: a role may be needed for a binding, a definition for a class.
ROUNDS = ((VOLUMES, PRIORITIES, SNAPSHOT_CLASSES, SNAPSHOT_CONTENTS, BINDINGS), (ROLES, CRDS))
RELATED = frozenset(name for names in ROUNDS for name in names)
# A name in the JSON of an object that names another; where it is absent, the object need not be parsed.
_NAMING = {
    CLAIMS: b'"volumeName"',
    SNAPSHOTS: b'"volumeSnapshot',
    "rolebindings.rbac.authorization.k8s.io": b'"roleRef"',
    BINDINGS: b'"roleRef"',
    **dict.fromkeys(POD_TEMPLATES, b'"priorityClassName"'),
}
# Groups that kube-apiserver serves itself (k8s.io/kubernetes, staging/src/k8s.io/api): all else may have a definition.
_BUILT_IN = frozenset(
    {
        *("", "apps", "autoscaling", "batch", "extensions", "policy"),
        *("admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io"),
        *("coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io"),
        *("networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io"),
        *("storage.k8s.io", "storagemigration.k8s.io", "internal.apiserver.k8s.io"),
    }
)


class Needs:
    """What the objects that were seen need, as names: of each kind no more than the cluster has.

    ``has`` tells of a kind, a namespace and a name whether that object is one of those seen.
    """

    def __init__(self, has: Callable[[str, str, str], bool]) -> None:
        self._has = has
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._accounts = False

    def see(self, resource: str, text: bytes) -> None:
        """Note what an object, given as its JSON, needs."""
        if resource.partition(".")[2] not in _BUILT_IN:
            self._names[CRDS].add(resource)
        if resource == ACCOUNTS:
            self._accounts = True
        if (name := _NAMING.get(resource)) and name in text:
            for kind, needed in _named(resource, msgspec.json.decode(text, type=dict)):
                if isinstance(needed, str) and needed:
                    self._names[kind].add(needed)

    def may_want(self, resource: str) -> bool:
        """Whether any object of a kind is needed, as far as one can know without its objects."""
        return self._accounts if resource == BINDINGS else resource in self._names

    def wants(self, resource: str, name: str, body: Callable[[], Object]) -> bool:
        """Whether an object is needed."""
        if resource != BINDINGS:
            return name in self._names.get(resource, ())
        return any(
            subject.get("kind") == "ServiceAccount"
            and self._has(ACCOUNTS, str(subject.get("namespace", "")), str(subject.get("name", "")))
            for subject in items(body(), "subjects")
        )


def names_others(resource: str) -> bool:
    """Whether objects of a kind may name what they need."""
    return resource in _NAMING


def _named(resource: str, body: Object) -> list[tuple[str, object]]:
    """What an object names, as kind and name."""
    spec = at(body, "spec")
    if resource == CLAIMS:
        return [(VOLUMES, spec.get("volumeName"))]
    if resource == SNAPSHOTS:
        content = at(spec, "source").get("volumeSnapshotContentName")
        return [(SNAPSHOT_CLASSES, spec.get("volumeSnapshotClassName")), (SNAPSHOT_CONTENTS, content)]
    if resource in POD_TEMPLATES:
        return [(PRIORITIES, at(body, *POD_TEMPLATES[resource], "spec").get("priorityClassName"))]
    role = at(body, "roleRef")
    return [(ROLES, role.get("name"))] if role.get("kind") == "ClusterRole" else []
