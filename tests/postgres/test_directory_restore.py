"""Restores of format ``directory``: killed and resumed, failed and resumed, in part, and under other roles."""

import pytest

from backstay.catalog import journal as journals
from backstay.core.errors import BackstayError, RestoreError, Unavailable
from backstay.core.model import NoProgress
from backstay.demo.compare import differences
from backstay.jobs import restore
from backstay.tiers.postgres.board import Board
from backstay.tiers.postgres.directory import load
from backstay.tiers.postgres.dumptext import qualified
from tests.fixtures.faults import FaultyStore
from tests.fixtures.killed import was_killed
from tests.fixtures.world import Later, database_on, directory_world
from tests.postgres.directories import fill, parts_of, print_of, small_parts

__all__ = ["small_parts"]

JOURNAL = "put backstay/v1/restores/"


@pytest.fixture
def kept(postgres18, sample_database, small_parts, tmp_path):
    """The museum with a table that is cut: its name, a world, a backup of it, and its fingerprint."""
    name = sample_database(postgres18, "museum")
    with postgres18.connect(name) as session:
        fill(session, "public.cut")
        session.execute(
            """CREATE TABLE public.refers (i integer REFERENCES public.cut); INSERT INTO public.refers VALUES (1);
               CREATE VIEW public.by_key AS SELECT i, t FROM public.cut GROUP BY i;
               CREATE VIEW public.over_it AS SELECT count(t) FROM public.by_key;
               CREATE MATERIALIZED VIEW public.by_key_too AS SELECT i, t FROM public.cut GROUP BY i;
               CREATE INDEX ON public.by_key_too (t);
               CREATE FUNCTION public.by_key_in_code(integer, public.cut) RETURNS bigint LANGUAGE sql BEGIN ATOMIC
                   SELECT count(*) FROM (SELECT i, t FROM public.cut GROUP BY i) AS x WHERE i < $1; END;
               CREATE DOMAIN public.low AS integer;
               ALTER DOMAIN public.low ADD CONSTRAINT under_ten CHECK (VALUE < 10) NOT VALID;
               CREATE STATISTICS public.related ON i, t FROM public.cut;
               CREATE PUBLICATION told FOR TABLE public.cut, public.refers WITH (publish = 'insert');
               CREATE PUBLICATION told_all FOR TABLES IN SCHEMA public, ext"""
        )
    world = directory_world(tmp_path, database_on(postgres18, name, workers=3))
    return name, world, world.backup(name), print_of(postgres18, name)


def run_until_killed(server, root, name, at, when, ref):
    """The restore, in a process that is killed at a request for the journal; the rest of the tests' clocks go ahead."""
    arguments = ["restore", root, server.host, server.port, server.bin_dir, name, at, when, JOURNAL, ref]
    return was_killed("tests.postgres.killed", server.password, *arguments)


def resume(world, made):
    context = world.context
    place = restore.place_of(context, made)
    return restore.resume(context, made.target, lambda _plan, _ref: (made, place), world.store, NoProgress())


def inserted(server, name):
    """How many rows were ever put into each table, also those that are gone again."""
    with server.connect(name) as session:
        session.execute("SELECT pg_stat_clear_snapshot()")
        rows = session.execute("SELECT schemaname, relname, n_tup_ins FROM pg_stat_user_tables").fetchall()
    return {qualified(schema, table): count for schema, table, count in rows}


@pytest.mark.parametrize(
    ("at", "when"),
    [
        (2, "after"),  # the database is made
        (3, "before"),  # and the definitions are in it, which the journal does not know
        (3, "after"),
        (4, "after"),  # the first table is loaded
        (25, "after"),
        ("loaded", "after"),  # every table is, and none of what comes last is there
        ("finish", "before"),  # all of that is there, and the journal does not know
        ("finish", "after"),
        ("compare", "after"),
    ],
)
def test_a_killed_one_goes_on_where_it_was(at, when, postgres18, kept, tmp_path):
    name, world, made, before = kept
    tables = {entry["file"]: table for table, entry in made.contents["tables"].items() if "file" in entry}
    loads = len(tables) + 1  # one for each, and all of them again
    last = {"loaded": 3 + loads, "load": 4 + loads, "finish": 5 + loads, "compare": 6 + loads}
    assert run_until_killed(postgres18, tmp_path / "store", name, last.get(at, at), when, made.id)
    world.now = Later()
    (record,) = journals.unfinished(world.store, made.target)
    steps = record.steps
    if at in last:
        assert (at in steps) is (when == "after")
    loaded = set(steps[load.LOADED].facts["files"]) if load.LOADED in steps else set()
    assert len(loaded) == (len(tables) if at in last else max(0, at - 3 - (when == "before")))
    assert differences(before, print_of(postgres18, name)) == []  # live data is as it was
    with postgres18.connect(name) as session:
        session.execute("TRUNCATE public.cut CASCADE")
    assert resume(world, made).ok
    assert differences(before, print_of(postgres18, name)) == []
    counts = inserted(postgres18, name)
    twice = {table for table in map(tables.get, loaded) if counts[table] != made.contents["tables"][table]["rows"]}
    assert twice == set()  # what was there was not loaded again
    with postgres18.connect() as session:
        query = "SELECT count(*) FROM pg_database WHERE starts_with(datname, %s)"
        assert session.execute(query, (f"{name}__restore",)).fetchone() == (0,)


