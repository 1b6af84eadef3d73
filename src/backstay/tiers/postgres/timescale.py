"""TimescaleDB: what its hypertables need beside their rows, so that they come back as hypertables.

A hypertable's rows are in its chunks, which are tables of their own; what makes them a hypertable is rows of catalogs
that the extension keeps. A restore makes the extension first, at the recorded version, tells it to stand aside
(``timescaledb_pre_restore``), loads those catalogs before all else, one after the other, and ends with
``timescaledb_post_restore`` (TimescaleDB documentation, self-hosted backup with pg_dump, and the advice there on
restoring in parallel). Its background workers are held back until the copy is what is live: a retention job must not
drop chunks of a database that is still being compared.
"""

from collections.abc import Iterator, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

from backstay.core.errors import RestoreError, SourceError
from backstay.core.model import Finding, Severity
from backstay.core.units import counted

if TYPE_CHECKING:
    from psycopg import Connection as Session
    from psycopg.sql import Composed

EXTENSION = "timescaledb"
CODE = "postgres.timescale"
_SETTINGS = {"timezone": "UTC", "datestyle": "ISO, YMD", "intervalstyle": "postgres"}
_SCHEMA = "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = %s"
# By the views that the extension documents: its catalogs move between versions (bgw_job did in 2.25).
_HYPERTABLES = """
SELECT format('%I.%I', hypertable_schema, hypertable_name), num_chunks, num_dimensions
FROM timescaledb_information.hypertables ORDER BY 1
"""
_DIGEST = "SELECT count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM {} t"
_DIGESTED = ("timescaledb_information.chunks", "timescaledb_information.dimensions")
_JOBS = "SELECT job_id, proc_schema, proc_name, scheduled, schedule_interval::text, config::text, hypertable_name"
_TIME_FILTER = """
SELECT format('%I.%I', hypertable_schema, hypertable_name), quote_ident(column_name), column_type
FROM timescaledb_information.dimensions WHERE dimension_number = 1 ORDER BY 1
"""


def facts(session: "Session[tuple[Any, ...]]") -> dict[str, Any] | None:
    """What a manifest keeps of the extension in this database; ``None`` where it is not in use."""
    row = session.execute("SELECT extversion FROM pg_extension WHERE extname = %s", (EXTENSION,)).fetchone()
    if row is None:
        return None
    schema = session.execute(_SCHEMA, (EXTENSION,)).fetchone()
    return {"version": row[0], "schema": schema[0] if schema else "public", **_contents(session)}


def check_available(session: "Session[tuple[Any, ...]]", backup_id: str, version: str) -> None:
    """Raise ``SourceError`` unless the server has just this version: its catalogs fit no other."""
    query = "SELECT version FROM pg_available_extension_versions WHERE name = %s ORDER BY 1"
    there = [row[0] for row in session.execute(query, (EXTENSION,))]
    if version not in there:
        raise SourceError(
            f"{backup_id} holds hypertables of TimescaleDB {version}, and the server has "
            f"{', '.join(there) or 'no TimescaleDB'}",
            hint=f"Install TimescaleDB {version} beside it (an update can follow the restore: ALTER EXTENSION "
            "timescaledb UPDATE). Nothing was changed.",
        )


def by_hand(recorded: Mapping[str, Any]) -> tuple[str, str]:
    """What goes before and after the load in the steps with stock programs; DATABASE stands for its name."""
    schema = str(recorded["schema"])
    create = f"CREATE EXTENSION timescaledb VERSION '{recorded['version']}' SCHEMA {schema}"
    pre, post = (quote(f"SELECT {schema}.timescaledb_{word}_restore()") for word in ("pre", "post"))
    return (
        f"TimescaleDB, as a superuser: psql -X -d DATABASE -c {quote(create)} -c {pre}",
        f"End of it: psql -X -d DATABASE -c {post}",
    )


def prepare(session: "Session[tuple[Any, ...]]", recorded: Mapping[str, Any]) -> None:
    """Make the extension in an empty database, and tell it that a restore begins. The session must be new."""
    from psycopg.sql import SQL, Identifier, Literal

    schema = Identifier(str(recorded.get("schema", "public")))
    session.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    create = SQL("CREATE EXTENSION IF NOT EXISTS timescaledb VERSION {} SCHEMA {}")
    session.execute(create.format(Literal(recorded["version"]), schema))
    row = session.execute("SELECT extversion FROM pg_extension WHERE extname = %s", (EXTENSION,)).fetchone()
    if row is None or row[0] != recorded["version"]:  # template0 had another: IF NOT EXISTS says nothing of it
        raise RestoreError(
            f"TimescaleDB is {row[0] if row else 'missing'} in the new database, not {recorded['version']}"
        )
    session.execute(_call(recorded, "timescaledb_pre_restore"))


def finish(session: "Session[tuple[Any, ...]]", recorded: Mapping[str, Any]) -> None:
    """End the restore: hypertables are hypertables again. Jobs stay held: in one transaction, since one that began
    between the two would run within 50 ms (measured, 2.19)."""
    with session.transaction():
        session.execute(_call(recorded, "timescaledb_post_restore"))
        session.execute("SELECT _timescaledb_functions.stop_background_workers()")


