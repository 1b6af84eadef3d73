"""Objects that are not put back, each with the reason: the cluster makes them itself, or they were of the moment.

The kinds of ``NEVER`` begin with Velero's list (pkg/restore/restore.go, nonRestorableResources); its skipped items are
here too (finished pods and jobs, mirror pods, automatic APIServices).
"""

import re
from collections.abc import Callable
from typing import Protocol

from backstay.cluster.base import Object
from backstay.cluster.parts import at, controller_of
from backstay.tiers.objects.change.clean import annotations_of, labels_of
from backstay.tiers.objects.names import APISERVICES, SNAPSHOTS

OF_THE_MOMENT = "a state of the moment"
OF_THE_NODES = "nodes report it themselves"
BY_THE_SERVER = "the API server makes it itself"
BY_ITS_OWNER = "its owner is restored and makes it again"
BY_THE_SERVICE = "made again from its Service"
OF_A_CLAIM = "a snapshot taken of a claim: made again, it would be one of the claim as it is now"
OF_VELERO = "a record of Velero's about the old cluster"

NEVER = {
    "nodes": OF_THE_NODES,
    "csinodes.storage.k8s.io": OF_THE_NODES,
    "csistoragecapacities.storage.k8s.io": OF_THE_NODES,
    "resourceslices.resource.k8s.io": OF_THE_NODES,
    "volumeattachments.storage.k8s.io": OF_THE_MOMENT,
    "events": OF_THE_MOMENT,
    "events.events.k8s.io": OF_THE_MOMENT,
    "leases.coordination.k8s.io": OF_THE_MOMENT,
    "leasecandidates.coordination.k8s.io": OF_THE_MOMENT,
    "certificatesigningrequests.certificates.k8s.io": OF_THE_MOMENT,
    "componentstatuses": OF_THE_MOMENT,
    "bindings": OF_THE_MOMENT,
    "ipaddresses.networking.k8s.io": BY_THE_SERVER,
    "storageversions.internal.apiserver.k8s.io": BY_THE_SERVER,
    "backups.velero.io": OF_VELERO,
    "restores.velero.io": OF_VELERO,
    "resticrepositories.velero.io": OF_VELERO,
    "backuprepositories.velero.io": OF_VELERO,
}
_AUTOMATIC_TOKEN = re.compile(r"-token-[bcdfghjklmnpqrstvwxz2456789]{5}")  # apimachinery/pkg/util/rand


class Around(Protocol):
    """What else is being restored."""

    def has(self, resource: str, namespace: str, name: str) -> bool:
        """Whether an object of the backup is part of this restore; the namespace as in the backup."""

    def read(self, resource: str, namespace: str, name: str) -> Object | None:
        """An object of the backup, also one that is not part of the restore."""

    def resource_of(self, api_version: str, kind: str) -> str:
        """``replicasets.apps`` for ``apps/v1`` and ``ReplicaSet``; empty for what the backup does not have."""


def reason_to_leave(resource: str, body: Object, around: Around) -> str:
    """Why an object of the backup is not restored; empty when it is. It is as it was stored, nothing taken out yet."""
    if reason := NEVER.get(resource):
        return reason
    if labels_of(body).get("kubernetes.io/bootstrapping") or _is_kubernetes_service(resource, body):
        return BY_THE_SERVER
    if rule := _BY_ITSELF.get(resource):
        return rule(body)
    if wider := _BY_OTHERS.get(resource):
        return wider(body, around)
    return ""


def owner_in(around: Around, body: Object) -> dict[str, object] | None:
    """The owner that keeps this object, when it is part of the restore."""
    owner = controller_of(body)
    if owner is None:
        return None
    resource = around.resource_of(str(owner.get("apiVersion")), str(owner.get("kind")))
    metadata = body["metadata"]
    name = str(owner.get("name"))
    inside = around.has(resource, metadata.get("namespace", ""), name) or around.has(resource, "", name)
    return owner if resource and inside else None


def _is_kubernetes_service(resource: str, body: Object) -> bool:
    metadata = body["metadata"]
    kinds = {"services", "endpoints", "endpointslices.discovery.k8s.io"}
    return resource in kinds and (metadata.get("namespace"), metadata.get("name")) == ("default", "kubernetes")


