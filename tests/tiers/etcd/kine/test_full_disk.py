"""A backup is brought to a disk that is full, or fills up on the way: said before or then, with nothing left."""

import errno
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest

from backstay.core.errors import DrillFailed, RestoreError, SourceError
from backstay.core.model import NoProgress
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.api.spool import RESERVE_BYTES
from backstay.tiers.etcd.kine import drill, lookup, verify
from backstay.tiers.etcd.kine.datastore import ROLE
from backstay.tiers.etcd.restore import fetch as fetching
from backstay.tiers.etcd.restore.fetch import Proven, bump, fetch, make_folder, prove
from backstay.tiers.etcd.scratch import spool_folder
from tests.tiers.etcd.kine.kine import Kine
from tests.tiers.etcd.kine.stored import TAKEN, fill, plane_of, take


class Disk(NamedTuple):
    """What ``os.statvfs`` says, as far as it matters."""

    f_bavail: int
    f_frsize: int = 1
    f_blocks: int = 1 << 40


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    made = plane_of(tmp_path_factory.mktemp("full"))
    kine = Kine(made.sqlite_file)
    fill(kine, value_size=3000)
    yield made
    kine.close()


@pytest.fixture(scope="module")
def source(plane):
    return take(plane)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "work"
    made.mkdir()
    return made


def size(source):
    return len(source.held[ROLE])


def fetched(source, folder):
    return fetch(source, folder, NoProgress(), ROLE, "state.db")


def filling(monkeypatch, code, after=100_000):
    """From here on the disk takes ``after`` bytes more."""
    real, written = os.write, []

    def write(descriptor, data):
        if sum(written) > after:
            raise OSError(code, os.strerror(code))
        written.append(real(descriptor, data))
        return written[-1]

    monkeypatch.setattr(fetching.os, "write", write)


@pytest.mark.parametrize(("short", "fits"), [(0, True), (1, False)])
def test_room_is_looked_for_before(source, folder, monkeypatch, short, fits):
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(size(source) + RESERVE_BYTES - short))
    if fits:
        assert fetched(source, folder).read_bytes() == source.held[ROLE]
        return
    with pytest.raises(SourceError) as caught:
        fetch(replace(source, held={}), folder, NoProgress(), ROLE)
    assert f"there is no room for {source.backup.id} in {folder.parent}: " in caught.value.message
    assert caught.value.message.endswith("are free")
    assert "and a reserve. Make room." in caught.value.hint
    assert "No file is left. Nothing was changed." in caught.value.hint
    assert caught.value.context["needed_bytes"] == size(source) + RESERVE_BYTES
    assert list(folder.iterdir()) == []


def test_a_file_system_that_counts_nothing_is_tried(source, folder, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(0, f_blocks=0))
    assert fetched(source, folder).read_bytes() == source.held[ROLE]


