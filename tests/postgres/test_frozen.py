"""Large tables of format sql, loaded frozen: which, how the dump is changed for it, and that the same comes back."""

import pytest

from backstay.core.errors import RestoreError
from backstay.demo.compare import differences, fingerprint
from backstay.tiers.postgres import frozen
from backstay.tiers.postgres.dumptext import DumpReader
from backstay.tiers.postgres.load import Rewrite, Selection
from tests.fixtures.world import database_on, directory_world

DUMP = b"""\
CREATE TABLE public."Big" (
    a integer
);
CREATE UNLOGGED TABLE public.small (
    a integer
);
--
-- Data for Name: Big; Type: TABLE DATA; Schema: public; Owner: o
--

COPY public."Big" (a) FROM stdin;
1
\\.


COPY public.small (a) FROM stdin;
2
\\.

COPY ext.config (a) FROM stdin;
3
\\.

--
-- PostgreSQL database dump complete
--
"""


def through(*large, dump=DUMP, **more):
    return b"".join(DumpReader(Rewrite(large=frozenset(large), **more)).through([dump]))


def print_of(server, name):
    with server.connect(name) as session:
        return fingerprint(session)


def visible(server, name, table):
    """Pages of a table, and how many of them are known to be visible to all."""
    with server.connect(name) as session:
        query = "SELECT relpages, relallvisible FROM pg_class WHERE oid = %s::regclass"
        return session.execute(query, (table,)).fetchone()


def test_a_large_table_is_truncated_and_loaded_in_one_transaction():
    changed = through('public."Big"')
    begun = (
        b'BEGIN; TRUNCATE TABLE ONLY public."Big"; COPY public."Big" (a) FROM stdin WITH (FREEZE);\n1\n\\.\nCOMMIT; \n'
    )
    assert begun in changed
    assert changed.count(b"BEGIN;") == changed.count(b"COMMIT;") == 1
    assert len(changed.splitlines()) == len(DUMP.splitlines())


def test_what_this_dump_did_not_create_is_never_truncated():
    assert through("ext.config", "public.other") == DUMP


def test_a_transaction_ends_also_where_what_follows_is_left_out():
    changed = through('public."Big"', selection=Selection(frozenset({'public."Big"'})))
    assert b"WITH (FREEZE);\n1\n\\.\nCOMMIT; " in changed


@pytest.mark.parametrize(
    ("entry", "large"),
    [
        ({"rows": 1, "kind": "table", "size_bytes": frozen.LARGE_BYTES}, True),
        ({"rows": 1, "kind": "table", "size_bytes": frozen.LARGE_BYTES - 1}, False),
        ({"kind": "foreign", "size_bytes": frozen.LARGE_BYTES}, False),
        ({"rows": 1}, False),
    ],
)
def test_which_tables_are_large(entry, large):
    assert bool(frozen.large_tables({"tables": {"public.t": entry}})) is large


def test_a_foreign_dump_says_no_sizes():
    assert frozen.large_tables({}) == frozenset()


@pytest.mark.parametrize("server", ["postgres15", "postgres17", "postgres18"])
def test_what_came_back_frozen_is_what_was_there(server, request, sample_database, tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "LARGE_BYTES", 0)
    server = request.getfixturevalue(server)
    name = sample_database(server, "museum")
    world = directory_world(tmp_path, database_on(server, name, format="sql"))
    made = world.backup(name)
    assert len(frozen.large_tables(made.contents)) > 10
    world.restore(made, to=f"{name}_copy")
    try:
        assert differences(print_of(server, name), print_of(server, f"{name}_copy")) == []
    finally:
        with server.connect() as session:
            session.execute(f"DROP DATABASE {name}_copy")


def test_pages_are_written_in_their_final_state(postgres18, fresh_database, tmp_path):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE large AS SELECT n, md5(n::text) AS text FROM generate_series(1, 300000) n")
        session.execute("CREATE TABLE small AS SELECT 1 AS n")
    database = database_on(postgres18, made.name, user=made.owner, password=made.password, format="sql")
    world = directory_world(tmp_path, database)
    backup = world.backup(made.name)
    with postgres18.connect() as session:
        session.execute(f'ALTER ROLE "{made.owner}" CREATEDB')
    world.restore(backup)
    pages, known = visible(postgres18, made.name, "large")
    assert pages > 2000
    assert known > 0.95 * pages
    assert visible(postgres18, made.name, "small") == (1, 0)


def test_an_error_names_the_same_line_with_it_and_without(postgres18, fresh_database, tmp_path, monkeypatch):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE first AS SELECT 1 AS n")
        session.execute("CREATE FUNCTION odd(n integer) RETURNS boolean LANGUAGE sql AS 'SELECT n % 2 = 1'")
        session.execute("CREATE TABLE second (n integer CHECK (odd(n)))")
        session.execute("INSERT INTO second VALUES (1)")
        session.execute("CREATE OR REPLACE FUNCTION odd(n integer) RETURNS boolean LANGUAGE sql AS 'SELECT n % 2 = 0'")
    world = directory_world(tmp_path, database_on(postgres18, made.name, format="sql"))
    backup = world.backup(made.name)
    said = []
    for least in (0, 1 << 40):
        monkeypatch.setattr(frozen, "LARGE_BYTES", least)
        with pytest.raises(RestoreError, match=r'"second_n_check" \(line \d+ of the dump\)') as caught:
            world.restore(backup, to=f"{made.name}_copy")
        said.append(str(caught.value))
    assert said[0] == said[1]
