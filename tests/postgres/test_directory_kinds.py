"""Every kind of table and object through format ``directory``: what a backup says of it, and what comes back."""

import pytest
from psycopg import sql

from backstay.core.model import Level
from backstay.demo.compare import differences
from tests.fixtures.world import database_on, directory_world
from tests.postgres.directories import dropped_after, fill, parts_of, print_of, small_parts

__all__ = ["small_parts"]


def there_and_back(server, name, tmp_path, **changes):
    """Back up, verify, restore beside, compare; returns the backup and the copy's name."""
    world = directory_world(tmp_path, database_on(server, name, workers=3, **changes))
    before = print_of(server, name)
    made = world.backup(name)
    assert made.source["format"] == "directory"
    outcome = world.verify(made, Level.READABLE)
    assert outcome.ok, [finding.message for finding in outcome.findings]
    copy = world.restore(made, to=f"{name}__copy").facts["database"]
    assert differences(before, print_of(server, copy)) == []
    return made, copy


def test_foreign_tables_have_their_rows_elsewhere(postgres18, fresh_database, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect_superuser() as session:
        session.execute("CREATE FOREIGN DATA WRAPPER d; CREATE SERVER s FOREIGN DATA WRAPPER d")
        session.execute(
            'CREATE FOREIGN TABLE far (a integer) SERVER s; CREATE FOREIGN TABLE "f(a|r)$" (a int) SERVER s'
        )
        session.execute("CREATE TABLE near AS SELECT 1 AS a")
    made, _ = there_and_back(postgres18, fresh.name, tmp_path)
    tables = made.contents["tables"]
    assert tables["public.far"]["kind"] == "foreign"
    assert "rows" not in tables["public.far"]
    assert "file" not in tables["public.far"]
    assert tables["public.near"]["rows"] == 1
    assert any("2 foreign tables" in words for words in made.warnings)


def test_a_partition_that_is_a_foreign_table(postgres18, fresh_database, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect_superuser() as session:
        session.execute("CREATE FOREIGN DATA WRAPPER d; CREATE SERVER s FOREIGN DATA WRAPPER d")
        session.execute("CREATE TABLE halves (a integer) PARTITION BY RANGE (a)")
        session.execute("CREATE TABLE here PARTITION OF halves FOR VALUES FROM (0) TO (10)")
        session.execute("CREATE FOREIGN TABLE there PARTITION OF halves FOR VALUES FROM (10) TO (20) SERVER s")
        session.execute("INSERT INTO halves VALUES (1), (2)")
    made, _ = there_and_back(postgres18, fresh.name, tmp_path)
    assert made.contents["tables"]["public.here"]["rows"] == 2


def test_partitions_and_inheritance(postgres18, fresh_database, small_parts, tmp_path):
    """Rows in parents and children, two levels of partitions, some empty, one attached later with other columns."""
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        session.execute(
            """CREATE TABLE parent (a integer, t text);
               CREATE TABLE child (b integer) INHERITS (parent);
               CREATE TABLE grandchild (c integer) INHERITS (child);
               INSERT INTO parent SELECT i, repeat('p', 200) FROM generate_series(1, 1500) i;
               INSERT INTO child SELECT i, repeat('c', 200), i FROM generate_series(1, 900) i;
               INSERT INTO grandchild SELECT i, repeat('g', 200), i, i FROM generate_series(1, 700) i;
               CREATE TABLE years (at date NOT NULL, place text, n integer, PRIMARY KEY (at, place))
                   PARTITION BY RANGE (at);
               CREATE TABLE y2024 PARTITION OF years FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
                   PARTITION BY LIST (place);
               CREATE TABLE y2024_here PARTITION OF y2024 FOR VALUES IN ('here');
               CREATE TABLE y2024_rest PARTITION OF y2024 DEFAULT;
               CREATE TABLE y2025 PARTITION OF years FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
               CREATE TABLE late (gone text, n integer, place text NOT NULL, at date NOT NULL);
               ALTER TABLE late DROP COLUMN gone;
               ALTER TABLE years ATTACH PARTITION late FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
               CREATE INDEX ON years (n);
               INSERT INTO years SELECT '2024-01-01'::date + i % 365, CASE WHEN i < 365 THEN 'here' ELSE 'away' END, i
                   FROM generate_series(0, 729) i;
               INSERT INTO years SELECT '2026-01-01'::date + i, 'late', i FROM generate_series(0, 99) i"""
        )
    made, copy = there_and_back(postgres18, fresh.name, tmp_path)
    tables = made.contents["tables"]
    counts = {name: tables[f"public.{name}"]["rows"] for name in ("parent", "child", "grandchild", "y2025", "late")}
    assert counts == {"parent": 1500, "child": 900, "grandchild": 700, "y2025": 0, "late": 100}
    assert "file" not in tables["public.years"]
    assert len(parts_of(made, "public.parent")) > 1
    with postgres18.connect(copy) as session:
        assert session.execute("SELECT count(*) FROM parent").fetchone() == (3100,)


def test_columns_of_every_kind(postgres17, postgres18, fresh_database, small_parts, tmp_path):
    """Generated, identity, dropped, defaults that would fail, no columns at all; cut and whole."""
    for server in (postgres17, postgres18):
        fresh = fresh_database(server)
        with fresh.connect() as session:
            session.execute(
                """CREATE TABLE kinds (gone integer, id bigint GENERATED ALWAYS AS IDENTITY, a integer,
                       twice integer GENERATED ALWAYS AS (a * 2) STORED, filler text DEFAULT repeat('f', 300),
                       also integer GENERATED BY DEFAULT AS IDENTITY (START 100 INCREMENT 5));
                   INSERT INTO kinds (gone, a) SELECT i, i FROM generate_series(1, 2000) i;
                   ALTER TABLE kinds DROP COLUMN gone;
                   ALTER TABLE kinds ADD COLUMN added text DEFAULT 'later';
                   UPDATE kinds SET added = 'changed' WHERE a % 3 = 0;
                   CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
                   CREATE TABLE only_generated (a integer GENERATED ALWAYS AS (7) STORED);
                   INSERT INTO only_generated DEFAULT VALUES;
                   CREATE TABLE only_dropped (a integer); INSERT INTO only_dropped VALUES (1), (2), (3);
                   ALTER TABLE only_dropped DROP COLUMN a;
                   CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 10) AS i;
                   CREATE TABLE empty (a integer PRIMARY KEY)"""
            )
            if server is postgres18:
                session.execute("ALTER TABLE kinds ADD COLUMN thrice integer GENERATED ALWAYS AS (a * 3) VIRTUAL")
        folder = tmp_path / fresh.name
        folder.mkdir()
        made, copy = there_and_back(server, fresh.name, folder)
        tables = made.contents["tables"]
        counts = {name: entry["rows"] for name, entry in tables.items()}
        assert counts == {
            "public.kinds": 2000, "public.nothing": 2, "public.only_generated": 1, "public.only_dropped": 3,
            "public.fleeting": 10, "public.empty": 0,
        }  # fmt: skip
        assert len(parts_of(made, "public.kinds")) > 3
        with server.connect(copy) as session:
            query = "INSERT INTO kinds (a) VALUES (1) RETURNING id, also, twice"
            assert session.execute(query).fetchone() == (2001, 100 + 2000 * 5, 2)


class TestLargeObjects:
    BIG = (5 << 20) + 123  # more than is held in memory, and no multiple of anything

    def fill(self, fresh, count=0):
        with fresh.connect_superuser() as session:
            session.execute("SELECT lo_create(700000)")
            session.execute("SELECT lo_from_bytea(700001, 'small')")
            session.execute("SELECT lo_from_bytea(4294967290, 'an oid that is negative when it is signed')")
            session.execute(
                "SELECT lo_from_bytea(700002, decode(repeat(md5('x'), %s / 16), 'hex') || '\\x0102'::bytea)",
                (self.BIG,),
            )
            session.execute("SELECT lo_create(700003), lo_put(700003, 3000000, 'after a hole')")
            session.execute("SELECT lo_from_bytea(700004, repeat('x', 4194304)::bytea)")  # just what is held
            session.execute(f"ALTER LARGE OBJECT 700001 OWNER TO {fresh.owner}")
            session.execute("COMMENT ON LARGE OBJECT 700002 IS 'big'; GRANT SELECT ON LARGE OBJECT 700002 TO PUBLIC")
            session.execute("SELECT lo_from_bytea(0, ('object ' || i)::bytea) FROM generate_series(1, %s) i", (count,))

    def hashes(self, server, name):
        with server.connect(name) as session:
            query = """SELECT oid::bigint, md5(lo_get(oid)), lomowner::regrole::text, lomacl::text
                       FROM pg_largeobject_metadata"""
            return sorted(session.execute(query).fetchall())

    @pytest.mark.parametrize("major", [15, 17, 18])
    def test_they_come_back(self, major, request, fresh_database, tmp_path):
        server = request.getfixturevalue(f"postgres{major}")
        fresh = fresh_database(server)
        self.fill(fresh, count=1100)
        made, copy = there_and_back(server, fresh.name, tmp_path)
        assert made.contents["large_objects"] == 1106
        assert [artifact.role for artifact in made.artifacts].count("blobs.tar") == 1
        assert self.hashes(server, fresh.name) == self.hashes(server, copy)

    def test_stock_programs_unpack_them(self, postgres15, postgres18, fresh_database, tmp_path):
        from tests.postgres.directories import Shell

        for server in (postgres15, postgres18):
            fresh = fresh_database(server)
            self.fill(fresh, count=1100)
            folder = tmp_path / fresh.name
            folder.mkdir()
            made = directory_world(folder, database_on(server, fresh.name)).backup(fresh.name)
            before = self.hashes(server, fresh.name)
            with server.connect() as session:
                session.execute(f"DROP DATABASE {fresh.name}")
            guide = (folder / "store" / made.artifacts[0].key).with_name("RESTORE.md").read_text()
            Shell(server, folder / "shell").follow(guide)
            assert self.hashes(server, fresh.name) == before

    def test_none_is_no_file(self, postgres18, fresh_database, tmp_path):
        fresh = fresh_database(postgres18)
        made, _ = there_and_back(postgres18, fresh.name, tmp_path)
        assert made.contents["large_objects"] == 0
        assert made.artifact("blobs.tar") is None


NAMES = (
    "order", "user", "select", "with space", " ", 'quo"te', "it's", "a.b", "a|b", "(a)", "a*", "a?", "a+", "$1", "a$",
    "^a", "[a]", "a{2}", "back\\slash", "new\nline", "tab\there", "carriage\rreturn", "semi;colon -- x", "/* c */",
    "naïve 北京 🦖", "Upper", "-dash", "%s", ":colon", ":'x'", "\\.", "n" * 63, "a", "ab", "aab", "COPY x FROM stdin;",
    "é" * 31, ".", '""',
)  # fmt: skip


def test_odd_names_in_odd_schemas(postgres18, fresh_database, tmp_path):
    """Names that mean something in SQL, psql, patterns, expressions or file names: nothing is lost or doubled."""
    fresh = fresh_database(postgres18)
    schemas = ("public", "order", "a|b", "(.*)", 'Sch"ema', "pg.odd", "$", "new\nline")
    count = 0
    with fresh.connect() as session:
        for number, schema in enumerate(schemas):
            session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            for name in NAMES if number < 2 else NAMES[number::5]:
                table = sql.Identifier(schema, name)
                session.execute(sql.SQL("CREATE TABLE {} ({} integer, x text)").format(table, sql.Identifier(name)))
                values = sql.SQL("INSERT INTO {} VALUES ({}, {})")
                session.execute(values.format(table, number, sql.Literal(f"{schema}\n{name}\\.")))
                count += 1
    made, copy = there_and_back(postgres18, fresh.name, tmp_path)
    assert made.contents["rows"] == count
    assert {entry["rows"] for entry in made.contents["tables"].values()} == {1}
    with postgres18.connect(copy) as session:
        query = sql.SQL("SELECT x FROM {}").format(sql.Identifier("(.*)", NAMES[3]))
        assert session.execute(query).fetchone() == (f"(.*)\n{NAMES[3]}\\.",)


def test_a_database_and_an_owner_with_odd_names(postgres18, fresh_database, tmp_path):
    name = "Odd \"name\" of 'this' = $x é"
    fresh = fresh_database(postgres18)
    with postgres18.connect() as session:
        session.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(fresh.owner))
        )
    with dropped_after(postgres18, name, "odd_copy"):
        with postgres18.connect(name) as session:
            session.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS i")
        database = database_on(postgres18, name, name=fresh.name)
        world = directory_world(tmp_path, database)
        made = world.backup(fresh.name)
        world.restore(made, to="odd_copy")
        assert differences(print_of(postgres18, name), print_of(postgres18, "odd_copy")) == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
