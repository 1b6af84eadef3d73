"""What single kinds need changed before they can be made anew, each with its reason.

As Velero's item actions do (pkg/restore/actions/), and what those leave to the API server to refuse. Every change done
twice is the same as done once; ``normalise`` counts on that.
"""

import re
from collections.abc import Callable

import msgspec

from backstay.cluster.base import Object
from backstay.cluster.parts import at, items
from backstay.tiers.objects.change.clean import annotations_of, drop_keys
from backstay.tiers.objects.names import CLAIMS, CRDS, NAMESPACES, VOLUMES, WEBHOOKS

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
POD_TEMPLATE_HASH = "pod-template-hash"  # on what a Deployment has made
_BY_THE_JOB_CONTROLLER = frozenset(
    {"controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"}
)
_OF_A_BINDING = frozenset(
    {
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
        "volume.kubernetes.io/storage-provisioner",
        "volume.beta.kubernetes.io/storage-provisioner",
        "volume.kubernetes.io/selected-node",
    }
)
_TOKEN = re.compile(r"-token-[bcdfghjklmnpqrstvwxz2456789]{5}$")


def change_kind(resource: str, body: Object) -> Object:
    """The object as its kind needs it, changed in place. It is as it was stored: nothing was taken out before."""
    if change := _CHANGES.get(resource):
        change(body)
    return body


def drop_node_ports(body: Object, *, all_of_them: bool = True) -> None:
    """Ports that the old cluster chose for a Service. Without ``all_of_them`` those stay that a person had set."""
    spec = at(body, "spec")
    spec.pop("healthCheckNodePort", None)
    chosen = set() if all_of_them else _ports_set_by_hand(body)
    for port in items(spec, "ports"):
        if port.get("nodePort") not in chosen:
            port.pop("nodePort", None)


def _service(body: Object) -> None:
    spec = at(body, "spec")
    if spec.get("clusterIP") != "None":
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)


def _ports_set_by_hand(body: Object) -> set[int]:
    """Node ports in what ``kubectl apply`` was given, or in fields that a manager has set."""
    found: set[int] = set()
    try:
        applied = msgspec.json.decode(annotations_of(body).get(LAST_APPLIED, "{}"))
    except msgspec.DecodeError:
        applied = {}
    found |= {port["nodePort"] for port in items(applied, "spec", "ports") if port.get("nodePort")}
    for entry in items(body, "metadata", "managedFields"):
        fields = at(entry, "fieldsV1", "f:spec", "f:ports")
        owned = {key for key, value in fields.items() if isinstance(value, dict) and "f:nodePort" in value}
        ports = [port for port in items(body, "spec", "ports") if port.get("nodePort")]
        found |= {port["nodePort"] for port in ports if _port_key(port) in owned}
    return found


def _port_key(port: Object) -> str:
    key = {"port": port.get("port"), "protocol": port.get("protocol", "TCP")}
    return "k:" + msgspec.json.encode(key).decode()


def _pod(body: Object) -> None:
    spec = at(body, "spec")
    for key in ("nodeName", "priority", "ephemeralContainers"):  # the last is refused in a new pod
        spec.pop(key, None)
    account = str(spec.get("serviceAccountName") or "default")
    tokens = {
        volume["name"]
        for volume in items(spec, "volumes")
        if str(volume.get("name")).startswith(f"{account}-token-") and _TOKEN.search(str(volume["name"]))
    }
    if not tokens:
        return
    spec["volumes"] = [volume for volume in spec["volumes"] if volume.get("name") not in tokens]
    for container in (*items(spec, "containers"), *items(spec, "initContainers")):
        if "volumeMounts" in container:
            container["volumeMounts"] = [
                mount for mount in container["volumeMounts"] if mount.get("name") not in tokens
            ]


def _job(body: Object) -> None:
    """The selector is by the uid of the old job; the API server makes a new one, unless a person wrote it."""
    spec = at(body, "spec")
    if not spec.get("manualSelector"):
        spec.pop("selector", None)
    drop_keys(body.get("metadata"), "labels", _BY_THE_JOB_CONTROLLER)
    drop_keys(at(spec, "template").get("metadata"), "labels", _BY_THE_JOB_CONTROLLER)


def drop_sources(claim: Object, comes_back: Callable[[str, str], bool] = lambda _namespace, _name: False) -> None:
    """What a claim was once filled from. Another claim has other data by now, and a snapshot that is gone is waited for
    without end (velero-io/velero#6106). ``comes_back`` says of a VolumeSnapshot whether it will be there, by namespace
    and name; sources of other kinds are asked for the data now, and stay."""
    spec = at(claim, "spec")
    for key in ("dataSource", "dataSourceRef"):
        source = at(spec, key)
        place = str(source.get("namespace") or at(claim, "metadata").get("namespace", "")), str(source.get("name"))
        if source.get("kind") == "PersistentVolumeClaim" or (
            source.get("kind") == "VolumeSnapshot" and not comes_back(*place)
        ):
            del spec[key]


def _claim(body: Object) -> None:
    drop_keys(body.get("metadata"), "annotations", _OF_A_BINDING)


def _volume(body: Object) -> None:
    drop_keys(body.get("metadata"), "annotations", frozenset({"pv.kubernetes.io/bound-by-controller"}))
    claim = at(body, "spec", "claimRef")
    claim.pop("uid", None)
    claim.pop("resourceVersion", None)


def _account(body: Object) -> None:
    """Tokens that the cluster made for it have the old cluster's name."""
    name = at(body, "metadata").get("name")
    if "secrets" in body:
        kept = [
            secret
            for secret in body["secrets"] or ()
            if not (str(secret.get("name")).startswith(f"{name}-token-") and _TOKEN.search(str(secret["name"])))
        ]
        body["secrets"] = kept
        if not kept:
            del body["secrets"]


def _secret(body: Object) -> None:
    if body.get("type") == "kubernetes.io/service-account-token":
        drop_keys(body.get("metadata"), "annotations", frozenset({"kubernetes.io/service-account.uid"}))
        drop_keys(body, "data", frozenset({"token", "ca.crt", "namespace"}))


def _namespace(body: Object) -> None:
    drop_keys(body.get("metadata"), "labels", frozenset({"kubernetes.io/metadata.name"}))
    body.pop("spec", None)  # its finalizers are the API server's own


def _webhooks(body: Object) -> None:
    """Admission v1 knows only two side effects; Unknown and Some are of v1beta1."""
    for hook in items(body, "webhooks"):
        if hook.get("sideEffects") not in {"None", "NoneOnDryRun"}:
            hook["sideEffects"] = "None"


def _definition(body: Object) -> None:
    """``preserveUnknownFields: true`` is not taken any more; each schema says it itself."""
    spec = at(body, "spec")
    if spec.pop("preserveUnknownFields", None):
        for version in items(spec, "versions"):
            schema = version.setdefault("schema", {}).setdefault("openAPIV3Schema", {"type": "object"})
            schema["x-kubernetes-preserve-unknown-fields"] = True


def _cluster_role(body: Object) -> None:
    if body.get("aggregationRule"):
        body["rules"] = []  # a controller puts them together


_CHANGES: dict[str, Callable[[Object], None]] = {
    "services": _service,
    "pods": _pod,
    "jobs.batch": _job,
    CLAIMS: _claim,
    VOLUMES: _volume,
    "serviceaccounts": _account,
    "secrets": _secret,
    NAMESPACES: _namespace,
    **dict.fromkeys(WEBHOOKS, _webhooks),
    CRDS: _definition,
    "clusterroles.rbac.authorization.k8s.io": _cluster_role,
}
