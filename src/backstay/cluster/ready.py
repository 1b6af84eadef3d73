"""Whether a workload is ready; and if not, why, in the cluster's own words."""

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.cluster.parts import at, controller_of, items, selector_of
from backstay.core.errors import ClusterError, ClusterUnreachable
from backstay.core.units import format_count

PODS = Resource("", "v1", "pods", "Pod", namespaced=True)
_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing"})  # a container waits so on its way up


def lacks(resource: str, body: Object) -> str:
    """What a workload lacks to be ready; empty when it is. Its controller must have seen it."""
    if resource == "pods":
        return "" if controller_of(body) is not None else _pod_lacks(body)
    if resource == "persistentvolumeclaims":
        return _claim_lacks(body)
    status = at(body, "status")
    if resource == "daemonsets.apps":
        wanted, have = int(status.get("desiredNumberScheduled") or 0), int(status.get("numberReady") or 0)
    else:
        wanted, have = replicas_of(body), int(status.get("readyReplicas") or 0)
        if _replaces_all(body):
            have = min(have, int(status.get("updatedReplicas") or 0))
    if not is_seen(body):
        return "its controller has not looked at it"
    return "" if have >= wanted else f"{format_count(have)} of {format_count(wanted)} ready"


def replicas_of(body: Object) -> int:
    """How many pods a workload is to have."""
    given = at(body, "spec").get("replicas")
    return 1 if given is None else int(given)


def _replaces_all(body: Object) -> bool:
    """Whether its controller brings every pod up to date by itself, now."""
    strategy = at(body, "spec", "updateStrategy")  # of a StatefulSet
    held_back = strategy.get("type") == "OnDelete" or at(strategy, "rollingUpdate").get("partition")
    return not (held_back or at(body, "spec").get("paused"))


def is_seen(body: Object) -> bool:
    """Whether the status of a workload is about what it says now."""
    return int(at(body, "status").get("observedGeneration") or 0) >= int(at(body, "metadata").get("generation") or 0)


def why_not(cluster: Cluster, resource: Resource, body: Object) -> str:
    """All that is said of why a workload is not ready: by its status, its conditions, and its first pod in trouble."""
    reasons = [lacks(resource.name, body), *_conditions(body)]
    try:
        reasons += _of_its_pods(cluster, resource, body)
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        reasons.append(f"its pods could not be looked at: {error.message}")
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


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


def _of_its_pods(cluster: Cluster, resource: Resource, body: Object) -> list[str]:
    """The first pod that says what is wrong."""
    if resource.name == "pods":
        return [reason for reason in [pod_trouble(body)] if reason]
    selector = selector_of(body)
    if not selector:
        return []
    for item in cluster.list(PODS, namespace=str(body["metadata"].get("namespace", "")), labels=selector):
        if reason := pod_trouble(msgspec.json.decode(item.json, type=dict)):
            return [f"pod {item.name}: {reason}"]
    return []


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


def _sentence(first: str, message: object) -> str:
    return f"{first}: {message}" if message else first
