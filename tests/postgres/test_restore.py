"""Restores on real servers: what came back equals what was there, live data is safe until then, and all ways to ask."""

import gzip

import pytest

from backstay.cluster.apps import AppsByHand
from backstay.cluster.appsincluster import AppsInCluster
from backstay.core.errors import ConfigError, RestoreError, SourceError, Unavailable, UsageError
from backstay.core.model import Level, NoProgress
from backstay.demo.compare import differences, fingerprint
from backstay.jobs import restore
from backstay.store.pipeline import Encoding
from tests.fixtures.faults import FaultyStore
from tests.fixtures.world import database_on, directory_world


def names_like(server, prefix):
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
    with server.connect() as session:
        return [row[0] for row in session.execute(query, (prefix,))]


def print_of(server, name):
    with server.connect(name) as session:
        return fingerprint(session)


FORMATS = ["directory", "sql"]


def unavailable(verb, key):
    raise Unavailable(f"{verb} {key}")


def no_cluster():
    raise ConfigError("there is no kubeconfig")


class RecordingApps:
    """In place of a cluster: remembers what was asked, and can fail."""

    by_hand = False

    def __init__(self, fail_on=(), late=()):
        self.calls = []
        self.fail_on = fail_on
        self.late = late

    def steps(self, namespace, apps):
        return ", ".join(apps), ", ".join(apps)

    def require(self, namespace, apps):
        """They can be stopped."""

    def replicas(self, namespace, apps):
        return dict.fromkeys(apps, 3)

    def stop(self, namespace, replicas, told):
        self.calls.append(("stop", dict(replicas)))
        if "ctrl-c" in self.fail_on:
            raise KeyboardInterrupt
        if "stop" in self.fail_on:
            raise RestoreError("the pods did not go")

    def start(self, namespace, replicas, *, wait):
        self.calls.append(("start", dict(replicas), wait))
        if "start" in self.fail_on:
            raise RestoreError("the API server is away", hint="By hand.")
        return self.late if wait else ()


@pytest.mark.parametrize("dump_format", FORMATS)
@pytest.mark.parametrize("kind", ["museum", "shop"])
@pytest.mark.parametrize("damage", ["dropped", "altered"])
def test_what_came_back_is_what_was_there(kind, damage, dump_format, postgres18, sample_database, tmp_path):
    name = sample_database(postgres18, kind)
    world = directory_world(tmp_path, database_on(postgres18, name, format=dump_format))
    before = print_of(postgres18, name)
    made = world.backup(name)
    with postgres18.connect("postgres" if damage == "dropped" else name) as session:
        if damage == "dropped":
            session.execute(f"DROP DATABASE {name}")
        else:
            for (table,) in session.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
                "AND relnamespace = 'public'::regnamespace LIMIT 3"
            ).fetchall():
                session.execute(f"TRUNCATE {table} CASCADE")
    outcome = world.restore(made)
    assert outcome.ok
    assert differences(before, print_of(postgres18, name)) == []
    kept = [f"{name}__before_{outcome.facts['kept'].rpartition('__before_')[2]}"] if damage == "altered" else []
    assert names_like(postgres18, name) == [name, *kept]
    assert world.proven(made).level is Level.RESTORED


@pytest.mark.parametrize("dump_format", FORMATS)
def test_encrypted_and_zstd(dump_format, postgres18, sample_database, tmp_path):
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    name = sample_database(postgres18, "wiki")
    encoding = Encoding("zstd", 3, (str(identity.to_public()),))
    database = database_on(postgres18, name, format=dump_format)
    world = directory_world(tmp_path, database, encoding=encoding, identities=(str(identity),))
    before = print_of(postgres18, name)
    made = world.backup(name)
    assert made.artifacts[0].key.endswith(".sql.zst.age" if dump_format == "sql" else ".dat.zst.age")
    assert world.restore(made).ok
    assert differences(before, print_of(postgres18, name)) == []


