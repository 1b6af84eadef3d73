"""The steps of a restore with stock tools alone, for each distribution."""

from collections.abc import Iterator
from shlex import quote

from backstay.core.model import Artifact
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.serverpart import ServerPart, token_name


def by_hand(plane: ControlPlane, snapshot: Artifact, server: ServerPart) -> Iterator[str]:
    """See ``Captured.restore_by_hand``; ``{snapshot}`` and ``{server}`` are the commands that print the snapshot itself
    and the archive of the server's files."""
    file = quote(snapshot.key.rpartition("/")[2].removesuffix(".age").removesuffix(".zip"))
    yield "Needed: etcdutl of this etcd or newer; age and the identity where a file ends in .age."
    yield f"Unpack: {{snapshot}} > {file}"
    yield f"Look at it: etcdutl snapshot status {file} -w table"
    yield from server_files(plane, server)
    if plane.is_rancher:
        word, unit = plane.flavor.value, plane.service
        yield f"Stop every server: systemctl stop {unit}"
        yield f"On one, with the server token of then in {plane.token_file}:"
        yield f"{word} server --cluster-reset --cluster-reset-restore-path=$PWD/{file}"
        yield f"systemctl start {unit}"
        yield f"On each other: mv {plane.db_dir} {plane.db_dir}-before; systemctl start {unit}"
        return
    stop, start = f"systemctl stop {plane.service}", f"systemctl start {plane.service}"
    if plane.flavor is Flavor.KUBEADM:
        stop, start = f"mv {plane.static_pod} /root/", f"mv /root/etcd.yaml {plane.static_pod}"
    yield f"Stop every member: {stop}"
    yield (
        f"On each, with its own name and address: etcdutl snapshot restore {file} --data-dir {plane.etcd_dir}-restored "
        "--name NAME --initial-cluster NAME=https://ADDRESS:2380,... --initial-advertise-peer-urls https://ADDRESS:2380"
    )
    yield f"mv {plane.etcd_dir} {plane.etcd_dir}-before; mv {plane.etcd_dir}-restored {plane.etcd_dir}; {start}"


def server_files(plane: ControlPlane, server: ServerPart) -> Iterator[str]:
    """What to do with the archive of the server's files; nothing where the backup has none."""
    if not server.artifacts:
        return
    yield "Look what is in the server's files, by names without the first slash: {server} | tar -tf -"
    if server.has_token:
        yield f"Take the server token of then: {{server}} | tar -xOf - {quote(token_name(plane))}"
    if plane.flavor is Flavor.KUBEADM:
        yield "Take the certificates and manifests of then into this folder: {server} | tar -xf - etc/kubernetes"
