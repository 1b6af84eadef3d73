"""Places and servers of etcd that are there for one run: a folder for a snapshot, and an etcd to restore it into."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backstay.cluster.scratch import guarded, not_made
from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import SourceError, ToolError, ToolMissing
from backstay.tiers.etcd.controlplane import ControlPlane, TlsFiles
from backstay.tiers.etcd.localserver import certificates
from backstay.tiers.etcd.localserver.programs import find
from backstay.tiers.etcd.localserver.server import EtcdServer

NAME = "drill"


@contextmanager
def spool_folder(plane: ControlPlane, word: str) -> Iterator[Path]:
    """A new folder in the spool for the length of a block. Raises ``SourceError`` where none can be made."""
    try:
        plane.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"the spool folder {plane.spool} cannot be made: {error.strerror}",
            hint="Set etcd.spool to a folder that this account may write to. Nothing was changed.",
        ) from error
    with temp_folder(word, plane.spool) as folder:
        yield folder


@dataclass(frozen=True)
class Scratch:
    """An etcd that is not running yet: restore into ``server.data``, then ``start``."""

    folder: Path
    server: EtcdServer
    tls: TlsFiles

    def start(self) -> None:
        """Start it. Raises ``ToolError``."""
        try:
            self.server.start()
        except ToolMissing:
            raise
        except (ToolError, OSError, subprocess.SubprocessError) as error:
            raise not_made("scratch etcd", self.folder.parent, error) from error


@contextmanager
def scratch_etcd(plane: ControlPlane, root: Path) -> Iterator[Scratch]:
    """A folder below ``root`` with an etcd of one member that only knows a certificate made for it, on loopback;
    stopped and removed at the end of the block, also when this process is killed. Raises ``ToolError``.
    """
    program = find("etcd", plane.bin)
    with guarded(root.absolute(), plane.name) as folder:
        files = folder / "tls"
        files.mkdir(mode=0o700)
        server_tls, client_tls = certificates.issue(files)
        server = EtcdServer(folder, program=program, name=NAME, tls=server_tls, fsync=False)
        try:
            yield Scratch(folder, server, client_tls)
        finally:
            with suppress(ToolError, OSError):  # the guard has stronger means, and comes next
                server.kill()
