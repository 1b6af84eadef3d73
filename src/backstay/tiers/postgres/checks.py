"""What a drill asks of a restored database beyond the comparison that every restore makes."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backstay.cluster.proc import Process
from backstay.core.errors import SourceError, ToolError, ToolMissing
from backstay.core.model import Finding, Progress, Severity
from backstay.core.units import counted, format_count
from backstay.tiers.postgres import facts as catalog
from backstay.tiers.postgres import rowhash
from backstay.tiers.postgres.crew import Crew
from backstay.tiers.postgres.database import Check, Database
from backstay.tiers.postgres.programs import find_pg_amcheck
from backstay.tiers.postgres.workers import worker_count

if TYPE_CHECKING:
    from psycopg import Connection as Session

SHOWN = 5
REPORT_BYTES = 64 << 10
CHECK_SECONDS = 300  # for each question of the user's
_VALID = """
SELECT (SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n
        ON n.oid = c.relnamespace WHERE i.indisvalid AND n.nspname NOT IN ('pg_catalog', 'pg_toast')),
       (SELECT count(*) FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
        WHERE k.convalidated AND n.nspname NOT IN ('pg_catalog', 'information_schema'))
"""
_SEQUENCES = """
SELECT format('%I.%I', n.nspname, s.relname), pg_sequence_last_value(s.oid), q.seqincrement,
       format('%I.%I', tn.nspname, t.relname), quote_ident(a.attname)
FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
 AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S' AND t.relkind IN ('r', 'p') ORDER BY 1
