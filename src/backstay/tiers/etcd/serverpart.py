"""The artifact of the server's files, beside a backup of any kind of control plane."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.core.model import Artifact
from backstay.tiers.base import File, Sink
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.serverfiles import ServerFiles

SERVER = "server"  # role of the artifact
IN_SERVER_FILES = "token_in_server_files"  # in a manifest's contents: ``ServerPart.has_token``


@dataclass(frozen=True)
class ServerPart:
    """``artifacts`` is empty where they are not wanted or may not be stored; ``warnings`` say the latter.

    ``has_token``: the server token is among the files, under the name that a restore looks for."""

    artifacts: tuple[Artifact, ...] = ()
    omissions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    has_token: bool = False


def store_server_files(plane: ControlPlane, sink: Sink, stem: str, about: Mapping[str, Any]) -> ServerPart:
    """Store the server's token, configuration and manifests as ``<stem>.server.tar`` in a folder apart; ``about`` goes
    in with them. Only where artifacts are encrypted. Raises what the sink does."""
    if not plane.server_files or plane.flavor is Flavor.ETCD:
        return ServerPart()
    if not plane.encrypted:
        what = "the server token and files" if plane.is_rancher else "the certificates and manifests"
        why = f"{what} are not in this backup: they hold the keys of the cluster, and nothing is encrypted"
        return ServerPart(warnings=(f"{why}; set encryption.recipients, or keep them yourself",))
    files = ServerFiles(plane, about)
    artifact = sink.write(File(SERVER, name=f"{stem}.server.tar", apart="server"), files)
    return ServerPart((artifact,), tuple(files.omissions), has_token=token_name(plane) in files.names)


def token_name(plane: ControlPlane) -> str:
    """What the server token is called in the archive."""
    return str(plane.token_file).lstrip("/")
