"""What a drill in the live cluster really makes, and in which form: nothing that acts on the world.

Only kinds of ``MADE``, each judged by what its controllers would do with it. All others are only tried: they provision
(claims, volumes), publish (Ingresses, Gateways), run (pods, jobs), route (endpoints), or mean what only their own
operator knows (custom resources). What is made has none of its labels, annotations and finalizers, by which programs
from outside Kubernetes know what is theirs: certificates, DNS names, dashboards, copies into other namespaces.
"""

from collections.abc import Collection
from typing import Any

from backstay.cluster.base import Object
from backstay.cluster.parts import at, items
from backstay.tiers.objects.change.clean import MARK, labels_of
from backstay.tiers.objects.change.kinds import drop_node_ports
from backstay.tiers.objects.change.maps import scale_to_zero
from backstay.tiers.objects.selection import EXCLUDE_LABEL

MADE = frozenset(
    {
        # Nothing looks at them until a pod does.
        "configmaps",
        "secrets",  # but for tokens of accounts, see ``stays``
        "serviceaccounts",
        "podtemplates",
        "limitranges",
        "resourcequotas",  # comes last: what it counts is there by then
        "poddisruptionbudgets.policy",
        "networkpolicies.networking.k8s.io",  # select pods of their own namespace, where there are none
        # Rights in the namespace of the drill, for the accounts of it alone.
        "roles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "services",  # headless: no address, no port of a node, no load balancer, no name elsewhere
        # No replicas, no node that fits, suspended.
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "replicationcontrollers",
        "cronjobs.batch",
        "horizontalpodautoscalers.autoscaling",  # inactive at no replicas, unless 0 is its own minimum
    }
)
TOKEN = "kubernetes.io/service-account-token"  # noqa: S105 - a type; the token controller fills or deletes such Secrets
_OF_TYPES = (  # fields of a Service that only other types have
    "clusterIPs", "externalName", "externalIPs", "externalTrafficPolicy", "allocateLoadBalancerNodePorts",
    "loadBalancerIP", "loadBalancerClass", "loadBalancerSourceRanges",
)  # fmt: skip


def stays(resource: str, body: Object) -> bool:
    """Whether an object may really be made."""
    return resource in MADE and not (resource == "secrets" and body.get("type") == TOKEN)


def harmless(resource: str, body: Object, own: Collection[str]) -> Object:
    """The object in the form in which it does nothing, changed in place; ``own`` are the namespaces of the drill. Done
    twice it is the same as done once, so both sides of a comparison can be brought into this form."""
    metadata = body["metadata"]
    mark = labels_of(body).get(MARK)
    metadata["labels"] = {EXCLUDE_LABEL: "true", **({MARK: mark} if mark else {})}
    for key in ("annotations", "finalizers"):
        metadata.pop(key, None)
    scale_to_zero(resource, body)
    if resource == "services":
        _headless(body)
    elif resource == "rolebindings.rbac.authorization.k8s.io":
        _for_accounts(body, own)
    elif resource == "horizontalpodautoscalers.autoscaling":
        body["spec"]["minReplicas"] = at(body, "spec").get("minReplicas") or 1
    return body


def _headless(body: Object) -> None:
    spec: dict[str, Any] = body.setdefault("spec", {})
    drop_node_ports(body)
    for key in _OF_TYPES:
        spec.pop(key, None)
    spec |= {"type": "ClusterIP", "clusterIP": "None"}
    spec.setdefault("internalTrafficPolicy", "Cluster")  # as the API server does; an ExternalName has none


def _for_accounts(body: Object, own: Collection[str]) -> None:
    """Users and groups are the live cluster's; an old binding must not give them what was taken from them since."""
    kept = [one for one in items(body, "subjects") if one.get("namespace") in own]
    body.pop("subjects", None)
    if kept:
        body["subjects"] = kept
