"""What a database holds, in a form that two databases can be compared by: every row, and every object's definition.

All is computed in the server, in one snapshot, with the settings that change how values are written pinned, so that
it is the same wherever the same data are. Memory here grows with the number of objects, never with the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from psycopg import Connection, sql

SETTINGS = {
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "row_security": "off",
    "statement_timeout": "0",
}

# A column named like the alias would be taken for the row itself; hence a name that no one gives a column.
ROWS = """SELECT count(*), coalesce(sum(('x' || left(md5("backstay row"::text), 16))::bit(64)::bigint::numeric), 0)
          FROM ONLY {} AS "backstay row" """
TABLES = """SELECT n.nspname, c.relname, format('%I.%I', n.nspname, c.relname), c.relkind = 'm'
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE (c.relkind = 'r' OR (c.relkind = 'm' AND c.relispopulated))
            AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
            ORDER BY 1, 2"""


class TableContent(NamedTuple):
    """The rows of one table: how many, and a hash that does not depend on their order."""

    rows: int
    content: str

    def __str__(self) -> str:
        return f"{self.rows:,} rows ({self.content})"


@dataclass(frozen=True)
class Fingerprint:
    """``tables`` and materialized ``views`` by quoted, qualified name; ``objects`` by kind, then by name."""

    tables: Mapping[str, TableContent]
    views: Mapping[str, TableContent]
    objects: Mapping[str, Mapping[str, str]]

    @property
    def rows(self) -> int:
        """Rows over all tables."""
        return sum(table.rows for table in self.tables.values())


def fingerprint(connection: Connection[Any]) -> Fingerprint:
    """Read everything that ``connection`` (a superuser's, in autocommit mode) can see of its database."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name, value in SETTINGS.items():
            connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        return Fingerprint(*_contents(connection), _objects(connection))


def differences(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """What differs, a sentence for each; empty when both are equal."""
    said = []
    for kind, tables, found_tables in (
        ("table", expected.tables, found.tables),
        ("materialized view", expected.views, found.views),
    ):
        said += _compare(
            kind,
            {name: str(content) for name, content in tables.items()},
            {name: str(content) for name, content in found_tables.items()},
        )
    for kind in sorted({*expected.objects, *found.objects}):
        said += _compare(kind, expected.objects.get(kind, {}), found.objects.get(kind, {}))
    return said


def _compare(kind: str, wanted: Mapping[str, str], got: Mapping[str, str]) -> list[str]:
    names = [name for name in sorted({*wanted, *got}) if wanted.get(name) != got.get(name)]
    return [_sentence(kind, name, wanted.get(name), got.get(name)) for name in names]


def _contents(connection: Connection[Any]) -> tuple[dict[str, TableContent], dict[str, TableContent]]:
    """Tables, and the materialized views that have been filled."""
    tables: dict[str, TableContent] = {}
    views: dict[str, TableContent] = {}
    for schema, table, name, is_view in connection.execute(TABLES).fetchall():
        row = connection.execute(sql.SQL(ROWS).format(sql.Identifier(schema, table))).fetchone()
        count, total = row or (0, 0)
        (views if is_view else tables)[name] = TableContent(count, f"{int(total) % 2**64:016x}")
    return tables, views


def _objects(connection: Connection[Any]) -> dict[str, dict[str, str]]:
    """One question for each kind: the parts of sql/catalog.sql, each headed by ``-- kind: NAME``."""
    text = (files("backstay.demo") / "sql" / "catalog.sql").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for part in text.split("-- kind: ")[1:]:
        kind, question = part.split("\n", 1)
        found[kind] = {name: definition or "" for name, definition in connection.execute(question.encode())}
    for name, definition in found["sequence"].items():
        found["sequence"][name] = f"{definition} at {_sequence_state(connection, name)}"
    return found


def _sequence_state(connection: Connection[Any], name: str) -> str:
    """``name`` is quoted by the server. pg_sequences would not show the value of one that was set but not called."""
    row = connection.execute(b"SELECT last_value, is_called FROM " + name.encode()).fetchone()
    return f"{row[0]}, {'called' if row[1] else 'not called'}" if row else "nothing"


def _sentence(kind: str, name: str, wanted: str | None, got: str | None) -> str:
    if got is None:
        return f"{kind} {name} is missing"
    if wanted is None:
        return f"{kind} {name} was not there before"
    return f"{kind} {name} is {got}, was {wanted}"
