"""Container images without a registry: folders packed as the archive that ``docker save`` would write."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from backstay.core.errors import ToolMissing

TOOLS = "backstay.test/tools:1"
PAUSE = "backstay.test/pause:1"
SECONDS = 600.0


@dataclass(frozen=True)
class _Layer:
    """The content of a folder as an archive, and its digest."""

    archive: IO[bytes]
    size: int
    digest: str


def import_folders(
    ctr: Sequence[str],
    name: str,
    folders: Sequence[Path],
    *,
    entrypoint: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Give containerd, by its client ``ctr`` and its flags, an image of these layers, the lowest first."""
    with ExitStack() as files:
        layers = [_layer(files.enter_context(tempfile.TemporaryFile()), folder) for folder in folders]
        with subprocess.Popen(
            [*ctr, "images", "import", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):  # it says why
                _write(process.stdin, name, layers, _config(layers, entrypoint, environment or {}))
                process.stdin.close()
            said = process.stdout.read().decode(errors="replace")
            if process.wait(SECONDS) != 0:
                raise AssertionError(f"the image {name} was not imported: {said}")


def _layer(file: IO[bytes], folder: Path) -> _Layer:
    with tarfile.open(fileobj=file, mode="w|", bufsize=1 << 20) as archive:
        archive.add(folder, arcname=".", filter=_plain)
    size = file.tell()
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return _Layer(file, size, digest)


def tools_folder(folder: Path, podtool: Path) -> Path:
    """A small system in ``folder``: busybox, a link for each of its programs, and ``podtool``."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise ToolMissing("busybox is not on this machine", hint="Install it with: apt-get install busybox-static")
    for place in ("bin", "tmp", "etc", "root", "proc", "sys", "dev", "var/www"):
        (folder / place).mkdir(parents=True)
    (folder / "tmp").chmod(0o1777)
    shutil.copy(busybox, folder / "bin/busybox")
    shutil.copy(podtool, folder / "bin/podtool")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=30)
    for program in listed.stdout.split():
        (folder / "bin" / program).exists() or (folder / "bin" / program).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    return folder


def pause_folder(folder: Path, podtool: Path) -> Path:
    """What holds a pod's namespaces open, in ``folder``."""
    folder.mkdir()
    shutil.copy(podtool, folder / "podtool")
    return folder


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """All but devices and sockets, which a container has of its own."""
    return entry if entry.isreg() or entry.isdir() or entry.issym() or entry.islnk() else None


def _config(layers: Sequence[_Layer], entrypoint: Sequence[str], environment: Mapping[str, str]) -> bytes:
    path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    content: dict[str, Any] = {
        "architecture": "arm64" if os.uname().machine == "aarch64" else "amd64",
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in (path | dict(environment)).items()],
            "Entrypoint": list(entrypoint) or None,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
    }
    return json.dumps(content).encode()


def _write(target: IO[bytes], name: str, layers: Sequence[_Layer], config: bytes) -> None:
    """The archive: what the image is, its layers, and a list of all."""
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{layer.digest}.tar" for layer in layers]
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": names}]).encode()
    with tarfile.open(fileobj=target, mode="w|", bufsize=1 << 20) as archive:
        _add(archive, config_name, io.BytesIO(config), len(config))
        for layer in layers:
            _add(archive, f"{layer.digest}.tar", layer.archive, layer.size)
        _add(archive, "manifest.json", io.BytesIO(manifest), len(manifest))


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    archive.addfile(entry, content)
