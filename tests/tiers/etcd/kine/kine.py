"""kine's part on one file: a database with its table and indexes, and rows written as kine writes them.

Source: k3s-io/kine, pkg/drivers/sqlite (schema, pragmas), pkg/logstructured and pkg/drivers/generic (the columns of a
row, what a compaction deletes).
"""

import sqlite3
from pathlib import Path

TABLE = (
    "CREATE TABLE IF NOT EXISTS kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name INTEGER, created INTEGER, "
    "deleted INTEGER, create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB)"
)
SCHEMA = (
    TABLE,
    "CREATE INDEX IF NOT EXISTS kine_name_index ON kine (name)",
    "CREATE INDEX IF NOT EXISTS kine_name_id_index ON kine (name, id)",
    "CREATE INDEX IF NOT EXISTS kine_id_deleted_index ON kine (id, deleted)",
    "CREATE INDEX IF NOT EXISTS kine_prev_revision_index ON kine (prev_revision)",
    "CREATE UNIQUE INDEX IF NOT EXISTS kine_name_prev_revision_uindex ON kine (name, prev_revision)",
)
INSERT = (
    "INSERT INTO kine(name, created, deleted, create_revision, prev_revision, lease, value, old_value) "
    "VALUES (?, ?, ?, ?, ?, 0, ?, ?)"
)
NEWEST = "SELECT id, deleted, create_revision, value FROM kine WHERE name = ? ORDER BY id DESC LIMIT 1"
COMPACT = (
    "DELETE FROM kine WHERE id IN (SELECT prev_revision FROM kine WHERE name != 'compact_rev_key' AND "
    "prev_revision != 0 AND id <= :to UNION SELECT id FROM kine WHERE deleted != 0 AND id <= :to)"
)


class Kine:
    """One connection. Closing it in order empties the log, as SQLite does; ``close`` is not called for a killed one."""

    def __init__(self, path: Path, timeout: float = 30):
        self.path = path
        self.database = sqlite3.connect(path, timeout=timeout, isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=NORMAL")
        for statement in SCHEMA:
            self.database.execute(statement)
        if self.database.execute("SELECT 1 FROM kine WHERE name = 'compact_rev_key'").fetchone() is None:
            self.database.execute(INSERT, ("compact_rev_key", 1, 0, 0, 0, b"", None))

    def put(self, name, value):
        """Create or change a key; its revision."""
        before = self.database.execute(NEWEST, (name,)).fetchone()
        if before is None or before[1]:
            row = (name, 1, 0, 0, before[0] if before else 0, value, None)
        else:
            row = (name, 0, 0, before[2] or before[0], before[0], value, before[3])
        return self.database.execute(INSERT, row).lastrowid

    def delete(self, name):
        """Delete a key that is there."""
        before = self.database.execute(NEWEST, (name,)).fetchone()
        row = (name, 0, 1, before[2] or before[0], before[0], before[3], before[3])
        return self.database.execute(INSERT, row).lastrowid

    def fill_gap(self):
        """A revision that kine gave away and never used."""
        revision = self.revision() + 1
        self.database.execute(
            "INSERT INTO kine VALUES (?, ?, 0, 1, 0, 0, 0, NULL, NULL)", (revision, f"gap-{revision}")
        )
        return revision

    def compact(self, to):
        """As kine does every five minutes, with the checkpoint after it."""
        self.database.execute("BEGIN IMMEDIATE")
        self.database.execute(COMPACT, {"to": to})
        self.database.execute("UPDATE kine SET prev_revision = ? WHERE name = 'compact_rev_key'", (to,))
        self.database.execute("COMMIT")
        self.database.execute("PRAGMA wal_checkpoint(FULL)")

    def revision(self):
        return self.database.execute("SELECT max(id) FROM kine").fetchone()[0]

    def close(self):
        self.database.close()


def state(path):
    """The live rows by a reading of every row in order, one after the other: name to revision and value."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found = {}
    for number, name, deleted, value in database.execute("SELECT id, name, deleted, value FROM kine ORDER BY id"):
        if deleted:
            found.pop(str(name), None)
        else:
            found[str(name)] = (number, value or b"")
    database.close()
    return found


def lasting(path):
    """The same without what the stand-in k3s writes by itself."""
    return {name: row for name, row in state(path).items() if "/leases/" not in name and "compact_rev" not in name}
