"""From the configuration to a control plane: what it leaves open is looked up on this machine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from backstay.config.resolved import ResolvedEtcd
from backstay.tiers.etcd.controlplane import (
    CONFIG_DIRS,
    DATA_DIRS,
    SERVICES,
    ControlPlane,
    Flavor,
    TlsFiles,
    default_tls,
    detect,
    node_name,
)


def control_plane(
    etcd: ResolvedEtcd,
    *,
    secret_token: Callable[[], str | None],
    encrypted: bool,
    spool: Path,
    kube_apiserver: str | None = None,
) -> ControlPlane:
    """``secret_token`` gives the configured token, None where none is; ``spool`` is where a snapshot lies when the
    configuration names no folder. Contacts nothing."""
    flavor = Flavor(etcd.flavor) if etcd.flavor != "auto" else detect() or Flavor.ETCD
    data_dir = Path(etcd.data_dir or DATA_DIRS[flavor])
    config_dir = CONFIG_DIRS.get(flavor)
    plane = ControlPlane(
        name=etcd.name,
        flavor=flavor,
        node=etcd.node or node_name(),
        endpoints=etcd.endpoints,
        data_dir=data_dir,
        spool=Path(etcd.spool) if etcd.spool else spool,
        tls=_tls(etcd, default_tls(flavor, data_dir)),
        base=etcd.snapshot_name,
        token=lambda: secret_token() or _token_of(plane),
        bin=etcd.bin,
        config_dir=Path(config_dir) if config_dir else None,
        service=etcd.service or SERVICES.get(flavor, "kubelet"),
        zipped=etcd.compression == "zip",
        encrypted=encrypted,
        server_files=etcd.server_files,
        kube_apiserver=kube_apiserver,
    )
    return plane


def _tls(etcd: ResolvedEtcd, usual: TlsFiles | None) -> TlsFiles | None:
    if not any(endpoint.startswith("https://") for endpoint in etcd.endpoints):
        return None
    if etcd.ca_file is None and usual is None:
        return None
    found = usual or TlsFiles(Path())
    if etcd.ca_file:
        found = replace(found, ca=Path(etcd.ca_file))
    if etcd.cert_file and etcd.key_file:
        found = replace(found, cert=Path(etcd.cert_file), key=Path(etcd.key_file))
    return found


def _token_of(plane: ControlPlane) -> str | None:
    """The server's own; None where it is not there or may not be read."""
    if not plane.is_rancher:
        return None
    try:
        return plane.token_file.read_text().strip() or None
    except OSError:
        return None
