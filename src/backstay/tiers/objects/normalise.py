"""Objects made comparable: what clusters and controllers write by themselves is taken out, the rest put in one form.

The measure of a restore: an object restored and read again is the same as the one in the backup, both normalised.
"""

from copy import deepcopy
from typing import Any

from backstay.cluster.base import Object
from backstay.cluster.parts import at, items
from backstay.tiers.objects.change.clean import clean, drop_keys, labels_of
from backstay.tiers.objects.change.kinds import (
    LAST_APPLIED,
    POD_TEMPLATE_HASH,
    change_kind,
    drop_node_ports,
    drop_sources,
)

_ANNOTATIONS = frozenset(
    {
        LAST_APPLIED,  # says what somebody once applied, in that cluster's namespace
        "deployment.kubernetes.io/revision",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "deployment.kubernetes.io/revision-history",
        "deprecated.daemonset.template.generation",
        "control-plane.alpha.kubernetes.io/leader",
        "endpoints.kubernetes.io/last-change-trigger-time",
        "pv.kubernetes.io/provisioned-by",
        "volume.kubernetes.io/provisioner-deletion-secret-name",
        "volume.kubernetes.io/provisioner-deletion-secret-namespace",
        "batch.kubernetes.io/job-tracking",
    }
)
_FINALIZERS = frozenset({"kubernetes.io/pv-protection", "kubernetes.io/pvc-protection"})
_SERVICE_ACCOUNT_VOLUME = "kube-api-access-"


def normalise(resource: str, stored: Object, *, owners: bool = True) -> Object:
    """A copy that is equal for two objects which mean the same. Doing it twice changes nothing more.

    With ``owners`` owner references stay, by kind and name; without, neither they nor finalizers count: a restore
    leaves those of a live object as they are.
    """
    body = deepcopy(stored)
    body.setdefault("metadata", {})
    kept = _owners(body) if owners else []
    if resource == "services":
        drop_node_ports(body)
    clean(change_kind(resource, body))
    metadata = body["metadata"]
    drop_keys(metadata, "annotations", _ANNOTATIONS)
    if rule := _RULES.get(resource):
        rule(body)
    if "finalizers" in metadata:
        metadata["finalizers"] = sorted(name for name in metadata["finalizers"] if name not in _FINALIZERS)
        if not metadata["finalizers"] or not owners:
            del metadata["finalizers"]
    if kept:
        metadata["ownerReferences"] = kept
    return body


def same(resource: str, one: Object, other: Object) -> bool:
    """Whether two objects mean the same to a restore."""
    return normalise(resource, one, owners=False) == normalise(resource, other, owners=False)


def _owners(body: Object) -> list[dict[str, Any]]:
    wanted = ("apiVersion", "kind", "name", "controller", "blockOwnerDeletion")
    found = [
        {key: owner[key] for key in wanted if owner.get(key)} for owner in items(body, "metadata", "ownerReferences")
    ]
    return sorted(found, key=lambda owner: (str(owner.get("kind")), str(owner.get("name"))))


def _claim(body: Object) -> None:
    at(body, "spec").pop("volumeName", None)
    drop_sources(body)


def _service(body: Object) -> None:
    spec = at(body, "spec")
    for key in ("ipFamilies", "ipFamilyPolicy"):
        spec.pop(key, None)


def _replica_set(body: Object) -> None:
    """The replicas of one that belongs to a Deployment are the Deployment's affair."""
    if POD_TEMPLATE_HASH in labels_of(body):
        at(body, "spec").pop("replicas", None)


def _pod(body: Object) -> None:
    """Volumes and tolerations that admission adds to every pod."""
    spec = at(body, "spec")
    automatic = [volume for volume in items(spec, "volumes") if _is_automatic(volume)]
    names = {volume.get("name") for volume in automatic}
    if names:
        _keep(spec, "volumes", [volume for volume in spec["volumes"] if volume not in automatic])
    for container in (*items(spec, "containers"), *items(spec, "initContainers")):
        mounts = items(container, "volumeMounts")
        _keep(container, "volumeMounts", [mount for mount in mounts if mount.get("name") not in names])
    tolerations = [one for one in items(spec, "tolerations") if not _is_default_toleration(one)]
    _keep(spec, "tolerations", tolerations)


def _is_automatic(volume: Object) -> bool:
    return str(volume.get("name")).startswith(_SERVICE_ACCOUNT_VOLUME)


def _is_default_toleration(one: Object) -> bool:
    keys = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    return one.get("key") in keys and one.get("effect") == "NoExecute" and one.get("tolerationSeconds") == 300


def _keep(parent: Object, key: str, values: list[Any]) -> None:
    """Set the list, or nothing where it is empty."""
    parent.pop(key, None)
    if values:
        parent[key] = values


def _job(body: Object) -> None:
    at(body, "spec").pop("selector", None)


def _namespace(body: Object) -> None:
    body.pop("spec", None)


def _account(body: Object) -> None:
    body.pop("secrets", None)  # the cluster puts tokens there


_RULES = {
    "persistentvolumeclaims": _claim,
    "services": _service,
    "replicasets.apps": _replica_set,
    "pods": _pod,
    "jobs.batch": _job,
    "namespaces": _namespace,
    "serviceaccounts": _account,
}
