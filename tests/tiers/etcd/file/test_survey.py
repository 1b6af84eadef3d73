"""What ``survey`` says of a snapshot, against what etcd and etcdutl say of the same store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.core.errors import UsageError
from backstay.tiers.etcd.file import census
from backstay.tiers.etcd.file.newest import blake2_hash
from backstay.tiers.etcd.file.records import Alarm, revision_key
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.wire import message
from tests.tiers.etcd.file.handmade import record, tombstone, write_database
from tests.tiers.etcd.file.stock import Etcd, server_version
from tests.tiers.etcd.file.story import STEPS, Taken, take


@pytest.mark.parametrize("step", STEPS)
def test_hash_kv_is_the_servers(story: dict[str, Taken], step: str) -> None:
    taken = story[step]
    found = survey(taken.path)
    assert (found.hash_kv, found.compact_revision) == (taken.hash_kv, taken.compact_revision)


@pytest.mark.parametrize("step", STEPS)
def test_status_is_that_of_etcdutl(story: dict[str, Taken], step: str) -> None:
    taken = story[step]
    found = survey(taken.path)
    # etcdutl before 3.6 counts as totalKey the items of every bucket.
    assert {
        "hash": found.status_hash,
        "revision": found.revision,
        "totalKey": sum(found.items.values()),
        "totalSize": found.size_bytes,
    } == taken.status


@pytest.mark.parametrize("step", STEPS)
def test_live_keys_are_the_servers(story: dict[str, Taken], step: str) -> None:
    taken = story[step]
    found = survey(taken.path)
    resources: dict[str, int] = {}
    for kv in taken.kvs:
        name = RESOURCES.get("/".join(kv.key.decode().split("/")[:4])) or kv.key.decode().split("/")[2]
        resources[name] = resources.get(name, 0) + 1
    assert found.keys == len(taken.kvs)
    assert found.resources == resources
    assert list(found.resources) == sorted(found.resources)


RESOURCES = {
    "/registry/minions/n1": "nodes",
    "/registry/services/specs": "services",
    "/registry/services/endpoints": "endpoints",
    "/registry/apps.example.com/widgets": "widgets.apps.example.com",
    "/registry/apiregistration.k8s.io/apiservices": "apiservices.apiregistration.k8s.io",
    "/bootstrap/2bb80d537b1d": "(other)",
    "compact_rev_key": "(other)",
}


def test_a_store_that_was_emptied_has_the_revision_of_its_compaction(story: dict[str, Taken]) -> None:
    taken = story["nothing_left"]
    found = survey(taken.path)
    assert (found.keys, found.compact_revision) == (0, taken.revision)
    if server_version() < (3, 5, 15):  # later ones keep the tombstones of the compact revision
        assert (found.records, found.revision) == (0, 0)


def test_bootstrap_data_that_are_live_are_named(story: dict[str, Taken]) -> None:
    assert survey(story["puts"].path).bootstrap_keys == ()
    assert survey(story["kubernetes_names"].path).bootstrap_keys == ("/bootstrap/2bb80d537b1d",)
    assert survey(story["begun_again"].path).bootstrap_keys == ()


def test_another_prefix_leaves_other_keys_nameless(story: dict[str, Taken]) -> None:
    found = survey(story["kubernetes_names"].path, prefix=b"/registry/apps.example.com")
    assert found.resources == {"(other)": found.keys - 2, "widgets": 2}


def test_hash_under_a_later_compaction_is_the_servers(start_etcd: Callable[..., Etcd], tmp_path: Path) -> None:
    etcd = start_etcd()
    for number in range(30):
        etcd.txn(f"put /registry/pods/{number % 7} {number}", f"del /registry/pods/{number % 7 + 1}", "put a b")
    before = take(etcd, tmp_path / "before.db")
    etcd.put("/registry/pods/0", "later")
    assert survey(before.path).compact_revision == -1
    for compacted in (before.revision - 17, before.revision - 4, before.revision - 1):
        etcd.compact(compacted)
        etcd.put("/registry/pods/0", "later still")
        found = survey(before.path, compact_revision=compacted)
        assert (found.hash_kv, found.compact_revision) == etcd.hash_kv(before.revision)
        assert found.hash_kv != before.hash_kv
    after = take(etcd, tmp_path / "after.db")
    for beyond in (before.revision - 2, after.revision + 1):
        with pytest.raises(UsageError, match=f"compacted at {before.revision - 1}, cannot be hashed as .* {beyond}"):
            survey(after.path, compact_revision=beyond)
    etcd.stop()


def test_hash_of_an_emptied_store_under_a_later_compaction_is_the_servers(
    start_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    etcd = start_etcd()
    for number in range(5):
        etcd.txn(f"put /registry/pods/{number} {number}", f"put /registry/pods/{number + 1} {number}")
    for number in range(6):
        etcd.delete(f"/registry/pods/{number}")
    before = take(etcd, tmp_path / "before.db")
    etcd.put("/registry/pods/0", "later")
    hashes = {before.hash_kv}
    for compacted in range(before.revision - 8, before.revision):
        etcd.compact(compacted)
        etcd.put("/registry/pods/0", "later still")
        found = survey(before.path, compact_revision=compacted)
        assert (found.hash_kv, found.compact_revision) == etcd.hash_kv(before.revision)
        hashes.add(found.hash_kv)
    assert len(hashes) == 9
    etcd.stop()


def test_progress_adds_up_to_the_size(story: dict[str, Taken]) -> None:
    steps: list[int] = []
    found = survey(story["at_random"].path, advance=steps.append)
    assert sum(steps) == found.size_bytes
    assert min(steps) > 0


def test_numbers_of_the_meta_bucket(story: dict[str, Taken]) -> None:
    first, last = survey(story["puts"].path), survey(story["begun_again"].path)
    assert 8 < first.consistent_index < last.consistent_index
    assert first.term == 2
    assert first.storage_version == ("3.6.0" if server_version()[:2] == (3, 6) else "")
    assert first.page_size == 4096
    assert 0 < first.in_use_bytes <= first.size_bytes


def test_defragmentation_leaves_nothing_out_of_use(story: dict[str, Taken]) -> None:
    before, after = (survey(story[step].path) for step in ("compacted_at_the_last_revision", "defragmented"))
    assert before.size_bytes - before.in_use_bytes >= 10 * before.page_size
    assert after.size_bytes - after.in_use_bytes <= 3 * after.page_size
    assert after.hash_kv == before.hash_kv


def test_alarms_and_storage_version_are_read(tmp_path: Path) -> None:
    alarms = [(message((1, 7), (2, 1)), b""), (message((1, 1 << 63), (2, 2)), b""), (b"\xff", b"")]
    path = write_database(
        tmp_path / "s", {b"key": [], b"alarm": sorted(alarms), b"meta": [(b"storageVersion", b"3.6.0"), (b"x", b"y")]}
    )
    found = survey(path)
    assert set(found.alarms) == {Alarm(7, "NOSPACE"), Alarm(1 << 63, "CORRUPT")}
    assert found.storage_version == "3.6.0"
    assert (found.revision, found.consistent_index, found.term) == (0, 0, 0)


def test_the_record_of_a_revision_bump_is_no_key(tmp_path: Path) -> None:
    records = [record(2, b"/registry/pods/a"), record(3, b"/registry/pods/b"), tombstone(4, b"/registry/pods/a")]
    path = write_database(tmp_path / "s", {b"key": [*records, (revision_key(1000), b"")], b"meta": []})
    found = survey(path)
    assert (found.revision, found.keys, found.records) == (1000, 1, 4)
    assert found.resources == {"pods": 1}


def test_the_hash_of_32_bit_machines_gives_the_same(story: dict[str, Taken], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "HASH", blake2_hash)
    for taken in story.values():
        assert survey(taken.path).hash_kv == taken.hash_kv


def test_names_of_kubernetes_and_others(tmp_path: Path) -> None:
    names = {
        b"/registry/pods/shop/a": "pods",
        b"/registry/podsx": "podsx",
        b"/registry/pods": "pods",
        b"/registry/minions/n": "nodes",
        b"/registry/services/specs/shop/a": "services",
        b"/registry/services/endpoints/shop/a": "endpoints",
        b"/registry/services": "services",
        b"/registry/a.b/things/shop/a": "things.a.b",
        b"/registry/a.b/things": "things.a.b",
        b"/registry/a.b": "a.b",
        b"/registry/a.b/": "a.b",
        b"/registry/masterleases/192.0.2.7": "masterleases",
        b"/registry/ranges/serviceips": "ranges",
        b"/registry/\xff/a": "\\xff",
        b"/registryx/pods/a": "(other)",
        b"/registry": "(other)",
        b"x": "(other)",
        b"/registry/" + b"k" * 3000 + b"/a": "k" * 256,
    }
    records = [record(2 + number, key) for number, key in enumerate(names)]
    found = survey(write_database(tmp_path / "s", {b"key": records}))
    expected = sorted(names.values())
    assert found.resources == {name: expected.count(name) for name in expected}
    again = survey(tmp_path / "s", prefix=b"/registry/")
    assert again.resources == found.resources


def test_a_flood_of_resources_is_counted_as_other(tmp_path: Path) -> None:
    records = [record(2 + number, b"/registry/r%d/a" % number) for number in range(12_000)]
    found = survey(write_database(tmp_path / "s", {b"key": records}))
    assert found.keys == 12_000
    assert 9_000 < len(found.resources) <= 10_000
    assert found.resources["(other)"] == 12_001 - len(found.resources)
