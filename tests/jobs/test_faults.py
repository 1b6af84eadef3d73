"""The store refuses, times out or vanishes at every request of a job; two runs meet; the disk of the server fills."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backstay.catalog import journal as journals
from backstay.catalog.journal import JournalState
from backstay.core.errors import BackstayError, Denied, LeaseHeld, RestoreError, Unavailable
from backstay.core.model import Level, NoProgress, Outcome, Severity
from backstay.demo.compare import differences, fingerprint
from backstay.jobs import backup, restore
from backstay.tiers.postgres.localserver.programs import find_bin
from backstay.tiers.postgres.localserver.server import THROWAWAY, PostgresServer
from tests.fixtures.faults import FaultyStore
from tests.fixtures.world import Later, database_on, directory_world

MOST_REQUESTS = 60


def refusing(kind):
    def fault(verb, key):
        raise kind(f"the store would not {verb} {key}")

    return fault


def prints(server, name):
    with server.connect(name) as session:
        return fingerprint(session)


@pytest.mark.parametrize("kind", [Unavailable, Denied])
def test_a_backup_whose_store_fails_at_every_request(kind, postgres18, fresh_database, tmp_path):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE t AS SELECT generate_series(1, 100) AS i")
    failures = 0
    for at in range(1, MOST_REQUESTS):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = directory_world(folder, database_on(postgres18, made.name))
        healthy = world.store
        faulty = world.store = FaultyStore(healthy, refusing(kind), at)
        told = None
        try:
            world.backup(made.name)
        except BackstayError as error:
            told = error
            failures += 1
        world.store = healthy
        if told is not None:
            assert isinstance(told, kind)
            assert (
                not list(folder.rglob("postgres-backups/*/*.gz"))
                or world.context.catalogs.of(world.target(made.name)).littered()
            )
        elif len(faulty.requests) < at:
            break
        world.now = Later()  # past the lease that could not be given back
        newest = world.backup(made.name)
        for listed in world.listed(made.name):
            assert world.verify(listed, Level.READABLE).ok
        assert newest.id == world.listed(made.name)[-1].id
    assert failures > 8


def test_a_restore_whose_store_fails_at_every_request(postgres18, sample_database, tmp_path):
    name = sample_database(postgres18, "wiki")
    world = directory_world(tmp_path, database_on(postgres18, name))
    made = world.backup(name)
    good = prints(postgres18, name)
    healthy, failures = world.store, 0
    for at in range(1, MOST_REQUESTS):
        faulty = world.store = FaultyStore(healthy, refusing(Unavailable), at)
        with contextlib.suppress(Unavailable):
            world.restore(made)
        world.store = healthy
        failed = len(faulty.requests) >= at
        assert differences(good, prints(postgres18, name)) == []  # live is whole, old or new
        if not failed:
            break
        failures += 1
        with contextlib.suppress(RestoreError):
            restore.rollback(world.context, world.target(name), healthy, NoProgress())
        with postgres18.connect() as session:
            query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
            left = [row[0] for row in session.execute(query, (f"{name}__",))]
            for kept in left:
                session.execute(f"DROP DATABASE {kept} WITH (FORCE)")
        assert not any("__restore_" in kept for kept in left)
    assert failures > 8


class AwayStore(FaultyStore):
    away = False

    @contextlib.contextmanager
    def request(self, verb, key):
        if self.away:
            raise Unavailable("the bucket does not answer")
        yield


class StandIn:
    """In place of a tier whose restore does not need the store from some point on."""

    def __init__(self, world, error):
        self.world, self.error = world, error

    def restore(self, plan, source, journal, progress):
        self.world.store.away = True
        if self.error:
            raise self.error
        return Outcome(plan.target, True, "restored", 1.0)


@pytest.fixture
def away(postgres18, fresh_database, tmp_path, monkeypatch):
    """A world, a backup in it, and a plan to restore it; the store is gone when the restore ends with ``error``."""
    made = fresh_database(postgres18)
    world = directory_world(tmp_path, database_on(postgres18, made.name))
    kept = world.backup(made.name)
    healthy = world.store
    world.store = AwayStore(healthy, refusing(Unavailable), 0)

    def run(error):
        context = world.context
        plan, place = restore.plan(context, kept, {}), restore.place_of(context, kept)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(type(context), "tier", lambda _self, _target: StandIn(world, error))
                return restore.run(context, plan, kept, place, NoProgress())
        finally:
            world.store.away = False

    return world, kept, run


def test_a_store_that_is_away_hides_no_error(away):
    """What is live is told, not that nobody could be told of it."""
    world, kept, run = away
    with pytest.raises(RestoreError, match="the reset failed") as caught:
        run(RestoreError("the reset failed", hint="What was live is in its place."))
    assert caught.value.hint == (
        "What was live is in its place. That it failed could not be recorded: the bucket does not answer."
    )
    (record,) = journals.unfinished(world.store, kept.target)
    assert record.state is JournalState.OPEN


def test_asked_for_on_the_wrong_machine_it_is_as_unfinished_as_before(away):
    world, kept, run = away
    with pytest.raises(RestoreError, match="belongs to server-1"):
        run(RestoreError("it belongs to server-1", elsewhere=True))
    (record,) = journals.unfinished(world.store, kept.target)
    assert record.state is JournalState.OPEN
    assert record.needs_a_person


def test_a_store_that_is_away_at_the_end_undoes_nothing(away):
    world, kept, run = away
    outcome = run(None)
    assert outcome.ok
    (warned,) = outcome.findings
    assert (warned.severity, warned.code) == (Severity.WARNING, "restore.unrecorded")
    assert "what was restored stays" in warned.message
    assert "the bucket does not answer" in warned.message
    (record,) = journals.unfinished(world.store, kept.target)
    assert record.state is JournalState.OPEN


def test_two_backups_at_once(postgres18, fresh_database, tmp_path):
    """The second is told who has the target, and writes nothing."""
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE t AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 20000)")
    world = directory_world(tmp_path, database_on(postgres18, made.name))
    inside, go_on = threading.Event(), threading.Event()

    class Waiting(NoProgress):
        def advance(self, n_bytes):
            inside.set()
            assert go_on.wait(30)

    first = threading.Thread(target=backup.run, args=(world.context, world.target(made.name), Waiting()))
    first.start()
    try:
        assert inside.wait(30)
        with pytest.raises(LeaseHeld) as caught:
            world.backup(made.name)
        assert caught.value.exit_code == 11
    finally:
        go_on.set()
        first.join()
    assert len(world.listed(made.name)) == 1


class StoppedClock:
    """Time moves only when somebody waits."""

    def __init__(self):
        self.at = datetime.now(UTC)

    def __call__(self):
        return self.at

    def sleep(self, seconds):
        self.at += timedelta(seconds=seconds)


def test_runs_within_one_second(postgres18, sample_database, tmp_path):
    """Names are by the second; a run that comes too early takes the next one, and nothing is overwritten."""
    name = sample_database(postgres18, "wiki")
    clock = StoppedClock()
    world = directory_world(tmp_path, database_on(postgres18, name), now=clock, sleep=clock.sleep)
    first, second = world.backup(name), world.backup(name)
    assert first.stamp < second.stamp
    assert [one.id for one in world.listed(name)] == [first.id, second.id]
    world.restore(first, to=f"{name}__a")
    world.restore(first, to=f"{name}__b")
    assert len(list(journals.journals(world.store, world.target(name)))) == 2


@pytest.fixture
def small_disk():
    """A server whose disk is a file system of 150 MB."""
    folder = Path(tempfile.mkdtemp(prefix="backstay-small-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"needs the right to mount a small file system (run as root): {mounted.stderr.strip()}")
    try:
        folder.chmod(0o755)
        with PostgresServer(find_bin(18), folder / "server", options=THROWAWAY) as server:
            server.stop()
            wal = server.data / "pg_wal"  # elsewhere, so that the data fills first: a full WAL disk stops the server
            wal_elsewhere = folder.with_name(f"{folder.name}-wal")
            shutil.copytree(wal, wal_elsewhere)
            owner = wal.stat()
            for path in (wal_elsewhere, *wal_elsewhere.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid)
            shutil.rmtree(wal)
            wal.symlink_to(wal_elsewhere)
            server.start()
            yield server
        shutil.rmtree(wal_elsewhere)
    finally:
        subprocess.run(["umount", folder], check=True)
        shutil.rmtree(folder)


def test_the_disk_fills_while_restoring(small_disk, tmp_path):
    """The plan says beforehand that two copies do not fit; where it could not know, the load fails and tidies up."""
    with small_disk.connect() as session:
        session.execute("CREATE DATABASE app")
    with small_disk.connect("app") as session:
        session.execute("CREATE TABLE t AS SELECT i, repeat(md5(i::text), 30) AS x FROM generate_series(1, 70000) i")
        session.execute("CHECKPOINT")
    world = directory_world(tmp_path, database_on(small_disk, "app"))
    made = world.backup("app")
    before = prints(small_disk, "app")
    with pytest.raises(RestoreError, match="cannot hold both copies") as refused:
        world.plan_restore(made)
    assert "--in-place" in refused.value.hint

    contents = {**made.contents, "database": {**made.contents["database"], "size_bytes": 1}}
    from dataclasses import replace

    unknowing = replace(made, contents=contents)
    with pytest.raises(RestoreError, match="No space left on device") as full:
        world.restore(unknowing)
    assert "live database was not touched" in full.value.hint
    assert differences(before, prints(small_disk, "app")) == []
    with small_disk.connect() as session:
        left = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, 'app__')").fetchall()
    assert left == []

    assert world.restore(made, in_place=True).ok  # the way out that the hint names
    assert differences(before, prints(small_disk, "app")) == []
