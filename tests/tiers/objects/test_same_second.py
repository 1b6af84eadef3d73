"""Velero's own backup of the same name and second: whatever becomes of the run, Velero's files stay as they are."""

import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backstay.core.errors import AlreadyExists, BackstayError, VerificationFailed
from backstay.core.model import State
from tests.fixtures.world import TickingClock
from tests.tiers.objects.capturing import Capturing, filled


class Killed(BaseException):
    """The process ends."""


@pytest.fixture
def world(tmp_path):
    return Capturing(filled(), tmp_path, now=TickingClock())


def by_velero(store, name):
    """What Velero writes for its Backup ``name``: over what is there, and the record first."""
    files = {f"velero/backups/{name}/velero-backup.json": b"{}", f"velero/backups/{name}/{name}.tar.gz": b"velero's"}
    for key, data in files.items():
        store.put(key, [data])
    return files


def velero_meanwhile(world, when, then=None):
    """Velero writes a backup of the run's second as soon as the run has stored a file whose name ends like this, or
    as it begins to. ``then`` is raised after that."""
    put, written = world.store.put, {}

    def watched(key, chunks, **named):
        end, before = when
        if not key.endswith(end) or written or not key.startswith("velero"):
            return put(key, chunks, **named)
        folder = key.rpartition("/")[0]
        stored = None if before else put(key, chunks, **named)
        world.store.put = put
        written.update(by_velero(world.store, folder.rpartition("/")[2]))
        if then is not None:
            raise then
        return stored or put(key, chunks, **named)

    world.store.put = watched
    return written


def check_left(world, written):
    """All of Velero's is there, and nothing of Backstay's but its records; of Velero's folder what else was in it."""
    assert written
    for key, data in written.items():
        with world.store.get(key) as chunks:
            assert b"".join(chunks) == data
    folder = next(iter(written)).rpartition("/")[0]
    assert not [path for path in world.paths() if not path.startswith(folder)]


class Slept(Capturing):
    """Its time passes only when the job waits."""

    at = datetime(2026, 11, 26, 2, 0, 4, tzinfo=UTC)

    @property
    def context(self):
        self.now = lambda: self.at
        return replace(super().context, sleep=self.sleep)

    def sleep(self, seconds):
        self.at += timedelta(seconds=seconds)


def test_where_one_is_there_already_the_next_second_is_taken(tmp_path):
    world = Slept(filled(), tmp_path)
    written = by_velero(world.store, "daily-20261126020004")
    made = world.backup()
    assert (made.stamp, made.state) == ("20261126-020005", State.COMPLETE)
    for key, data in written.items():
        with world.store.get(key) as chunks:
            assert b"".join(chunks) == data


@pytest.mark.parametrize("file", [".tar.gz", "-logs.gz", "velero-backup.json"])
def test_one_that_comes_before_a_file_of_the_run_is_left(world, file):
    written = velero_meanwhile(world, (file, True))
    with pytest.raises(BackstayError) as raised:
        world.backup()
    if file != "-logs.gz":
        assert isinstance(raised.value, AlreadyExists)
        assert "another program" in raised.value.message
    check_left(world, written)
    assert world.backup().state is State.COMPLETE
    assert set(written) <= set(world.paths())


def test_one_that_is_written_over_the_archive_of_the_run_is_left(world):
    written = velero_meanwhile(world, ("-resource-list.json.gz", False))
    with pytest.raises(VerificationFailed):
        world.backup()
    check_left(world, written)


@pytest.mark.parametrize("before", [True, False])
def test_one_that_comes_while_a_run_is_killed_is_left_by_who_cleans_up(world, before, monkeypatch):
    written = velero_meanwhile(world, (".tar.gz", before), Killed())
    monkeypatch.setattr("backstay.catalog.intent.Intent.withdraw", lambda _: None)
    with pytest.raises(Killed):
        world.backup()
    monkeypatch.undo()
    assert world.backup().state is State.COMPLETE  # it cleans up first
    for key in written:
        assert key in world.paths()


def test_a_run_that_is_killed_in_its_last_step_leaves_nothing(world, monkeypatch):
    put = world.store.put

    def killed(key, chunks, **named):
        if key.endswith("velero-backup.json"):
            put(key, chunks, **named)
            raise Killed
        return put(key, chunks, **named)

    world.store.put = killed
    monkeypatch.setattr("backstay.catalog.intent.Intent.withdraw", lambda _: None)
    with pytest.raises(Killed):
        world.backup()
    monkeypatch.undo()
    world.store.put = put
    left = set(world.paths())
    made = world.backup()
    assert not left & set(world.paths())
    assert gzip.decompress(world.stored(made, "objects"))
