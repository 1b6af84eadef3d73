"""Ranges over a snapshot, against those over the server it was taken of."""

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest

from backstay.core.errors import SnapshotDamaged, UsageError
from backstay.tiers.etcd.file.keyspace import Version, history, live
from backstay.tiers.etcd.wire import message
from tests.tiers.etcd.file.handmade import record, tombstone, write_database
from tests.tiers.etcd.file.stock import Etcd
from tests.tiers.etcd.file.story import STEPS, Taken, at_random, take


@pytest.mark.parametrize("step", STEPS)
def test_everything_live_is_as_the_server_has_it(story: dict[str, Taken], step: str) -> None:
    found = [astuple(kv) for _, kv in live(story[step].path, b"")]
    assert found == [astuple(kv) for kv in story[step].kvs]


@pytest.mark.parametrize("prefix", [b"/registry/services/", b"/registry/configmaps/shop/cm-1", b"zebra"])
def test_a_prefix_takes_what_begins_with_it(story: dict[str, Taken], prefix: bytes) -> None:
    taken = story["kubernetes_names"]
    expected = [kv.key for kv in taken.kvs if kv.key.startswith(prefix)]
    assert [key for key, _ in live(taken.path, prefix)] == expected


def test_every_revision_that_is_left_is_as_the_server_has_it(start_etcd: Callable[..., Etcd], tmp_path: Path) -> None:
    etcd = start_etcd()
    at_random(etcd, seed=3)
    compacted = etcd.revision() - 15
    etcd.compact(compacted)
    taken = take(etcd, tmp_path / "s")
    for revision in range(compacted, taken.revision + 1):
        found = [astuple(kv) for _, kv in live(taken.path, b"", at=revision)]
        assert found == [astuple(kv) for kv in etcd.kvs(revision=revision)]
    assert [kv for _, kv in live(taken.path, b"", at=taken.revision)] == [kv for _, kv in live(taken.path, b"")]
    etcd.stop()


@pytest.mark.parametrize(("beyond", "said"), [(1, "it ends at"), (-1, "are compacted")])
def test_a_revision_that_is_not_there_is_refused_at_once(story: dict[str, Taken], beyond: int, said: str) -> None:
    taken = story["compacted_among_many"]
    at = taken.revision + 1 if beyond > 0 else taken.compact_revision - 1
    with pytest.raises(UsageError, match=said):
        live(taken.path, b"", at=at)
    with pytest.raises(UsageError, match="no revision -1"):
        live(story["puts"].path, b"", at=-1)


def test_history_is_what_the_server_remembers(start_etcd: Callable[..., Etcd], tmp_path: Path) -> None:
    etcd = start_etcd()
    key = "/registry/pods/a"
    for value in ("one", "three", ""):
        etcd.put(key, value)
        etcd.put(key + "b", "another key")
    etcd.delete(key)
    etcd.put(key, "z" * 9000)
    path = etcd.snapshot(tmp_path / "s")
    assert list(history(path, key.encode())) == [
        Version(2, False, 3),
        Version(4, False, 5),
        Version(6, False, 0),
        Version(8, True, 0),
        Version(9, False, 9000),
    ]
    etcd.compact(6)
    path = etcd.snapshot(tmp_path / "s")
    assert [one.mod_revision for one in history(path, key.encode())] == [6, 8, 9]
    assert list(history(path, b"/registry/pods")) == []
    etcd.stop()


def test_leases_and_versions_are_there(story: dict[str, Taken]) -> None:
    ((_, found),) = live(story["leases"].path, b"/registry/leases/")
    assert found.lease > 1 << 32
    assert found.value == b"held"
    versions = {kv.version for _, kv in live(story["overwrites_and_deletes"].path, b"/registry/configmaps/")}
    assert versions == {1, 2}


def test_values_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    """A file changed in between is seen, and is no wrong answer."""
    long = b"x" * 200_000
    path = write_database(tmp_path / "s", {b"key": [record(2, b"/a", long), record(3, b"/b", long)]})
    found = live(path, b"/")
    assert next(found)[0] == b"/a"
    other = write_database(tmp_path / "t", {b"key": [record(2, b"/a", long), record(3, b"/c", long)]})
    path.write_bytes(other.read_bytes())
    with pytest.raises(SnapshotDamaged, match="was changed while it was read"):
        next(found)


def test_long_keys_and_keys_that_come_second(tmp_path: Path) -> None:
    long = b"/registry/" + b"k" * 5000
    second = message((3, 4), (1, b"/registry/second"), (5, b"v"))
    records = [record(2, long), record(3, b"/registry/gone"), (record(4, b"x")[0], second)]
    path = write_database(tmp_path / "s", {b"key": [*records, tombstone(5, b"/registry/gone")]})
    assert [key for key, _ in live(path, b"/registry/")] == [long, b"/registry/second"]


def test_a_value_that_is_no_key_value(tmp_path: Path) -> None:
    key, _ = record(2, b"/a")
    path = write_database(tmp_path / "s", {b"key": [(key, message((1, b"/a"), (5, 7)))]})
    with pytest.raises(SnapshotDamaged, match="record of revision 2 is not a KeyValue"):
        list(live(path, b"/"))


def test_what_is_compared_is_not_nothing(story: dict[str, Taken]) -> None:
    assert [kv.mod_revision for kv in story["puts"].kvs] == list(range(2, 10))
    assert len(story["puts"].kvs[7].value) == 4900
