"""Capture from real servers: what a manifest says, what stock programs make of the artifacts, what stops a backup."""

import gzip
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from backstay.catalog import history
from backstay.core.errors import DumpIncomplete, SourceError, ToolMissing, ToolTooOld
from backstay.core.model import Level, State
from backstay.demo.compare import differences, fingerprint
from backstay.tiers.postgres.localserver.programs import find_bin
from backstay.tiers.postgres.localserver.server import THROWAWAY, PostgresServer
from tests.fixtures.world import database_on, directory_world

FORMATS = ["directory", "sql"]


def stored_files(tmp_path):
    return sorted(path.name for path in (tmp_path / "store" / "postgres-backups").rglob("*.*"))


@pytest.fixture
def big(postgres18, fresh_database):
    """A database whose dump takes long enough to be disturbed."""
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE small AS SELECT 1 AS a")
        session.execute(
            "CREATE TABLE rows AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 200000) i"
        )
        session.execute("ANALYZE")
    return made


class TestManifest:
    @pytest.mark.parametrize("dump_format", FORMATS)
    def test_it_says_what_a_restore_must_bring_back(self, dump_format, postgres18, sample_database, tmp_path):
        name = sample_database(postgres18, "museum")
        made = directory_world(tmp_path, database_on(postgres18, name, format=dump_format)).backup(name)
        contents = made.contents
        with postgres18.connect(name) as session:
            row = session.execute("SELECT count(*) FROM paintings").fetchone()
            objects = session.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone()
        assert made.state is State.COMPLETE
        assert contents["tables"]["public.paintings"]["rows"] == row[0]
        assert contents["tables"]["public.empty"]["rows"] == 0
        assert contents["tables"]["public.visits_2024"]["partition_of"] == "public.visits"
        assert contents["large_objects"] == objects[0]
        assert contents["extensions"]["hstore"]
        assert contents["database"]["owner"] == "museum"
        assert contents["database"]["encoding"] == "UTF8"
        assert {role["name"] for role in contents["roles"]} >= {"museum"}
        assert made.tools["pg_dump"].startswith("18.")
        assert any("foreign table" in warning for warning in made.warnings)
        assert made.source["format"] == dump_format
        if dump_format == "sql":
            assert [artifact.role for artifact in made.artifacts] == ["dump", "globals"]
        else:
            files = {entry["file"] for entry in contents["tables"].values() if "file" in entry}
            assert files | {"toc.dat", "globals", "guide", "blobs.tar"} == {one.role for one in made.artifacts}

    @pytest.mark.parametrize("dump_format", FORMATS)
    def test_no_password_is_in_it_or_beside_it(self, dump_format, postgres18, fresh_database, tmp_path):
        made = fresh_database(postgres18)
        backup = directory_world(tmp_path, database_on(postgres18, made.name, format=dump_format)).backup(made.name)
        for path in filter(Path.is_file, (tmp_path / "store").rglob("*")):
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            for secret in (made.password, postgres18.password, "SCRAM-SHA-256"):
                assert secret.encode() not in data, path
        assert backup.artifact("globals") is not None

    def test_password_hashes_come_when_asked_for(self, postgres18, fresh_database, tmp_path):
        made = fresh_database(postgres18)
        world = directory_world(tmp_path, database_on(postgres18, made.name, passwords_in_globals=True))
        key = world.backup(made.name).artifact("globals").key
        assert b"SCRAM-SHA-256$" in gzip.decompress((tmp_path / "store" / key).read_bytes())


def test_by_hand_steps_restore_on_an_empty_server_with_stock_programs(postgres18, sample_database, tmp_path):
    """The steps that the manifest prints, typed by a shell on a server that has nothing: roles, database, data."""
    name = sample_database(postgres18, "shop")
    made = directory_world(tmp_path, database_on(postgres18, name, format="sql")).backup(name)
    with postgres18.connect(name) as session:
        before = fingerprint(session)
    with tempfile.TemporaryDirectory(prefix="backstay-empty-") as folder:
        Path(folder).chmod(0o755)
        with PostgresServer(find_bin(18), Path(folder) / "server", options=THROWAWAY) as empty:
            env = {"PATH": f"{empty.bin_dir}:{os.environ['PATH']}", "PGHOST": empty.host, "PGPORT": str(empty.port),
                   "PGUSER": empty.superuser, "PGPASSWORD": empty.password}  # fmt: skip
            steps = [
                line.partition(": ")[2] for line in made.restore_by_hand if line.startswith(("Fetch", "Roles", "Load"))
            ]
            assert len(steps) == 4
            fetched = tmp_path / "fetched"
            fetched.mkdir()
            for step in steps:
                assert "\n" not in step
                done = subprocess.run(["sh", "-ec", step], cwd=fetched,
                                      env=env, capture_output=True, text=True, timeout=60)  # fmt: skip
                assert done.returncode == 0, done.stderr
                assert "ERROR" not in done.stderr
            with empty.connect(name) as session:
                assert differences(before, fingerprint(session)) == []