@pytest.mark.parametrize("dump_format", FORMATS)
def test_an_older_server_into_a_newer_one(dump_format, postgres15, postgres18, sample_database, tmp_path):
    name = sample_database(postgres15, "museum")
    world = directory_world(tmp_path, database_on(postgres15, name, bin=postgres18.bin_dir, format=dump_format))
    before = print_of(postgres15, name)
    made = world.backup(name)
    world.databases = {name: database_on(postgres18, name)}
    try:
        plan = world.plan_restore(made)
        assert "There is no live database" in " ".join(plan.notes)
        assert plan.confirm == ""
        outcome = world.restore(made)
        assert outcome.ok
        found = print_of(postgres18, name)
        assert dict(before.tables.items()) == dict(found.tables)
    finally:
        with postgres18.connect() as session:
            session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_a_newer_dump_into_an_older_server_is_refused(postgres17, postgres18, sample_database, tmp_path):
    name = sample_database(postgres18, "wiki")
    world = directory_world(tmp_path, database_on(postgres18, name))
    made = world.backup(name)
    world.databases = {name: database_on(postgres17, name, bin=postgres18.bin_dir)}
    with pytest.raises(SourceError, match=r"comes from PostgreSQL 18\.\d+, and .* runs 17"):
        world.plan_restore(made)