def hold(session: "Session[tuple[Any, ...]]") -> None:
    """Keep the jobs of a database that was put aside from ever running, also when the server is started again."""
    schema = session.execute(_SCHEMA, (EXTENSION,)).fetchone()
    if schema:
        session.execute(_call({"schema": schema[0]}, "timescaledb_pre_restore"))


def release(session: "Session[tuple[Any, ...]]") -> None:
    """Undo ``hold`` where it was done, and let jobs run. Also needed after every rename of a database, which ends its
    scheduler. The second transaction is for a scheduler that began before the first had ended, and gave up."""
    schema = session.execute(_SCHEMA, (EXTENSION,)).fetchone()
    if schema is None:
        return
    held = session.execute("SHOW timescaledb.restoring").fetchone()
    if held and held[0] == "on":
        session.execute(_call({"schema": schema[0]}, "timescaledb_post_restore"))
    session.execute("SELECT _timescaledb_functions.start_background_workers()")


def is_installed(session: "Session[tuple[Any, ...]]") -> bool:
    """Whether the server has the extension at all."""
    query = "SELECT 1 FROM pg_available_extensions WHERE name = %s"
    return session.execute(query, (EXTENSION,)).fetchone() is not None


def compare(session: "Session[tuple[Any, ...]]", recorded: Mapping[str, Any]) -> Iterator[Finding]:
    """Hypertables with their chunks and dimensions, jobs, and that they work: a time filter finds rows, an insert goes
    into a chunk. Without any of these everything may look restored and be no hypertable at all."""
    found = _contents(session)
    wrong = [key for key in found if found[key] != recorded.get(key)]
    if wrong:
        words = [f"{key}: {found[key]} instead of {recorded.get(key)}" for key in wrong]
        yield Finding(Severity.ERROR, "TimescaleDB: " + "; ".join(words)[:400], CODE)
    else:
        hypertables, chunks = len(found["hypertables"]), sum(one["chunks"] for one in found["hypertables"].values())
        yield Finding(
            Severity.OK,
            f"{counted(hypertables, 'hypertable')} with {counted(chunks, 'chunk')}, their dimensions and "
            f"{counted(len(found['jobs']), 'job')} as they were",
            CODE,
        )
    row = session.execute("SHOW timescaledb.restoring").fetchone()
    if row and row[0] != "off":
        yield Finding(Severity.ERROR, "TimescaleDB still thinks that a restore goes on", CODE)
    yield from _works(session)


def _contents(session: "Session[tuple[Any, ...]]") -> dict[str, Any]:
    with session.transaction():
        for name, value in _SETTINGS.items():
            session.execute("SELECT set_config(%s, %s, true)", (name, value))
        tables = session.execute(_HYPERTABLES).fetchall()
        digests = {
            view.rpartition(".")[2]: session.execute(_DIGEST.format(view).encode()).fetchone() for view in _DIGESTED
        }
        jobs = session.execute(f"{_JOBS} FROM timescaledb_information.jobs ORDER BY 1".encode()).fetchall()
    return {
        "hypertables": {name: {"chunks": chunks, "dimensions": dimensions} for name, chunks, dimensions in tables},
        "digests": {name: list(row) if row else [] for name, row in digests.items()},
        "jobs": [list(job) for job in jobs],
    }


def _works(session: "Session[tuple[Any, ...]]") -> Iterator[Finding]:
    """Each hypertable gives its newest row when asked by time, and takes a row like it; nothing of that is kept."""
    import psycopg

    asked, faults = 0, list[str]()
    for name, column, _ in session.execute(_TIME_FILTER).fetchall():
        newest = session.execute(f"SELECT max({column}) FROM {name}".encode()).fetchone()  # noqa: S608 - quoted there
        if not newest or newest[0] is None:
            continue
        asked += 1
        filtered = f"SELECT count(*) FROM {name} WHERE {column} = %s"  # noqa: S608 - as above
        row = session.execute(filtered.encode(), (newest[0],)).fetchone()
        if not row or row[0] < 1:
            faults.append(f"{name} has no rows at {newest[0]} although that is its newest")
        try:
            with session.transaction(force_rollback=True):
                session.execute(_insert_again(session, name, column), (newest[0],))
        except psycopg.errors.UniqueViolation:
            pass  # it reached the chunk with the key
        except psycopg.Error as error:
            faults.append(f"{name} takes no rows: {str(error).strip().splitlines()[0]}")
    if faults:
        yield Finding(Severity.ERROR, "; ".join(faults[:5]), CODE)
    elif asked:
        yield Finding(
            Severity.OK, f"a time filter finds rows and an insert works, in {counted(asked, 'hypertable')}", CODE
        )


def _insert_again(session: "Session[tuple[Any, ...]]", name: str, column: str) -> bytes:
    query = (
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
    )
    row = session.execute(query, (name,)).fetchone()
    columns = row[0] if row else ""
    select = f"SELECT {columns} FROM {name} WHERE {column} = %s LIMIT 1"  # noqa: S608 - quoted by the server
    return f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE {select}".encode()


def _call(recorded: Mapping[str, Any], function: str) -> "Composed":
    from psycopg.sql import SQL, Identifier

    return SQL("SELECT {}()").format(Identifier(str(recorded.get("schema", "public")), function))
