"""What a snapshot says of the cluster it is of: which one, its servers' token, its nodes; read offline.

Keys and forms: Kubernetes' storage layout (``/registry/<resource>/...``), k3s for ``/bootstrap/`` and the ConfigMap of
extra metadata (k3s, pkg/cluster/storage.go and pkg/etcd/snapshot_metadata.go).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import SecretError, Undecodable
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.file.keyspace import live
from backstay.tiers.etcd.kube.decode import decode
from backstay.tiers.etcd.token import BOOTSTRAP, TokenCheck, check, key_name, password_of

MAX_NODES = 5000  # the most that Kubernetes supports ("Considerations for large clusters")
EXTRA_METADATA = "configmaps/kube-system/{program}-etcd-snapshot-extra-metadata"  # program: k3s or rke2
SERVER_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/etcd")


@dataclass(frozen=True)
class Facts:
    """``cluster_uid`` is that of namespace kube-system, which k3s calls the cluster's id. ``nodes`` are names with
    their kubelet version; ``servers`` those of them that are part of the control plane."""

    cluster_uid: str
    nodes: Mapping[str, str]
    servers: tuple[str, ...]
    extra_metadata: Mapping[str, str]
    token_hash: str
    token: TokenCheck | None

    @property
    def kubernetes_version(self) -> str:
        """The newest kubelet's."""
        return max(self.nodes.values(), default="")


def read_facts(path: Path, plane: ControlPlane) -> Facts:
    """Read them. What is encrypted at rest or of another form is left out. Raises ``SnapshotDamaged``."""
    prefix = plane.prefix.rstrip("/").encode() + b"/"
    bootstrap = {found.key.decode(errors="replace"): found.value for _, found in live(path, BOOTSTRAP.encode())}
    token = plane.token() if bootstrap else None
    nodes = _nodes(path, prefix)
    extra = prefix + EXTRA_METADATA.format(program=plane.flavor.value).encode()
    return Facts(
        cluster_uid=_text(_object(path, prefix + b"namespaces/kube-system"), "metadata", "uid"),
        nodes={name: _text(node, "status", "nodeInfo", "kubeletVersion") for name, node in nodes.items()},
        servers=tuple(name for name, node in nodes.items() if _is_server(node)),
        extra_metadata=_strings(_object(path, extra).get("data")),
        token_hash=_token_hash(bootstrap, token),
        token=check(bootstrap, token) if token else None,
    )


def _token_hash(bootstrap: Mapping[str, bytes], token: str | None) -> str:
    """What k3s keeps as ``k3s-token-hash``: the end of the name of its bootstrap data."""
    try:
        own = key_name(password_of(token)) if token else ""
    except SecretError:  # ``check`` says so
        own = ""
    name = own if own in bootstrap else next(iter(bootstrap)) if len(bootstrap) == 1 else ""
    return name.removeprefix(BOOTSTRAP)


def _nodes(path: Path, prefix: bytes) -> dict[str, Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for key, item in live(path, prefix + b"minions/"):
        with suppress(Undecodable):
            found[key.rpartition(b"/")[2].decode(errors="replace")] = decode(item.value).object
        if len(found) == MAX_NODES:
            break
    return found


def _object(path: Path, key: bytes) -> Mapping[str, object]:
    """One object; empty when there is none or it cannot be read."""
    for found, item in live(path, key):
        if found == key:
            with suppress(Undecodable):
                return decode(item.value).object
    return {}


def _is_server(node: Mapping[str, object]) -> bool:
    metadata = node.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return isinstance(labels, dict) and any(label in labels for label in SERVER_LABELS)


def _text(document: object, *names: str) -> str:
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, str) else ""


def _strings(found: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
