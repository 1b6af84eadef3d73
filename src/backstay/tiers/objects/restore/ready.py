"""Whether what was restored runs: workloads ready, claims bound; and if not, why, in the cluster's own words."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.cluster.ready import lacks, why_not
from backstay.core.errors import ObjectNotFound
from backstay.tiers.objects.change.clean import MARK
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.tally import called

WORKLOADS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "pods", "persistentvolumeclaims")


@dataclass(frozen=True)
class NotReady:
    """One workload, and what it lacks."""

    what: str
    reason: str


@dataclass(frozen=True)
class Waiting:
    """Waits for what a restore has made, which it knows by ``stamp``, and for ``others`` (kind, namespace, name) that
    were there."""

    cluster: Cluster
    served: Served
    stamp: str
    patience: Patience
    others: frozenset[tuple[str, str, str]] = frozenset()

    def wait(self, seconds: float) -> tuple[int, list[NotReady]]:
        """How many there are, and which are not ready after so many seconds at most, each with its reason."""
        total, missing = 0, list[tuple[Resource, Object]]()
        for _ in self.patience.rounds(seconds):
            found = list(self._looked_at())
            total, missing = len(found), [(resource, body) for resource, body in found if lacks(resource.name, body)]
            if not missing:
                break
        return total, [self._told(resource, body) for resource, body in missing]

    def _looked_at(self) -> Iterator[tuple[Resource, Object]]:
        for name in WORKLOADS:
            resource = self.served.find(name)
            if resource is None:
                continue
            for item in self.cluster.list(resource, labels=f"{MARK}={self.stamp}"):
                yield resource, msgspec.json.decode(item.json, type=dict)
            for kind, namespace, other in sorted(self.others):
                if kind == name:
                    try:
                        yield resource, self.cluster.get(resource, other, namespace)
                    except ObjectNotFound:
                        continue

    def _told(self, resource: Resource, body: Object) -> NotReady:
        metadata = body["metadata"]
        what = called(resource.name, str(metadata.get("namespace", "")), str(metadata["name"]))
        return NotReady(what, why_not(self.cluster, resource, body))
