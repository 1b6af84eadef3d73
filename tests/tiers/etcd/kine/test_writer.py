"""Copies beside a writer that does not stop: each is one moment of the database, and the writer goes on."""

import shutil
import signal
import sqlite3
import time
from contextlib import suppress

import pytest

from backstay.core.model import NoProgress
from backstay.tiers.etcd.kine.database import check_integrity
from backstay.tiers.etcd.kine.online import copy
from tests.tiers.etcd.kine.kine import Kine
from tests.tiers.etcd.kine.stored import fill, plane_of, take
from tests.tiers.etcd.kine.writer import COUNTER, batches, is_one_moment, writing

ROUNDS = 8
SECONDS = 25.0  # after which no further round is begun


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """Some 30 MB, so that a copy takes a while; a writer at work."""
    made = plane_of(tmp_path_factory.mktemp("writer"))
    kine = Kine(made.sqlite_file)
    fill(kine, count=8000, value_size=3000)
    with writing(made.sqlite_file):
        deadline = time.monotonic() + 30
        while counter(kine) < 300:  # past its first compaction
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield made
    kine.close()


def counter(kine):
    """The number of the last transaction that was committed."""
    row = kine.database.execute("SELECT value FROM kine WHERE name = ? ORDER BY id DESC LIMIT 1", (COUNTER,))
    return int((row.fetchone() or [b"0"])[0])


class Watched(NoProgress):
    """Bytes told, and the writer's counter at the begin and the end of the copy."""

    def __init__(self, kine):
        self._kine = kine
        self.total = self.told = 0
        self.seen = []

    def phase(self, name, *, total_bytes=None):
        if name == "copying":
            self.total = total_bytes

    def advance(self, n_bytes):
        assert n_bytes > 0  # a copy that is begun again would go back
        self.told += n_bytes
        self.seen.append(counter(self._kine))


def test_every_copy_is_one_moment_and_nothing_is_copied_twice(plane, tmp_path):
    kine, deadline, wrote = Kine(plane.sqlite_file), time.monotonic() + SECONDS, 0
    for number in range(ROUNDS):
        if number and time.monotonic() > deadline:
            break
        path, watched, before = tmp_path / f"{number}.db", Watched(kine), counter(kine)
        copy(plane.sqlite_file, path, watched)
        check_integrity(path)
        assert is_one_moment(path)
        assert watched.told == watched.total == path.stat().st_size
        at = batches(path)[1]
        assert before <= at <= watched.seen[0]
        wrote += watched.seen[-1] - at
        path.unlink()
    assert wrote > 0  # there were transactions while it was copied
    kine.close()


def test_a_whole_backup(plane, tmp_path):
    made, path = take(plane), tmp_path / "state.db"
    path.write_bytes(made.held["sqlite"])
    assert is_one_moment(path)
    assert made.backup.contents["resources"]["configmaps"] == 7200 + 1


class TestTheChecksAbove:
    """They do find what is no such copy."""

    def test_the_file_alone_lacks_what_is_in_the_log(self, tmp_path):
        plane = plane_of(tmp_path)
        kine = Kine(plane.sqlite_file)
        kine.close()  # the table is in the file
        kine, lacking = Kine(plane.sqlite_file), []
        with writing(plane.sqlite_file) as process:
            deadline = time.monotonic() + 20
            while not any(lacking) and time.monotonic() < deadline:
                time.sleep(0.05)
                process.send_signal(signal.SIGSTOP)
                at = counter(kine)
                shutil.copy(plane.sqlite_file, tmp_path / "copy.db")
                process.send_signal(signal.SIGCONT)
                with suppress(sqlite3.DatabaseError):  # a checkpoint was under way: no database at all; try again
                    lacking.append(batches(tmp_path / "copy.db")[1] < at)
        kine.close()
        assert any(lacking)

    def test_half_a_transaction(self, plane, tmp_path):
        path = tmp_path / "copy.db"
        copy(plane.sqlite_file, path, NoProgress())
        kine = Kine(path)
        last = batches(path)[1]
        kine.database.execute("DELETE FROM kine WHERE name = ?", (f"/registry/events/writer/{last:08d}-4",))
        kine.close()
        assert not is_one_moment(path)