@pytest.mark.parametrize("dump_format", FORMATS)
@pytest.mark.parametrize("major", [15, 17, 18])
def test_every_server_that_can_be_had(major, dump_format, request, sample_database, tmp_path):
    server = request.getfixturevalue(f"postgres{major}")
    name = sample_database(server, "museum")
    newest = find_bin(18)
    world = directory_world(tmp_path, database_on(server, name, bin=newest, format=dump_format))
    made = world.backup(name)
    assert made.source["server_version"].startswith(f"{major}.")
    assert world.verify(made, Level.READABLE).ok


def test_a_pg_dump_older_than_the_server_is_refused_before_anything(postgres18, fresh_database, tmp_path):
    made = fresh_database(postgres18)
    world = directory_world(tmp_path, database_on(postgres18, made.name, bin=find_bin(17)))
    with pytest.raises(ToolTooOld, match=r"pg_dump 17\.\d+ cannot dump a PostgreSQL 18\.\d+ server") as caught:
        world.backup(made.name)
    assert "PostgreSQL 18 client programs" in caught.value.hint
    assert stored_files(tmp_path) == []


@pytest.mark.parametrize("dump_format", FORMATS)
def test_one_snapshot_for_counts_and_rows(dump_format, postgres18, big, tmp_path):
    """Someone writes hard into two tables; the dump shows one moment of both."""
    stop = threading.Event()
    with big.connect() as session:
        session.execute("CREATE TABLE a (i int); CREATE TABLE z (i int)")

    def write():
        with big.connect() as session:
            for i in range(100_000):
                if stop.is_set():
                    return
                session.execute(f"WITH x AS (INSERT INTO a VALUES ({i})) INSERT INTO z VALUES ({i})")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        time.sleep(0.2)
        made = directory_world(tmp_path, database_on(postgres18, big.name, format=dump_format)).backup(big.name)
    finally:
        stop.set()
        thread.join()
    tables = made.contents["tables"]
    assert tables["public.a"]["rows"] == tables["public.z"]["rows"] > 0


