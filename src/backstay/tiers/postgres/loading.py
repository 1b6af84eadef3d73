"""Filling a new database from a backup, whatever its format: first the rows, then what goes on top of them."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from backstay.core.model import Progress
from backstay.tiers.base import Journal, Source
from backstay.tiers.postgres.crew import Crew
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.directory.contents import is_directory, read_toc, sort
from backstay.tiers.postgres.directory.load import DirectoryLoad
from backstay.tiers.postgres.directory.pgrestore import PgRestore, opened
from backstay.tiers.postgres.frozen import large_tables
from backstay.tiers.postgres.load import Rewrite, load
from backstay.tiers.postgres.plan import SIDE
from backstay.tiers.postgres.selection import Selection
from backstay.tiers.postgres.workers import worker_count

# All that ANALYZE looks at by itself, the largest first, but for what would ask a foreign server: it need not answer.
_ANALYZED = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
AND NOT (c.relkind = 'p' AND EXISTS (SELECT 1 FROM pg_partition_tree(c.oid) t JOIN pg_class f ON f.oid = t.relid
                                     WHERE f.relkind = 'f'))
ORDER BY pg_relation_size(c.oid) DESC, c.oid
"""


class Loading(Protocol):
    """Two steps, in this order."""

    def load(self) -> Mapping[str, int]:
        """The rows; returns how many of each table, where only the dump itself could tell."""

    def finish(self) -> None:
        """Everything else, and statistics."""


@contextmanager
def loading(
    database: Database, details: Mapping[str, Any], source: Source, journal: Journal, progress: Progress
) -> Iterator[Loading]:
    """How the backup in ``source`` is loaded, by the ``details`` of a plan; what it needs is gone at the end."""
    into, roles = str(details["into"]), details["map_roles"]
    chosen = Selection(frozenset(details["tables"]), frozenset(details["schemas"]))
    selection = chosen if details["mode"] == SIDE else Selection()
    with database.connection.session(database.maintenance) as session:
        workers, server_version = worker_count(session, database.workers), session.info.server_version
    if not is_directory(source.backup):
        rewrite = Rewrite(selection, roles, large_tables(source.backup.contents), server_version)
        yield _SqlLoading(database, into, source, rewrite, progress, workers)
        return
    toc = read_toc(source)
    contents = sort(toc, source.backup, selection)
    with opened(database, into, toc, roles, server_version) as pg_restore:
        yield _DirectoryLoading(DirectoryLoad(database, into, contents, source, journal, progress, workers), pg_restore)


def analyze(database: Database, dbname: str, workers: int) -> None:
    """Collect statistics, by several sessions, the largest table first: without them the first queries are planned
    blindly."""
    with database.connection.session(dbname) as session:
        left = deque(str(row[0]) for row in session.execute(_ANALYZED))

    def work() -> None:
        with database.connection.session(dbname) as session, crew.stopped_by(lambda: session.cancel_safe(timeout=5)):
            for name in crew.taken(left):
                session.execute(f"ANALYZE {name}".encode())

    with Crew(workers, "analyze") as crew:
        for _ in range(min(workers, len(left))):
            crew.start(work)
        crew.wait()


@dataclass(frozen=True)
class _SqlLoading:
    database: Database
    into: str
    source: Source
    rewrite: Rewrite
    progress: Progress
    workers: int

    def load(self) -> Mapping[str, int]:
        """The whole dump."""
        with self.source.open("dump") as chunks:
            return load(self.database, self.into, chunks, self.rewrite, self.progress).tables

    def finish(self) -> None:
        """Statistics: the dump was all of it."""
        analyze(self.database, self.into, self.workers)


@dataclass(frozen=True)
class _DirectoryLoading:
    directory: DirectoryLoad
    pg_restore: PgRestore

    def load(self) -> Mapping[str, int]:
        """The rows and the indexes of large tables; their numbers are in the manifest."""
        self.directory.run(self.pg_restore)
        return {}

    def finish(self) -> None:
        """What needs all rows, then statistics."""
        self.directory.finish(self.pg_restore)
        analyze(self.directory.database, self.directory.dbname, self.directory.workers)
