"""Capture of one database: a snapshot held open, pg_dump reading it, every row counted on its way to the store.

What the simple ``pg_dump | gzip | upload`` loses without a word is refused here: a dump that ended early has no end
marker, a table that is in the catalog but not in the dump is missed, an exit code is looked at, and nothing becomes a
backup until all of it agrees.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backstay.cluster.proc import Process
from backstay.core.errors import DumpIncomplete, SourceError, ToolError
from backstay.core.model import Progress, Target
from backstay.core.units import counted
from backstay.tiers.base import Captured, Sink
from backstay.tiers.postgres import facts as catalog
from backstay.tiers.postgres import roles as globals_
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.dumptext import DumpReader
from backstay.tiers.postgres.programs import Program, find_pg_dump

if TYPE_CHECKING:
    from psycopg import Connection as Session

OLDEST_SERVER = 14


def preview(database: Database) -> dict[str, Any]:
    """What a backup would find, by reading only: raises what the backup would raise before it starts."""
    with database.connection.session(database.dbname, lock_timeout=database.lock_timeout) as session:
        version = _server_version(session, database)
        program = find_pg_dump(database.bin, version, str(database.target), database.connection.where)
        facts = catalog.read(session)
    return {
        "server": f"{version[0]}.{version[1]}",
        "pg_dump": program.version_text,
        "where": database.connection.where,
        "database": database.dbname,
        "size_bytes": facts.database["size_bytes"],
        "tables": len(facts.data_tables),
        "rows_estimated": sum(fact.rows_estimated for fact in facts.data_tables.values()),
    }


def backup(database: Database, sink: Sink, progress: Progress) -> Captured:
    """Dump ``database`` into ``sink`` as one plain SQL stream, and its globals beside it.

    Raises ``SourceError`` when the server refuses, ``ToolTooOld`` before anything starts, ``DumpIncomplete`` when the
    dump is not whole, and whatever the sink raises.
    """
    with database.connection.session(database.dbname, lock_timeout=database.lock_timeout) as session:
        version = _server_version(session, database)
        program = find_pg_dump(database.bin, version, str(database.target), database.connection.where)
        snapshot, at = _open_snapshot(session)
        facts = catalog.read(session)
        roles = globals_.read(session)
        secrets = globals_.passwords(session, roles) if database.passwords_in_globals else {}
        script = globals_.script(session, roles, facts.database, secrets)
        dump = _Dump(database, program, facts, progress)
        artifact = sink.write("dump", ".sql", dump.chunks(snapshot))
        globals_artifact = sink.write("globals", ".globals.sql", [script.encode()])
    server = f"{version[0]}.{version[1]}"
    return Captured(
        point_in_time=at,
        tools={"pg_dump": program.version_text},
        source={
            "server_version": server,
            "where": database.connection.where,
            "database": database.dbname,
            "standby": facts.in_recovery,
            "format": "sql",
        },
        contents=_contents(facts, roles, dump.reader),
        artifacts=(artifact, globals_artifact),
        warnings=_warnings(facts),
        restore_by_hand=_by_hand(facts.database, version[0]),
    )


def _server_version(session: "Session[tuple[Any, ...]]", database: Database) -> tuple[int, int]:
    number = session.info.server_version
    version = (number // 10000, number % 10000)
    if version[0] < OLDEST_SERVER:
        raise SourceError(
            f"{database.target} runs PostgreSQL {version[0]}.{version[1]}; {OLDEST_SERVER} is the oldest supported",
            hint="PostgreSQL below 14 gets no security fixes any more. Upgrade it first.",
        )
    return version


def _open_snapshot(session: "Session[tuple[Any, ...]]") -> tuple[str, datetime]:
    """One snapshot for the catalog facts and for pg_dump; it lives as long as the session's transaction."""
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = session.execute("SELECT pg_export_snapshot(), now()").fetchone()
    assert row is not None, "a SELECT without FROM gives one row"  # noqa: S101 - a fact of SQL
    return row[0], row[1]


