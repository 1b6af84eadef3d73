"""Places and servers of etcd that are there for one run: a folder for a snapshot, and an etcd to restore it into."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backstay.cluster.localetcd import certificates
from backstay.cluster.localetcd.programs import find
from backstay.cluster.localetcd.server import EtcdServer
from backstay.cluster.scratch import guarded, not_made
from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import SourceError, ToolError, ToolMissing
from backstay.tiers.etcd.api.spool import FULL
from backstay.tiers.etcd.controlplane import ControlPlane, TlsFiles

NAME = "drill"
SETTING = "etcd.spool"


@contextmanager
def spool_folder(plane: ControlPlane, word: str) -> Iterator[Path]:
    """A new folder in the spool for the length of a block. Raises ``SourceError`` where none can be made, and where
    the block ends because the spool is full: also of the files that reading a snapshot makes beside it."""
    with ExitStack() as held:
        try:
            plane.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = held.enter_context(temp_folder(word, plane.spool))
        except OSError as error:
            if error.errno in FULL:
                raise _full(plane, error) from error
            raise SourceError(
                f"the spool folder {plane.spool} cannot be made, or not be written to: {error.strerror}",
                hint="Set etcd.spool to a folder that this account may write to. Nothing was changed.",
            ) from error
        try:
            yield folder
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise _full(plane, error) from error
        except SourceError as error:
            if "needed_bytes" in error.context and SETTING not in error.hint:
                error.hint = f"{error.hint} {SETTING} names another folder for it."
            raise


def _full(plane: ControlPlane, error: OSError) -> SourceError:
    return SourceError(
        f"there is no room in the spool folder {plane.spool}: {str(error.strerror).lower()}",
        hint=f"Make room there, or set {SETTING} to a folder on another disk. No file is left, and nothing was "
        "stored or changed.",
    )


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
        try:
            files.mkdir(mode=0o700)
            server_tls, shown = certificates.issue(files)
        except OSError as error:
            raise not_made("scratch etcd", root, error) from error
        server = EtcdServer(folder, program=program, name=NAME, tls=server_tls, fsync=False)
        try:
            yield Scratch(folder, server, TlsFiles(shown.ca, shown.cert, shown.key))
        finally:
            with suppress(ToolError, OSError):  # the guard has stronger means, and comes next
                server.kill()
