"""What a drill holds against the backup: every object read back, but for those that an API server keeps by itself."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from backstay.cluster.base import Cluster, Object
from backstay.core.model import Finding, Severity
from backstay.core.units import counted, format_count
from backstay.tiers.objects.archive.spooled import Spooled
from backstay.tiers.objects.difference import Change, Difference, against_cluster
from backstay.tiers.objects.names import APISERVICES, CRDS
from backstay.tiers.objects.restore.request import Options
from backstay.tiers.objects.settings import Schedule, World

CODE = "objects.compared"
SHOWN = 20  # differing objects that are told of by name
SHOWN_FIELDS = 3
# kind, namespace, name: what kube-apiserver makes and keeps as it wants it, whatever is put there (pkg/controlplane)
BY_THE_SERVER = (
    ("configmaps", "kube-system", "extension-apiserver-authentication"),
    ("configmaps", "kube-system", "kube-apiserver-legacy-service-account-token-tracking"),
    ("services", "default", "kubernetes"),
    ("endpoints", "default", "kubernetes"),
    ("endpointslices.discovery.k8s.io", "default", "kubernetes"),
    ("servicecidrs.networking.k8s.io", "", "kubernetes"),
    ("ipaddresses.networking.k8s.io", "", "*"),
    ("leases.coordination.k8s.io", "kube-system", "apiserver-*"),
    ("flowschemas.flowcontrol.apiserver.k8s.io", "", "*"),
    ("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "", "*"),
    (APISERVICES, "", "*"),
)

# Their controllers take them back themselves (change/transform.py), and none runs in a scratch control plane.
ADOPTED = frozenset({"replicasets.apps", "controllerrevisions.apps"})
OWNERS = "metadata.ownerReferences"


def unchecked(archive: Spooled, cluster: Cluster) -> dict[str, str]:
    """Kinds of the backup that a control plane of nothing but this backup cannot hold, each with the reason. A kind
    whose definition is in the backup is none of them, unless its objects would have to be converted by a webhook."""
    served = {resource.name for resource in cluster.discover().resources}
    definitions = {entry.name: archive.read(entry) for entry in archive.entries(CRDS)}
    found: dict[str, str] = {}
    for name in archive.resources():
        if name in definitions:
            if _needs_conversion(archive, name, msgspec.json.decode(definitions[name], type=dict)):
                found[name] = "its versions are converted by a webhook of the cluster"
        elif name not in served:
            found[name] = "neither part of this Kubernetes nor defined in the backup"
    return found


def compared(schedule: Schedule, world: World, archive: Spooled, options: Options, restored: int) -> Iterator[Finding]:
    """What ``world``'s cluster has against what the archive has; ``restored`` objects were put there. Raises what the
    cluster raises."""
    found = [*told(filter(_counts, against_cluster(schedule, world, archive, options)))]
    yield from found
    if not found:
        words = f"{counted(restored, 'object')} read back, each equal to the one in the backup"
        yield Finding(Severity.OK, words, CODE)


def told(differences: Iterable[Difference]) -> Iterator[Finding]:
    """Errors that name objects which did not come back as they were, up to a bound; then how many more."""
    counts: Counter[str] = Counter()
    for difference in differences:
        counts[difference.resource] += 1
        if counts.total() <= SHOWN:
            yield Finding(Severity.ERROR, _words(difference), CODE)
    if (more := counts.total() - SHOWN) > 0:
        kinds = ", ".join(f"{name} {number:,}" for name, number in counts.most_common(5))
        yield Finding(Severity.ERROR, f"and {format_count(more)} more objects that differ; of all: {kinds}", CODE)


def another(paths: Sequence[str]) -> str:
    """``another spec.replicas, spec.paused``: the fields that differ, the first of them by name."""
    more = f" and {len(paths) - SHOWN_FIELDS} more" if len(paths) > SHOWN_FIELDS else ""
    return f"another {', '.join(paths[:SHOWN_FIELDS])}{more}"


def _counts(difference: Difference) -> bool:
    """Whether it is none that an API server makes by itself."""
    expected = difference.change is Change.ADDED or _by_the_server(difference) or _to_be_adopted(difference)
    return not expected


def _by_the_server(difference: Difference) -> bool:
    place = (difference.resource, difference.namespace, difference.name)
    return any(all(map(fnmatchcase, place, pattern)) for pattern in BY_THE_SERVER)


def _to_be_adopted(difference: Difference) -> bool:
    paths = {change.path for change in difference.fields}
    return difference.resource in ADOPTED and difference.change is Change.CHANGED and paths == {OWNERS}


def _words(difference: Difference) -> str:
    where = f" of namespace {difference.namespace}" if difference.namespace else ""
    what = f"{difference.resource} {difference.name}{where}"
    if difference.change is Change.REMOVED:
        return f"{what} did not come back"
    return f"{what} came back with {another([change.path for change in difference.fields])}"


def _needs_conversion(archive: Spooled, name: str, definition: Object) -> bool:
    spec: dict[str, Any] = definition.get("spec") or {}
    if (spec.get("conversion") or {}).get("strategy") != "Webhook":
        return False
    stored = {f"{spec.get('group')}/{one.get('name')}" for one in spec.get("versions") or () if one.get("storage")}
    first = next(iter(archive.entries(name)), None)
    return first is not None and msgspec.json.decode(archive.read(first), type=dict).get("apiVersion") not in stored
