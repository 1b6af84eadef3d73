"""What restores, and k3s itself, have set aside: copies of the live database that nobody removes but a person."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from backstay.core.errors import RestoreError, UsageError
from backstay.tiers.base import Leftover
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore.fetch import NAME
from backstay.tiers.etcd.restore.services import in_use, left_running

BEFORE, UNFINISHED = "before", "restore"
WORK = "backstay-restore-"


def leftovers(plane: ControlPlane) -> Iterator[Leftover]:
    """Folders and their space: ``before`` is what was live, ``restore`` what an unfinished or undone one left.

    The folder of a finished restore of k3s holds the certificates that were live, and is ``before`` too.
    """
    for path, kind in _found(plane):
        finished = path.name.startswith(WORK) and not (path / NAME).exists()
        yield Leftover(path.name, BEFORE if finished else kind, copies.size(path))


def remove_leftover(plane: ControlPlane, name: str) -> None:
    """Remove one of them, for good. Raises ``UsageError`` for a name that is none, ``RestoreError`` when in use."""
    path = next((path for path, _ in _found(plane) if path.name == name), None)
    if path is None:
        raise UsageError(f"there is no {name} left over from a restore of {plane.target}", hint="Nothing was removed.")
    if in_use(path) or in_use(path / "etcd") or left_running(path):
        raise RestoreError(f"{path} is in use by a running process", hint="End it first. Nothing was removed.")
    shutil.rmtree(path)


def _found(plane: ControlPlane) -> Iterator[tuple[Path, str]]:
    """Each folder with its kind, in the order of names."""
    etcd = plane.etcd_dir if plane.is_rancher else plane.etcd_dir.resolve()
    places = [(etcd.parent, f"{etcd.name}-undone-*", UNFINISHED), (plane.spool, f"{WORK}*", UNFINISHED)]
    if plane.is_rancher:
        places += [
            (plane.db_dir, "etcd-old-*", BEFORE),
            (plane.db_dir, f"{WORK}*", UNFINISHED),
            (plane.db_dir.parent, "db-before-*", BEFORE),
            (plane.db_dir.parent, "db-undone-*", UNFINISHED),
        ]
    else:
        places += [
            (etcd.parent, f"{etcd.name}-before-*", BEFORE),
            (etcd.parent, f"{etcd.name}-restore-*", UNFINISHED),
            (etcd, "member-before-*", BEFORE),  # where the data folder is a mount point
            (etcd, "member-undone-*", UNFINISHED),
            (etcd, "restore-*", UNFINISHED),
        ]
    found = {path: kind for folder, pattern, kind in places for path in folder.glob(pattern)}
    return ((path, found[path]) for path in sorted(found) if path.is_dir() and not path.is_symlink())
