"""What the configuration says of one control plane, with the paths that each distribution uses.

Sources: k3s-io/docs, "Backup and Restore"; rke2-docs, "Backup and Restore"; kubeadm's reference, "PKI certificates".
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from backstay.core.model import Target, TierKind


class Flavor(StrEnum):
    """What runs etcd."""

    K3S = "k3s"
    RKE2 = "rke2"
    KUBEADM = "kubeadm"
    ETCD = "etcd"


DATA_DIRS = {
    Flavor.K3S: "/var/lib/rancher/k3s",
    Flavor.RKE2: "/var/lib/rancher/rke2",
    Flavor.KUBEADM: "/var/lib/etcd",
    Flavor.ETCD: "/var/lib/etcd",
}
SIGNS = {  # in this order: k3s and RKE2 have an etcd too
    Flavor.K3S: "var/lib/rancher/k3s/server",
    Flavor.RKE2: "var/lib/rancher/rke2/server",
    Flavor.KUBEADM: "etc/kubernetes/manifests/etcd.yaml",
    Flavor.ETCD: "var/lib/etcd/member",
}
CONFIG_DIRS = {Flavor.K3S: "/etc/rancher/k3s", Flavor.RKE2: "/etc/rancher/rke2"}
SERVICES = {Flavor.K3S: "k3s", Flavor.RKE2: "rke2-server", Flavor.ETCD: "etcd"}
KUBEADM_PKI = "/etc/kubernetes/pki/etcd"
KUBEADM_MANIFESTS = "/etc/kubernetes/manifests"


@dataclass(frozen=True)
class TlsFiles:
    """Where the certificates are; they are read anew for each connection, since k3s rotates them."""

    ca: Path
    cert: Path | None = None  # with ``key``: etcd of every distribution wants to know its clients
    key: Path | None = None


@dataclass(frozen=True)
class ControlPlane:
    """One etcd cluster. ``data_dir`` is the distribution's, ``etcd_dir`` that of etcd itself.

    ``spool`` is where a snapshot lies while it is proven; ``token`` gives the server token of k3s or RKE2, None where
    there is none; ``bin`` is a folder in which ``etcdutl``, ``etcd`` and ``k3s`` are looked for before PATH.
    """

    name: str
    flavor: Flavor
    node: str  # the name this machine has in the cluster
    endpoints: tuple[str, ...]  # https://127.0.0.1:2379
    data_dir: Path
    spool: Path
    tls: TlsFiles | None = None
    base: str = "backstay"  # begins the names of snapshots; k3s prunes those that begin with its own
    token: Callable[[], str | None] = field(default=lambda: None)
    bin: str | None = None
    config_dir: Path | None = None
    service: str = ""  # what systemd calls it
    prefix: str = "/registry"  # where Kubernetes keeps its objects
    zipped: bool = True  # as k3s's own compressed snapshots
    encrypted: bool = False  # whether artifacts are, so that secrets may be among them
    server_files: bool = True  # also back up what a restore needs beside the snapshot
    kube_apiserver: str | None = None  # the program that drills serve a restored etcd with; None: that on PATH

    @property
    def target(self) -> Target:
        """``etcd/control-plane``."""
        return Target(TierKind.ETCD, self.name)

    @property
    def is_rancher(self) -> bool:
        """k3s or RKE2: servers with a token, which restore by themselves."""
        return self.flavor in {Flavor.K3S, Flavor.RKE2}

    @property
    def db_dir(self) -> Path:
        """k3s: what another server moves aside before it joins again."""
        return self.data_dir / "server" / "db"

    @property
    def etcd_dir(self) -> Path:
        """etcd's own data folder, with ``member`` in it."""
        return self.db_dir / "etcd" if self.is_rancher else self.data_dir

    @property
    def snapshots_dir(self) -> Path:
        """Where k3s and RKE2 keep the snapshots they take by themselves."""
        return self.db_dir / "snapshots"

    @property
    def sqlite_file(self) -> Path:
        """Where k3s without etcd keeps everything."""
        return self.db_dir / "state.db"

    @property
    def static_pod(self) -> Path:
        """kubeadm: what makes the kubelet run etcd."""
        return Path(KUBEADM_MANIFESTS) / "etcd.yaml"

    @property
    def token_file(self) -> Path:
        """The server token in its whole form, ``K10<hash>::server:<password>``."""
        return self.data_dir / "server" / "token"


def detect(root: Path = Path("/")) -> Flavor | None:
    """The distribution that this machine is a server of; None when there is none to be seen."""
    return next((flavor for flavor, place in SIGNS.items() if _is_there(root / place)), None)


def _is_there(path: Path) -> bool:
    """Also where this account may not look: a folder that is closed is one that somebody uses."""
    try:
        return path.exists()
    except PermissionError:
        return True


def default_tls(flavor: Flavor, data_dir: Path) -> TlsFiles | None:
    """Where the distribution keeps the client certificates of etcd; None where there is no habit."""
    if flavor in {Flavor.K3S, Flavor.RKE2}:
        folder = data_dir / "server/tls/etcd"
        return TlsFiles(folder / "server-ca.crt", folder / "client.crt", folder / "client.key")
    if flavor is Flavor.KUBEADM:
        folder = Path(KUBEADM_PKI)
        return TlsFiles(folder / "ca.crt", folder / "healthcheck-client.crt", folder / "healthcheck-client.key")
    return None


def node_name() -> str:
    """What Kubernetes calls a machine where nothing else was said: its host name in lower case."""
    return os.uname().nodename.lower()
