"""What a backup says of the cluster it is of: which one, its servers' token, its nodes; read offline.

Keys and forms: Kubernetes' storage layout (``/registry/<resource>/...``), k3s for ``/bootstrap/`` and the ConfigMap of
extra metadata (k3s, pkg/cluster/storage.go and pkg/etcd/snapshot_metadata.go). It is read through a ``Look``, which a
snapshot of etcd and a database of kine both give.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from backstay.core.errors import SecretError, Undecodable
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.file.keyspace import glance
from backstay.tiers.etcd.kube.decode import decode
from backstay.tiers.etcd.kube.objects import Row
from backstay.tiers.etcd.token import BOOTSTRAP, TokenCheck, check, key_name, password_of

MAX_NODES = 5000  # the most that Kubernetes supports ("Considerations for large clusters")
MAX_BOOTSTRAP_KEYS = 1000  # k3s has one for each token it ever had
EXTRA_METADATA = "configmaps/kube-system/{program}-etcd-snapshot-extra-metadata"  # program: k3s or rke2
SERVER_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/etcd")

Look = Callable[[bytes], Iterator[Row]]  # the live keys that begin with a prefix, in order
Object = Mapping[str, object]


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


def look_into(path: Path, plane: ControlPlane) -> Look:
    """The keys of a snapshot of etcd that ``read_facts`` asks for, found in one walk. Raises ``SnapshotDamaged``."""
    look = glance(path, (BOOTSTRAP.encode(), *_wanted(plane)))
    return lambda prefix: ((key, found.value, found.mod_revision) for key, found in look(prefix))


def read_facts(look: Look, plane: ControlPlane) -> Facts:
    """Read them. What is encrypted at rest or of another form is left out. Raises what ``look`` does."""
    minions, kube_system, extra = _wanted(plane)
    bootstrap = bootstrap_of(look)
    token = plane.token() if bootstrap else None
    nodes = dict(_nodes(look, minions))
    return Facts(
        cluster_uid=_text(_object(look, kube_system), "metadata", "uid"),
        nodes={name: _text(node, "status", "nodeInfo", "kubeletVersion") for name, node in nodes.items()},
        servers=tuple(name for name, node in nodes.items() if _is_server(node)),
        extra_metadata=_strings(_object(look, extra).get("data")),
        token_hash=_token_hash(bootstrap, token),
        token=check(bootstrap, token) if token else None,
    )


def bootstrap_of(look: Look) -> dict[str, bytes]:
    """What the server token must open: the certificates and keys of the servers, by the name of their key."""
    rows = islice(look(BOOTSTRAP.encode()), MAX_BOOTSTRAP_KEYS)
    return {key.decode(errors="replace"): value for key, value, _ in rows}


def _wanted(plane: ControlPlane) -> tuple[bytes, bytes, bytes]:
    """Where the nodes are, the namespace kube-system, and the extra metadata of snapshots."""
    prefix = plane.prefix.rstrip("/").encode() + b"/"
    extra = EXTRA_METADATA.format(program=plane.flavor.value).encode()
    return prefix + b"minions/", prefix + b"namespaces/kube-system", prefix + extra


def _token_hash(bootstrap: Mapping[str, bytes], token: str | None) -> str:
    """What k3s keeps as ``k3s-token-hash``: the end of the name of its bootstrap data."""
    try:
        own = key_name(password_of(token)) if token else ""
    except SecretError:  # ``check`` says so
        own = ""
    name = own if own in bootstrap else next(iter(bootstrap)) if len(bootstrap) == 1 else ""
    return name.removeprefix(BOOTSTRAP)


def _nodes(look: Look, minions: bytes) -> Iterator[tuple[str, Object]]:
    for key, value, _ in islice(look(minions), MAX_NODES):
        with suppress(Undecodable):
            yield key.rpartition(b"/")[2].decode(errors="replace"), decode(value).object


def _object(look: Look, wanted: bytes) -> Object:
    """One object; empty when there is none or it cannot be read."""
    for key, value, _ in look(wanted):
        if key == wanted:
            with suppress(Undecodable):
                return decode(value).object
    return {}


def _is_server(node: Object) -> bool:
    metadata = node.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return isinstance(labels, dict) and any(label in labels for label in SERVER_LABELS)


def _text(document: object, *names: str) -> str:
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, str) else ""


def _strings(found: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