@pytest.mark.parametrize("major", [15, 18])
def test_databases_in_other_encodings(encoding, major, request, fresh_database, small_parts, tmp_path):
    """Text comes back byte for byte, whatever the server takes it for."""
    import psycopg

    server = request.getfixturevalue(f"postgres{major}")
    fresh = fresh_database(server)
    with server.connect() as session:
        session.execute(f"DROP DATABASE {fresh.name}")
        session.execute(
            f"CREATE DATABASE {fresh.name} OWNER {fresh.owner} TEMPLATE template0 ENCODING '{encoding}' "
            "LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    text = {"LATIN1": "é ü ÿ ¤", "EUC_JP": "日本語 テスト", "SQL_ASCII": ""}[encoding]
    with psycopg.connect(**server.conninfo(fresh.name), autocommit=True) as session:
        session.execute("CREATE TABLE t (i integer, x text)")
        if encoding == "SQL_ASCII":
            session.execute("INSERT INTO t SELECT i, convert_from('\\xe9ff80c3a9'::bytea, 'SQL_ASCII') "
                            "FROM generate_series(1, 3000) i")  # fmt: skip
        else:
            session.execute("INSERT INTO t SELECT i, repeat(%s, 10) FROM generate_series(1, 3000) i", (text,))
            session.execute(
                sql.SQL("CREATE TABLE {} ({} text)").format(sql.Identifier(text), sql.Identifier(text[::-1]))
            )
            session.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(sql.Identifier(text)), (text,))
    world = directory_world(tmp_path, database_on(server, fresh.name, workers=3))
    made = world.backup(fresh.name)
    assert len(parts_of(made, "public.t")) > 1
    copy = world.restore(made, to=f"{fresh.name}__copy").facts["database"]
    query = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = %s"
    hashes = "SELECT count(*), md5(string_agg(encode(x::bytea, 'hex'), ',' ORDER BY i)) FROM t"
    with server.connect(copy) as there, server.connect(fresh.name) as here:
        assert there.execute(query, (copy,)).fetchone() in {(encoding,), (encoding.encode(),)}
        found = there.execute(hashes).fetchone()
        assert found == here.execute(hashes).fetchone()
        assert found[0] == 3000
        if text:
            assert there.execute(sql.SQL("TABLE {}").format(sql.Identifier(text))).fetchone() == (text,)


