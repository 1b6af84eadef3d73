"""What of an object is left out so that ``kubectl apply`` makes it anew, and why.

An object in etcd says what it was, down to the identities that one cluster gave it. Applied again, most of that is
refused, or worse: an owner of an old uid makes the garbage collector delete the object. Sources: kubernetes.io,
"Garbage Collection", "Jobs" (controller-uid), "Persistent Volumes" (claimRef, Retain), "Service" (cluster IP);
kubernetes/kubernetes, pkg/apis/core/validation; Velero's item actions, which met the same cases.
"""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from backstay.tiers.etcd.kube.crd import V1BETA1, to_v1

OF_THE_SERVER = (  # in metadata: set by the server, and refused or without meaning in an object that is to be made
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
OF_CONTROLLERS = frozenset(  # annotations
    {
        LAST_APPLIED,  # kubectl writes it again
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
        "pv.kubernetes.io/bind-completed",  # with it, a claim whose volume has gone is Lost, not Pending
        "pv.kubernetes.io/bound-by-controller",
        "kubernetes.io/service-account.uid",  # of an account that may have been made anew since
    }
)
OF_DELETION = ("foregroundDeletion", "orphan")  # compared and not hashed: anything may stand in a custom resource
OF_JOBS = frozenset(  # labels
    {"batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-name", "job-name"}
)

Object = dict[str, Any]


@dataclass(frozen=True)
class Fitted:
    """An object to apply. ``left_out`` has paths; ``notes`` are sentences for the person who applies it."""

    object: Object
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Work:
    """The object being changed, and what there is to say of it."""

    object: Object
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def part(self, *path: str) -> Object:
        """A mapping within the object; an empty one where there is none."""
        here: Any = self.object
        for name in path:
            here = here.get(name) if isinstance(here, dict) else None
        return here if isinstance(here, dict) else {}

    def drop(self, *path: str) -> Any:
        """Take out what is at ``path``, and say so; None when there is nothing."""
        parent = self.part(*path[:-1])
        if path[-1] not in parent:
            return None
        self.left_out.append(".".join(path))
        return parent.pop(path[-1])

    def thin(self, *path: str, keys: frozenset[str]) -> None:
        """Take ``keys`` out of the mapping at ``path``, and the mapping too when nothing is left of it."""
        inner = self.part(*path)
        for key in sorted(keys & inner.keys()):
            del inner[key]
            self.left_out.append(f"{'.'.join(path)}[{key}]")
            if not inner:
                del self.part(*path[:-1])[path[-1]]


def for_apply(obj: Mapping[str, Any]) -> Fitted:
    """The object without what belongs to the cluster it came from. The given one is not changed."""
    work = _Work(deepcopy(dict(obj)))
    uses_own_address = _asked_for_address(work)
    work.drop("status")
    _fit_metadata(work)
    kind = (str(obj.get("apiVersion", "")).rpartition("/")[0], obj.get("kind"))
    if kind == ("", "Service"):
        _fit_service(work, asked=uses_own_address)
    elif kind in _KINDS:
        _KINDS[kind](work)
    return Fitted(work.object, tuple(work.left_out), tuple(work.notes))


def _fit_metadata(work: _Work) -> None:
    about = work.part("metadata")
    if about.get("deletionTimestamp") is not None:
        work.notes.append("It was being deleted when the snapshot was taken.")
    for name in OF_THE_SERVER:
        work.drop("metadata", name)
    owners = work.drop("metadata", "ownerReferences")
    if isinstance(owners, list) and owners:
        names = [f"{one.get('kind')} {one.get('name')}" for one in owners if isinstance(one, dict)]
        work.notes.append(
            f"Its owner was {', '.join(names)}. The reference names a uid that may be gone, and the garbage collector"
            " deletes what such an owner owns, so it is left out. If the owner lives, it makes this object by itself."
        )
    work.thin("metadata", "annotations", keys=OF_CONTROLLERS)
    finalizers = about.get("finalizers")
    if isinstance(finalizers, list) and any(one in OF_DELETION for one in finalizers):
        about["finalizers"] = [one for one in finalizers if one not in OF_DELETION]
        work.left_out.append("metadata.finalizers of the deletion")
        if not about["finalizers"]:
            del about["finalizers"]


def _asked_for_address(work: _Work) -> bool:
    """Whether somebody chose the cluster IP of a Service: then it is in what was applied, or among the fields owned."""
    about = work.part("metadata")
    managed = about.get("managedFields")
    for entry in managed if isinstance(managed, list) else ():
        owned = entry.get("fieldsV1") if isinstance(entry, dict) else None
        spec = owned.get("f:spec") if isinstance(owned, dict) else None
        if isinstance(spec, dict) and "f:clusterIP" in spec:
            return True
    try:
        applied = json.loads(work.part("metadata", "annotations").get(LAST_APPLIED) or "{}")
        return isinstance(applied, dict) and "clusterIP" in (applied.get("spec") or {})
    except (ValueError, TypeError, RecursionError):
        return False


def _fit_service(work: _Work, *, asked: bool) -> None:
    """A headless Service stays one; an address that somebody chose (that of the DNS) is kept; node ports always."""
    spec = work.part("spec")
    address = spec.get("clusterIP")
    if address and address != "None":
        if asked:
            work.notes.append(f"The cluster IP {address} was asked for, so it is kept; applying fails if it is taken.")
        else:
            work.drop("spec", "clusterIP")
            work.drop("spec", "clusterIPs")
            work.notes.append(f"The cluster IP was {address}, given by the cluster; a new one is given.")
    ports = spec.get("ports")
    if any(isinstance(port, dict) and port.get("nodePort") for port in (ports if isinstance(ports, list) else ())):
        work.notes.append("Node ports are kept, since what is outside points at them; applying fails if one is taken.")


def _fit_pod(work: _Work) -> None:
    if node := work.drop("spec", "nodeName"):
        work.notes.append(f"It ran on node {node}; the scheduler chooses again.")
    work.drop("spec", "priority")  # worked out from the class, and refused when it differs
    if work.drop("spec", "ephemeralContainers"):
        work.notes.append("Its ephemeral containers are left out: they cannot be given to a new pod.")


def _fit_claim(work: _Work) -> None:
    volume = work.part("spec").get("volumeName")
    if volume:
        work.notes.append(
            f"It keeps its volume, {volume}. If that is Released, take uid and resourceVersion out of the volume's"
            " spec.claimRef and the claim binds to the same data. If it is gone, the claim stays Pending: take"
            " spec.volumeName out for a new, empty volume."
        )


def _fit_volume(work: _Work) -> None:
    if work.drop("spec", "claimRef", "uid"):
        work.drop("spec", "claimRef", "resourceVersion")
        work.notes.append("It waits for its claim by name, whatever uid that has now.")


def _fit_job(work: _Work) -> None:
    """The selector and labels that the server made; with them the new Job is refused."""
    work.notes.append("Applied, the Job runs again.")
    if work.part("spec").get("manualSelector") is True:
        return
    work.drop("spec", "selector")
    work.thin("metadata", "labels", keys=OF_JOBS)
    work.thin("spec", "template", "metadata", "labels", keys=OF_JOBS)


def _fit_secret(work: _Work) -> None:
    if work.object.get("type") == "kubernetes.io/service-account-token":
        work.drop("data", "token")
        work.notes.append("The token is left out: it is void for a new account, and the cluster issues another.")


def _fit_namespace(work: _Work) -> None:
    work.drop("spec", "finalizers")
    if not work.part("spec"):
        work.object.pop("spec", None)
    work.notes.append("A namespace alone brings back nothing that was in it.")


def _fit_stateful_set(work: _Work) -> None:
    templates = work.part("spec").get("volumeClaimTemplates")
    for template in templates if isinstance(templates, list) else ():
        if isinstance(template, dict):
            template.pop("status", None)


def _fit_definition(work: _Work) -> None:
    if work.object.get("apiVersion") == V1BETA1:
        work.object = to_v1(work.object)
        work.notes.append("It was stored as v1beta1, which no API server takes any more; this is the same in v1.")
    if work.part("spec").get("preserveUnknownFields"):
        work.notes.append(
            "spec.preserveUnknownFields: true is refused for a new definition: take it out, and put"
            " x-kubernetes-preserve-unknown-fields: true into each schema."
        )


_KINDS: Mapping[tuple[str, Any], Callable[[_Work], None]] = {
    ("", "Namespace"): _fit_namespace,
    ("", "PersistentVolume"): _fit_volume,
    ("", "PersistentVolumeClaim"): _fit_claim,
    ("", "Pod"): _fit_pod,
    ("", "Secret"): _fit_secret,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _fit_definition,
    ("apps", "StatefulSet"): _fit_stateful_set,
    ("batch", "Job"): _fit_job,
}
