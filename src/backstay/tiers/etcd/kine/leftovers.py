"""Databases that restores have set aside, each with the log that belongs to it; nobody removes them but a person."""

from collections.abc import Iterator
from pathlib import Path

from backstay.core.errors import RestoreError
from backstay.tiers.base import Leftover
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine import swap
from backstay.tiers.etcd.kine.database import in_use, sides
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore import leftovers as folders

KINDS = {swap.BEFORE: folders.BEFORE, swap.UNDONE: folders.UNFINISHED}


def leftovers(plane: ControlPlane) -> Iterator[Leftover]:
    """Files and their space: ``before`` was live once, ``restore`` came from a backup and was taken back."""
    for path, word in swap.aside(plane.sqlite_file):
        yield Leftover(path.name, KINDS[word], sum(map(copies.size, _whole(path))))


def remove_leftover(plane: ControlPlane, name: str) -> bool:
    """Remove one of them with its log, for good; False where the name is none of them. Raises ``RestoreError``."""
    path = next((path for path, _ in swap.aside(plane.sqlite_file) if path.name == name), None)
    if path is None:
        return False
    if in_use(path):
        raise RestoreError(f"{path} is open in a running process", hint="End it first. Nothing was removed.")
    for part in _whole(path):
        part.unlink()
    return True


def _whole(path: Path) -> list[Path]:
    return [path, *(beside for _, beside in sides(path) if beside.exists())]
