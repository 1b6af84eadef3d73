"""The TimescaleDB server and the sample that the tests of its backups rest on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from backstay.cluster.processes import alive
from backstay.tiers.postgres.localserver.server import THROWAWAY
from tests.e2e.timescale_sample import CHUNKS, ROWS, sample
from tests.e2e.timescale_server import TimescaleServer

SHOWN = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "password_encryption": "scram-sha-256",
}


@pytest.fixture(scope="module")
def database(timescale: TimescaleServer) -> Iterator[str]:
    with sample(timescale) as name:
        yield name


def test_it_is_a_17_with_the_extension_and_keeps_to_itself(timescale):
    with timescale.connect() as connection:
        found = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in SHOWN}
    assert found == SHOWN
    assert timescale.version.startswith("17.")


def test_the_password_is_asked_for(timescale):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**timescale.conninfo() | {"password": "wrong"})


def test_the_sample_has_its_rows_in_chunks(timescale, database):
    with timescale.connect(database) as connection:
        chunks = connection.execute("SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables")
        assert dict(chunks.fetchall()) == CHUNKS
        for table, rows in ROWS.items():
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,)
            # Every row is in a chunk: a backup that reads the tables alone has none.
            assert connection.execute(f"SELECT count(*) FROM ONLY {table}").fetchone() == (0,)


def test_a_time_filter_leaves_out_the_other_chunks(timescale, database):
    filtered = "FROM readings WHERE at >= '2026-02-01' AND at < '2026-02-03'"
    with timescale.connect(database) as connection:
        assert connection.execute(f"SELECT count(*) {filtered}").fetchone() == (2 * 48 * 40,)
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN SELECT * {filtered}"))
        assert plan.count("_chunk") >= 1
        assert "_hyper_1_1_chunk" not in plan


def test_the_sample_has_what_timescaledb_keeps_beside_the_rows(timescale, database):
    with timescale.connect(database) as connection:
        count = "SELECT count(*) FROM timescaledb_information."
        assert connection.execute(f"{count}dimensions").fetchone() == (3,)
        assert connection.execute(f"{count}jobs WHERE job_id >= 1000").fetchone() == (1,)


def test_client_programs_from_outside_reach_it(timescale, database):
    command = [timescale.program("pg_dump"), "--schema-only", f"--dbname={database}", f"--host={timescale.host}"]
    environment = {"PGPASSWORD": timescale.password, "PGUSER": timescale.superuser, "PGPORT": str(timescale.port)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "INHERITS (public.readings)" in done.stdout


def test_it_ends_when_it_is_told_to(timescale):
    folder = timescale.folder / "another"
    with TimescaleServer(timescale.rootfs, timescale.bin_dir, folder, options=THROWAWAY) as server:
        pid = server.pid
        assert pid is not None
        assert Path(f"/proc/{pid}/root").resolve() == timescale.rootfs.resolve()
    assert server.pid is None
    assert not alive(pid)
