"""Databases that restores have set aside, each with the log that belongs to it; nobody removes them but a person."""

from collections.abc import Iterator
from pathlib import Path

from backstay.core.errors import RestoreError
from backstay.tiers.base import Leftover
from backstay.tiers.etcd.access import looking
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine import swap
from backstay.tiers.etcd.kine.database import in_use, sides
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore import leftovers as folders

KINDS = {swap.BEFORE: folders.BEFORE, swap.UNDONE: folders.UNDONE}


def leftovers(plane: ControlPlane) -> Iterator[Leftover]:
    """Files and their space: ``before`` was live once, ``undone`` came from a backup and was taken back. Raises
    ``SourceError`` where this account may not look."""
    with looking(plane.db_dir):
        found = [Leftover(path.name, KINDS[word], sum(map(copies.size, _whole(path)))) for path, word in _aside(plane)]
    yield from found


def remove_leftover(plane: ControlPlane, name: str) -> bool:
    """Remove one of them with its log, for good; False where the name is none of them. Raises ``RestoreError``, and
    ``SourceError`` where this account may not look."""
    with looking(plane.db_dir):
        path = next((path for path, _ in _aside(plane) if path.name == name), None)
        if path is None:
            return False
        busy = in_use(path)
    if busy:
        raise RestoreError(f"{path} is open in a running process", hint="End it first. Nothing was removed.")
    for part in reversed(_whole(path)):  # the database last: what is left of it is then still found by its name
        try:
            part.unlink()
        except OSError as error:
            raise RestoreError(
                f"{part} cannot be removed: {error.strerror}", hint="What is left of it stays. Run this again."
            ) from error
    return True


def _aside(plane: ControlPlane) -> Iterator[tuple[Path, str]]:
    return swap.aside(plane.sqlite_file) if plane.is_rancher else iter(())


def _whole(path: Path) -> list[Path]:
    return [path, *(beside for _, beside in sides(path) if beside.exists())]