def test_the_room_of_a_killed_run_counts(source, folder, monkeypatch):
    part = folder / "state.db.part"
    part.write_bytes(b"half")
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(0 if part.exists() and part.read_bytes() == b"half" else 1 << 40))
    assert fetched(source, folder).read_bytes() == source.held[ROLE]
    assert [path.name for path in folder.iterdir()] == ["state.db"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_fills_up(source, folder, monkeypatch, code):
    filling(monkeypatch, code)
    with pytest.raises(SourceError, match="there is no room for .* in ") as caught:
        fetched(source, folder)
    assert os.strerror(code).lower() in caught.value.message
    assert caught.value.context["needed_bytes"] == size(source) + RESERVE_BYTES
    assert list(folder.iterdir()) == []


def test_another_error_of_the_disk(source, folder, monkeypatch):
    filling(monkeypatch, errno.EIO)
    with pytest.raises(SourceError, match="cannot be written to .*: Input/output error") as caught:
        fetched(source, folder)
    assert caught.value.hint == "No file is left. Nothing was changed."
    assert list(folder.iterdir()) == []


def test_errors_of_the_store_stay_what_they_are(source, folder):
    with pytest.raises(KeyError):
        fetched(replace(source, held={}), folder)
    assert list(folder.iterdir()) == []


def test_short_writes_are_gone_on_with(source, folder, monkeypatch):
    real = os.write
    monkeypatch.setattr(fetching.os, "write", lambda descriptor, data: real(descriptor, data[:1000]))
    assert fetched(source, folder).read_bytes() == source.held[ROLE]


def test_verify_and_get_name_the_setting(plane, source, monkeypatch):
    filling(monkeypatch, errno.ENOSPC)

    def get():
        with lookup.fetched(plane, source, NoProgress()):
            pass

    for act in (get, lambda: list(verify.verify(plane, source.backup, source, NoProgress()))):
        with pytest.raises(SourceError, match=f"there is no room for .* in {plane.spool}: no space left") as caught:
            act()
        assert caught.value.hint.endswith("etcd.spool names another folder for it.")
        assert list(plane.spool.iterdir()) == []


def test_a_drill_says_nothing_of_the_backup(plane, source, tmp_path, monkeypatch):
    filling(monkeypatch, errno.ENOSPC)
    made = drill.plan(plane, source.backup, RestoreRequest(stamp="20261126-000000", now=TAKEN))
    with pytest.raises(DrillFailed, match="no room for") as caught:
        drill.Drill(plane, made, tmp_path / "scratch", NoProgress()).run(source)
    assert "says nothing of the backup" in caught.value.hint


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_files_that_reading_makes_in_the_spool(plane, code):
    with (
        pytest.raises(SourceError, match=f"no room in the spool folder {plane.spool}: ") as caught,
        broken(plane, code),
    ):
        pass
    assert "etcd.spool" in caught.value.hint
    assert list(plane.spool.iterdir()) == []


def test_other_errors_in_the_spool_stay_what_they_are(plane):
    with pytest.raises(OSError, match="Input/output error"), broken(plane, errno.EIO):
        pass


@contextmanager
def broken(plane, code):
    with spool_folder(plane, "look"):
        yield
        raise OSError(code, os.strerror(code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_no_folder_can_be_made_in_the_spool(plane, monkeypatch, code):
    def mkdtemp(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("tempfile.mkdtemp", mkdtemp)
    with pytest.raises(SourceError, match=f"the spool folder {plane.spool}") as caught, spool_folder(plane, "look"):
        pass
    assert "etcd.spool" in caught.value.hint


def test_a_folder_for_a_restore_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        RestoreError, match=f"the folder {tmp_path}/file/work cannot be made: Not a directory"
    ) as caught:
        make_folder(tmp_path / "file/work")
    assert "This run changed nothing." in caught.value.hint


@pytest.mark.parametrize("act", ["prove", "bump"])
def test_files_that_proving_makes(plane, source, folder, monkeypatch, act):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = folder / "snapshot.db"
    path.write_bytes(b"x")
    monkeypatch.setattr(fetching, "check_trailer", full)
    monkeypatch.setattr(fetching.rewrite, "rewrite", full)
    acts = {
        "prove": lambda: prove(path, source.backup, plane, "token", NoProgress()),
        "bump": lambda: bump(Proven(path, 1, 1, 1, {}), 5, source.backup, plane),
    }
    with pytest.raises(RestoreError, match=f"could not be checked in {folder.parent}: No space left") as caught:
        acts[act]()
    assert caught.value.hint == f"Make room in {folder.parent}. Nothing was stopped and nothing changed."


def test_room_for_the_raised_one_is_looked_for_before(plane, source, folder, monkeypatch):
    path = folder / "snapshot.db"
    path.write_bytes(b"x")
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(1000))
    with pytest.raises(SourceError, match="there is no room"):
        bump(Proven(path, 1, 1, 1, {}), 5, source.backup, plane)
    assert [found.name for found in folder.iterdir()] == ["snapshot.db"]
