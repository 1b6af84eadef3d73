"""A snapshot of a size that nobody knows: it never takes the room that a running etcd needs, nor does what is made."""

import zipfile
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest

from backstay.core.errors import RestoreError, SourceError
from backstay.core.model import NoProgress, Target, TierKind
from backstay.jobs import localfile
from backstay.jobs.transfer import StoreSource
from backstay.store.directory import DirectoryStore
from backstay.tiers.etcd.api.spool import RESERVE_BYTES
from backstay.tiers.etcd.restore import fetch as fetching
from backstay.tiers.etcd.restore.fetch import fetch
from tests.tiers.etcd.restore.machine import foreign, keys, restore

MIB = 1 << 20


class Disk(NamedTuple):
    """What ``os.statvfs`` says, as far as it matters."""

    f_bavail: int
    f_frsize: int = 1
    f_blocks: int = 1 << 40
    f_bfree: int = 0


class FilledBy:
    """A disk of ``size`` bytes on which the files in ``folder`` are all there is; ``least`` was free when looked."""

    def __init__(self, size, folder):
        self.size, self.folder, self.least = size, folder, size

    def statvfs(self, _):
        held = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        self.least = min(self.least, self.size - held)
        return Disk(self.size - held)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    folder = tmp_path / "disk"
    folder.mkdir()
    made = FilledBy(RESERVE_BYTES + 8 * MIB, folder)
    monkeypatch.setattr(fetching.os, "statvfs", made.statvfs)
    return made


def zipped(folder, size, *, known=False):
    """As k3s compresses its own: one entry, here of zeros."""
    path = folder / "etcd-snapshot-server-1-1795650000.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(path.stem, "w") as entry:
        for _ in range(size // MIB):
            entry.write(bytes(MIB))
    backup = localfile.backup_of(localfile.local_file(path), Target(TierKind.ETCD, "control-plane"))
    if known:
        (artifact,) = backup.artifacts
        backup = replace(backup, artifacts=(replace(artifact, plain_size_bytes=size),))
    return StoreSource(DirectoryStore(folder), backup, ())


def test_a_zip_stops_before_the_reserve_is_touched(tmp_path, disk):
    source = zipped(tmp_path, 64 * MIB)
    work = disk.folder / "work"
    work.mkdir()
    with pytest.raises(SourceError, match=f"there is no room for .* in {disk.folder}: .* are free") as caught:
        fetch(source, work, NoProgress())
    assert disk.least >= RESERVE_BYTES
    assert "It needs at least " in caught.value.hint
    assert "No file is left. Nothing was changed." in caught.value.hint
    assert caught.value.context["needed_bytes"] > RESERVE_BYTES + 8 * MIB
    assert list(work.iterdir()) == []


def test_a_zip_that_fits_is_fetched(tmp_path, disk):
    work = disk.folder / "work"
    work.mkdir()
    assert fetch(zipped(tmp_path, 8 * MIB), work, NoProgress()).stat().st_size == 8 * MIB


def test_room_that_another_program_takes_meanwhile(tmp_path, disk):
    """Also where the size is known: it was looked at before, and is looked at again."""

    class Other(NoProgress):
        def advance(self, _):
            (disk.folder / "other").write_bytes(bytes(MIB))

    work = disk.folder / "work"
    work.mkdir()
    with pytest.raises(SourceError, match="there is no room for") as caught:
        fetch(zipped(tmp_path, 8 * MIB, known=True), work, Other())
    assert caught.value.context["needed_bytes"] == RESERVE_BYTES + 8 * MIB
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(("bump", "copies"), [(None, 2), (1000, 3)])
def test_what_a_reset_makes_is_looked_for_before_the_stop(server, source, monkeypatch, bump, copies):
    """The database made of the snapshot, and room to go on with; the snapshot itself is here by then."""
    size, state, asked = source.path.stat().st_size, keys(server), server.asked()
    with (
        lying(monkeypatch, copies * size - 1),
        pytest.raises(RestoreError, match="is too small: a restore needs") as caught,
    ):
        restore(server, foreign(source), bump_revision=bump)
    assert str(server.plane.db_dir) in caught.value.message
    assert "Nothing was changed" in caught.value.hint
    assert (server.asked(), keys(server)) == (asked, state)
    assert server.is_active()
    assert not list(server.plane.db_dir.glob("backstay-*"))
    with lying(monkeypatch, copies * size):
        assert restore(server, foreign(source), bump_revision=bump).ok


@contextmanager
def lying(monkeypatch, free):
    """A disk with so much left once the snapshot is there; before, any snapshot fits."""
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "RESERVE_BYTES", 0)
        patch.setattr(fetching.os, "statvfs", lambda _: Disk(free))
        yield