@dataclass
class _Dump:
    """One run of pg_dump, read and counted; ``reader.contents`` is whole after ``chunks`` is taken to its end."""

    database: Database
    program: Program
    facts: catalog.Facts
    progress: Progress
    reader: DumpReader = field(default_factory=DumpReader)

    def chunks(self, snapshot: str) -> Iterator[bytes]:
        """The dump's bytes. Raises ``DumpIncomplete`` or ``SourceError`` at the end unless everything is there."""
        argv = [
            self.program.path,
            "--format=plain",
            "--no-password",
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
                raise self._failed(error) from error
            except DumpIncomplete as error:
                raise self._cut(str(error)) from error
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
        if seen.large_objects != self.facts.large_objects:
            raise DumpIncomplete(
                f"the dump of {self.database.target} has {seen.large_objects:,} large objects, the database "
                f"{self.facts.large_objects:,}",
                hint="Before PostgreSQL 19 a role that is not their owner cannot dump them: use a superuser.",
            )

    def _failed(self, error: ToolError) -> SourceError:
        """pg_dump said no: before it gave any row, or in the middle."""
        said = str(error).replace("pg_dump: ", "")
        if self.reader.contents.rows:
            return self._cut(said)
        return SourceError(
            f"{self.database.target} could not be dumped: {said}",
            hint=_hint(said, self.database),
            target=self.database.name,
        )

    def _cut(self, why: str) -> DumpIncomplete:
        seen = self.reader.contents
        table = self.reader.table or next(reversed(seen.tables), None)
        where = ""
        if table:
            about = self.facts.tables[table].rows_estimated if table in self.facts.tables else 0
            where = f"{seen.tables[table]:,} of about {about:,} rows of {table}; "
        return DumpIncomplete(
            f"the dump of {self.database.target} ended early: {where}{why}",
            hint=f"Nothing was stored; earlier backups are as they were. {_hint(why, self.database)}",
            target=self.database.name,
        )


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


def _contents(facts: catalog.Facts, roles: list[dict[str, Any]], reader: DumpReader) -> dict[str, Any]:
    """The manifest's ``contents`` of this tier; docs/format.md describes each key."""
    seen = reader.contents
    listed: dict[str, dict[str, Any]] = {}
    for name in sorted(set(facts.tables) | set(seen.tables)):
        entry: dict[str, Any] = {"rows": seen.tables[name]} if name in seen.tables else {}
        if name in facts.tables:
            fact = facts.tables[name]
            entry |= {"kind": fact.kind, "size_bytes": fact.size_bytes}
            entry |= {"partition_of": fact.partition_of} if fact.partition_of else {}
        listed[name] = entry
    return {
        "rows": seen.rows,
        "tables": listed,
        "sequences": {name: {"value": value, "called": called} for name, (value, called) in seen.sequences.items()},
        "large_objects": seen.large_objects,
        "extensions": facts.extensions,
        "objects": facts.objects,
        "database": facts.database,
        "roles": roles,
    }


def _warnings(facts: catalog.Facts) -> tuple[str, ...]:
    foreign = [name for name, fact in facts.tables.items() if fact.kind == "foreign"]
    unlogged = [name for name, fact in facts.tables.items() if fact.unlogged and facts.in_recovery]
    warnings = []
    if foreign:
        warnings.append(
            f"the rows of {counted(len(foreign), 'foreign table')} live elsewhere: {', '.join(foreign[:5])}"
        )
    if unlogged:
        warnings.append(f"{len(unlogged)} unlogged tables have no rows on a standby: {', '.join(unlogged[:5])}")
    return tuple(warnings)


def _by_hand(database: dict[str, Any], major: int) -> tuple[str, ...]:
    """Stock tools only; see ``Captured.restore_by_hand`` for the places in braces."""
    from shlex import quote

    name = quote(database["name"])
    return (
        f"Needed: psql {major} or newer; age and the identity where a file ends in .age.",
        "Roles and the empty database: {globals} | psql -X -d postgres",
        f"(It creates database {name}: edit the name first if there is one already.)",
        f"Load: {{dump}} | psql -X -v ON_ERROR_STOP=1 -d {name}",
        "Check: the dump ends with `-- PostgreSQL database dump complete`; row counts are in `contents` here.",
        f"Then: psql -X -d {name} -c ANALYZE",
    )


def _hint(said: str, database: Database) -> str:
    steps = {
        "large object": "Before PostgreSQL 19 only their owner or a superuser can dump large objects: use one of them.",
        "permission denied": f"Grant the role pg_read_all_data: GRANT pg_read_all_data TO {database.connection.user}; "
        "or dump as the owner.",
        "row-level security": "Row level security hides rows from this role; use one with BYPASSRLS, or the owner.",
        "lock timeout": "Another session holds a table exclusively; look in pg_locks, or raise postgres.lock_timeout.",
        "terminating connection": "The server was told to end the connection, or is shutting down. Run it again.",
        "server closed the connection": "The server crashed or restarted; its log says why. Run it again.",
        "no end marker": "It ended in the middle; run it again, or see docs/troubleshoot.md#ended-early.",
    }
    return next((step for word, step in steps.items() if word in said), "Nothing was stored.")


def describe(target: Target, found: dict[str, Any]) -> str:
    """The first line of a backup: ``postgres/cardboard  PostgreSQL 17.11 at postgres.cardboard:5432``."""
    return f"{target}  PostgreSQL {found['server']} at {found['where']}"
