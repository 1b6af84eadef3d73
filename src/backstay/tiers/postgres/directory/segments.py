"""What is dumped in one COPY: a table, or the rows between two of its pages.

Ranges of pages are cheap from PostgreSQL 14 on (TID range scan); below, a table is one segment. They are cut by the
size of the heap, never by ``relpages``, which is 0 before the first ANALYZE, and weighed with TOAST, since one page may
carry gigabytes of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backstay.core.errors import SourceError
from backstay.core.units import counted
from backstay.tiers.base import File
from backstay.tiers.postgres.dumptext import qualified

if TYPE_CHECKING:
    from psycopg import Connection as Session

TID_RANGE_SCAN = 140000
SMALLEST_BYTES = 32 << 20  # below, a part costs more in requests than it gains
LARGEST_BYTES = 1 << 30
SHARES = 6  # segments for each worker, so that all end at about the same time
NOT_CUT = {"_timescaledb_internal"}  # the chunks of a hypertable are its segments, and are read as pg_dump reads them

_TABLES = """
SELECT n.nspname, c.relname, c.oid, format('%%I.%%I', n.nspname, c.relname), pg_get_userbyid(c.relowner),
       pg_relation_size(c.oid) / current_setting('block_size')::int, pg_table_size(c.oid), am.amname = 'heap',
       coalesce((SELECT '(' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'
        FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam
JOIN unnest(%s::text[], %s::text[]) AS w(nspname, relname) ON n.nspname = w.nspname AND c.relname = w.relname
"""

# The snapshot's pg_class beside the catalog of now, which the functions look at.
_CHANGED = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%s) AND (c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)
      OR to_regclass(format('%%I.%%I', n.nspname, c.relname))::oid IS DISTINCT FROM c.oid) ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Table:
    """A table whose rows are dumped. ``sql`` is its name and ``columns`` the list of those that are copied, both as
    SQL; ``blocks`` are pages of its heap, ``size_bytes`` is with TOAST."""

    name: str
    oid: int
    namespace: str
    relname: str
    sql: str
    owner: str
    blocks: int
    size_bytes: int
    heap: bool
    columns: str

    @property
    def file(self) -> str:
        """Its file in the directory, before compression."""
        return f"{self.oid}.dat"

    @property
    def may_be_cut(self) -> bool:
        """Whether a range of its pages can be asked for."""
        return self.heap and bool(self.columns) and self.namespace not in NOT_CUT


@dataclass(frozen=True)
class Segment:
    """Part ``number`` of ``of`` of a table: the pages from ``first`` up to ``end``, None for all that follow."""

    table: Table
    number: int
    of: int
    first: int
    end: int | None
    size_bytes: int

    @property
    def file(self) -> File:
        """Where it goes: parts of a table join, in the order of their names, to one compressed file."""
        part = f".part{self.number:05}" if self.of > 1 else ""
        return File(role=self.table.file + part, suffix=f"/{self.table.file}", part=part)

    @property
    def is_last(self) -> bool:
        """Whether the end of the table's data comes after it."""
        return self.number == self.of

    @property
    def copy(self) -> str:
        """The statement that gives its rows as text, as pg_dump asks for them where the table is whole."""
        table = self.table
        if self.of == 1:
            return f"COPY {table.sql} {table.columns} TO STDOUT"
        query = f"SELECT {table.columns[1:-1]} FROM ONLY {table.sql} WHERE {self.range}"  # noqa: S608 - as quoted by the server
        return f"COPY ({query}) TO STDOUT"

    @property
    def range(self) -> str:
        """The condition on ``ctid``."""
        bounds = [f"ctid >= '({self.first},0)'"] if self.first else []
        bounds += [f"ctid < '({self.end},0)'"] if self.end is not None else []
        return " AND ".join(bounds) or "true"


def read_tables(session: "Session[tuple[Any, ...]]", wanted: Iterable[tuple[str, str]]) -> list[Table]:
    """What must be known of each table, by schema and name. Raises ``SourceError`` when one is gone by now."""
    pairs = list(wanted)
    rows = session.execute(_TABLES, ([schema for schema, _ in pairs], [name for _, name in pairs])).fetchall()
    tables = [Table(qualified(row[0], row[1]), row[2], row[0], row[1], *row[3:]) for row in rows]
    if len(tables) != len(pairs):
        raise SourceError(
            f"{counted(len(pairs) - len(tables), 'table')} went away while the backup began",
            hint="Run it again when nobody changes the schema. Nothing was written.",
        )
    return tables


def lock(session: "Session[tuple[Any, ...]]", tables: Sequence[Table]) -> None:
    """Hold off whoever would change or drop a table, as pg_dump does, until the session's transaction ends.

    What waits for longer than the session's lock_timeout is an error of the server's.
    """
    for start in range(0, len(tables), 500):
        names = ", ".join(f"ONLY {table.sql}" for table in tables[start : start + 500])
        session.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE".encode())


def changed(session: "Session[tuple[Any, ...]]", tables: Sequence[Table]) -> list[str]:
    """Those of the locked ``tables`` that others have emptied, rewritten, renamed or dropped since the session's
    snapshot was taken: it no longer has the rows that they held then."""
    rows = session.execute(_CHANGED, ([table.oid for table in tables],)).fetchall()
    return [qualified(*row) for row in rows]


def cut(tables: Sequence[Table], workers: int, server_version: int) -> list[Segment]:
    """All segments, the largest first."""
    total = sum(table.size_bytes for table in tables)
    size = min(LARGEST_BYTES, max(SMALLEST_BYTES, total // (workers * SHARES)))
    ranges = server_version >= TID_RANGE_SCAN and workers > 1
    found = [part for table in tables for part in _parts(table, size if ranges and table.may_be_cut else None)]
    return sorted(found, key=lambda part: part.size_bytes, reverse=True)


def _parts(table: Table, size: int | None) -> Iterable[Segment]:
    of = max(1, min(table.blocks, round(table.size_bytes / size))) if size else 1
    bounds = [table.blocks * number // of for number in range(of)]
    ends = [*bounds[1:], None]
    for number, (first, end) in enumerate(zip(bounds, ends, strict=True), 1):
        yield Segment(table, number, of, first, end, table.size_bytes // of)
