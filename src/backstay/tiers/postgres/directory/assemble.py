"""The ``toc.dat`` of a backup: what pg_dump listed, and an entry for every table that was dumped here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from backstay.cluster.proc import run
from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import DumpIncomplete
from backstay.core.model import Target
from backstay.core.units import counted
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.directory.segments import Table
from backstay.tiers.postgres.directory.toc import Entry, Section, Toc
from backstay.tiers.postgres.dumptext import quote_always
from backstay.tiers.postgres.programs import find_pg_restore

PG_CLASS = "1259"  # the oid of the catalog of tables (pg_class.h)
NAMES_AT_ONCE = 100  # in one pattern: each pattern is a query with a regular expression


def exclusions(tables: Sequence[Table]) -> Iterator[str]:
    """Arguments that keep pg_dump from dumping the rows of ``tables``; sequences and extensions keep theirs.

    A pattern has the names of many tables, all in quotes, so that only the parentheses and bars between them are read
    as an expression (psql documentation, Patterns).
    """
    by_schema: dict[str, list[str]] = {}
    for table in tables:
        by_schema.setdefault(table.namespace, []).append(quote_always(table.relname))
    for schema, names in by_schema.items():
        for start in range(0, len(names), NAMES_AT_ONCE):
            yield f"--exclude-table-data={quote_always(schema)}.({'|'.join(names[start : start + NAMES_AT_ONCE])})"


def assemble(toc: Toc, tables: Sequence[Table], blob_lists: Mapping[int, str], target: Target) -> Toc:
    """``toc`` with the files of what pg_dump dumped, and an entry for each table. ``blob_lists`` names the list of
    large objects of an entry. Raises ``DumpIncomplete`` when pg_dump does not know a table, or dumped its rows."""
    known = {entry.oid: entry for entry in toc.entries if entry.desc == "TABLE" and entry.catalog == PG_CLASS}
    missing = [table.name for table in tables if str(table.oid) not in known]
    if missing:
        raise DumpIncomplete(
            f"the dump of {target} lacks {counted(len(missing), 'table')} of the database: {', '.join(missing[:5])}",
            hint="The schema was changed meanwhile, or pg_dump left them out. Nothing was stored. Run it again.",
        )
    filed = tuple(_with_file(entry, blob_lists) for entry in toc.entries)
    own = {table.file for table in tables}
    if twice := [entry.tag for entry in filed if entry.file in own]:
        raise DumpIncomplete(f"pg_dump dumped the rows of {twice[0]} although it was told not to")
    added = [_table_data(toc.last_id + number, table, known[str(table.oid)]) for number, table in enumerate(tables, 1)]
    return replace(toc, entries=filed).with_data(added).attaching_in_turn()


def check_listing(database: Database, data: bytes, count: int, version: tuple[int, int]) -> None:
    """Have pg_restore read ``toc.dat`` and count its entries. Raises ``DumpIncomplete``, ``ToolError``."""
    program = find_pg_restore(database.bin, version)
    with temp_folder("toc") as folder:
        (folder / "toc.dat").write_bytes(data)
        with database.connection.environment(database.dbname) as (env, _):
            said = run([program.path, "--list", str(folder)], env=env, deadline=300)
    told = [line.rpartition(" ")[2] for line in said.splitlines() if line.startswith(";     TOC Entries: ")]
    if told != [str(count)]:
        raise DumpIncomplete(
            f"pg_restore {program.version_text} reads {told or 'no'} entries where {count} were written",
            hint="Nothing was stored. Please report this with the versions; format: sql is another way meanwhile.",
        )


def _with_file(entry: Entry, blob_lists: Mapping[int, str]) -> Entry:
    if entry.desc == "TABLE DATA":
        return replace(entry, file=f"{entry.oid}.dat")
    return replace(entry, file=blob_lists.get(entry.dump_id, ""))


def _table_data(dump_id: int, table: Table, definition: Entry) -> Entry:
    """As pg_dump makes it (pg_dump.c, dumpTableData), NULLs included."""
    return Entry(
        dump_id=dump_id,
        had_dumper=1,
        catalog="0",
        oid=str(table.oid),
        tag=definition.tag,
        desc="TABLE DATA",
        section=Section.DATA,
        defn=None,
        drop=None,
        copy=f"COPY {table.sql} {table.columns} FROM stdin;\n",
        namespace=definition.namespace,
        tablespace=None,
        tableam=None,
        relkind=0,
        owner=definition.owner,
        with_oids=definition.with_oids,
        dependencies=(str(definition.dump_id),),
        file=table.file,
    )