class TestWaysToAsk:
    @pytest.fixture(params=FORMATS)
    def shop(self, request, postgres18, sample_database, tmp_path):
        name = sample_database(postgres18, "shop")
        world = directory_world(tmp_path, database_on(postgres18, name, format=request.param))
        return name, world, world.backup(name)

    def test_dry_run_changes_nothing_and_says_what_is_lost(self, postgres18, shop):
        name, world, made = shop
        with postgres18.connect(name) as session:
            session.execute("SET session_replication_role = replica; DELETE FROM customers WHERE id = 1")
            session.execute("INSERT INTO products SELECT * FROM products WHERE false")
        plan = world.plan_restore(made)
        assert [step.name for step in plan.steps] == [
            "create beside", "fetch and load", "compare", "stop", "swap", "start and wait"]  # fmt: skip
        assert plan.confirm == f"postgres/{name}"
        assert "the live database has 1 row fewer in 1 table" in " ".join(plan.notes)
        assert names_like(postgres18, name) == [name]

    def test_to_a_new_name(self, postgres18, shop):
        name, world, made = shop
        outcome = world.restore(made, to=f"{name}__copy")
        assert outcome.facts["database"] == f"{name}__copy"
        assert differences(print_of(postgres18, name), print_of(postgres18, f"{name}__copy")) == []
        with pytest.raises(UsageError, match="exists"):
            world.plan_restore(made, to=f"{name}__copy")

    def test_one_table_beside(self, postgres18, shop):
        name, world, made = shop
        table = max(made.contents["tables"], key=lambda one: made.contents["tables"][one]["rows"])
        outcome = world.restore(made, tables=(table,))
        side = outcome.facts["database"]
        assert side.startswith(f"{name}__side_")
        with postgres18.connect(side) as session, postgres18.connect(name) as live:
            for listed, entry in made.contents["tables"].items():
                found = session.execute(f"SELECT count(*) FROM {listed}").fetchone()[0]
                assert found == (entry["rows"] if listed == table else 0)
            query = "SELECT indexdef FROM pg_indexes WHERE schemaname || '.' || tablename = %s ORDER BY 1"
            indexes = session.execute(query, (table,)).fetchall()
            assert indexes == live.execute(query, (table,)).fetchall()
        assert world.proven(made) is None  # part of a backup proves no backup

    def test_a_table_that_is_not_there(self, shop):
        _, world, made = shop
        with pytest.raises(UsageError, match=r"the backup has no table public\.nonsense"):
            world.plan_restore(made, tables=("nonsense",))

    @pytest.mark.parametrize("dump_format", FORMATS)
    def test_one_schema_with_partitions(self, dump_format, postgres18, sample_database, tmp_path):
        name = sample_database(postgres18, "museum")
        world = directory_world(tmp_path, database_on(postgres18, name, format=dump_format))
        made = world.backup(name)
        outcome = world.restore(made, tables=("public.visits",))
        with postgres18.connect(outcome.facts["database"]) as side, postgres18.connect(name) as live:
            query = "SELECT count(*), count(DISTINCT tableoid) FROM visits"
            assert side.execute(query).fetchone() == live.execute(query).fetchone()

    def test_in_place_takes_a_proven_backup_of_what_is_there_first(self, postgres18, shop):
        name, world, made = shop
        with postgres18.connect(name) as session:
            session.execute("CREATE TABLE written_later AS SELECT 1 AS a")
        plan = world.plan_restore(made, in_place=True)
        assert [step.name for step in plan.steps][:3] == ["back up what is there", "stop", "drop"]
        world.restore(made, in_place=True)
        assert names_like(postgres18, name) == [name]
        fresh = world.listed(name)[-1]
        assert fresh.contents["tables"]["public.written_later"]["rows"] == 1
        assert world.proven(fresh).level is Level.READABLE

    @pytest.mark.parametrize("dump_format", FORMATS)
    def test_roles_that_are_missing_are_made_or_mapped(self, dump_format, postgres18, fresh_database, tmp_path):
        made_by = fresh_database(postgres18)
        with made_by.connect() as session:
            session.execute("CREATE TABLE t AS SELECT 1 AS a")
            session.execute("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'OWNER TO someone' $$")
        world = directory_world(tmp_path, database_on(postgres18, made_by.name, format=dump_format))
        made = world.backup(made_by.name)
        other = fresh_database(postgres18)
        outcome = world.restore(made, to=f"{other.name}__mapped", map_roles={made_by.owner: other.owner})
        with postgres18.connect(outcome.facts["database"]) as session:
            owners = session.execute("SELECT tableowner FROM pg_tables WHERE tablename = 't'").fetchone()
            body = session.execute("SELECT f()").fetchone()
        assert owners == (other.owner,)
        assert body == ("OWNER TO someone",)
        with postgres18.connect() as session:
            session.execute(f"DROP DATABASE {made_by.name} WITH (FORCE)")
            session.execute(f"DROP ROLE {made_by.owner}")
        plan = world.plan_restore(made)
        assert plan.details["create_roles"] == [made_by.owner]
        assert "no password" in " ".join(plan.notes)
        world.restore(made)
        with postgres18.connect() as session:
            query = "SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = %s"
            assert session.execute(query, (made_by.owner,)).fetchone() == (True, False)

    def test_foreign_dumps_restore_too(self, postgres18, sample_database, tmp_path):
        name = sample_database(postgres18, "shop")
        world = directory_world(tmp_path, database_on(postgres18, name, format="sql"))
        made = world.backup(name)
        dump = gzip.decompress((tmp_path / "store" / made.artifact("dump").key).read_bytes())
        key = tmp_path / "store" / "postgres-backups" / name / f"{name}-20240101-000000.sql.gz"
        key.write_bytes(gzip.compress(dump))
        foreign = next(one for one in world.listed(name, foreign=True) if one.stamp == "20240101-000000")
        before = print_of(postgres18, name)
        plan = world.plan_restore(foreign)
        assert "nothing is known" in " ".join(plan.notes)
        world.restore(foreign)
        found = print_of(postgres18, name)
        assert dict(before.tables) == dict(found.tables)
        with postgres18.connect() as session:
            query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
            assert session.execute(query, (name,)).fetchone() == ("shop",)  # as the live one was

    def test_a_role_that_may_not_is_told_before_anything(self, postgres18, shop, fresh_database):
        name, world, made = shop
        other = fresh_database(postgres18)
        world.databases = {name: database_on(postgres18, name, user=other.owner, password=other.password)}
        with pytest.raises(SourceError, match=f"role {other.owner} cannot make a database owned by shop") as caught:
            world.plan_restore(made, to="elsewhere")
        assert f"--map-role shop:{other.owner}" in caught.value.hint
        with pytest.raises(UsageError, match="the server has no role nobody_here"):
            world.plan_restore(made, to="elsewhere", map_roles={"shop": "nobody_here"})


