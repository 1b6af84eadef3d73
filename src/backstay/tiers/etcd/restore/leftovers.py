"""What restores, and k3s itself, have set aside: copies of the live database that nobody removes but a person."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from backstay.core.errors import RestoreError, UsageError
from backstay.tiers.base import Leftover
from backstay.tiers.etcd.access import entries, looking
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore.fetch import NAME
from backstay.tiers.etcd.restore.rancher import KEPT
from backstay.tiers.etcd.restore.services import in_use, left_running

BEFORE, UNFINISHED = "before", "restore"
UNDONE = "undone"  # what had been restored, and was taken back
CERTIFICATES = "certificates"  # of the database that was live before
WORK = "backstay-restore-"


def leftovers(plane: ControlPlane) -> Iterator[Leftover]:
    """Folders and their space: ``before`` is what was live, ``undone`` what was restored and taken back, ``restore``
    what an unfinished restore left, ``certificates`` the folder of a finished one of k3s, with those that were live.

    Raises ``SourceError`` where this account may not look.
    """
    with looking(plane.data_dir):
        found = [Leftover(path.name, _kind(path, kind), copies.size(path)) for path, kind in _found(plane)]
    yield from found


def remove_leftover(plane: ControlPlane, name: str) -> None:
    """Remove one of them, for good. Raises ``UsageError`` for a name that is none, ``RestoreError`` when in use,
    ``SourceError`` where this account may not look."""
    with looking(plane.data_dir):
        path = next((path for path, _ in _found(plane) if path.name == name), None)
        if path is None:
            raise UsageError(
                f"there is no {name} left over from a restore of {plane.target}", hint="Nothing was removed."
            )
        if in_use(path) or in_use(path / "etcd") or left_running(path):
            raise RestoreError(f"{path} is in use by a running process", hint="End it first. Nothing was removed.")
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise RestoreError(
            f"{error.filename or path} cannot be removed: {error.strerror}",
            hint="What is left of it stays. Run this again, as root.",
        ) from error


def _kind(path: Path, kind: str) -> str:
    """That of its place, but for the folder of a restore of k3s that has ended."""
    finished = path.name.startswith(WORK) and (path / KEPT).is_dir() and not (path / NAME).exists()
    return CERTIFICATES if finished else kind


def _found(plane: ControlPlane) -> Iterator[tuple[Path, str]]:
    """Each folder with its kind, in the order of names."""
    etcd = plane.etcd_dir if plane.is_rancher else plane.etcd_dir.resolve()
    places = [(etcd.parent, f"{etcd.name}-undone-", UNDONE), (plane.spool, WORK, UNFINISHED)]
    if plane.is_rancher:
        places += [
            (plane.db_dir, "etcd-old-", BEFORE),
            (plane.db_dir, WORK, UNFINISHED),
            (plane.db_dir.parent, "db-before-", BEFORE),
            (plane.db_dir.parent, "db-undone-", UNDONE),
        ]
    else:
        places += [
            (etcd.parent, f"{etcd.name}-before-", BEFORE),
            (etcd.parent, f"{etcd.name}-restore-", UNFINISHED),
            (etcd, "member-before-", BEFORE),  # where the data folder is a mount point
            (etcd, "member-undone-", UNDONE),
            (etcd, "restore-", UNFINISHED),
        ]
    found = {path: kind for folder, start, kind in places for path in entries(folder) if path.name.startswith(start)}
    return ((path, found[path]) for path in sorted(found) if path.is_dir() and not path.is_symlink())
