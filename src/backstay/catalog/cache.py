"""A local copy of manifests and proofs, so that ``list`` and ``status`` read each from the store once.

One SQLite file for each store, keyed by key and etag. It is only ever a copy: a damaged file is deleted
and built again, and a file that cannot be used at all (read-only disk, full disk, busy) is as good as an
empty one.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, Self, TypeVar

SCHEMA = 1
BUSY_SECONDS = 5.0
BATCH = 500  # below SQLite's oldest limit of 999 variables in one statement
UNUSABLE = {  # primary result codes, https://www.sqlite.org/rescode.html
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
T = TypeVar("T")


class Cache(Protocol):
    """What the catalog asks of a cache; keys and etags are those of the store."""

    def get(self, wanted: Mapping[str, str]) -> dict[str, bytes]:
        """Of the keys with their etags, those that are known, with their bytes."""

    def put(self, found: Iterable[tuple[str, str, bytes]]) -> None:
        """Remember key, etag and bytes."""

    def retain(self, prefix: str, keys: Iterable[str]) -> None:
        """Forget every key that begins with ``prefix`` and is not among ``keys``."""


class ManifestCache:
    """The cache of one store in one SQLite file. Safe from several threads and processes. Close it."""

    def __init__(self, folder: Path, store_url: str) -> None:
        self.path = folder / f"{hashlib.sha256(store_url.encode()).hexdigest()[:32]}.sqlite"
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def get(self, wanted: Mapping[str, str]) -> dict[str, bytes]:
        """Of the keys with their etags, those that are known, with their bytes."""
        return self._use(lambda database: _get(database, wanted), {})

    def put(self, found: Iterable[tuple[str, str, bytes]]) -> None:
        """Remember key, etag and bytes."""
        rows = list(found)
        if rows:
            self._use(lambda database: _put(database, rows), None)

    def retain(self, prefix: str, keys: Iterable[str]) -> None:
        """Forget every key that begins with ``prefix`` and is not among ``keys``."""
        kept = set(keys)
        self._use(lambda database: _retain(database, prefix, kept), None)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _use(self, action: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Run ``action``, with a damaged file once more on a new one; ``otherwise`` where none can be used."""
        with self._lock:
            for _ in range(2):
                try:
                    if self._database is None:
                        self._database = _open(self.path)
                    with self._database:
                        return action(self._database)
                except (sqlite3.Error, OSError) as error:
                    self._drop()
                    if not _damaged(error) or not _remove(self.path):
                        break
            return otherwise

    def _drop(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # before SQLite makes it with the umask's rights
    path.chmod(0o600)
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        if _schema(database) != SCHEMA:
            database.execute("BEGIN IMMEDIATE")
            if _schema(database) != SCHEMA:  # or another process has just done it; an older form fails here
                database.execute(
                    "CREATE TABLE entry (key TEXT PRIMARY KEY, etag TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID"
                )
                database.execute(f"PRAGMA user_version = {SCHEMA}")
            database.commit()
    except BaseException:
        database.close()
        raise
    return database


def _schema(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _damaged(error: Exception) -> bool:
    """Whether a new file may help: not when this one is busy, the disk full or the folder read-only."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and (code is None or code & 0xFF not in UNUSABLE)


def _remove(path: Path) -> bool:
    try:
        for suffix in ("", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _get(database: sqlite3.Connection, wanted: Mapping[str, str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    names = list(wanted)
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        marks = ",".join("?" * len(batch))
        rows = database.execute(f"SELECT key, etag, body FROM entry WHERE key IN ({marks})", batch)  # noqa: S608
        found.update((key, body) for key, etag, body in rows if wanted[key] == etag)
    return found


def _put(database: sqlite3.Connection, rows: list[tuple[str, str, bytes]]) -> None:
    database.executemany("INSERT OR REPLACE INTO entry (key, etag, body) VALUES (?, ?, ?)", rows)


def _retain(database: sqlite3.Connection, prefix: str, kept: set[str]) -> None:
    span = (prefix, prefix + "\U0010ffff")
    known = database.execute("SELECT key FROM entry WHERE key >= ? AND key < ?", span)
    gone = [(key,) for (key,) in known if key not in kept]
    database.executemany("DELETE FROM entry WHERE key = ?", gone)
