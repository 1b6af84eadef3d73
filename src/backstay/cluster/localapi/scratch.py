"""A scratch control plane: an API server over an etcd of its own, both empty, for the length of a block."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backstay.cluster.base import Cluster
from backstay.cluster.localapi.programs import version_of
from backstay.cluster.localapi.server import ApiServer
from backstay.cluster.localetcd import certificates
from backstay.cluster.localetcd.server import ClientTls, EtcdServer
from backstay.cluster.scratch import guarded, not_made
from backstay.core.errors import ToolError

MEMBER = "scratch"
WHAT = "scratch Kubernetes API server"


@dataclass(frozen=True)
class ScratchPlane:
    """A running one. ``kubeconfig`` is the only way in; ``version`` is that of Kubernetes, ``v1.37.2``."""

    folder: Path
    kubeconfig: Path
    version: str
    etcd: str
    etcd_tls: ClientTls


@contextmanager
def scratch_plane(root: Path, name: str, *, kube_apiserver: Path, etcd: Path) -> Iterator[ScratchPlane]:
    """An empty control plane on loopback in a new folder below ``root`` whose name begins with ``name``; no controllers
    run, so objects stay as they were made. Gone at the end of the block, also when this process is killed.

    ``kube_apiserver`` and ``etcd`` are the programs. Raises ``ToolError``.
    """
    version = version_of(kube_apiserver)
    with guarded(root.absolute(), name) as folder:
        try:
            (folder / "tls").mkdir(mode=0o700)
            server_tls, client_tls = certificates.issue(folder / "tls")
        except OSError as error:
            raise not_made(WHAT, root, error) from error
        server = EtcdServer(folder, program=etcd, name=MEMBER, tls=server_tls, fsync=False)
        try:
            try:
                server.start()
            except (ToolError, OSError, subprocess.SubprocessError) as error:
                raise not_made(WHAT, root, error) from error
            with serving(folder, kube_apiserver, server.endpoint, client_tls) as api:
                yield ScratchPlane(folder, api.kubeconfig, version, server.endpoint, client_tls)
        finally:
            with suppress(ToolError, OSError):  # the guard has stronger means, and comes next
                server.kill()


@contextmanager
def serving(
    folder: Path, kube_apiserver: Path, etcd: str, etcd_tls: ClientTls | None, prefix: str = "/registry"
) -> Iterator[ApiServer]:
    """An API server over an etcd that runs already, in a folder that has a guard. Raises ``ToolError``."""
    api = ApiServer(folder, program=kube_apiserver, etcd=etcd, etcd_tls=etcd_tls, prefix=prefix)
    try:
        try:
            api.start()
        except (ToolError, OSError, subprocess.SubprocessError) as error:
            raise not_made(WHAT, folder.parent, error) from error
        yield api
    finally:
        with suppress(OSError, subprocess.SubprocessError):  # as above
            api.kill()


@contextmanager
def connected(kubeconfig: Path, patience_seconds: float = 30.0) -> Iterator[Cluster]:
    """A client of one, for the length of a block; it repeats a request that fails for so long."""
    from backstay.cluster.client import connect
    from backstay.cluster.kubeconfig import Access
    from backstay.cluster.wire import Patience

    access = Access(kubeconfig=kubeconfig, env={})  # no proxy of the caller
    cluster = connect(access, patience=Patience(seconds=patience_seconds))
    try:
        yield cluster
    finally:
        cluster.close()
