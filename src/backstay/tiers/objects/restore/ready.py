"""Whether what was restored runs: workloads ready, claims bound; and if not, why, in the cluster's own words."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.core.errors import ClusterError, ClusterUnreachable, ObjectNotFound
from backstay.core.units import format_count
from backstay.tiers.objects.change.clean import MARK, at, controller_of, items
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.tally import called

WORKLOADS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "pods", "persistentvolumeclaims")
_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing"})  # a container waits so on its way up


@dataclass(frozen=True)
class NotReady:
    """One workload, and what it lacks."""

    what: str
    reason: str


@dataclass(frozen=True)
class Waiting:
    """Waits for what a restore has made, which it knows by ``stamp``, and for ``others`` (kind, namespace, name) that
    it has changed."""

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
        reasons = [lacks(resource.name, body), *_conditions(body)]
        try:
            reasons += self._of_its_pods(resource, body)
        except ClusterUnreachable:
            raise
        except ClusterError as error:
            reasons.append(f"its pods could not be looked at: {error.message}")
        return NotReady(what, "; ".join(dict.fromkeys(reason for reason in reasons if reason)))

    def _of_its_pods(self, resource: Resource, body: Object) -> list[str]:
        """The first pod that says what is wrong."""
        pods = self.served.find("pods")
        if resource.name == "pods":
            return [reason for reason in [pod_trouble(body)] if reason]
        labels = at(body, "spec", "selector", "matchLabels")
        if pods is None or not labels:
            return []
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        for item in self.cluster.list(pods, namespace=str(body["metadata"].get("namespace", "")), labels=selector):
            if reason := pod_trouble(msgspec.json.decode(item.json, type=dict)):
                return [f"pod {item.name}: {reason}"]
        return []


def lacks(resource: str, body: Object) -> str:
    """What a workload lacks to be ready; empty when it is. Its controller must have seen it."""
    if resource == "pods":
        return "" if controller_of(body) is not None else _pod_lacks(body)
    status, spec = at(body, "status"), at(body, "spec")
    if resource == "persistentvolumeclaims":
        return _claim_lacks(body)
    seen = int(status.get("observedGeneration") or 0) >= int(at(body, "metadata").get("generation") or 0)
    if resource == "daemonsets.apps":
        wanted, have = int(status.get("desiredNumberScheduled") or 0), int(status.get("numberReady") or 0)
    else:
        wanted = 1 if spec.get("replicas") is None else int(spec["replicas"])
        have = min(int(status.get("readyReplicas") or 0), int(status.get("updatedReplicas") or 0))
    if not seen:
        return "its controller has not looked at it"
    return "" if have >= wanted else f"{format_count(have)} of {format_count(wanted)} ready"


def _pod_lacks(body: Object) -> str:
    status = at(body, "status")
    ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in items(status, "conditions")
    )
    return "" if ready or status.get("phase") == "Succeeded" else f"phase {status.get('phase', 'unknown')}"


def _claim_lacks(body: Object) -> str:
    """A claim that was not bound because no pod has asked for it yet is told of by that pod."""
    phase = at(body, "status").get("phase", "Pending")
    return "" if phase == "Bound" else f"phase {phase}"


def _conditions(body: Object) -> list[str]:
    """What its controller says against it."""
    bad = {"ReplicaFailure": "True", "Progressing": "False"}
    return [
        str(condition.get("message"))
        for condition in items(body, "status", "conditions")
        if bad.get(str(condition.get("type"))) == condition.get("status") and condition.get("message")
    ]


def pod_trouble(pod: Object) -> str:
    """Why a pod is not ready: an image that cannot be pulled, a crash, no node for it; empty when nothing says so."""
    status = at(pod, "status")
    for container in (*items(status, "initContainerStatuses"), *items(status, "containerStatuses")):
        waiting = at(container, "state", "waiting")
        if waiting and waiting.get("reason") not in _ON_ITS_WAY:
            return _sentence(f"container {container.get('name')}: {waiting.get('reason')}", waiting.get("message"))
        ended = at(container, "state", "terminated")
        if ended.get("exitCode"):
            return f"container {container.get('name')}: ended with {ended['exitCode']} ({ended.get('reason')})"
    for condition in items(status, "conditions"):
        if condition.get("status") == "False" and condition.get("type") in {"PodScheduled", "Initialized"}:
            return _sentence(str(condition.get("reason")), condition.get("message"))
    return ""


def _sentence(first: str, message: object) -> str:
    return f"{first}: {message}" if message else first