def _pod(body: Object, around: Around) -> str:
    owner = controller_of(body)
    if "kubernetes.io/config.mirror" in annotations_of(body) or (owner or {}).get("kind") == "Node":
        return "a mirror of a static pod, made by its node"
    if at(body, "status").get("phase") in {"Succeeded", "Failed"}:
        return "the pod has ended"
    return BY_ITS_OWNER if owner_in(around, body) else ""


def _job(body: Object, around: Around) -> str:
    status = at(body, "status")
    ended = any(
        condition.get("type") in {"Complete", "Failed"} and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    if status.get("completionTime") or ended:
        return "the job has ended"
    return BY_ITS_OWNER if owner_in(around, body) else ""


def _endpoints(body: Object, around: Around) -> str:
    annotations, labels, metadata = annotations_of(body), labels_of(body), body["metadata"]
    if "control-plane.alpha.kubernetes.io/leader" in annotations:
        return OF_THE_MOMENT
    if labels.get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
        return BY_THE_SERVICE
    if "endpoints.kubernetes.io/last-change-trigger-time" in annotations:
        return BY_THE_SERVICE
    service = around.read("services", metadata.get("namespace", ""), metadata.get("name", ""))
    return BY_THE_SERVICE if service and at(service, "spec").get("selector") else ""


def _endpoint_slice(body: Object) -> str:
    maker = labels_of(body).get("endpointslice.kubernetes.io/managed-by", "")
    return BY_THE_SERVICE if maker.endswith("-controller.k8s.io") else ""


def _secret(body: Object) -> str:
    if body.get("type") != "kubernetes.io/service-account-token":
        return ""
    account = annotations_of(body).get("kubernetes.io/service-account.name", "")
    name = str(body["metadata"].get("name", ""))
    automatic = name.startswith(account) and _AUTOMATIC_TOKEN.fullmatch(name.removeprefix(account))
    return "a token that the cluster made for a ServiceAccount" if automatic else ""


def _config_map(body: Object) -> str:
    return BY_THE_SERVER if body["metadata"].get("name") == "kube-root-ca.crt" else ""


def _api_service(body: Object) -> str:
    automatic = "kube-aggregator.kubernetes.io/automanaged" in labels_of(body)
    return BY_THE_SERVER if automatic or not at(body, "spec").get("service") else ""


def _priority_class(body: Object) -> str:
    return BY_THE_SERVER if str(body["metadata"].get("name")).startswith("system-") else ""


def _flow(body: Object) -> str:
    automatic = annotations_of(body).get("apf.kubernetes.io/autoupdate-spec") == "true"
    return BY_THE_SERVER if automatic or body["metadata"].get("name") in {"exempt", "catch-all"} else ""


def _service_cidr(body: Object) -> str:
    return BY_THE_SERVER if body["metadata"].get("name") == "kubernetes" else ""


def _volume(body: Object) -> str:
    """A volume made for a claim, and deleted with it: its name alone brings no data back."""
    made = "pv.kubernetes.io/provisioned-by" in annotations_of(body)
    if made and at(body, "spec").get("persistentVolumeReclaimPolicy") == "Delete":
        return "a volume with reclaim policy Delete: its claim gets a new one, its data comes from a volume backup"
    return ""


def _snapshot(body: Object) -> str:
    """Of a claim, or its content; one that names a snapshot in the storage comes back as that
    (kubernetes-csi.github.io, "Snapshot & Restore Feature", on pre-provisioned snapshots)."""
    source = at(body, "spec", "source")
    taken = any(source.get(key) for key in ("persistentVolumeClaimName", "volumeHandle", "selector", "volumeHandles"))
    return OF_A_CLAIM if taken else ""


_BY_OTHERS: dict[str, Callable[[Object, Around], str]] = {
    "pods": _pod,
    "jobs.batch": _job,
    "endpoints": _endpoints,
}
_BY_ITSELF: dict[str, Callable[[Object], str]] = {
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "secrets": _secret,
    "configmaps": _config_map,
    APISERVICES: _api_service,
    "priorityclasses.scheduling.k8s.io": _priority_class,
    "flowschemas.flowcontrol.apiserver.k8s.io": _flow,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": _flow,
    "servicecidrs.networking.k8s.io": _service_cidr,
    "persistentvolumes": _volume,
    SNAPSHOTS: _snapshot,
    "volumesnapshotcontents.snapshot.storage.k8s.io": _snapshot,
    "volumegroupsnapshots.groupsnapshot.storage.k8s.io": _snapshot,
    "volumegroupsnapshotcontents.groupsnapshot.storage.k8s.io": _snapshot,
}
