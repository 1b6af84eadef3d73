"""Hypertables backed up, restored and drilled on a real TimescaleDB: they come back as hypertables, or not at all."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.core.errors import RestoreError, SourceError
from backstay.core.model import Level, NoProgress, Severity
from backstay.demo.compare import differences, fingerprint
from backstay.jobs import drill
from backstay.tiers.postgres.localserver.server import THROWAWAY
from tests.e2e.timescale_sample import CHUNKS, ROWS, sample
from tests.e2e.timescale_server import TimescaleServer
from tests.fixtures.world import database_on, directory_world

FORMATS = pytest.mark.parametrize("form", ["directory", "sql"])
# What the extension keeps of its own running, and no backup has.
OF_THE_RUN = ("table _timescaledb_internal.bgw_", "table _timescaledb_catalog.metadata")


@pytest.fixture
def name(timescale):
    with sample(timescale) as made:
        yield made


def print_of(server, name):
    with server.connect(name) as connection:
        return fingerprint(connection)


def only_internal(difference):
    """A setting that minor releases of 2026 keep for themselves, on every column."""
    now, _, was = re.sub(r"pg_attver=\d+", "pg_attver", difference.partition(" is ")[2]).partition(", was ")
    return "pg_attver" in now and now == was


def hypertables(server, name):
    with server.connect(name) as connection:
        return dict(
            connection.execute("SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables").fetchall()
        )


def works(server, name):
    """A time filter finds its rows, and a row can be inserted."""
    with server.connect(name) as connection:
        filtered = "SELECT count(*) FROM readings WHERE at >= '2026-02-01' AND at < '2026-02-03'"
        assert connection.execute(filtered).fetchone() == (2 * 48 * 40,)
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO readings VALUES ('2026-07-01', 7, 21.5, 'new')")
        assert connection.execute("SHOW timescaledb.restoring").fetchone() == ("off",)
        assert connection.execute("SELECT count(*) FROM readings").fetchone() == (ROWS["readings"],)


def schedulers(server):
    with server.connect() as connection:
        query = (
            "SELECT datname FROM pg_stat_activity WHERE backend_type LIKE 'TimescaleDB Background Worker Scheduler%'"
        )
        return {row[0] for row in connection.execute(query)}


@FORMATS
def test_a_lost_database_comes_back_with_its_hypertables(timescale, name, tmp_path, form):
    before = print_of(timescale, name)
    world = directory_world(tmp_path, database_on(timescale, name, format=form))
    made = world.backup(name)
    assert made.contents["timescale"]["version"] == made.contents["extensions"]["timescaledb"]
    assert made.contents["rows"] == sum(entry["rows"] for entry in made.contents["tables"].values() if "rows" in entry)
    assert world.verify(made, Level.READABLE).ok
    with timescale.connect() as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    outcome = world.restore(made)
    assert any("2 hypertables with 40 chunks" in finding.message for finding in outcome.findings)
    assert any("a time filter finds rows and an insert works" in finding.message for finding in outcome.findings)
    assert hypertables(timescale, name) == CHUNKS
    different = differences(before, print_of(timescale, name))
    assert [one for one in different if not one.startswith(OF_THE_RUN) and not only_internal(one)] == []
    works(timescale, name)


def test_what_was_live_is_put_aside_and_its_jobs_with_it(timescale, name, tmp_path):
    world = directory_world(tmp_path, database_on(timescale, name))
    made = world.backup(name)
    with timescale.connect(name) as connection:
        connection.execute("DELETE FROM readings WHERE device = 3")
    outcome = world.restore(made)
    kept = outcome.facts["kept"]
    works(timescale, name)
    with timescale.connect(kept) as connection:
        assert connection.execute("SHOW timescaledb.restoring").fetchone() == ("on",)
        assert connection.execute("SELECT count(*) FROM readings").fetchone()[0] < ROWS["readings"]
    assert kept not in schedulers(timescale)


def test_a_copy_under_another_name(timescale, name, tmp_path):
    world = directory_world(tmp_path, database_on(timescale, name))
    copy = f"{name}__copy"
    world.restore(world.backup(name), to=copy)
    assert hypertables(timescale, copy) == CHUNKS
    works(timescale, copy)


def test_large_chunks_are_loaded_frozen_and_in_parallel(timescale, name, tmp_path, monkeypatch):
    monkeypatch.setattr("backstay.tiers.postgres.directory.load.LARGE_BYTES", 1)
    world = directory_world(tmp_path, database_on(timescale, name, workers=4))
    copy = f"{name}__large"
    world.restore(world.backup(name), to=copy)
    assert hypertables(timescale, copy) == CHUNKS
    works(timescale, copy)


def test_a_version_that_cannot_be_had_is_refused_before_anything(timescale, name, tmp_path):
    world = directory_world(tmp_path, database_on(timescale, name))
    made = world.backup(name)
    other = replace(made, contents={**made.contents, "timescale": {**made.contents["timescale"], "version": "2.11.1"}})
    before = print_of(timescale, name)
    version = made.contents["timescale"]["version"]
    with pytest.raises(SourceError, match=rf"TimescaleDB 2\.11\.1, and the server has {version}") as caught:
        world.restore(other)
    assert "Nothing was changed" in caught.value.hint
    assert differences(before, print_of(timescale, name)) == []


def test_hypertables_that_do_not_come_back_are_an_error(timescale, name, tmp_path, monkeypatch):
    """The catalogs left out: every row is there, every statement succeeds, and nothing is a hypertable."""
    world = directory_world(tmp_path, database_on(timescale, name))
    made = world.backup(name)
    monkeypatch.setattr("backstay.tiers.postgres.directory.load.DirectoryLoad._extension_rows", lambda *_: None)
    before = print_of(timescale, name)
    with pytest.raises(RestoreError, match="hypertables: {} instead of"):
        world.restore(made)
    assert differences(before, print_of(timescale, name)) == []


@pytest.fixture
def second(timescale):
    """Another server of the same kind: where a drill may go."""
    with (
        tempfile.TemporaryDirectory(prefix="backstay-timescale-", dir=timescale.rootfs / "var/tmp") as folder,
        TimescaleServer(timescale.rootfs, timescale.bin_dir, Path(folder), options=THROWAWAY) as server,
    ):
        yield server


def test_a_drill_into_another_server_proves_it_and_leaves_nothing(timescale, second, name, tmp_path):
    source = database_on(timescale, name, content=True)
    world = directory_world(tmp_path, source)
    made = world.backup(name)
    given = replace(
        source, connection=database_on(second, name).connection, origin=source.connection, bin=str(second.bin_dir)
    )
    there = replace(world, databases={name: given})
    outcome = drill.run(there.context, drill.plan(there.context, made), made, NoProgress())
    assert outcome.ok
    said = [finding.message for finding in outcome.findings if finding.severity is Severity.OK]
    assert any("2 hypertables with 40 chunks" in one for one in said)
    assert any("tables equal, row by row" in one for one in said)
    with second.connect() as connection:
        names = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
    assert names == {"postgres", "template0", "template1"}