class TestLiveDataIsSafe:
    @pytest.fixture(params=FORMATS)
    def wiki(self, request, postgres18, sample_database, tmp_path):
        name = sample_database(postgres18, "wiki")
        database = database_on(postgres18, name, apps=("deployment/wiki",), namespace="wiki", format=request.param)
        world = directory_world(tmp_path, database, apps=RecordingApps())
        return name, world, world.backup(name)

    def test_apps_are_stopped_only_around_the_swap(self, wiki):
        _name, world, made = wiki
        world.restore(made)
        three = {"deployment/wiki": 3}
        assert world.apps.calls == [("stop", three), ("start", three, True)]

    def test_a_flipped_byte_in_the_store(self, postgres18, wiki, tmp_path):
        name, world, made = wiki
        before = print_of(postgres18, name)
        largest = max(made.artifacts, key=lambda artifact: artifact.size_bytes)
        path = tmp_path / "store" / largest.key
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(
            (RestoreError, Exception), match="not a whole gzip stream|not those of the manifest|could not be loaded"
        ):
            world.restore(made)
        assert differences(before, print_of(postgres18, name)) == []
        assert names_like(postgres18, name) == [name]
        assert world.apps.calls == []

    def test_rows_that_are_not_those_of_the_manifest(self, postgres18, wiki, tmp_path):
        """The bytes are whole, and the manifest promises other counts: the copy is removed, nothing swapped."""
        from dataclasses import replace

        name, world, made = wiki
        tables = {**made.contents["tables"]}
        table = next(iter(tables))
        tables[table] = {**tables[table], "rows": tables[table]["rows"] + 1}
        lying = replace(made, contents={**made.contents, "tables": tables})
        with pytest.raises(RestoreError, match="what was restored is not what the backup holds") as caught:
            world.restore(lying)
        assert "live database was not touched" in caught.value.hint
        assert names_like(postgres18, name) == [name]

    def test_sessions_on_the_live_database_are_pushed_out_at_the_swap(self, postgres18, wiki):
        import psycopg

        name, world, made = wiki
        with postgres18.connect(name) as session:
            world.restore(made)
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        with postgres18.connect(name) as session:
            assert session.execute("SELECT 1").fetchone() == (1,)

    def test_apps_that_the_user_has_stopped(self, postgres18, sample_database, tmp_path):
        name = sample_database(postgres18, "wiki")
        database = database_on(postgres18, name, apps=("deployment/wiki",), namespace="wiki")
        world = directory_world(tmp_path, database, apps=AppsByHand())
        made = world.backup(name)
        assert [step.detail for step in world.plan_restore(made).steps][-3] == "deployment/wiki: stopped by you"
        assert "now start deployment/wiki again" in world.restore(made).message

    def test_apps_and_no_cluster_to_stop_them_in(self, postgres18, sample_database, tmp_path):
        name = sample_database(postgres18, "wiki")
        database = database_on(postgres18, name, apps=("deployment/wiki",), namespace="wiki")
        world = directory_world(tmp_path, database, apps=AppsInCluster(no_cluster))
        made = world.backup(name)
        with pytest.raises(ConfigError, match="there is no kubeconfig") as caught:
            world.plan_restore(made)
        assert "(kubectl -n wiki scale deployment/wiki --replicas=0) and add --apps-stopped" in caught.value.hint
        assert world.restore(made, to=f"{name}__copy").ok  # nothing live changes: no cluster is asked

    def test_apps_that_do_not_stop(self, postgres18, wiki):
        name, world, made = wiki
        world.apps.fail_on = ("stop",)
        before = print_of(postgres18, name)
        with pytest.raises(RestoreError, match="the pods did not go") as caught:
            world.restore(made)
        assert caught.value.hint == (
            "Started again: deployment/wiki. Live data was not changed. `--resume` tries again, `--rollback` tidies up."
        )
        assert world.apps.calls[-1] == ("start", {"deployment/wiki": 3}, False)
        assert differences(before, print_of(postgres18, name)) == []
        with pytest.raises(RestoreError, match="was cut short"):
            world.restore(made)
        context, target = world.context, world.target(name)
        assert restore.rollback(context, target, world.store, NoProgress()).ok
        assert names_like(postgres18, name) == [name]
        assert differences(before, print_of(postgres18, name)) == []

    def test_apps_that_do_not_start(self, postgres18, wiki):
        name, world, made = wiki
        world.apps.fail_on = ("start",)
        with pytest.raises(RestoreError, match="the API server is away") as caught:
            world.restore(made)
        assert caught.value.hint == ("By hand. The database itself is as it should be; `--resume` tries once more.")
        world.apps = RecordingApps()
        context, target = world.context, world.target(name)
        place = restore.place_of(context, made)
        assert restore.resume(context, target, lambda _plan, _ref: (made, place), world.store, NoProgress()).ok
        assert world.apps.calls == [("start", {"deployment/wiki": 3}, True)]

    def test_apps_that_do_not_get_ready(self, wiki):
        _name, world, made = wiki
        world.apps.late = ["deployment/wiki is not ready after 5 m: 0 of 3 ready"]
        outcome = world.restore(made)
        assert not outcome.ok  # exit code 3
        assert [one.message for one in outcome.findings if one.code == "restore.not_ready"] == world.apps.late
        assert world.proven(made).level is Level.RESTORED

    def test_in_place_drops_nothing_while_apps_run(self, postgres18, wiki):
        name, world, made = wiki
        world.apps.fail_on = ("stop",)
        with pytest.raises(RestoreError, match="the pods did not go"):
            world.restore(made, in_place=True)
        assert names_like(postgres18, name) == [name]
        assert world.apps.calls[-1] == ("start", {"deployment/wiki": 3}, False)

    def test_in_place_that_was_dropped_and_not_journalled(self, postgres18, wiki):
        name, world, made = wiki
        real = world.store
        world.store = FaultyStore(real, unavailable, 3, only="put backstay/v1/restores/")  # opened, stop, drop
        with pytest.raises(Unavailable):
            world.restore(made, in_place=True)
        world.store = real
        assert names_like(postgres18, name) == []
        context, target = world.context, world.target(name)
        with pytest.raises(RestoreError, match="was dropped for an in-place restore and cannot be put back"):
            restore.rollback(context, target, world.store, NoProgress())
        place = restore.place_of(context, made)
        assert restore.resume(context, target, lambda _plan, _ref: (made, place), world.store, NoProgress()).ok
        assert names_like(postgres18, name) == [name]

    def test_apps_are_started_again_when_somebody_presses_ctrl_c(self, postgres18, wiki):
        _name, world, made = wiki
        world.apps.fail_on = ("ctrl-c",)
        with pytest.raises(KeyboardInterrupt):
            world.restore(made)
        assert world.apps.calls[-1] == ("start", {"deployment/wiki": 3}, False)

    def test_a_dump_that_reaches_beyond_its_database(self, postgres18, wiki, tmp_path):
        """Statements on other databases and commands of psql's are refused; a shell command does not run."""
        name, world, _made = wiki
        folder = tmp_path / "store" / "postgres-backups" / name
        proof = tmp_path / "ran"
        tail = b"--\n-- PostgreSQL database dump complete\n--\n"
        evil = {
            "20240101-000001": f"DROP DATABASE {name};\n".encode(),
            "20240101-000002": b"\\connect postgres\n",
            "20240101-000003": f"\\! touch {proof}\n".encode(),
            "20240101-000004": f"SELECT 1 \\g |touch {proof}\n".encode(),
        }
        for stamp, line in evil.items():
            (folder / f"{name}-{stamp}.sql.gz").write_bytes(gzip.compress(line + tail))
        for foreign in [one for one in world.listed(name, foreign=True) if one.stamp in evil]:
            with pytest.raises(RestoreError):
                world.restore(foreign)
        assert not proof.exists()
        assert name in names_like(postgres18, name)


def test_two_restores_at_once(postgres18, sample_database, tmp_path):
    from backstay.core.errors import LeaseHeld

    name = sample_database(postgres18, "wiki")
    world = directory_world(tmp_path, database_on(postgres18, name))
    made = world.backup(name)
    context = world.context
    plan = restore.plan(context, made, {})
    with (
        context.lease(world.store, made.target, "backup"),
        pytest.raises(LeaseHeld),
    ):
        restore.run(context, plan, made, restore.place_of(context, made), NoProgress())
