"""Format ``sql``: one stream of pg_dump's plain text, every row counted on its way to the store."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from backstay.cluster.proc import Process
from backstay.core.errors import DumpIncomplete, SourceError, ToolError
from backstay.core.model import Progress
from backstay.core.units import counted
from backstay.tiers.base import File, Sink
from backstay.tiers.postgres import facts as catalog
from backstay.tiers.postgres.database import SQL, Database
from backstay.tiers.postgres.dumped import Dumped, check_large_objects, client_encoding
from backstay.tiers.postgres.dumptext import DumpReader
from backstay.tiers.postgres.programs import Program
from backstay.tiers.postgres.says import cut_short, not_dumped


@dataclass
class SqlDump:
    """One run of pg_dump, read and counted; ``reader.contents`` is whole after ``chunks`` is taken to its end."""

    database: Database
    program: Program
    facts: catalog.Facts
    progress: Progress
    reader: DumpReader = field(default_factory=DumpReader)

    def run(self, snapshot: str, sink: Sink) -> Dumped:
        """Dump into ``sink``. Raises ``SourceError``, ``DumpIncomplete``, and what the sink raises."""
        artifact = sink.write(File("dump", ".sql"), self.chunks(snapshot))
        seen = self.reader.contents
        return Dumped(
            format=SQL,
            artifacts=(artifact,),
            rows=seen.tables,
            sequences=seen.sequences,
            large_objects=seen.large_objects,
            globals_file=File("globals", ".globals.sql"),
            by_hand=(
                "Load: {dump} | psql -X -v ON_ERROR_STOP=1 -d DATABASE",
                "Check: the dump ends with `-- PostgreSQL database dump complete`; row counts are in `contents` here.",
            ),
        )

    def chunks(self, snapshot: str) -> Iterator[bytes]:
        """The dump's bytes. Raises ``DumpIncomplete`` or ``SourceError`` at the end unless everything is there."""
        argv = [
            self.program.path,
            "--format=plain",
            "--no-password",
            f"--encoding={client_encoding(self.facts)}",
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={int(self.database.lock_timeout * 1000)}",
        ]
        meter = _Meter(self.facts, self.progress)
        with self.database.connection.environment(self.database.dbname) as (env, handles):
            try:
                with Process(argv, env=env, stdout=True, pass_fds=handles) as process:
                    for chunk in self.reader.through(process.output()):
                        meter.update(self.reader)
                        yield chunk
            except ToolError as error:
                raise (
                    self._cut(error) if self.reader.contents.rows else not_dumped(self.database, str(error))
                ) from error
            except DumpIncomplete as error:
                raise self._cut(error) from error
        self._compare()

    def _compare(self) -> None:
        """Every table of the snapshot has its COPY block, every large object its entry."""
        seen = self.reader.contents
        missing = [name for name in self.facts.data_tables if name not in seen.tables]
        if missing:
            raise DumpIncomplete(
                f"the dump of {self.database.target} lacks {counted(len(missing), 'table')} of the database: "
                f"{', '.join(missing[:5])}",
                hint="pg_dump ended well all the same. Nothing was stored. Please report this with the versions.",
            )
        check_large_objects(self.database, self.facts, seen.large_objects)

    def _failed(self, error: ToolError) -> SourceError:
        """pg_dump said no: before it gave any row, or in the middle."""
        return self._cut(error) if self.reader.contents.rows else not_dumped(self.database, str(error))

    def _cut(self, error: Exception) -> DumpIncomplete:
        seen = self.reader.contents
        table = self.reader.table or next(reversed(seen.tables), None) or ""
        about = self.facts.tables[table].rows_estimated if table in self.facts.tables else 0
        rows = f"{seen.tables.get(table, 0):,} of about {about:,} rows of {table}" if table else ""
        return cut_short(self.database, str(error), rows)


class _Meter:
    """Progress in bytes of table size: what is done of each table, by rows seen against rows estimated."""

    def __init__(self, facts: catalog.Facts, progress: Progress) -> None:
        self._tables = facts.data_tables
        self._progress = progress
        self._told = 0
        self._finished = 0
        self._current: str | None = None
        self._count = 0
        progress.phase("dumping", total_bytes=sum(fact.size_bytes for fact in self._tables.values()) or None)

    def update(self, reader: DumpReader) -> None:
        """Tell what changed since the last chunk."""
        seen = reader.contents.tables
        if len(seen) != self._count or reader.table != self._current:
            self._count, self._current = len(seen), reader.table
            done = [name for name in seen if name != reader.table]
            self._finished = sum(self._tables[name].size_bytes for name in done if name in self._tables)
            self._progress.note(f"tables {len(done)}/{len(self._tables)}")
        fact = self._tables.get(self._current or "")
        part = fact.size_bytes * min(1.0, seen[fact.name] / max(1, fact.rows_estimated)) if fact else 0
        now = self._finished + int(part)
        self._progress.advance(max(0, now - self._told))
        self._told = max(now, self._told)
