"""What stops a backup in format ``directory``: each a clear error, nothing stored, nothing left running."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from backstay.catalog import history
from backstay.core.errors import BackstayError, DumpIncomplete, SourceError, Unavailable
from backstay.core.model import Level, NoProgress
from backstay.jobs import backup
from backstay.store.wrap.retrying import Retrying
from backstay.tiers.postgres.directory import dump
from tests.fixtures.world import database_on, directory_world
from tests.postgres.directories import fill, small_parts

__all__ = ["small_parts"]

SECONDS = 30  # far more than any of this takes
ROWS = 20_000


@pytest.fixture
def big(postgres18, fresh_database, small_parts):
    """A database whose dump takes long enough to be disturbed, and is cut."""
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        fill(session, rows=ROWS)
        session.execute("CREATE TABLE other AS SELECT 1 AS a; ANALYZE")
    return fresh


def children(name):
    """The ids of this process's own child processes that run ``name``."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            program, _, rest = status.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid() and program == name:
            found.append(int(status.parent.name))
    return found


class When(NoProgress):
    """Calls ``do`` once, in the thread that tells of the first rows."""

    def __init__(self, do):
        self.do = do
        self.lock = threading.Lock()
        self.done = False

    def advance(self, n_bytes):
        with self.lock:
            if self.done or not n_bytes:
                return
            self.done = True
        self.do()


def disturbed(world, name, do):
    """Run a backup and call ``do`` when the first rows have come; returns the error it must end with, and looks at
    what is left."""
    before = {thread.name for thread in threading.enumerate()}
    progress = When(do)
    begun = time.monotonic()
    with pytest.raises(BackstayError) as caught:
        backup.run(world.context, world.target(name), progress)
    assert progress.done
    assert time.monotonic() - begun < SECONDS
    nothing_is_left(world, name, before)
    (failure, *_) = history.failures(world.store, world.target(name))
    assert failure.message == caught.value.message
    return caught.value


def nothing_is_left(world, name, threads):
    assert children("psql") == children("pg_dump") == []
    assert {thread.name for thread in threading.enumerate()} <= threads
    assert world.listed(name, foreign=True) == []
    stored = [entry.key for entry in world.store.list("postgres-backups/")]
    assert stored == []


def the_next_one_is_whole(world, name, rows=ROWS + 1):
    made = world.backup(name)
    assert made.contents["rows"] == rows
    assert world.verify(made, Level.READABLE).ok


