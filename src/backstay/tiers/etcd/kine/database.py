"""SQLite files of kine, opened to be read, with errors that name the file and say what to do.

A live database is opened with ``mode=ro`` and never with ``immutable=1``: its newest rows are in ``state.db-wal``, and
only the former reads that (sqlite.org/uri.html; sqlite.org/wal.html, "Read-Only Databases"). Where k3s does not run,
SQLite makes an empty ``-wal`` and a ``-shm`` to read with, and leaves them; k3s takes them as its own.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from backstay.core.errors import BackstayError, SnapshotDamaged, SourceError
from backstay.core.units import format_duration, listed

SIDES = ("-wal", "-shm")  # what SQLite keeps beside a database in WAL mode
BUSY_SECONDS = 30.0  # as kine itself waits (kine, pkg/drivers/sqlite)
SHOWN = 5  # of what integrity_check finds
_SHARED_FIRST, _SHARED_BYTES = 0x40000002, 510  # os.h of SQLite: every connection holds a lock in here
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}  # the last: no such table, or column
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, for the length of a block; text comes as the bytes that are stored.

    In the block, too, what SQLite raises comes out as ``SnapshotDamaged`` (not a database, damaged, not of kine) or
    ``SourceError`` (locked, not there, not to be read).
    """
    with explained(path):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as database:
            database.text_factory = bytes
            yield database


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """See ``reading``."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(path, error) from error


def code_of(error: sqlite3.Error) -> int:
    """The primary result code (sqlite.org/rescode.html); 0 where Python itself raised."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _explained(path: Path, error: sqlite3.Error) -> BackstayError:
    code = code_of(error)
    if code in _DAMAGED:
        return SnapshotDamaged(
            f"{path} is not a whole database of kine: {error}", hint=f"See `sqlite3 {path} 'PRAGMA integrity_check'`."
        )
    if code in _BUSY:
        return SourceError(
            f"{path} was locked for {format_duration(BUSY_SECONDS)}: {error}", hint="Something else has it; try again."
        )
    return SourceError(
        f"{path} cannot be read: {error}",
        hint="Is it there, and may this account read its folder? Where k3s does not run, also write to it: SQLite "
        "needs a file beside it.",
    )


def check_integrity(path: Path) -> None:
    """SQLite's own check of the whole file: pages, order, indexes, uniqueness. Raises ``SnapshotDamaged``.

    It does not see a changed byte inside a value: that takes the content's hash (``census``).
    """
    with reading(path) as database:
        said = [row[0].decode(errors="replace") for row in database.execute(f"PRAGMA integrity_check({SHOWN})")]
    if said != ["ok"]:
        lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
        raise SnapshotDamaged(f"{path.name} is damaged: SQLite's integrity_check says {listed(lines[:SHOWN])}")


def revision_of(path: Path) -> int:
    """The last revision, as kine has it: the highest row number; 0 of an empty table."""
    with reading(path) as database:
        return int(database.execute("SELECT max(id) FROM kine").fetchone()[0] or 0)


def pragma(database: sqlite3.Connection, name: str) -> int | str:
    """The value of a pragma."""
    found = database.execute(f"PRAGMA {name}").fetchone()[0]
    return found.decode() if isinstance(found, bytes) else int(found)


def in_use(path: Path) -> bool:
    """Whether any process has the database open, in whatever container: in WAL mode SQLite holds its shared lock for
    as long as a connection that has read anything is open (pager.c). Not to be asked where this process has it open.
    """
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_BYTES, _SHARED_FIRST)
    except (BlockingIOError, PermissionError):  # lockf(3) may say either
        return True
    finally:
        os.close(handle)
    return False


def sides(path: Path) -> list[tuple[str, Path]]:
    """What SQLite may keep beside a database: the end of its name, and its path."""
    return [(end, path.with_name(path.name + end)) for end in SIDES]


def bytes_beside(path: Path) -> int:
    """Bytes of the write-ahead log; 0 where there is none."""
    try:
        return path.with_name(path.name + SIDES[0]).stat().st_size
    except FileNotFoundError:
        return 0
