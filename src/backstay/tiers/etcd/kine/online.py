"""A copy of a database that is being written, as of one moment, in one file.

SQLite's backup API copies page by page; between two calls anybody may write, and a source that another process wrote to
is copied again from its first page (sqlite.org/backup.html). Kubernetes writes all the time, so such a copy of a large
database never ends: of 255 MB beside a writer of 50 transactions a second it was still beginning again after 200 times.
Here the connection holds one read transaction over all the calls. In WAL mode it sees the moment it began at, so that
nothing is ever copied twice, and writers do not wait for a reader. What waits is a checkpoint: kine does one after each
compaction, every five minutes (kine, pkg/logstructured/sqllog; ``wal_checkpoint(FULL)``), and that one keeps writers
waiting until the copy is done. So the copy is made as quickly as the disk takes it, and nothing else is done meanwhile.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import SourceError
from backstay.core.model import Progress
from backstay.core.units import format_size
from backstay.tiers.etcd.kine.database import bytes_beside, code_of, explained, pragma, reading

PAGES = 2048  # at a call, after which progress is told: 8 MiB of pages of the usual size
RESERVE_BYTES = 64 * 1024 * 1024  # a full disk stops k3s, whose database may be on it
HELD_TOO_LONG = 8.0  # seconds; the leases of Kubernetes' own controllers must be renewed within 10
_WRITING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


@dataclass(frozen=True)
class Copied:
    """``held_seconds``: how long the read transaction lasted. ``wal_bytes`` is of the source's log at its begin."""

    path: Path
    size_bytes: int
    wal_bytes: int
    journal_mode: str
    held_seconds: float


def copy(source: Path, into: Path, progress: Progress) -> Copied:
    """Copy the database at ``source`` to the new file ``into``, mode 0600, on the disk when this returns.

    Raises ``SourceError`` (no room, locked, not to be read) and ``SnapshotDamaged``; a file may be left then.
    """
    with reading(source) as live:
        live.execute("BEGIN")
        live.execute("SELECT max(id) FROM kine").fetchone()  # the moment that is copied
        began, wal = time.monotonic(), bytes_beside(source)
        size = int(pragma(live, "page_count")) * int(pragma(live, "page_size"))
        mode = str(pragma(live, "journal_mode"))
        require_room(into.parent, size)
        progress.phase("copying", total_bytes=size)
        os.close(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with _writing(into, size), closing(sqlite3.connect(into, isolation_level=None)) as target:
            target.execute("PRAGMA journal_mode=OFF")  # what is cut short is thrown away
            target.execute("PRAGMA synchronous=OFF")  # it is synced below, once
            live.backup(target, pages=PAGES, progress=_Told(progress, int(pragma(live, "page_size"))))
        live.execute("COMMIT")
        held = time.monotonic() - began
    _settle(into, size)
    return Copied(into, into.stat().st_size, wal, mode, held)


def require_room(folder: Path, needed: int) -> None:
    """Room for a copy of so many bytes in ``folder``. Raises ``SourceError``."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < needed + RESERVE_BYTES:
        raise _no_room(folder, needed, f"{format_size(free)} are free")


def _settle(path: Path, size: int) -> None:
    """The copy says of itself that it is in WAL mode, as the source is: one file without a log can be stored, opened
    and restored by itself. kine sets WAL mode again when it opens it."""
    with explained(path), _writing(path, size):
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            mode = database.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        if mode != "delete":
            raise SourceError(f"the copy {path} cannot be made one file: its journal mode stays {mode}")
    with path.open("rb") as file:
        os.fsync(file.fileno())


class _Told:
    """Turns what SQLite says (pages left, pages in all) into steps of bytes."""

    def __init__(self, progress: Progress, page_size: int) -> None:
        self._progress = progress
        self._page_size = page_size
        self._done = 0

    def __call__(self, _status: int, remaining: int, total: int) -> None:
        done = total - remaining
        self._progress.advance((done - self._done) * self._page_size)
        self._done = done


@contextmanager
def _writing(path: Path, size: int) -> Iterator[None]:
    """Errors of the copy rather than the source."""
    try:
        yield
    except sqlite3.Error as error:
        if code_of(error) not in _WRITING:
            raise
        raise _no_room(path.parent, size, str(error)) from error


def _no_room(folder: Path, size: int, why: str) -> SourceError:
    return SourceError(
        f"a copy of the database cannot be written to {folder}: {why}",
        hint=f"It needs {format_size(size + RESERVE_BYTES)} there: the {format_size(size)} of the database and a "
        "reserve. Make room or configure another spool folder (etcd.spool). No file is left, and nothing was stored.",
        needed_bytes=size + RESERVE_BYTES,
    )