class TestCutInTheMiddle:
    def test_a_worker_is_killed(self, postgres18, big, tmp_path):
        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=3))
        error = disturbed(world, big.name, lambda: os.kill(children("psql")[0], signal.SIGKILL))
        assert isinstance(error, (DumpIncomplete, SourceError))
        assert "psql was ended by SIGKILL" in error.message
        the_next_one_is_whole(world, big.name)

    def test_pg_dump_is_killed(self, postgres18, big, tmp_path):
        """It is held up, since its part is over before the first rows otherwise."""
        real = postgres18.bin_dir / "pg_dump"
        folder = tmp_path / "bin"
        folder.mkdir()
        for program in ("psql", "pg_restore"):
            (folder / program).symlink_to(postgres18.bin_dir / program)
        script = f'#!/bin/sh\n[ "$1" = --version ] && exec {real} "$@"\n{real} "$@" | head -c 1000\nexec sleep 60\n'
        (folder / "pg_dump").write_text(script)
        (folder / "pg_dump").chmod(0o755)
        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=3, bin=folder))

        def kill():
            deadline = time.monotonic() + SECONDS
            while not (sleeping := children("sleep")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(sleeping[0], signal.SIGKILL)

        error = disturbed(world, big.name, kill)
        assert isinstance(error, (DumpIncomplete, SourceError))
        assert f"postgres/{big.name}" in error.message
        world.databases = {big.name: database_on(postgres18, big.name, workers=3)}
        the_next_one_is_whole(world, big.name)

    def test_the_session_that_holds_the_snapshot_is_terminated(self, postgres18, big, tmp_path, monkeypatch):
        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=3))
        locked, holder = dump.segments.lock, []

        def lock(session, tables):
            holder.append(session.info.backend_pid)
            locked(session, tables)

        monkeypatch.setattr(dump.segments, "lock", lock)

        def terminate():
            with postgres18.connect() as session:
                assert session.execute("SELECT pg_terminate_backend(%s)", (holder[0],)).fetchone() == (True,)

        error = disturbed(world, big.name, terminate)
        assert isinstance(error, SourceError)
        assert "terminating connection due to administrator command" in error.message
        the_next_one_is_whole(world, big.name)

    def test_a_session_that_copies_is_terminated(self, postgres18, big, tmp_path):
        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=3))

        def terminate():
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'COPY%%'"
            with postgres18.connect() as session:
                assert session.execute(query, (big.name,)).fetchall()

        error = disturbed(world, big.name, terminate)
        assert "terminating connection due to administrator command" in error.message
        assert "Nothing was stored" in error.hint or "Run it again" in error.hint
        the_next_one_is_whole(world, big.name)

    def test_the_store_fails(self, postgres18, big, tmp_path):
        """In one thread, while others write."""
        from backstay.core.errors import Unavailable
        from tests.fixtures.faults import FaultyStore

        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=3))
        healthy = world.store
        failed = []

        def fault(verb, key):
            failed.append(key)
            raise Unavailable(f"the store would not {verb} {key}")

        before = {thread.name for thread in threading.enumerate()}
        for at in (1, 3, 7):
            world.store = FaultyStore(healthy, fault, at, only="put postgres-backups/")
            with pytest.raises(Unavailable):
                world.backup(big.name)
            world.store = healthy
            nothing_is_left(world, big.name, before)
        assert len(failed) == 3
        the_next_one_is_whole(world, big.name)

    def test_interrupted_from_the_keyboard(self, postgres18, big, tmp_path):
        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=3))
        before = {thread.name for thread in threading.enumerate()}
        timer = threading.Timer(0.0, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            backup.run(world.context, world.target(big.name), When(timer.start))
        timer.join()
        nothing_is_left(world, big.name, before)
        the_next_one_is_whole(world, big.name)


class TestLocks:
    def test_a_table_that_is_locked_before(self, postgres18, big, tmp_path):
        world = directory_world(tmp_path, database_on(postgres18, big.name, lock_timeout=0.4))
        with big.connect() as session, session.transaction():
            session.execute("LOCK TABLE other IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            with pytest.raises(SourceError, match="lock timeout") as caught:
                world.backup(big.name)
            assert 0.3 < time.monotonic() - begun < 10
        assert "pg_locks" in caught.value.hint
        the_next_one_is_whole(world, big.name)

    @contextmanager
    def waiting(self, big, statement):
        """A session that wants a lock which the backup's own hinders, in its queue until the end."""
        with big.connect() as session:
            with big.connect() as asking:
                pid = session.info.backend_pid
                thread = threading.Thread(target=session.execute, args=(statement,))
                thread.start()
                deadline = time.monotonic() + SECONDS
                query = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"
                while asking.execute(query, (pid,)).fetchone() == (0,):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            try:
                yield
            finally:
                thread.join(SECONDS)
                assert not thread.is_alive()  # the backup has let go

    def test_a_change_that_waits_for_the_backup_ends_it_at_once(self, postgres18, big, tmp_path, monkeypatch):
        """The change waits for the session with the locks, and a worker would wait for the change: forever."""
        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=2, lock_timeout=60))
        locked = dump.segments.lock

        def lock(session, tables):
            locked(session, tables)
            stack.append(self.waiting(big, "ALTER TABLE cut ADD COLUMN more integer"))
            stack[0].__enter__()

        stack = []
        monkeypatch.setattr(dump.segments, "lock", lock)
        before = {thread.name for thread in threading.enumerate()}
        begun = time.monotonic()
        try:
            with pytest.raises(SourceError, match="could not obtain lock on relation") as caught:
                world.backup(big.name)
            assert time.monotonic() - begun < 15  # nowhere near the lock_timeout
        finally:
            stack[0].__exit__(None, None, None)
        assert "waits to change or drop a table" in caught.value.hint
        nothing_is_left(world, big.name, before)
        monkeypatch.setattr(dump.segments, "lock", locked)
        the_next_one_is_whole(world, big.name)

    def test_a_table_that_goes_away_while_the_backup_begins(self, postgres18, big, tmp_path, monkeypatch):
        world = directory_world(tmp_path, database_on(postgres18, big.name))
        read = dump.segments.read_tables

        def drop_then_read(session, wanted):
            with big.connect() as other:
                other.execute("DROP TABLE other")
            return read(session, wanted)

        monkeypatch.setattr(dump.segments, "read_tables", drop_then_read)
        with pytest.raises(SourceError) as caught:
            world.backup(big.name)
        assert "other" in caught.value.message or "went away" in caught.value.message
        monkeypatch.setattr(dump.segments, "read_tables", read)
        the_next_one_is_whole(world, big.name, ROWS)

    def test_readers_and_writers_are_not_held_up(self, postgres18, big, tmp_path):
        world = directory_world(tmp_path, database_on(postgres18, big.name, workers=2))
        took = []

        def write():
            with big.connect() as session:
                session.execute("SET lock_timeout = '2s'")
                session.execute("INSERT INTO cut VALUES (-1, 'new', NULL); UPDATE other SET a = 2; DELETE FROM other")
                took.append(session.execute("SELECT count(*) FROM cut").fetchone()[0])

        made = backup.run(world.context, world.target(big.name), When(write))
        assert took == [ROWS + 1]
        assert made.contents["rows"] == ROWS + 1
        assert made.contents["tables"]["public.cut"]["rows"] == ROWS