@pytest.mark.parametrize("options", [{}, {"in_place": True}], ids=["beside", "in-place"])
def test_a_failed_one_is_resumed_into_a_database_made_anew(options, postgres18, kept, tmp_path):
    """The failed run has removed what it made: nothing that its journal tells of is there any more."""
    name, world, made, before = kept
    healthy = world.store

    def fault(verb, key):
        raise Unavailable(f"the store would not {verb} {key}")

    context = world.context
    plan = restore.plan(context, made, options)
    world.store = FaultyStore(healthy, fault, 20, only="get postgres-backups/")
    if options:  # both are read before anything is dropped: this backup and the fresh one
        reads = 2 * len(made.artifacts)
        world.store = FaultyStore(healthy, fault, reads + 20, only="get postgres-backups/")
    context = world.context
    with pytest.raises(BackstayError):
        restore.run(context, plan, made, restore.place_of(context, made), NoProgress())
    assert len(world.store.requests) >= 20
    world.store = healthy
    world.now = Later()
    (record,) = journals.unfinished(healthy, made.target)
    assert load.FIRST in record.steps
    assert resume(world, made).ok
    assert differences(before, print_of(postgres18, name)) == []


def test_rolled_back_after_a_kill(postgres18, kept, tmp_path):
    name, world, made, before = kept
    assert run_until_killed(postgres18, tmp_path / "store", name, 10, "after", made.id)
    world.now = Later()
    assert restore.rollback(world.context, made.target, world.store, NoProgress()).ok
    assert differences(before, print_of(postgres18, name)) == []
    with postgres18.connect() as session:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        assert session.execute(query, (name,)).fetchall() == [(name,)]


