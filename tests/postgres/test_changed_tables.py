"""Tables that another session changes between the snapshot of a backup and its locks: their rows are not missed."""

import threading
import time
from contextlib import contextmanager

import pytest

from backstay.core.errors import SourceError
from backstay.core.model import NoProgress
from backstay.jobs import backup
from backstay.tiers.postgres import backup as capture
from backstay.tiers.postgres.directory import segments
from tests.fixtures.world import database_on, directory_world

FORMATS = ["directory", "sql"]
SECONDS = 30  # far more than any of this takes
WAITING = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE datname = %s AND NOT granted"


@pytest.fixture
def lists(postgres18, fresh_database):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute("CREATE TABLE prices AS SELECT i AS a FROM generate_series(1, 1000) i")
        session.execute("CREATE TABLE drafts AS SELECT i AS a FROM generate_series(1, 10) i")
    return made


@contextmanager
def in_a_transaction(made, *statements):
    """What starts a session that does ``statements`` and commits when somebody waits for a lock of its."""
    threads, waited = [], []

    def change(session):
        with session, made.connect() as asking:
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline and not waited:
                if asking.execute(WAITING, (made.name,)).fetchone() != (0,):
                    waited.append(True)
                time.sleep(0.01)
            for statement in statements[1:]:
                session.execute(statement)
            session.execute("COMMIT")

    def start(*_):
        session = made.connect()
        session.execute("BEGIN")
        session.execute(statements[0])
        threads.append(threading.Thread(target=change, args=(session,)))
        threads[0].start()

    try:
        yield start
    finally:
        for thread in threads:
            thread.join()
    assert waited == [True]


@pytest.mark.parametrize("dump_format", FORMATS)
@pytest.mark.parametrize(
    ("statements", "rows"),
    [
        (("TRUNCATE prices", "INSERT INTO prices SELECT generate_series(1, 900)"), 900),
        (("ALTER TABLE prices ALTER a TYPE bigint",), 1000),
        (("ALTER TABLE prices RENAME TO was", "ALTER TABLE drafts RENAME TO prices"), 10),
        (("VACUUM FULL prices",), 1000),
        (("DROP TABLE prices",), None),
        (("DROP SCHEMA old CASCADE",), 1000),
    ],
    ids=lambda value: value[0].partition(" p")[0] if isinstance(value, tuple) else "",
)
def test_the_backup_has_what_was_there_then(statements, rows, dump_format, postgres18, lists, tmp_path, monkeypatch):
    """The change begins after the snapshot was taken, and is through before the lock on its table is had."""
    world = directory_world(tmp_path, database_on(postgres18, lists.name, format=dump_format))
    with lists.connect() as session:
        session.execute("CREATE SCHEMA old; CREATE TABLE old.one AS SELECT 1 AS a")
    taken, snapshots = capture._open_snapshot, []

    def then(do):
        def take(session):
            snapshots.append(taken(session))
            if len(snapshots) == 1:
                do()
            return snapshots[-1]

        monkeypatch.setattr(capture, "_open_snapshot", take)
        return world.backup(lists.name)

    if statements[0].startswith("VACUUM"):
        with lists.connect() as session:
            made = then(lambda: session.execute(statements[0]))
    else:
        with in_a_transaction(lists, *statements) as start:
            made = then(start)
    assert len(snapshots) == 2
    found = {name: entry.get("rows") for name, entry in made.contents["tables"].items()}
    assert found.get("public.prices") == rows
    assert ("old.one" in found) == ("SCHEMA" not in statements[0])
    assert world.restore(made, to=f"{lists.name}__copy").ok


@pytest.mark.parametrize("dump_format", FORMATS)
def test_one_that_is_open_when_the_backup_begins(dump_format, postgres18, lists, tmp_path):
    """A load that empties its table first: what is announced is asked before, what is stored is all of it."""
    world = directory_world(tmp_path, database_on(postgres18, lists.name, format=dump_format))
    load = ("TRUNCATE prices", "INSERT INTO prices SELECT generate_series(1, 900)")
    with in_a_transaction(lists, *load) as start:
        made = backup.run(world.context, world.target(lists.name), NoProgress(), start)
    assert made.contents["tables"]["public.prices"]["rows"] == 900


@pytest.mark.parametrize("dump_format", FORMATS)
def test_a_table_that_is_emptied_again_and_again(dump_format, postgres18, lists, tmp_path, monkeypatch):
    world = directory_world(tmp_path, database_on(postgres18, lists.name, format=dump_format))
    read, times = segments.read_tables, []

    def empty(session, wanted):
        with lists.connect() as other:
            other.execute("TRUNCATE prices")
        times.append(1)
        return read(session, wanted)

    monkeypatch.setattr(segments, "read_tables", empty)
    with pytest.raises(SourceError, match=r"emptied, rewrote or dropped tables .*, 3 times: public\.prices$") as caught:
        world.backup(lists.name)
    assert caught.value.hint.startswith("Nothing was stored")
    assert "Run it again" in caught.value.hint
    assert len(times) == 3
    assert [entry.key for entry in world.store.list("postgres-backups/")] == []
