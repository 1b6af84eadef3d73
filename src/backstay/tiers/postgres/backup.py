"""Capture of one database: a snapshot held open, all of it read in that snapshot, every row counted on its way.

What the simple ``pg_dump | gzip | upload`` loses without a word is refused here: a dump that ended early has no end
marker, a table that is in the catalog but not in the dump is missed, an exit code is looked at, and nothing becomes a
backup until all of it agrees.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backstay.core.errors import SourceError, UnknownArchive
from backstay.core.model import Progress, Target
from backstay.core.units import counted
from backstay.tiers.base import Captured, Sink
from backstay.tiers.postgres import facts as catalog
from backstay.tiers.postgres import roles as globals_
from backstay.tiers.postgres import rowhash, timescale
from backstay.tiers.postgres.database import SQL, Database
from backstay.tiers.postgres.directory import segments
from backstay.tiers.postgres.directory.dump import DirectoryDump
from backstay.tiers.postgres.dumped import Dumped
from backstay.tiers.postgres.programs import Program, find_pg_dump, find_psql
from backstay.tiers.postgres.says import not_dumped
from backstay.tiers.postgres.sqldump import SqlDump

if TYPE_CHECKING:
    from psycopg import Connection as Session

OLDEST_SERVER = 13
ATTEMPTS = 3  # at a snapshot and locks between which no table is changed
SHOWN = 5  # names listed in one sentence


@dataclass(frozen=True)
class Held:
    """A snapshot, exported, taken ``at``; what the catalog says in it; the tables whose rows are dumped, locked."""

    snapshot: str
    at: datetime
    facts: catalog.Facts
    tables: list[segments.Table]


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
    """Dump ``database`` into ``sink`` in its format, and its globals beside it, all of one snapshot.

    Raises ``SourceError`` when the server refuses, ``ToolTooOld`` before anything starts, ``DumpIncomplete`` when the
    dump is not whole, and whatever the sink raises.
    """
    with database.connection.session(database.dbname, lock_timeout=database.lock_timeout) as session:
        version = _server_version(session, database)
        program = find_pg_dump(database.bin, version, str(database.target), database.connection.where)
        held = _hold(session, database)
        facts = held.facts
        roles = globals_.read(session)
        secrets = globals_.passwords(session, roles) if database.passwords_in_globals else {}
        script = globals_.script(session, roles, facts.database, secrets)
        dumped = _dump(database, program, held, session, sink, progress)
        globals_artifact = sink.write(dumped.globals_file, [script.encode()])
    return Captured(
        point_in_time=held.at,
        tools={"pg_dump": program.version_text, **dumped.tools},
        source={
            "server_version": f"{version[0]}.{version[1]}",
            "where": database.connection.where,
            "database": database.dbname,
            "standby": facts.in_recovery,
            "system_identifier": facts.system_identifier,
            "format": dumped.format,
        },
        contents=_contents(facts, roles, dumped),
        artifacts=(*dumped.artifacts, globals_artifact),
        warnings=(*_warnings(facts), *dumped.warnings),
        restore_by_hand=_by_hand(facts.database, max(version[0], program.version[0]), dumped, facts.timescale),
        guide=dumped.guide,
    )


def _dump(
    database: Database,
    program: Program,
    held: Held,
    session: "Session[tuple[Any, ...]]",
    sink: Sink,
    progress: Progress,
) -> Dumped:
    """In the format that is configured; as SQL text when pg_dump writes archives that are not known here."""
    facts, snapshot = held.facts, held.snapshot
    if database.format == SQL:
        return SqlDump(database, program, facts, progress).run(snapshot, sink)
    psql = find_psql(database.bin)
    try:
        return DirectoryDump(database, program, psql, facts, held.tables, session, snapshot, sink, progress).run()
    except UnknownArchive as error:
        dumped = SqlDump(database, program, facts, progress).run(snapshot, sink)
        words = (
            f"written in format sql, since pg_dump {program.version_text} is newer than this Backstay: {error.message}"
        )
        return replace(dumped, warnings=(words,))


def _server_version(session: "Session[tuple[Any, ...]]", database: Database) -> tuple[int, int]:
    number = session.info.server_version
    version = (number // 10000, number % 10000)
    if version[0] < OLDEST_SERVER:
        raise SourceError(
            f"{database.target} runs PostgreSQL {version[0]}.{version[1]}; {OLDEST_SERVER} is the oldest supported",
            hint="It gets no security fixes any more. Upgrade it first; its own pg_dump still dumps it.",
        )
    return version


def _hold(session: "Session[tuple[Any, ...]]", database: Database) -> Held:
    """Take the snapshot and the locks, in a transaction that stays open.

    A table that another session has emptied or rewritten since the snapshot looks empty in it, without an error: the
    lock only waits for that session. So it is looked for, and begun again. Raises ``SourceError``.
    """
    for _ in range(ATTEMPTS):
        snapshot, at = _open_snapshot(session)
        facts = catalog.read(session)
        tables = segments.read_tables(session, [(fact.schema, fact.relname) for fact in facts.data_tables.values()])
        changed = _lock(session, database, tables)
        if not changed:
            return Held(snapshot, at, facts, tables)
        session.execute("ROLLBACK")
    raise SourceError(
        f"{database.target} could not be dumped: another session emptied, rewrote or dropped tables while the backup "
        f"waited for its locks, {ATTEMPTS} times: {changed}",
        hint="Nothing was stored; earlier backups are as they were. Run it again when that is through.",
        target=database.name,
    )


def _lock(session: "Session[tuple[Any, ...]]", database: Database, tables: list[segments.Table]) -> str:
    """Lock the tables; returns which of them are no longer as the snapshot has them: names, or the server's words about
    the first that is gone. Raises ``SourceError`` when they cannot be locked."""
    import psycopg

    try:
        segments.lock(session, tables)
    except psycopg.Error as error:
        said = str(error).strip().partition("\n")[0]
        if isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)):
            return said
        raise not_dumped(database, said) from error
    return ", ".join(segments.changed(session, tables)[:SHOWN])


def _open_snapshot(session: "Session[tuple[Any, ...]]") -> tuple[str, datetime]:
    """One snapshot for the catalog facts and for pg_dump; it lives as long as the session's transaction."""
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = session.execute("SELECT pg_export_snapshot(), now()").fetchone()
    assert row is not None, "a SELECT without FROM gives one row"  # noqa: S101 - a fact of SQL
    return row[0], row[1]