def test_an_extension_with_a_table_of_settings(postgres15, fresh_database, tmp_path):
    """pg_dump alone knows which rows of it are the user's."""
    share = postgres15.bin_dir.parents[2] / "share" / "postgresql" / "15" / "extension"
    if not share.is_dir():
        share = postgres15.bin_dir.parent / "share" / "extension"
    import os
    from pathlib import Path

    share = next((one for one in (share, Path("/usr/share/postgresql/15/extension")) if one.is_dir()), share)
    if not os.access(share, os.W_OK):
        pytest.skip(f"needs the right to install an extension of its own (to write to {share})")
    control, script = share / "backstay_probe.control", share / "backstay_probe--1.sql"
    control.write_text("default_version = '1'\nrelocatable = true\n")
    script.write_text(
        "CREATE TABLE probe_settings (name text, own boolean);\n"
        "INSERT INTO probe_settings VALUES ('shipped', false);\n"
        "SELECT pg_extension_config_dump('probe_settings', 'WHERE own');\n"
    )
    try:
        for path in (control, script):
            path.chmod(0o644)
        fresh = fresh_database(postgres15)
        with fresh.connect_superuser() as session:
            session.execute("CREATE EXTENSION backstay_probe; INSERT INTO probe_settings VALUES ('mine', true)")
            session.execute("CREATE TABLE plain AS SELECT 1 AS a; SELECT lo_from_bytea(0, 'and a large object')")
        made, copy = there_and_back(postgres15, fresh.name, tmp_path)
        assert "public.probe_settings" not in made.contents["tables"]
        with postgres15.connect(copy) as session:
            rows = session.execute("SELECT name, own FROM probe_settings ORDER BY name").fetchall()
        assert rows == [("mine", True), ("shipped", False)]
    finally:
        control.unlink()
        script.unlink()


