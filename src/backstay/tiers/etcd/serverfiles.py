"""What a restore needs beside the snapshot: the server token, configuration, manifests, names; as one tar archive.

With the snapshot it opens everything: the keys of the cluster's CAs are in the snapshot, under the token ("Backup and
Restore", k3s and RKE2 documentation). So it is only made where artifacts are encrypted, and is kept apart.
"""

import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstay.tiers.etcd.controlplane import KUBEADM_MANIFESTS, ControlPlane, Flavor

MAX_FILE_BYTES = 16 * 1024 * 1024  # one is in memory at a time
MAX_FILES = 20_000
ABOUT = "backstay-server.json"
SYSTEMD = Path("/etc/systemd/system")
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # what was a file may be a link or a pipe now


@dataclass
class ServerFiles:
    """The archive as a stream: iterate, then ask what is in it and what was left out, the last time."""

    plane: ControlPlane
    about: Mapping[str, Any]
    root: Path = Path("/")
    names: list[str] = field(default_factory=list)
    omissions: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        """A tar archive of what is there of ``places``; paths in it are those of the machine, without the slash."""
        self.names.clear()
        self.omissions.clear()
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            text = json.dumps(self.about, indent=2, sort_keys=True).encode()
            entry = tarfile.TarInfo(ABOUT)
            entry.size, entry.mode = len(text), 0o600
            archive.addfile(entry, io.BytesIO(text))
            for path in self._files():
                if len(self.names) == MAX_FILES:
                    self._omit(path, f"it and those after it are more than {MAX_FILES:,} files")
                    break
                self._add(archive, path)
                yield _taken(held)
        yield _taken(held)

    def _files(self) -> Iterator[Path]:
        """Everything that is no folder, once; also what links among it lead to, where that is somewhere else."""
        starts = [self.root / str(place).lstrip("/") for place in places(self.plane)]
        left = starts[::-1]
        seen: set[Path] = set()
        while left:
            path = left.pop()
            if path in seen:
                continue
            seen.add(path)
            try:
                mode = path.lstat().st_mode
                below = sorted(path.iterdir(), reverse=True) if stat.S_ISDIR(mode) else []
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self._omit(path, str(error.strerror))
                continue
            left += below
            if stat.S_ISLNK(mode):
                left += self._far_end(path, starts)
            if not stat.S_ISDIR(mode):
                yield path

    def _far_end(self, link: Path, starts: list[Path]) -> list[Path]:
        """The file that a link leads to; a folder only where the link stands for one of ``starts``."""
        root, end = (Path(os.path.realpath(path)) for path in (self.root, link))
        inside = (Path(os.path.realpath(start.parent)) / start.name for start in starts)
        if not end.is_relative_to(root) or any(map(end.is_relative_to, inside)):
            return []
        folder = os.path.isdir(end)  # noqa: PTH112 - Path.is_dir raises where a folder above may not be entered
        if folder and link not in starts:
            self._omit(link, f"it leads to the folder {end}, which is not here")
            return []
        return [self.root / end.relative_to(root)] if folder or os.path.isfile(end) else []  # noqa: PTH113

    def _add(self, archive: tarfile.TarFile, path: Path) -> None:
        entry = tarfile.TarInfo(str(path.relative_to(self.root)))
        try:
            content = _read(path, entry)
        except OSError as error:
            self._omit(path, str(error.strerror))
            return
        if content is None:
            return
        if entry.size > MAX_FILE_BYTES:
            self._omit(path, f"it has {entry.size:,} bytes, more than {MAX_FILE_BYTES:,}")
            return
        archive.addfile(entry, io.BytesIO(content))
        self.names.append(entry.name)

    def _omit(self, path: Path, why: str) -> None:
        name = os.fsencode(path.relative_to(self.root)).decode(errors="backslashreplace")
        self.omissions.append(f"{name}: {why}")


def _read(path: Path, entry: tarfile.TarInfo) -> bytes | None:
    """The content of a file or link, with what ``entry`` says of it; None for sockets and devices. Of one that is too
    large, or has become so, only the size is right. Raises ``OSError``."""
    content = b""
    about = path.lstat()
    if stat.S_ISLNK(about.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif stat.S_ISREG(about.st_mode):
        with os.fdopen(os.open(path, OPEN_FLAGS), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return None
            content = file.read(MAX_FILE_BYTES + 1)
        entry.size = len(content) if len(content) <= MAX_FILE_BYTES else max(len(content), about.st_size)
    else:
        return None
    entry.mode, entry.mtime = stat.S_IMODE(about.st_mode), int(about.st_mtime)
    entry.uid, entry.gid = about.st_uid, about.st_gid
    return content


def places(plane: ControlPlane) -> Iterable[Path]:
    """Files and folders that matter, as the distributions' documentation names them; most need not exist."""
    if plane.is_rancher:
        server, word = plane.data_dir / "server", plane.flavor.value
        config = plane.config_dir or Path("/etc/rancher") / word
        return (
            server / "token",
            server / "agent-token",
            server / "cred",
            server / "tls",
            server / "manifests",
            config / "config.yaml",
            config / "config.yaml.d",
            config / "registries.yaml",
            Path("/etc/rancher/node/password"),
            *_unit(plane.service),
        )
    if plane.flavor is Flavor.KUBEADM:
        kubernetes = Path(KUBEADM_MANIFESTS).parent
        kubelet = (Path("/var/lib/kubelet/config.yaml"), Path("/var/lib/kubelet/kubeadm-flags.env"))
        return (kubernetes, *kubelet)
    tls = [path for path in (plane.tls.ca, plane.tls.cert, plane.tls.key) if path] if plane.tls else []
    return (Path("/etc/etcd"), *_unit(plane.service), *tls)


def _unit(name: str) -> Iterable[Path]:
    """What systemd is told of a service, where an administrator or an installer puts it."""
    if not name:
        return ()
    unit = SYSTEMD / f"{name}.service"
    return (unit, unit.with_name(f"{unit.name}.env"), unit.with_name(f"{unit.name}.d"), Path("/etc/default") / name)


def _taken(held: io.BytesIO) -> bytes:
    """What was written since the last time."""
    data = held.getvalue()
    held.seek(0)
    held.truncate()
    return data