"""
_COLLATION = "SELECT pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = current_database()"


def run(
    database: Database, dbname: str, contents: Mapping[str, Any], bin_folder: str | None, progress: Progress
) -> Iterator[Finding]:
    """Every check, as it is done. Raises ``SourceError`` when the server goes away."""
    with database.connection.session(dbname) as session:
        yield _valid(session, contents)
        yield _sequences(session)
        yield _collation(session, contents)
        for check in database.checks:
            yield _own(session, check)
    yield from _content(database, dbname, contents, progress)
    yield _amcheck(database, dbname, bin_folder)


def _valid(session: "Session[tuple[Any, ...]]", contents: Mapping[str, Any]) -> Finding:
    """Constraints hold for the rows, except those that were NOT VALID at the source. (Indexes were compared before.)"""
    allowed = set(contents.get("not_validated", ()))
    wrong = [name for name in catalog.not_validated(session) if name not in allowed]
    if wrong:
        words = f"constraints were not validated: {', '.join(wrong[:SHOWN])}"
        return Finding(Severity.ERROR, words, "postgres.constraints")
    indexes, constraints = session.execute(_VALID).fetchone() or (0, 0)
    words = f"{counted(indexes, 'index', 'indexes')} and {counted(constraints, 'constraint')} valid"
    return Finding(Severity.OK, words, "postgres.constraints")


def _sequences(session: "Session[tuple[Any, ...]]") -> Finding:
    """No sequence is behind its column: the next insert would meet a key that is taken. They were compared with the
    manifest before, so one that is behind was so in the source, too."""
    behind, seen = [], 0
    for name, value, step, table, column in session.execute(_SEQUENCES).fetchall():
        end = "max" if step > 0 else "min"
        query = f"SELECT {end}({column})::numeric FROM {table}"  # noqa: S608 - names quoted by the server
        row = session.execute(query.encode()).fetchone()
        seen += 1
        if row and row[0] is not None and (value is None or (row[0] - value) * step > 0):
            behind.append(f"{name} at {value}, {table}.{column} at {row[0]}")
    if behind:
        words = f"sequences behind their columns, as in the source: {'; '.join(behind[:SHOWN])}"
        return Finding(Severity.WARNING, words, "postgres.sequences_behind")
    whose = "its column" if seen == 1 else "their columns"
    return Finding(Severity.OK, f"{counted(seen, 'sequence')} at or past {whose}", "postgres.sequences_behind")


def _collation(session: "Session[tuple[Any, ...]]", contents: Mapping[str, Any]) -> Finding:
    """Whether text sorts here as it did there. The restore has built the indexes anew, so it is only worth knowing."""
    recorded = contents.get("database", {}).get("collation_version")
    row = session.execute(_COLLATION).fetchone() if session.info.server_version >= 150000 else None
    found = row[0] if row else None
    if recorded and found and recorded != found:
        words = f"collation version {found} here, {recorded} in the source: text may sort in another order there"
        return Finding(Severity.WARNING, words, "postgres.collation")
    return Finding(Severity.OK, f"collation version: {found or 'not versioned'}", "postgres.collation")


def _own(session: "Session[tuple[Any, ...]]", check: Check) -> Finding:
    """``your check "recent orders": 118 >= 1``."""
    import psycopg

    name = f'your check "{check.name}"'
    try:
        with session.transaction():
            session.execute(f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {CHECK_SECONDS * 1000}".encode())
            row = session.execute(check.sql.encode()).fetchone()
        found = float(row[0]) if row and row[0] is not None else None
    except (psycopg.Error, TypeError, ValueError) as error:
        return Finding(Severity.ERROR, f"{name} gave no number: {str(error).strip().splitlines()[0]}", "postgres.check")
    bounds = [
        f"{sign} {bound:,.10g}" for sign, bound in ((">=", check.at_least), ("<=", check.at_most)) if bound is not None
    ]
    if found is None:
        return Finding(Severity.ERROR, f"{name} gave nothing, must be {' and '.join(bounds)}", "postgres.check")
    low = check.at_least is None or found >= check.at_least
    high = check.at_most is None or found <= check.at_most
    words = f"{name}: {found:,.10g}, {'' if low and high else 'must be '}{' and '.join(bounds)}"
    return Finding(Severity.OK if low and high else Severity.ERROR, words, "postgres.check")


def _content(database: Database, dbname: str, contents: Mapping[str, Any], progress: Progress) -> Iterator[Finding]:
    """Every row equal to what it was, where the backup has hashes."""
    expected = {name: entry["content"] for name, entry in contents.get("tables", {}).items() if "content" in entry}
    if not expected:
        return
    if contents.get("content_hash") != rowhash.METHOD:
        words = f"the content was hashed in a way that is not known here: {contents.get('content_hash')}"
        yield Finding(Severity.WARNING, words, "postgres.content")
        return
    found = _hashes(database, dbname, list(expected), progress)
    wrong = [name for name, value in expected.items() if found.get(name) != value]
    if wrong:
        words = f"rows are not what they were in {counted(len(wrong), 'table')}: {', '.join(wrong[:SHOWN])}"
        yield Finding(Severity.ERROR, words, "postgres.content")
    else:
        words = f"the content of {counted(len(expected), 'table')} equal, row by row"
        yield Finding(Severity.OK, words, "postgres.content")


def _hashes(database: Database, dbname: str, names: Sequence[str], progress: Progress) -> dict[str, str]:
    """By several sessions, one table each at a time."""
    found: dict[str, str] = {}
    left = deque(names)

    def work() -> None:
        with database.connection.session(dbname) as session, crew.stopped_by(lambda: session.cancel_safe(timeout=5)):
            for setting, value in rowhash.SETTINGS.items():
                session.execute("SELECT set_config(%s, %s, false)", (setting, value))
            for name in crew.taken(left):
                row = session.execute(rowhash.query(_as_sql(session, name)).encode()).fetchone()
                found[name] = rowhash.as_text(int(row[0]) if row else 0)
                progress.note(f"hashed {format_count(len(found))}/{format_count(len(names))} tables")

    with database.connection.session(database.maintenance) as session:
        workers = worker_count(session, database.workers)
    with Crew(workers, "hash") as crew:
        for _ in range(workers):
            crew.start(work)
        crew.wait()
    return found


def _as_sql(session: "Session[tuple[Any, ...]]", name: str) -> str:
    """The name as the manifest has it, quoted where it must be. Raises ``SourceError`` for one that is not there."""
    row = session.execute(
        "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass(%s)",
        (name,),
    ).fetchone()
    if row is None:
        raise SourceError(f"the restored database has no table {name}")
    return str(row[0])


def _amcheck(database: Database, dbname: str, bin_folder: str | None) -> Finding:
    """Every row is in the indexes, and every index in order; where the server has the extension for it."""
    code = "postgres.amcheck"
    try:
        program = find_pg_amcheck(bin_folder)
        with database.connection.session(dbname) as session:
            there = session.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'").fetchone()
        if there is None:
            return Finding(Severity.WARNING, "not checked by pg_amcheck: the server has no extension amcheck", code)
    except ToolMissing as error:
        return Finding(Severity.WARNING, f"not checked by pg_amcheck: {error.message}", code)
    argv = [program.path, "--no-password", "--heapallindexed", "--install-missing", "--jobs=2"]
    said = b""
    try:
        with (
            database.connection.environment(dbname) as (env, handles),
            Process(argv, env=env, pass_fds=handles, stdout=True) as process,
        ):
            for chunk in process.output():
                said = (said + chunk)[:REPORT_BYTES]
    except ToolError as error:
        if "permission denied" in error.message:
            return Finding(Severity.WARNING, f"not checked by pg_amcheck: {error.message}", code)
        report = " / ".join(said.decode("utf-8", "replace").split("\n")[:SHOWN]).strip(" /") or error.message
        return Finding(Severity.ERROR, f"pg_amcheck found fault: {report}", code)
    return Finding(Severity.OK, "amcheck clean: every row is in its indexes", code)
