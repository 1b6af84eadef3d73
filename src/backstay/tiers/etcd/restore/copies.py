"""Folders moved about, never deleted: the live database is known by its inode, wherever a rename has put it.

k3s moves it to ``etcd-old-<time>`` by itself (pkg/etcd/etcd.go, Restore), at a moment that a killed run did not see.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.core.errors import RestoreError
from backstay.tiers.etcd.restore.services import sync_folder


@dataclass(frozen=True)
class Mark:
    """What a folder is known by: device and inode stay the same when it is renamed."""

    device: int
    inode: int

    def as_data(self) -> list[int]:
        """For a journal."""
        return [self.device, self.inode]


def mark_of(folder: Path) -> Mark | None:
    """The mark of ``folder``; None where there is none."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return None
    return Mark(found.st_dev, found.st_ino)


def mark_from(data: Any) -> Mark | None:
    """The inverse of ``Mark.as_data``."""
    return Mark(*data) if data else None


def find(mark: Mark, folder: Path) -> Path | None:
    """Where in ``folder`` the folder with this mark is now."""
    return next((path for path in sorted(folder.iterdir()) if mark_of(path) == mark), None)


def aside(path: Path, word: str, stamp: str) -> Path:
    """Rename ``path`` to ``<path>-<word>-<stamp>``, or with a number after it where that is taken; the new name."""
    wanted = path.with_name(f"{path.name}-{word}-{stamp}")
    number = 2
    while wanted.exists():
        wanted = path.with_name(f"{path.name}-{word}-{stamp}-{number}")
        number += 1
    move(path, wanted)
    return wanted


def move(path: Path, to: Path) -> None:
    """Rename within one file system, durably. Raises ``RestoreError``; nothing has moved then."""
    try:
        path.rename(to)
    except OSError as error:
        raise RestoreError(
            f"{path} could not be renamed to {to.name}: {error.strerror}",
            hint="Is it a mount point, or open in another way? It is where it was.",
        ) from error
    sync_folder(path.parent)
    if to.parent != path.parent:
        sync_folder(to.parent)


def like(folder: Path, model: Path) -> None:
    """Give ``folder`` and all in it the owner of ``model``, and its permissions to the folder itself."""
    wanted = model.stat()
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(root) / name, wanted.st_uid, wanted.st_gid, follow_symlinks=False)
    os.chown(folder, wanted.st_uid, wanted.st_gid)
    folder.chmod(wanted.st_mode & 0o7777)


def size(path: Path) -> int:
    """Bytes that a file or folder holds on the disk."""
    found = path.lstat().st_blocks * 512
    if path.is_dir() and not path.is_symlink():
        for root, folders, files in os.walk(path):
            for name in (*folders, *files):
                try:
                    found += (Path(root) / name).lstat().st_blocks * 512
                except FileNotFoundError:  # etcd is at work on it
                    continue
    return found


def keep(paths: list[Path], into: Path) -> None:
    """Copy files and folders with their times into ``into``, anew; those that do not exist are left out."""
    part = into.with_name(f"{into.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(into, ignore_errors=True)
    part.mkdir(mode=0o700)
    for path in paths:
        if path.is_dir():
            shutil.copytree(path, part / path.name, symlinks=True)
        elif path.exists():
            shutil.copy2(path, part / path.name)
    part.rename(into)
    sync_folder(into.parent)


def give_back(kept: Path, to: Path, away: Path) -> None:
    """Put what ``keep`` copied back into ``to``; what is there now goes to ``away``. Safe to do again."""
    away.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(kept.iterdir()):
        here, fresh = to / path.name, to / f"{path.name}.backstay"
        if fresh.is_dir():
            shutil.rmtree(fresh)
        if path.is_dir():
            shutil.copytree(path, fresh, symlinks=True)
        else:
            shutil.copy2(path, fresh)
        if here.exists():
            number = len(list(away.iterdir()))
            shutil.move(here, away / f"{number}-{path.name}")
        fresh.rename(here)
    sync_folder(to)
