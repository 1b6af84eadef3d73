"""Two databases change places under one name: nothing is deleted, and a whole one is there at any moment.

``-wal`` and ``-shm`` belong to the database they were written for: beside another one SQLite would write the log's old
pages over it (sqlite.org/howtocorrupt.html, section 1.4). So they go aside first, under names by which the database set
aside finds them again (``state.db-before-<stamp>-wal``), and the new database then takes the name in one rename. A
k3s that was stopped in order leaves no log; of one that was killed, the log is apart from its database only between
those two renames.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import RestoreError
from backstay.tiers.etcd.access import entries
from backstay.tiers.etcd.kine.database import sides
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore.copies import Mark
from backstay.tiers.etcd.restore.services import sync_folder

BEFORE, UNDONE = "before", "undone"
_OF_ANOTHER = re.compile(r"-(wal|shm)(-\d+)?$")


@dataclass(frozen=True)
class Swap:
    """``database`` is the name; ``stamp`` that of the restore, by which what it set aside is known."""

    database: Path
    stamp: str

    @property
    def before(self) -> Path:
        """Where the database that was live is kept."""
        return self.database.with_name(f"{self.database.name}-{BEFORE}-{self.stamp}")

    @property
    def undone(self) -> Path:
        """Where one that was restored goes when that is undone."""
        return self.database.with_name(f"{self.database.name}-{UNDONE}-{self.stamp}")

    def is_untouched(self, live: Mark | None) -> bool:
        """Whether what was live (None: nothing) is all where it was, by the disk."""
        return copies.mark_of(self.database) == live and not any(path.exists() for _, path in sides(self.before))

    def put(self, new: Path) -> None:
        """``new`` takes the name, what has it now goes aside. Safe to do again after a kill; nothing may be running."""
        self._set_aside(self.before)
        _rename(new, self.database)
        sync_folder(new.parent)

    def put_back(self, live: Mark | None) -> None:
        """What was live has its name again, whatever had been done; what was restored goes aside. As ``put``.

        Raises ``RestoreError`` where it is not in the folder any more.
        """
        if copies.mark_of(self.database) != live:
            there = copies.find(live, self.database.parent) if live else None
            if live and there is None:
                raise RestoreError(
                    f"the database that was live is not in {self.database.parent} any more",
                    hint=f"It was kept as {self.before.name}. Move it to {self.database} from where it is now, with "
                    "its -wal, and start k3s.",
                )
            self._set_aside(self.undone)
            if there:
                _rename(there, self.database)
            elif self.database.exists():  # there was none before: its second name is all that stays
                self.database.unlink()
                sync_folder(self.database.parent)
        elif live and copies.mark_of(self.before) == live:  # cut short between the two names
            self.before.unlink()
        self._rejoin()

    def kept(self) -> str:
        """Where the database is that was live, when it is not in its place; empty where there was none."""
        there = copies.mark_of(self.before)
        return str(self.before) if there and there != copies.mark_of(self.database) else ""

    def _set_aside(self, to: Path) -> None:
        """The log and its index under their new names, then a second name for the database itself."""
        for (_, path), (_, aside) in zip(sides(self.database), sides(to), strict=True):
            if path.exists():
                copies.move(path, _free(aside))
        if not self.database.exists():
            return
        if to.exists() and to.samefile(self.database):
            return
        _link(self.database, _free(to))

    def _rejoin(self) -> None:
        """The log of what was live beside it again, unless somebody ran on it meanwhile and it has another."""
        for (_, path), (_, aside) in zip(sides(self.database), sides(self.before), strict=True):
            if aside.exists() and not path.exists():
                copies.move(aside, path)


def aside(database: Path) -> Iterator[tuple[Path, str]]:
    """What restores have set aside beside ``database``, in the order of names: the path, and ``BEFORE`` or ``UNDONE``.

    A log is listed by itself only where the database is gone that it was of. Raises ``OSError``.
    """
    there = entries(database.parent)
    for word in (BEFORE, UNDONE):
        for path in (path for path in there if path.name.startswith(f"{database.name}-{word}-")):
            owner = path.with_name(_OF_ANOTHER.sub("", path.name))
            if (owner == path or not owner.exists()) and path.is_file() and not path.is_symlink():
                yield path, word


def _free(wanted: Path) -> Path:
    """``wanted``, or with a number behind it where something is there."""
    path, number = wanted, 2
    while os.path.lexists(path):
        path = wanted.with_name(f"{wanted.name}-{number}")
        number += 1
    return path


def _link(path: Path, to: Path) -> None:
    """A second name, or a rename where the file system has no such thing."""
    try:
        os.link(path, to)
    except OSError:
        copies.move(path, to)
        return
    sync_folder(to.parent)


def _rename(path: Path, to: Path) -> None:
    """Over what is there: that has another name by now."""
    try:
        path.replace(to)
    except OSError as error:
        raise RestoreError(
            f"{path} could not take the name {to}: {error.strerror}", hint="What had that name has it still."
        ) from error
    sync_folder(to.parent)