class TestRights:
    def as_owner(self, server, fresh, tmp_path):
        return directory_world(tmp_path, database_on(server, fresh.name, user=fresh.owner, password=fresh.password))

    def test_a_table_without_rights(self, postgres18, big, tmp_path):
        with big.connect_superuser() as session:
            session.execute("CREATE TABLE hidden AS SELECT 1 AS a")
        world = self.as_owner(postgres18, big, tmp_path)
        with pytest.raises(SourceError, match="permission denied for table hidden") as caught:
            world.backup(big.name)
        assert "pg_read_all_data" in caught.value.hint
        assert [entry.key for entry in world.store.list("postgres-backups/")] == []

    def test_row_level_security_that_would_hide_rows(self, postgres18, big, tmp_path):
        with big.connect_superuser() as session:
            session.execute("CREATE TABLE mine AS SELECT 1 AS a; ALTER TABLE mine ENABLE ROW LEVEL SECURITY")
            session.execute(f"GRANT pg_read_all_data TO {big.owner}")
        world = self.as_owner(postgres18, big, tmp_path)
        with pytest.raises(SourceError, match="row-level security") as caught:
            world.backup(big.name)
        assert "BYPASSRLS" in caught.value.hint
        assert [entry.key for entry in world.store.list("postgres-backups/")] == []

    def test_row_level_security_with_the_right_to_bypass_it(self, postgres18, big, tmp_path):
        with big.connect_superuser() as session:
            session.execute("CREATE TABLE mine AS SELECT 1 AS a; ALTER TABLE mine ENABLE ROW LEVEL SECURITY")
            session.execute(f"GRANT pg_read_all_data TO {big.owner}; ALTER ROLE {big.owner} BYPASSRLS")
        made = self.as_owner(postgres18, big, tmp_path).backup(big.name)
        assert made.contents["tables"]["public.mine"]["rows"] == 1

    def test_a_large_object_of_somebody_else(self, postgres17, fresh_database, tmp_path):
        fresh = fresh_database(postgres17)
        with fresh.connect_superuser() as session:
            session.execute("SELECT lo_from_bytea(0, 'hidden')")
        world = self.as_owner(postgres17, fresh, tmp_path)
        with pytest.raises((SourceError, DumpIncomplete), match="large object"):
            world.backup(fresh.name)
        assert [entry.key for entry in world.store.list("postgres-backups/")] == []