@pytest.mark.parametrize("dump_format", FORMATS)
class TestRefused:
    """Bad inputs: each a clear error, nothing stored, and a note for `status`."""

    def refused(self, world, name, kind, message):
        with pytest.raises(kind, match=message) as caught:
            world.backup(name)
        assert world.listed(name, foreign=True) == []
        (failure,) = history.failures(world.store, world.target(name))
        assert failure.message == caught.value.message
        return caught.value

    def test_wrong_password(self, dump_format, postgres18, fresh_database, tmp_path):
        name = fresh_database(postgres18).name
        world = directory_world(tmp_path, database_on(postgres18, name, password="wrong", format=dump_format))
        error = self.refused(world, name, SourceError, "password authentication failed")
        assert "password" in error.hint
        assert "wrong" not in json.dumps(error.as_json())

    def test_nothing_listens(self, dump_format, postgres18, fresh_database, tmp_path):
        name = fresh_database(postgres18).name
        world = directory_world(tmp_path, database_on(postgres18, name, port=1, format=dump_format))
        self.refused(world, name, SourceError, "as postgres: Connection refused")

    def test_no_rights_on_a_table(self, dump_format, postgres18, fresh_database, tmp_path):
        made = fresh_database(postgres18)
        with postgres18.connect(made.name) as session:
            session.execute("CREATE TABLE hidden AS SELECT 1 AS a")
        database = database_on(postgres18, made.name, user=made.owner, password=made.password, format=dump_format)
        world = directory_world(tmp_path, database)
        error = self.refused(world, made.name, SourceError, "permission denied for table hidden")
        assert "pg_read_all_data" in error.hint
        assert stored_files(tmp_path) == []

    def test_row_level_security_that_would_hide_rows(self, dump_format, postgres18, fresh_database, tmp_path):
        made = fresh_database(postgres18)
        with postgres18.connect(made.name) as session:
            session.execute("CREATE TABLE mine AS SELECT 1 AS a; ALTER TABLE mine ENABLE ROW LEVEL SECURITY")
            session.execute(f"GRANT pg_read_all_data TO {made.owner}")
        database = database_on(postgres18, made.name, user=made.owner, password=made.password, format=dump_format)
        world = directory_world(tmp_path, database)
        error = self.refused(world, made.name, SourceError, "row-level security")
        assert "BYPASSRLS" in error.hint

    def test_a_lock_that_does_not_go(self, dump_format, postgres18, fresh_database, tmp_path):
        made = fresh_database(postgres18)
        with made.connect() as session:
            session.execute("CREATE TABLE locked AS SELECT 1 AS a")
            world = directory_world(tmp_path, database_on(postgres18, made.name, lock_timeout=0.3, format=dump_format))
            with session.transaction():
                session.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
                error = self.refused(world, made.name, SourceError, "lock timeout")
        assert "pg_locks" in error.hint

    def test_no_client_programs(self, dump_format, postgres18, fresh_database, tmp_path):
        name = fresh_database(postgres18).name
        world = directory_world(tmp_path, database_on(postgres18, name, bin=tmp_path, format=dump_format))
        self.refused(world, name, ToolMissing, f"pg_dump was not found in {tmp_path}")


@pytest.mark.parametrize("dump_format", FORMATS)
class TestCutInTheMiddle:
    """The connection or the server goes while rows are flowing."""

    def disturbed(self, world, name, disturb):
        """Run a backup; call ``disturb`` once rows have begun to arrive."""
        from backstay.core.model import NoProgress
        from backstay.jobs import backup

        class Once(NoProgress):
            done = False

            def advance(self, n_bytes):
                if not self.done and n_bytes:
                    self.done = True
                    disturb()

        progress = Once()
        with pytest.raises((DumpIncomplete, SourceError), match="ended early|could not be dumped") as caught:
            backup.run(world.context, world.target(name), progress)
        assert progress.done
        assert world.listed(name, foreign=True) == []
        assert "Nothing was stored" in caught.value.hint or "Run it again" in caught.value.hint
        return caught.value

    def test_the_session_is_terminated(self, dump_format, postgres18, big, tmp_path):
        world = directory_world(tmp_path, database_on(postgres18, big.name, format=dump_format))

        def disturb():
            with postgres18.connect() as session:
                query = (
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'COPY%%'"
                )
                assert session.execute(query, (big.name,)).fetchall()

        error = self.disturbed(world, big.name, disturb)
        assert "terminating connection" in error.message or "server closed the connection" in error.message
        made = world.backup(big.name)
        assert made.contents["tables"]["public.rows"]["rows"] == 200_000  # and the next one is whole
        assert len(stored_files(tmp_path)) == len(made.artifacts)

    def test_the_server_is_killed(self, dump_format, tmp_path):
        with tempfile.TemporaryDirectory(prefix="backstay-crash-") as folder:
            Path(folder).chmod(0o755)
            with PostgresServer(find_bin(18), Path(folder) / "server", options=THROWAWAY) as server:
                with server.connect() as session:
                    session.execute(
                        "CREATE TABLE rows AS SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 200000) i"
                    )
                world = directory_world(tmp_path, database_on(server, "postgres", format=dump_format))
                self.disturbed(world, "postgres", server.crash)
        assert stored_files(tmp_path) == []


@pytest.mark.parametrize("dump_format", FORMATS)
def test_limits_of_the_role_do_not_cut_a_backup(dump_format, postgres18, big, tmp_path):
    """statement_timeout and the like are for the applications; a dump must outlive them."""
    with postgres18.connect() as session:
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"):
            session.execute(f"ALTER ROLE {big.owner} SET {setting} = '20ms'")
    database = database_on(postgres18, big.name, user=big.owner, password=big.password, format=dump_format)
    made = directory_world(tmp_path, database).backup(big.name)
    assert made.contents["rows"] == 200_001
