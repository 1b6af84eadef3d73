"""Files of our own making: read back, and taken by the stock tools."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstay.core.errors import SnapshotDamaged, UsageError
from backstay.tiers.etcd.file import rewrite as module
from backstay.tiers.etcd.file.bolt import BoltFile
from backstay.tiers.etcd.file.metabucket import heading
from backstay.tiers.etcd.file.rewrite import rewrite
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.file.trailer import check_trailer
from tests.tiers.etcd.file.handmade import record, tombstone, write_database
from tests.tiers.etcd.file.stock import Etcd, status
from tests.tiers.etcd.file.story import STEPS, Taken

BUMP = 1_000_000_000


def contents(path: Path) -> dict[bytes, list[tuple[bytes, bytes]]]:
    """All buckets with all their items."""
    with BoltFile(path) as bolt:
        return {name: list(bolt.items(bucket)) for name, bucket in bolt.buckets().items()}


@pytest.mark.parametrize("step", STEPS)
def test_a_file_written_anew_is_the_same_to_etcdutl(story: dict[str, Taken], tmp_path: Path, step: str) -> None:
    path = tmp_path / "new"
    rewrite(story[step].path, path)
    assert contents(path) == contents(story[step].path)
    # etcdutl runs bbolt's own check of the structure before it prints this.
    found = status(path)
    assert found == story[step].status | {"totalSize": check_trailer(path)}
    assert survey(path).hash_kv == story[step].hash_kv
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", ["at_random", "compacted_among_many", "nothing_left"])
def test_a_file_written_anew_restores_and_runs(
    start_etcd: Callable[..., Etcd], story: dict[str, Taken], tmp_path: Path, step: str
) -> None:
    path = tmp_path / "new"
    rewrite(story[step].path, path)
    etcd = start_etcd(path)
    assert etcd.kvs() == story[step].kvs
    assert etcd.revision() == story[step].revision
    etcd.put("/registry/pods/shop/after", "the restore")
    assert survey(etcd.snapshot(tmp_path / "s")).revision == story[step].revision + 1
    etcd.stop()


@pytest.mark.parametrize("step", ["puts", "compacted_at_a_tombstone", "with_user_and_alarm_buckets", "nothing_left"])
def test_a_bumped_file_restores_with_its_revision_raised(
    start_etcd: Callable[..., Etcd], story: dict[str, Taken], tmp_path: Path, step: str
) -> None:
    taken = story[step]
    path = tmp_path / "bumped"
    rewrite(taken.path, path, bump=BUMP)
    raised = taken.revision + BUMP
    assert heading(path) == (raised, raised)
    assert status(path)["revision"] == raised
    etcd = start_etcd(path)
    assert etcd.kvs() == taken.kvs
    assert etcd.revision() == raised
    # Old watches are told that their revision is gone.
    with pytest.raises(AssertionError, match="required revision has been compacted"):
        etcd.ctl("watch", "/registry/pods", f"--rev={raised - 1}")
    etcd.put("/registry/pods/shop/after", "the bump")
    found = survey(etcd.snapshot(tmp_path / "s"))
    assert found.revision == raised + 1
    assert (found.hash_kv, found.compact_revision) == etcd.hash_kv()
    assert found.keys == len(etcd.kvs())
    assert survey(path).keys == len(taken.kvs)
    etcd.stop()


def test_a_bump_leaves_other_things_of_the_meta_bucket_alone(tmp_path: Path) -> None:
    records = [record(2, b"/a"), tombstone(7, b"/a")]
    meta = [(b"a", b"1"), (b"scheduledCompactRev", record(5, b"")[0]), (b"storageVersion", b"3.6.0"), (b"z", b"2")]
    source = write_database(tmp_path / "s", {b"key": records, b"meta": meta, b"own": [(b"k", b"v")]})
    rewrite(source, tmp_path / "new", bump=10)
    raised = record(17, b"")[0]
    assert contents(tmp_path / "new") == {
        b"key": [*records, (raised, b"")],
        b"meta": [meta[0], (b"scheduledCompactRev", raised), *meta[2:]],
        b"own": [(b"k", b"v")],
    }


@pytest.mark.parametrize(
    "meta", [{}, {b"meta": []}, {b"meta": [(b"term", bytes(8))]}, {b"meta": [(b"confState", b"")]}]
)
def test_a_bump_where_nothing_was_compacted(tmp_path: Path, meta: dict[bytes, list[tuple[bytes, bytes]]]) -> None:
    source = write_database(tmp_path / "s", {b"key": [record(2, b"/a")], **meta})
    rewrite(source, tmp_path / "new", bump=1)
    assert heading(tmp_path / "new") == (3, 3)
    kept = {key for key, _ in meta.get(b"meta", [])}
    assert {key for key, _ in contents(tmp_path / "new")[b"meta"]} == kept | {b"scheduledCompactRev"}


@pytest.mark.parametrize("bump", [-1, (1 << 63) - 2])
def test_a_bump_that_cannot_be(tmp_path: Path, bump: int) -> None:
    source = write_database(tmp_path / "s", {b"key": [record(2, b"/a")]})
    with pytest.raises(UsageError):
        rewrite(source, tmp_path / "new", bump=bump)
    assert [one.name for one in tmp_path.iterdir()] == ["s"]


def test_a_file_may_be_written_over_itself(story: dict[str, Taken], tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(story["at_random"].path.read_bytes())
    rewrite(path, path)
    assert survey(path).hash_kv == story["at_random"].hash_kv
    assert check_trailer(path) == path.stat().st_size - 32


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_nothing(
    story: dict[str, Taken], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = {"write": (module.BoltWriter, "page"), "fsync": (os, "fsync"), "replace": (Path, "replace")}[call]
    old = tmp_path / "there"
    old.write_bytes(b"as it was")
    monkeypatch.setattr(*target, full)
    with pytest.raises(OSError, match="No space left"):
        rewrite(story["puts"].path, old)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"there": b"as it was"}


def test_a_file_that_may_not_grow_leaves_nothing(story: dict[str, Taken], tmp_path: Path) -> None:
    """The system itself refuses to write on: beyond 64 KiB, for a process of its own."""
    source = story["transactions"].path
    assert source.stat().st_size > 80_000
    script = f"""