def _contents(facts: catalog.Facts, roles: list[dict[str, Any]], dumped: Dumped) -> dict[str, Any]:
    """The manifest's ``contents`` of this tier; docs/format.md describes each key."""
    listed: dict[str, dict[str, Any]] = {}
    for name in sorted(set(facts.tables) | set(dumped.rows)):
        entry: dict[str, Any] = {"rows": dumped.rows[name]} if name in dumped.rows else {}
        if name not in facts.tables:
            entry["in_extension"] = True
        else:
            fact = facts.tables[name]
            entry |= {"kind": fact.kind, "size_bytes": fact.size_bytes}
            entry |= {"partition_of": fact.partition_of} if fact.partition_of else {}
        entry |= {"file": dumped.files[name]} if name in dumped.files else {}
        entry |= {"content": dumped.hashes[name]} if name in dumped.hashes else {}
        listed[name] = entry
    return {
        "rows": sum(dumped.rows.values()),
        "tables": listed,
        "sequences": {name: {"value": value, "called": called} for name, (value, called) in dumped.sequences.items()},
        "large_objects": dumped.large_objects,
        "extensions": facts.extensions,
        "objects": facts.objects,
        "database": facts.database,
        "roles": roles,
        "not_validated": facts.not_validated,
        **({"timescale": facts.timescale} if facts.timescale else {}),
        **({"content_hash": rowhash.METHOD} if dumped.hashes else {}),
    }


def _warnings(facts: catalog.Facts) -> tuple[str, ...]:
    foreign = [name for name, fact in facts.tables.items() if fact.kind == "foreign"]
    unlogged = [name for name, fact in facts.tables.items() if fact.unlogged and facts.in_recovery]
    warnings = []
    if foreign:
        warnings.append(
            f"the rows of {counted(len(foreign), 'foreign table')} live elsewhere: {', '.join(foreign[:SHOWN])}"
        )
    if unlogged:
        warnings.append(f"{len(unlogged)} unlogged tables have no rows on a standby: {', '.join(unlogged[:SHOWN])}")
    if invalid := facts.invalid_indexes:
        what = counted(len(invalid), "index is", "indexes are")
        warnings.append(f"{what} not valid, and not in the backup: {', '.join(invalid[:SHOWN])}")
    return tuple(warnings)


def _by_hand(database: dict[str, Any], major: int, dumped: Dumped, recorded: dict[str, Any] | None) -> tuple[str, ...]:
    """Stock tools only; see ``Captured.restore_by_hand`` for the places in braces."""
    from shlex import quote

    name = quote(database["name"])
    *before, load, check = dumped.by_hand
    around = timescale.by_hand(recorded) if recorded else None
    if around:
        load = load.replace("--jobs=4 ", "")  # its catalogs must be loaded one after the other
    return (
        f"Needed: PostgreSQL {major} client programs or newer; age and the identity where a file ends in .age.",
        *before,
        "Roles and the empty database: {globals} | psql -X -d postgres",
        f"(It creates database {name}: edit the name first if there is one already.)",
        *([around[0].replace("DATABASE", name)] if around else []),
        load.replace("DATABASE", name),
        *([around[1].replace("DATABASE", name)] if around else []),
        check,
        f"Then: psql -X -d {name} -c ANALYZE",
    )


def describe(target: Target, found: dict[str, Any]) -> str:
    """The first line of a backup: ``postgres/cardboard  PostgreSQL 17.11 at postgres.cardboard:5432``."""
    return f"{target}  PostgreSQL {found['server']} at {found['where']}"