def test_a_table_that_pg_dump_does_not_know_is_missed(postgres18, big, tmp_path):
    """A stand-in that leaves a table out, and ends well."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("psql", "pg_restore"):
        (folder / program).symlink_to(postgres18.bin_dir / program)
    real = postgres18.bin_dir / "pg_dump"
    script = f'#!/bin/sh\n[ "$1" = --version ] && exec {real} "$@"\nexec {real} "$@" --exclude-table=other\n'
    (folder / "pg_dump").write_text(script)
    (folder / "pg_dump").chmod(0o755)
    world = directory_world(tmp_path, database_on(postgres18, big.name, bin=folder))
    with pytest.raises(DumpIncomplete, match=r"lacks 1 table of the database: public\.other"):
        world.backup(big.name)
    assert [entry.key for entry in world.store.list("postgres-backups/")] == []


@pytest.mark.parametrize("size", [0, 3, 30, 500, 1200])
def test_an_archive_that_is_cut_with_success(size, postgres18, big, tmp_path):
    """What a broken exec stream does: fewer bytes of pg_dump, exit code 0."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("psql", "pg_restore"):
        (folder / program).symlink_to(postgres18.bin_dir / program)
    real = postgres18.bin_dir / "pg_dump"
    script = f'#!/bin/sh\n[ "$1" = --version ] && exec {real} "$@"\n{real} "$@" | head -c {size}\nexit 0\n'
    (folder / "pg_dump").write_text(script)
    (folder / "pg_dump").chmod(0o755)
    world = directory_world(tmp_path, database_on(postgres18, big.name, bin=folder))
    with pytest.raises(DumpIncomplete, match="ended early") as caught:
        world.backup(big.name)
    assert big.name in caught.value.message
    assert "Nothing was stored" in caught.value.hint
    assert [entry.key for entry in world.store.list("postgres-backups/")] == []


class Flaky:
    """A store that takes the first bytes of some objects, as often as ``times`` of each, and then is away."""

    def __init__(self, store, chosen, times):
        self.store = store
        self.chosen = chosen
        self.times = times
        self.failed = []

    def __getattr__(self, name):
        return getattr(self.store, name)

    def put(self, key, chunks, **more):
        name = key.rpartition("/")[2]
        if self.chosen(name) and self.failed.count(name) < self.times:
            self.failed.append(name)
            next(iter(chunks))
            raise Unavailable(f"{name}: the store went away")
        return self.store.put(key, chunks, **more)


def test_a_store_that_is_away_for_a_moment_does_not_end_a_dump(postgres18, big, tmp_path):
    """The rows of that part are asked for again, of the same snapshot."""
    world = directory_world(tmp_path, database_on(postgres18, big.name, workers=2))
    flaky = Flaky(world.store, lambda name: name.endswith((".part00002", ".part00003")), times=2)
    world.store = Retrying(flaky, sleep=lambda _seconds: None)
    made = world.backup(big.name)
    assert len(flaky.failed) >= 4
    assert all(flaky.failed.count(name) == 2 for name in flaky.failed)
    assert made.contents["rows"] == ROWS + 1
    assert world.verify(made, Level.READABLE).ok


def test_a_dump_in_one_stream_is_not_sent_again(postgres18, big, tmp_path):
    """It cannot be: what went before is gone. It is an error, and nothing is stored."""
    world = directory_world(tmp_path, database_on(postgres18, big.name, format="sql"))
    flaky = Flaky(world.store, lambda name: name.endswith(".sql.gz"), times=1)
    world.store = Retrying(flaky, sleep=lambda _seconds: None)
    with pytest.raises(Unavailable, match="went away"):
        world.backup(big.name)
    assert len(flaky.failed) == 1
    assert world.listed(big.name, foreign=True) == []