class TestWhatFails:
    def test_rows_that_do_not_fit_what_is_defined(self, postgres18, fresh_database, tmp_path):
        fresh = fresh_database(postgres18)
        with fresh.connect() as session:
            session.execute("CREATE FUNCTION odd(n integer) RETURNS boolean LANGUAGE sql AS 'SELECT n % 2 = 1'")
            session.execute("CREATE TABLE second (n integer CHECK (public.odd(n))); INSERT INTO second VALUES (1)")
            session.execute(
                "CREATE OR REPLACE FUNCTION odd(n integer) RETURNS boolean LANGUAGE sql AS 'SELECT n % 2 = 0'"
            )
        world = directory_world(tmp_path, database_on(postgres18, fresh.name))
        made = world.backup(fresh.name)
        with pytest.raises(
            RestoreError, match='rows of public.second could not be loaded .*"second_n_check"'
        ) as caught:
            world.restore(made, to=f"{fresh.name}__copy")
        assert "live database was not touched" in caught.value.hint
        self.nothing_is_left(postgres18, fresh)

    def test_a_definition_that_the_server_refuses(self, postgres18, fresh_database, tmp_path):
        """Two keys over rows that are not unique any more: pg_restore says no, and its words are told."""
        fresh = fresh_database(postgres18)
        with fresh.connect() as session:
            session.execute("CREATE TABLE one (n integer); INSERT INTO one VALUES (1)")
            session.execute("CREATE FUNCTION f(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n'")
            session.execute("CREATE INDEX broken ON one (public.f(n))")
            body = "BEGIN RAISE EXCEPTION ''not today''; END"
            session.execute(
                f"CREATE OR REPLACE FUNCTION f(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS '{body}'"
            )
        world = directory_world(tmp_path, database_on(postgres18, fresh.name))
        made = world.backup(fresh.name)
        with pytest.raises(RestoreError, match="not today") as caught:
            world.restore(made)
        assert "live database was not touched" in caught.value.hint
        self.nothing_is_left(postgres18, fresh)

    def nothing_is_left(self, server, fresh):
        with server.connect() as session:
            query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
            assert session.execute(query, (fresh.name,)).fetchall() == [(fresh.name,)]

    @pytest.mark.parametrize(
        ("what", "how"),
        [("part", "flipped"), ("part", "gone"), ("toc.dat", "cut"), ("toc.dat", "flipped"), ("blobs.tar", "cut")],
    )
    def test_damage_in_the_store(self, what, how, postgres18, kept, tmp_path):
        name, world, made, before = kept
        artifact = parts_of(made, "public.cut")[2] if what == "part" else made.artifact(what)
        path = tmp_path / "store" / artifact.key
        data = bytearray(path.read_bytes())
        path.chmod(0o600)
        if how == "flipped":
            data[len(data) // 2] ^= 1
        path.unlink() if how == "gone" else path.write_bytes(data[: len(data) // 2] if how == "cut" else data)
        with pytest.raises(BackstayError) as caught:
            world.restore(made)
        assert "live database was not touched" in caught.value.hint or "live" not in caught.value.hint
        assert differences(before, print_of(postgres18, name)) == []
        with postgres18.connect() as session:
            query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
            assert session.execute(query, (name,)).fetchall() == [(name,)]

    def test_the_server_goes_while_loading(self, postgres18, kept):
        name, world, made, before = kept

        class Once(NoProgress):
            done = False

            def advance(self, n_bytes):
                if not self.done and n_bytes:
                    self.done = True
                    with postgres18.connect() as session:
                        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(datname, %s)"
                        session.execute(query, (f"{name}__restore",))

        context = world.context
        plan = restore.plan(context, made, {})
        progress = Once()
        with pytest.raises(BackstayError, match="connection"):
            restore.run(context, plan, made, restore.place_of(context, made), progress)
        assert progress.done
        assert differences(before, print_of(postgres18, name)) == []
        assert world.restore(made).ok
        assert differences(before, print_of(postgres18, name)) == []


class TestInPart:
    def rows_of(self, server, dbname, made):
        found = {}
        with server.connect(dbname) as session:
            for table, entry in made.contents["tables"].items():
                if entry["kind"] == "table":
                    found[table] = session.execute(f"SELECT count(*) FROM ONLY {table}".encode()).fetchone()[0]
        return found

    def test_one_table_that_is_cut(self, postgres18, kept):
        _, world, made, before = kept
        side = world.restore(made, tables=("cut",)).facts["database"]
        rows = self.rows_of(postgres18, side, made)
        assert rows.pop("public.cut") == 4000
        assert set(rows.values()) == {0}
        with postgres18.connect(side) as session:
            keys = session.execute("SELECT conname FROM pg_constraint WHERE conrelid = 'public.cut'::regclass "
                                   "AND contype = 'p'").fetchall()  # fmt: skip
            objects = session.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone()
        assert keys == [("cut_pkey",)]
        assert objects == (0,)
        assert print_of(postgres18, side).tables["public.cut"] == before.tables["public.cut"]

    def test_one_schema(self, postgres18, kept):
        _, world, made, before = kept
        schema = 'Archiv für "Alles"'
        quoted = '"Archiv für ""Alles"""'
        wanted = {name for name in made.contents["tables"] if name.startswith(f"{quoted}.")}
        assert len(wanted) == 2
        side = world.restore(made, tables=tuple(wanted)).facts["database"]
        rows = self.rows_of(postgres18, side, made)
        assert {table for table, count in rows.items() if count} == wanted
        found = print_of(postgres18, side).tables
        assert {name: found[name] for name in wanted} == {name: before.tables[name] for name in wanted}
        assert schema not in rows

    def test_a_partitioned_table_comes_with_its_partitions(self, postgres18, kept):
        _, world, made, before = kept
        side = world.restore(made, tables=("visits",)).facts["database"]
        rows = {table for table, count in self.rows_of(postgres18, side, made).items() if count}
        with postgres18.connect(side) as session:
            count = session.execute("SELECT count(*) FROM visits").fetchone()[0]
        expected = [name for name in before.tables if name.startswith("public.visits_")]
        assert count == sum(before.tables[name].rows for name in expected) > 0
        assert rows <= set(expected)

    def test_a_schema_by_name(self, postgres18, fresh_database, small_parts, tmp_path):
        fresh = fresh_database(postgres18)
        with fresh.connect() as session:
            session.execute("CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE two.t AS SELECT 1 AS a")
            session.execute(
                "CREATE TABLE one.empty (a integer); CREATE VIEW two.sees AS SELECT count(*) FROM one.empty"
            )
            fill(session, "one.cut")
            session.execute("CREATE INDEX by_t ON one.cut (t); CREATE INDEX by_a ON two.t (a)")
        world = directory_world(tmp_path, database_on(postgres18, fresh.name, workers=3))
        made = world.backup(fresh.name)
        side = world.restore(made, schemas=("one",)).facts["database"]
        assert self.rows_of(postgres18, side, made) == {"one.cut": 4000, "one.empty": 0, "two.t": 0}
        with postgres18.connect(side) as session:
            indexes = session.execute("SELECT indexname FROM pg_indexes WHERE schemaname IN ('one', 'two')").fetchall()
        assert sorted(indexes) == [("by_t",), ("cut_pkey",)]


def test_roles_are_mapped_everywhere(postgres18, fresh_database, small_parts, tmp_path):
    """Owners, rights, default rights and policies; never text that only looks like them."""
    fresh, other = fresh_database(postgres18), fresh_database(postgres18)
    with fresh.connect() as session:
        fill(session)
        session.execute(
            f"""CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a; CREATE SEQUENCE s.q; CREATE VIEW s.v AS TABLE s.t;
                CREATE FUNCTION s.f() RETURNS text LANGUAGE sql AS $$ SELECT 'GRANT x TO {fresh.owner}' $$;
                GRANT SELECT ON s.t TO {fresh.owner} WITH GRANT OPTION; GRANT USAGE ON SCHEMA s TO {fresh.owner};
                ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO {fresh.owner};
                CREATE POLICY mine ON s.t TO {fresh.owner} USING (true);
                COMMENT ON TABLE s.t IS 'OWNER TO {fresh.owner}'"""
        )
    world = directory_world(tmp_path, database_on(postgres18, fresh.name, workers=3))
    made = world.backup(fresh.name)
    side = world.restore(made, to=f"{other.name}__mapped", map_roles={fresh.owner: other.owner}).facts["database"]
    with postgres18.connect(side) as session:
        owners = """SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class c
                    JOIN pg_namespace n ON n.oid = relnamespace WHERE n.nspname IN ('s', 'public')
                    UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 's'
                    UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'f'"""
        assert session.execute(owners).fetchall() == [(other.owner,)]
        policy = session.execute("SELECT roles FROM pg_policies WHERE policyname = 'mine'").fetchone()
        assert policy[0] in ([other.owner], f"{{{other.owner}}}")
        default = session.execute("SELECT defaclrole::regrole::text, defaclacl::text FROM pg_default_acl").fetchone()
        assert default[0] == other.owner
        assert fresh.owner not in default[1]
        assert session.execute("SELECT s.f()").fetchone() == (f"GRANT x TO {fresh.owner}",)
        comment = session.execute("SELECT obj_description('s.t'::regclass)").fetchone()
        assert comment == (f"OWNER TO {fresh.owner}",)


@pytest.mark.parametrize(("idle", "least", "most"), [(0, 0.75, 1.0), (1, 0.05, 0.5)], ids=["nobody", "somebody"])
def test_a_table_is_frozen_until_others_are_idle(
    idle, least, most, postgres18, fresh_database, small_parts, tmp_path, monkeypatch
):
    """Pages that were loaded frozen are known to be visible to all, but for the last of each part."""
    monkeypatch.setattr(load, "LARGE_BYTES", 1)
    monkeypatch.setattr(Board, "idle", lambda _board: idle)
    fresh = fresh_database(postgres18)
    with postgres18.connect(fresh.name) as session:
        fill(session, "public.cut")
        session.execute("CREATE TABLE public.whole AS SELECT 1 AS n")
    before = print_of(postgres18, fresh.name)
    world = directory_world(tmp_path, database_on(postgres18, fresh.name, workers=2))
    made = world.backup(fresh.name)
    assert len(parts_of(made, "public.cut")) > 6
    world.restore(made)
    assert differences(before, print_of(postgres18, fresh.name)) == []
    with postgres18.connect(fresh.name) as session:
        query = "SELECT relallvisible::float / relpages FROM pg_class WHERE oid = 'public.cut'::regclass"
        (known,) = session.execute(query).fetchone()
    assert least <= known <= most


@pytest.mark.parametrize(
    ("left", "parts", "idle", "shared"),
    [
        (8, 12, 0, False),  # nobody would take them
        (8, 12, 1, True),
        (9, 12, 1, False),  # five rounds either way: one more is loaded frozen first
        (4, 12, 1, False),  # two parts' time would be won, and as much be lost
        (4, 12, 3, True),
        (1, 2, 7, False),
        (0, 1, 7, False),
    ],
)
def test_when_idle_workers_are_given_some(left, parts, idle, shared):
    assert load.is_to_share(left, parts, idle) is shared