def test_a_role_that_is_no_superuser_backs_up_and_restores_its_own(postgres18, fresh_database, small_parts, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        fill(session)
        session.execute("CREATE SCHEMA own; CREATE TABLE own.t AS SELECT 1 AS a; CREATE VIEW own.v AS TABLE own.t")
        session.execute("CREATE MATERIALIZED VIEW own.m AS SELECT count(*) FROM cut")
    with postgres18.connect() as session:
        session.execute(f"ALTER ROLE {fresh.owner} CREATEDB")
    before = print_of(postgres18, fresh.name)
    database = database_on(postgres18, fresh.name, user=fresh.owner, password=fresh.password, workers=3)
    world = directory_world(tmp_path, database)
    made = world.backup(fresh.name)
    assert world.restore(made).ok
    assert differences(before, print_of(postgres18, fresh.name)) == []


def test_an_empty_database(postgres18, fresh_database, tmp_path):
    fresh = fresh_database(postgres18)
    made, _ = there_and_back(postgres18, fresh.name, tmp_path)
    assert made.contents["rows"] == 0
    assert {artifact.role for artifact in made.artifacts} == {"toc.dat", "globals", "guide"}


def test_more_tables_than_fit_into_one_pattern_or_one_lock(postgres18, fresh_database, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        session.execute(
            """DO $$ BEGIN FOR i IN 1..620 LOOP
                   EXECUTE format('CREATE TABLE t%s (a integer)', i);
                   EXECUTE format('INSERT INTO t%s VALUES (%s)', i, i);
                   IF i % 200 = 0 THEN COMMIT; END IF;
               END LOOP; END $$"""
        )
    world = directory_world(tmp_path, database_on(postgres18, fresh.name, workers=3))
    made = world.backup(fresh.name)
    assert len(made.contents["tables"]) == made.contents["rows"] == 620
    assert world.restore(made, to=f"{fresh.name}__copy").ok
