"""Does the restored database hold what the manifest promises? Every table counted, nothing taken on trust."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from backstay.core.model import Finding, Progress, Severity
from backstay.core.units import counted
from backstay.tiers.postgres import facts as catalog
from backstay.tiers.postgres import timescale

if TYPE_CHECKING:
    from psycopg import Connection as Session

SHOWN = 5  # names listed in one finding; the rest is counted

_RELATIONS = """
SELECT w.name, n.nspname, c.relname FROM unnest(%s::text[]) AS w(name)
JOIN pg_class c ON c.oid = to_regclass(w.name) JOIN pg_namespace n ON n.oid = c.relnamespace
"""
_SEQUENCES = "SELECT w.name, pg_sequence_last_value(to_regclass(w.name)) FROM unnest(%s::text[]) AS w(name)"
# Of a partitioned table's index: one that lacks a valid index of some partition is invalid by right, and was before.
_INVALID = """
SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND (c.relkind = 'i' OR
    (SELECT count(*) FROM pg_inherits WHERE inhparent = i.indrelid) =
    (SELECT count(*) FROM pg_inherits h JOIN pg_index p ON p.indexrelid = h.inhrelid
     WHERE h.inhparent = i.indexrelid AND p.indisvalid)) ORDER BY 1
"""


def count_rows(session: "Session[tuple[Any, ...]]", names: list[str], progress: Progress) -> dict[str, int]:
    """Exact rows of each table that exists, without those of its children; by qualified name."""
    from psycopg.sql import SQL, Identifier

    counted: dict[str, int] = {}
    session.execute("SET row_security = off")  # an error instead of a silent subset
    relations = session.execute(_RELATIONS, (names,)).fetchall()
    for done, (name, schema, table) in enumerate(relations, 1):
        row = session.execute(SQL("SELECT count(*) FROM ONLY {}").format(Identifier(schema, table))).fetchone()
        counted[name] = row[0] if row else 0
        progress.note(f"tables {done}/{len(relations)}")
    return counted


def rows_by_table(contents: Mapping[str, Any]) -> dict[str, int]:
    """The rows that a manifest promises of each table. Of an extension's table it knows only those that were dumped."""
    tables = contents.get("tables", {}).items()
    return {name: entry["rows"] for name, entry in tables if "rows" in entry and not entry.get("in_extension")}


def compare(
    session: "Session[tuple[Any, ...]]",
    contents: Mapping[str, Any],
    progress: Progress,
    *,
    tables: list[str] | None = None,
    promised: str = "the manifest",
) -> list[Finding]:
    """Compare the session's database with a manifest's ``contents``; only ``tables`` when some were selected.

    ``promised`` names what the counts come from, where there is no manifest.
    """
    expected = rows_by_table(contents)
    if tables is not None:
        expected = {name: rows for name, rows in expected.items() if name in tables}
    started = time.monotonic()
    findings = [_rows(expected, count_rows(session, list(expected), progress), promised)]
    if tables is None:
        findings += _whole(session, contents)
        if recorded := contents.get("timescale"):
            findings += timescale.compare(session, recorded)
    findings.append(_indexes(session))
    progress.note(f"{time.monotonic() - started:.1f} s")
    return findings


def _rows(expected: Mapping[str, int], found: Mapping[str, int], promised: str) -> Finding:
    """One finding for all tables: equal, or which are not and by how much."""
    wrong = [
        f"{name}: {found.get(name, 'missing') if name not in found else f'{found[name]:,}'} instead of {rows:,} rows"
        for name, rows in expected.items()
        if found.get(name) != rows
    ]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        return Finding(Severity.ERROR, "; ".join(wrong[:SHOWN]) + more, "postgres.rows")
    total = sum(expected.values())
    return Finding(
        Severity.OK,
        f"{counted(total, 'row')} in {counted(len(expected), 'table')}, each equal to {promised}",
        "postgres.rows",
    )


def _whole(session: "Session[tuple[Any, ...]]", contents: Mapping[str, Any]) -> Iterator[Finding]:
    """What only a whole restore can be held to: owner, objects, extensions, sequences, large objects."""
    facts = catalog.read(session)
    if "database" in contents:
        yield _equal("owner", contents["database"].get("owner"), facts.database["owner"])
        yield _equal("encoding", contents["database"].get("encoding"), facts.database["encoding"])
    if "objects" in contents:
        yield _objects(contents["objects"], facts.objects)
    if "large_objects" in contents:
        yield _equal("large objects", contents["large_objects"], facts.large_objects)
    yield from _extensions(contents.get("extensions", {}), facts.extensions)
    yield _sequences(session, contents.get("sequences", {}))


def _equal(what: str, expected: object, found: object) -> Finding:
    if expected == found:
        return Finding(Severity.OK, f"{what}: {found}", "postgres.equal")
    return Finding(Severity.ERROR, f"{what}: {found} instead of {expected}", "postgres.equal")


def _objects(expected: Mapping[str, int], found: Mapping[str, int]) -> Finding:
    kinds = sorted(set(expected) | set(found))
    wrong = [f"{found.get(kind, 0):,} {kind} instead of {expected.get(kind, 0):,}" for kind in kinds
             if found.get(kind, 0) != expected.get(kind, 0)]  # fmt: skip
    if wrong:
        return Finding(Severity.ERROR, "; ".join(wrong), "postgres.objects")
    words = ", ".join(counted(count, _one_of(kind), kind) for kind, count in sorted(found.items()))
    return Finding(Severity.OK, f"objects: {words or 'none'}", "postgres.objects")


def _one_of(kinds: str) -> str:
    """``table`` for ``tables``, ``index`` for ``indexes``, ``policy`` for ``policies``."""
    endings = {"indexes": "index", "policies": "policy"}
    first, _, last = kinds.rpartition(" ")
    return f"{first} {endings.get(last, last.removesuffix('s'))}".strip()


def _extensions(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Finding]:
    for name, version in sorted(expected.items()):
        if name not in found:
            yield Finding(Severity.ERROR, f"extension {name} {version} is missing", "postgres.extensions")
        elif found[name] != version:
            words = f"extension {name} is {found[name]}, was {version} when the backup was made"
            yield Finding(Severity.WARNING, words, "postgres.extensions")
    same = [f"{name} {version}" for name, version in sorted(expected.items()) if found.get(name) == version]
    if same:
        yield Finding(Severity.OK, f"extensions: {', '.join(same)}", "postgres.extensions")


def _sequences(session: "Session[tuple[Any, ...]]", expected: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Each sequence stands at the recorded value; one never called has no last value."""
    found = dict(session.execute(_SEQUENCES, (list(expected),)).fetchall())
    wrong = [
        f"sequence {name}: {found.get(name)} instead of {entry['value']}"
        for name, entry in expected.items()
        if found.get(name) != (entry["value"] if entry["called"] else None)
    ]
    if wrong:
        return Finding(Severity.ERROR, "; ".join(wrong[:SHOWN]), "postgres.sequences")
    return Finding(
        Severity.OK,
        f"{counted(len(expected), 'sequence')} at {'its value' if len(expected) == 1 else 'their values'}",
        "postgres.sequences",
    )


def _indexes(session: "Session[tuple[Any, ...]]") -> Finding:
    invalid = [row[0] for row in session.execute(_INVALID)]
    if invalid:
        return Finding(Severity.ERROR, f"invalid indexes: {', '.join(invalid[:SHOWN])}", "postgres.indexes")
    return Finding(Severity.OK, "every index is valid", "postgres.indexes")
