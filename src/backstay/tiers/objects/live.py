"""Objects of one kind as the cluster has them, kept on disk: thousands of lookups without a request for each."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.cluster.base import Item
from backstay.cluster.tempfolder import temp_folder

_BATCH = 500


class LiveObjects:
    """One kind at a time: ``load`` forgets the one before. For one thread."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self._db.executescript(
            "pragma journal_mode = off; pragma synchronous = off;"
            "create table live (namespace text, name text, seen integer default 0, json blob,"
            " primary key (namespace, name)) without rowid"
        )

    def load(self, items: Iterable[Item]) -> int:
        """Take in all objects of a kind; how many there are. Raises what the list raises."""
        self._db.execute("delete from live")
        rows: list[tuple[str, str, bytes]] = []
        total = 0
        for item in items:
            rows.append((item.namespace, item.name, item.json))
            total += 1
            if len(rows) >= _BATCH:
                self._add(rows)
        self._add(rows)
        return total

    def take(self, namespace: str, name: str) -> bytes | None:
        """The JSON of one, which counts as seen from now on; None where the cluster has none."""
        key = (namespace, name)
        row = self._db.execute("select json from live where namespace = ? and name = ?", key).fetchone()
        if row is None:
            return None
        self._db.execute("update live set seen = 1 where namespace = ? and name = ?", key)
        return bytes(row[0])

    def unseen(self) -> Iterator[tuple[str, str, bytes]]:
        """(namespace, name, JSON) of those that nobody took, in order."""
        rows = self._db.execute("select namespace, name, json from live where seen = 0 order by namespace, name")
        for namespace, name, text in rows:
            yield namespace, name, bytes(text)

    def _add(self, rows: list[tuple[str, str, bytes]]) -> None:
        self._db.executemany("insert or replace into live (namespace, name, json) values (?, ?, ?)", rows)
        rows.clear()


@contextmanager
def live_objects(folder: Path) -> Iterator[LiveObjects]:
    """A place for them below ``folder``, gone at the end."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with temp_folder("live", folder) as place:
        database = sqlite3.connect(place / "live.sqlite", isolation_level=None)
        try:
            yield LiveObjects(database)
        finally:
            database.close()
