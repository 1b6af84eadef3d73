"""Which objects there are, by kind, namespace and name: an SQLite file, so that no number of them fills the memory."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PAGE = 1000
SETTINGS = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "cache_size = -8192")
TABLE = """
    CREATE TABLE entries (
        resource TEXT, namespace TEXT, name TEXT, offset INTEGER, size INTEGER, marked INTEGER DEFAULT 0,
        PRIMARY KEY (resource, namespace, name)
    ) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object, and where its JSON is in the spooled file."""

    resource: str
    namespace: str
    name: str
    offset: int
    size: int


class Index:
    """Entries by their names. Safe from several threads. A file of a process that is killed is of no use to anybody:
    nothing is made durable."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for setting in SETTINGS:
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute(TABLE)
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, resource: str, namespace: str, name: str, offset: int = 0, size: int = 0) -> bool:
        """Put an entry in; False if it is there already."""
        row = (resource, namespace, name, offset, size)
        with self._lock:
            done = self._database.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, 0)", row)
            return done.rowcount == 1

    def mark(self, resource: str, namespace: str, name: str) -> bool:
        """Mark an entry as seen elsewhere, too; False if there is none."""
        where = "resource = ? AND namespace = ? AND name = ?"
        with self._lock:
            done = self._database.execute(f"UPDATE entries SET marked = 1 WHERE {where}", (resource, namespace, name))  # noqa: S608
            return done.rowcount == 1

    def unmarked(self, most: int) -> tuple[int, list[Entry]]:
        """How many entries were not marked, and the first few of them."""
        (count,) = self._ask("SELECT count(*) FROM entries WHERE marked = 0")[0]
        columns = "resource, namespace, name, offset, size"
        found = self._ask(f"SELECT {columns} FROM entries WHERE marked = 0 LIMIT ?", most)  # noqa: S608
        return count, [Entry(*row) for row in found]

    def resources(self) -> dict[str, int]:
        """How many entries each resource has, sorted by its name."""
        return dict(self._ask("SELECT resource, count(*) FROM entries GROUP BY resource ORDER BY resource"))

    def namespaces(self) -> list[str]:
        """Every namespace that an entry is in, sorted."""
        found = self._ask("SELECT DISTINCT namespace FROM entries WHERE namespace != '' ORDER BY namespace")
        return [name for (name,) in found]

    def count(self, resource: str = "", namespace: str | None = None) -> int:
        """How many entries: of all, of a resource, of a namespace (empty: cluster-scoped)."""
        found = self._ask(
            "SELECT count(*) FROM entries WHERE (?1 = '' OR resource = ?1) AND (?2 IS NULL OR namespace = ?2)",
            resource,
            namespace,
        )
        return int(found[0][0])

    def find(self, resource: str, namespace: str, name: str) -> Entry | None:
        """One entry."""
        where = "resource = ? AND namespace = ? AND name = ?"
        found = self._ask(f"SELECT offset, size FROM entries WHERE {where}", resource, namespace, name)  # noqa: S608
        return Entry(resource, namespace, name, *found[0]) if found else None

    def entries(self, resource: str, namespace: str | None = None) -> Iterator[Entry]:
        """Entries of a resource, of all namespaces or one (empty: cluster-scoped), sorted by namespace and name."""
        last = ("", "")
        while True:
            rows = self._ask(
                "SELECT namespace, name, offset, size FROM entries WHERE resource = ?1 "
                "AND (namespace, name) > (?2, ?3) AND (?4 IS NULL OR namespace = ?4) ORDER BY namespace, name LIMIT ?5",
                resource,
                *((namespace, last[1]) if namespace is not None else last),
                namespace,
                PAGE,
            )
            yield from (Entry(resource, *row) for row in rows)
            if len(rows) < PAGE:
                return
            last = rows[-1][:2]

    def _ask(self, query: str, *values: str | int | None) -> list[Any]:
        with self._lock:
            return self._database.execute(query, values).fetchall()