import resource
from pathlib import Path
from backstay.tiers.etcd.file.rewrite import rewrite
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    rewrite(Path({str(source)!r}), Path({str(tmp_path)!r}, "new"))
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(errno.EFBIG)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_source_leaves_nothing(story: dict[str, Taken], tmp_path: Path) -> None:
    path = tmp_path / "s"
    data = bytearray(story["at_random"].path.read_bytes())
    data[8] ^= 1
    data[4096 + 8] ^= 1
    path.write_bytes(data)
    with pytest.raises(SnapshotDamaged):
        rewrite(path, tmp_path / "new")
    assert [one.name for one in tmp_path.iterdir()] == ["s"]


# A busy machine is no failure, and each example may use the folder of the one before.
CALM = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
keys = st.binary(min_size=1, max_size=40) | st.binary(max_size=8).map(lambda start: start + b"k" * 2500)
values = st.binary(max_size=60) | st.integers(0, 20_000).map(lambda size: b"v" * size)
buckets = st.dictionaries(
    st.binary(min_size=1, max_size=20).filter(lambda name: name != b"key"),
    st.dictionaries(keys, values, max_size=25),
    max_size=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=CALM)
@given(buckets=buckets)
def test_whatever_is_written_is_read(tmp_path: Path, buckets: dict[bytes, dict[bytes, bytes]]) -> None:
    expected = {name: sorted(items.items()) for name, items in sorted(buckets.items())}
    path = write_database(tmp_path / "s", {b"key": [], **expected})
    assert contents(path) == dict(sorted((expected | {b"key": []}).items()))
    rewrite(path, tmp_path / "t")
    assert contents(tmp_path / "t") == contents(path)
    found = survey(tmp_path / "t")
    assert sum(found.items.values()) == sum(len(items) for items in buckets.values())
    assert found.in_use_bytes == found.size_bytes == check_trailer(tmp_path / "t")


@settings(max_examples=25, deadline=None, suppress_health_check=CALM)
@given(sizes=st.lists(st.integers(1, 6000), min_size=1, max_size=60), count=st.integers(0, 3000))
def test_what_is_written_passes_bbolts_own_check(tmp_path: Path, sizes: list[int], count: int) -> None:
    """Long keys make branches that run over their page, many items make branches over branches."""
    long = [(b"%06d" % number + b"k" * size, b"v" * (size % 97)) for number, size in enumerate(sizes)]
    many = [record(number + 2, b"/registry/pods/%d" % number, b"v" * 400) for number in range(count)]
    path = write_database(tmp_path / "s", {b"key": many, b"long": long})
    found = status(path)
    assert (found["totalKey"], found["revision"]) == (len(long) + count, count + 1 if count else 0)
    assert found["hash"] == survey(path).status_hash
