"""Loading a directory: definitions, then rows by many sessions, and each table's indexes as soon as its rows are there.

The largest comes first, rows and indexes alike. A large table is loaded by one session, frozen: written once, and not
again by whoever reads it first (see ``frozen``). When other workers run out of work, the rest of it is loaded by all
of them, part by part. What is done is journalled, so that a killed restore goes on from there.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backstay.core.errors import RestoreError
from backstay.core.model import Artifact, Progress
from backstay.tiers.base import Journal, Source
from backstay.tiers.postgres.board import Board
from backstay.tiers.postgres.crew import Crew
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.directory import blobs, present
from backstay.tiers.postgres.directory.contents import Contents, TableRows
from backstay.tiers.postgres.directory.pgrestore import PgRestore
from backstay.tiers.postgres.directory.sorting import sort_memory
from backstay.tiers.postgres.directory.toc import Entry
from backstay.tiers.postgres.frozen import LARGE_BYTES
from backstay.tiers.postgres.load import SETTINGS

if TYPE_CHECKING:
    from psycopg import Connection as Session

JOURNAL_SECONDS = 5.0
# How much of a table's time idle workers must spare, for its rest to be loaded side by side. That rest is not
# frozen, and what is built on it takes the server longer: measured, by a tenth of the table's own time.
SPARED = 0.25
FIRST, LOADED = "definitions", "loaded"  # steps of the journal


@dataclass
class DirectoryLoad:
    """One load into ``dbname``, which exists. ``journal`` tells what an earlier run of the same restore has done."""

    database: Database
    dbname: str
    contents: Contents
    source: Source
    journal: Journal
    progress: Progress
    workers: int
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _board: Board = field(default_factory=Board)
    _own: threading.local = field(default_factory=threading.local)
    _small_ones: list[Entry] = field(default_factory=list)

    def run(self, pg_restore: PgRestore) -> None:
        """Load everything but what comes last. Raises ``RestoreError``, and what reading the backup raises."""
        begun = self._database_oid()
        self._resumed = self.journal.done.get(FIRST, {}).get("oid") == begun  # else the database was made anew since
        self._done = set(self.journal.done.get(LOADED, {}).get("files", ())) if self._resumed else set()
        self._left = {table.entry.file: len(table.parts) for table in self.contents.tables}
        self._told = self.clock()
        with Crew(self.workers, "load") as crew:
            if not self._resumed:
                pg_restore.run(self.contents.first, crew.stopped_by)
                self._extension_rows(crew)
                self.journal.record(FIRST, oid=begun)
            there = self._present() if self._resumed else frozenset[str]()
            self._plan(crew, pg_restore, there)
            for _ in range(self.workers):
                crew.start(lambda: self._work(crew))
            crew.wait(self._may_go_on)
        self.journal.record(LOADED, files=sorted(self._done))  # a table with foreign keys cannot be emptied again

    def _work(self, crew: Crew) -> None:
        """What one worker does: tasks, on a session of its own that is opened once."""
        with ExitStack() as stack:
            self._own.open = lambda: stack.enter_context(self._opened(crew))
            self._own.session = None
            self._board.work(crew.check)

    def _extension_rows(self, crew: Crew) -> None:
        """Rows that users have in tables of extensions: before all others, which may need them, and in their order."""
        for table in self.contents.extension_rows:
            self._whole(crew, table)

    def finish(self, pg_restore: PgRestore) -> None:
        """What comes last: foreign keys, triggers, rights, views; then statistics."""
        order = {entry.dump_id: at for at, entry in enumerate(self.contents.toc.entries)}
        entries = sorted([*self.contents.last, *self._small_ones], key=lambda entry: order[entry.dump_id])
        if self._resumed:
            entries = self._not_yet(entries)
        with Crew(1, "finish") as crew:
            crew.start(lambda: pg_restore.run(entries, crew.stopped_by, jobs=self.workers))
            crew.wait(self._may_go_on)

    def _may_go_on(self) -> None:
        """Raises when somebody wants to stop: the progress tells."""
        self.progress.advance(0)

    def _plan(self, crew: Crew, pg_restore: PgRestore, there: frozenset[str]) -> None:
        """Put on the board what can begin at once."""
        for table in self.contents.tables:
            build = self._builder(crew, pg_restore, table, there)
            if table.entry.file in self._done:
                self.progress.advance(table.size_bytes)
                build()
            else:
                self._board.add(table.size_bytes, self._loader(crew, table, build))
        if self.contents.large_objects:
            self._board.add(0, lambda: self._large_objects(crew))

    def _loader(self, crew: Crew, table: TableRows, build: Callable[[], None]) -> Callable[[], None]:
        """Its parts one after the other, until another worker has nothing to do: the rest then side by side."""

        def finished() -> None:
            self._finished(table)
            build()

        def part_work(part: Artifact) -> None:
            with self._session(crew) as session:
                self._copy(session, crew, table, part, "")
            with self._lock:
                self._left[table.entry.file] -= 1
                ready = self._left[table.entry.file] == 0
            if ready:
                finished()

        def work() -> None:
            left = self._whole(crew, table)
            self._left[table.entry.file] = len(left)
            for part in left:
                self._board.add(table.size_bytes, lambda part=part: part_work(part))  # type: ignore[misc]
            if not left:
                finished()

        return work

    def _builder(
        self, crew: Crew, pg_restore: PgRestore, table: TableRows, there: frozenset[str]
    ) -> Callable[[], None]:
        """Constraints first: they hold the table for themselves. Then the indexes of a large table, side by side."""
        constraints = [entry for entry in table.constraints if present.name(entry) not in there]
        indexes = [entry for entry in table.indexes if present.name(entry) not in there]

        def build(entries: list[Entry], then: Callable[[], None] = lambda: None) -> Callable[[], None]:
            def work() -> None:
                pg_restore.run(entries, crew.stopped_by, memory=sort_memory(entries, table.size_bytes))
                then()

            return work

        def build_indexes() -> None:
            for entry in indexes:
                self._board.add(table.size_bytes, build([entry]))

        def begin() -> None:
            if table.size_bytes < LARGE_BYTES:
                with self._lock:
                    self._small_ones += [*constraints, *indexes]
            elif constraints:
                self._board.add(table.size_bytes, build(constraints, build_indexes))
            else:
                build_indexes()

        return begin

    def _whole(self, crew: Crew, table: TableRows) -> Sequence[Artifact]:
        """A table in one session, in one transaction; a large one frozen, after it was emptied in the same transaction.

        Returns the parts that are left for several workers, once some have nothing else to do.
        """
        own = table.entry.file in self._left  # and not of an extension, which may have put rows there
        frozen = own and table.size_bytes >= LARGE_BYTES
        left = deque(table.parts)
        with self._session(crew) as session, session.transaction():
            if frozen or (own and self._resumed):
                session.execute(_sql(f"TRUNCATE TABLE ONLY {table.sql}"))
            while left:
                self._copy(session, crew, table, left.popleft(), " WITH (FREEZE)" if frozen else "")
                if is_to_share(len(left), len(table.parts), self._board.idle()):
                    break
        return left

    def _copy(
        self, session: "Session[tuple[Any, ...]]", crew: Crew, table: TableRows, part: Artifact, how: str
    ) -> None:
        import psycopg

        try:
            with (
                session.cursor() as cursor,
                cursor.copy(_sql(f"COPY {table.sql} {table.columns} FROM STDIN{how}")) as copy,
                self.source.open(part.role) as chunks,
            ):
                for chunk in chunks:
                    crew.check()
                    copy.write(chunk)
                    self.progress.advance(len(chunk))
        except psycopg.Error as error:
            crew.check()
            raise RestoreError(
                f"{self.database.target}: the rows of {table.entry.namespace}.{table.entry.tag} could not be loaded "
                f"into {self.dbname}: {str(error).strip().splitlines()[0]}",
                hint="The live database was not touched.",
            ) from error

    def _large_objects(self, crew: Crew) -> None:
        with self._session(crew) as session, self.source.open(blobs.BLOBS.role) as chunks:
            blobs.load(session, chunks, self.progress.advance)

    @contextmanager
    def _session(self, crew: Crew) -> "Iterator[Session[tuple[Any, ...]]]":
        """The session of this worker; outside of the workers, one for the length of the block."""
        if not hasattr(self._own, "open"):
            with self._opened(crew) as session:
                yield session
            return
        self._own.session = self._own.session or self._own.open()
        yield self._own.session

    @contextmanager
    def _opened(self, crew: Crew) -> "Iterator[Session[tuple[Any, ...]]]":
        with (
            self.database.connection.session(self.dbname) as session,
            crew.stopped_by(lambda: session.cancel_safe(timeout=5)),
        ):
            for name, value in SETTINGS.items():
                session.execute(_sql(f"SET {name} = '{value}'"))
            for statement in (f"SET client_encoding = '{self.contents.encoding}'", "SET search_path = ''"):
                session.execute(_sql(statement))
            session.execute("SET row_security = off")
            yield session

    def _finished(self, table: TableRows) -> None:
        """Journal it, at once when it is large, with others when not."""
        with self._lock:
            self._done.add(table.entry.file)
            self.progress.note(f"tables {len(self._done)}/{len(self.contents.tables)}")
            now = self.clock()
            if table.size_bytes < LARGE_BYTES and now - self._told < JOURNAL_SECONDS:
                return
            self._told = now
            self.journal.record(LOADED, files=sorted(self._done))

    def _database_oid(self) -> int:
        with self.database.connection.session(self.dbname) as session:
            row = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        return int(row[0]) if row else 0

    def _present(self) -> frozenset[str]:
        with self.database.connection.session(self.dbname) as session:
            return present.names(session)

    def _not_yet(self, entries: list[Entry]) -> list[Entry]:
        with self.database.connection.session(self.dbname) as session:
            return present.not_yet(session, entries)


def is_to_share(left: int, parts: int, idle: int) -> bool:
    """Whether what is ``left`` of a table's parts goes to so many ``idle`` workers as well."""
    workers = idle + 1
    rounds = math.ceil(left / workers)
    alone = left % workers == 1  # one part in the last round: as soon done when one more is loaded first, frozen
    return left - rounds >= SPARED * parts and not alone


def _sql(text: str) -> bytes:
    """Text with names from the archive, which were quoted, for a driver that wants to see a literal."""
    return text.encode("utf-8", "surrogateescape")
