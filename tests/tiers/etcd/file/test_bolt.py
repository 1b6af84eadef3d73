"""Reading what bbolt wrote: inline buckets, metas, items in order."""

import struct
from pathlib import Path

import pytest

from backstay.core.errors import SnapshotDamaged
from backstay.tiers.etcd.file.bolt import BoltFile
from backstay.tiers.etcd.file.metabucket import heading
from backstay.tiers.etcd.file.pages import BRANCH, HEADER, LEAF, META_BODY
from backstay.tiers.etcd.file.survey import survey
from tests.tiers.etcd.file.handmade import Image, record, write_database
from tests.tiers.etcd.file.story import STEPS, Taken


def test_buckets_of_etcd_are_read_inline_and_not(story: dict[str, Taken]) -> None:
    with BoltFile(story["transactions"].path) as bolt:
        buckets = bolt.buckets()
        assert list(buckets) == sorted(buckets)
        inline = {name for name, bucket in buckets.items() if bucket.inline}
        assert {b"meta", b"alarm", b"lease", b"members"} <= inline
        assert b"key" not in inline
        assert {key for key, _ in bolt.items(buckets[b"meta"])} >= {b"confState", b"consistent_index", b"term"}
        assert list(bolt.items(buckets[b"alarm"])) == []
        assert bolt.last_key(buckets[b"meta"]) == b"term"
        assert bolt.last_key(buckets[b"alarm"]) == b""


@pytest.mark.parametrize("step", STEPS)
def test_last_key_is_that_of_all_items(story: dict[str, Taken], step: str) -> None:
    with BoltFile(story[step].path) as bolt:
        for bucket in bolt.buckets().values():
            keys = [key for key, _ in bolt.items(bucket)]
            assert keys == sorted(set(keys))
            assert bolt.last_key(bucket) == (keys or [b""])[-1]


@pytest.mark.parametrize("step", STEPS)
def test_heading_is_revision_and_compact_revision(story: dict[str, Taken], step: str) -> None:
    taken = story[step]
    assert heading(taken.path) == (taken.revision, taken.compact_revision)


def test_a_key_bucket_that_is_inline(tmp_path: Path) -> None:
    """bbolt writes a bucket of less than a quarter of a page into the root tree."""
    items = [record(2, b"/registry/pods/a"), record(3, b"/registry/pods/b")]
    image = Image(write_database(tmp_path / "s", {b"key": items}))
    body = bytes(image.data[3 * 4096 : 3 * 4096 + 16 + 2 * 16 + sum(len(key) + len(value) for key, value in items)])
    value = struct.pack("<QQ", 0, 0) + HEADER.pack(0, LEAF, 2, 0) + body[16:]
    root = struct.pack("<IIII", 1, 16, 3, len(value)) + b"key" + value
    image.data[4 * 4096 + 16 : 4 * 4096 + 16 + len(root)] = root
    del image.data[3 * 4096 : 4 * 4096]
    image.put("<Q", 3, 0, 3)
    image.meta(root=3, high_water=4)
    path = image.save()
    found = survey(path)
    assert (found.records, found.revision, found.resources) == (2, 3, {"pods": 2})
    with BoltFile(path) as bolt:
        assert list(bolt.items(bolt.buckets()[b"key"])) == items
    assert found.hash_kv == survey(write_database(tmp_path / "t", {b"key": items})).hash_kv


@pytest.mark.parametrize(
    ("offset", "form", "values", "said"),
    [
        (8, "<H", (BRANCH,), "has something else than items for bucket key"),
        (12, "<I", (9,), "has something else than items for bucket key"),
        (10, "<H", (500,), "cannot hold 500 items"),
    ],
)
def test_an_inline_bucket_that_is_damaged(
    tmp_path: Path, offset: int, form: str, values: tuple[int], said: str
) -> None:
    path = write_database(tmp_path / "s", {b"key": []})
    image = Image(path)
    value = struct.pack("<QQ", 0, 0) + HEADER.pack(0, LEAF, 0, 0)
    root = struct.pack("<IIII", 1, 16, 3, len(value)) + b"key" + value
    image.data[4 * 4096 + 16 : 4 * 4096 + 16 + len(root)] = root
    image.put("<H", 2, 10, 1)
    image.put("<Q", 2, 16, 3)  # the page that bucket ``key`` had is free now
    assert survey(image.save()).records == 0
    image.put(form, 4, 32 + 3 + 16 + offset, *values)
    with pytest.raises(SnapshotDamaged, match=f"page 4 {said}"):
        survey(image.save())


def _break(image: Image, page: int, page_size: int = 4096) -> None:
    image.data[page * page_size + HEADER.size + 20] ^= 1


@pytest.mark.parametrize("broken", [0, 1])
def test_one_whole_meta_is_enough(story: dict[str, Taken], tmp_path: Path, broken: int) -> None:
    path = tmp_path / "s"
    path.write_bytes(story["at_random"].path.read_bytes())
    image = Image(path)
    _break(image, broken)
    with BoltFile(image.save()) as bolt:
        assert bolt.size_bytes == story["at_random"].status["totalSize"]
        assert bolt.page_size == 4096
    assert survey(path).hash_kv == story["at_random"].hash_kv
    _break(image, 1 - broken)
    with pytest.raises(SnapshotDamaged, match="is not a snapshot of etcd"):
        survey(image.save())


@pytest.mark.parametrize("page_size", [512, 1024, 8192, 65536])
@pytest.mark.parametrize("first_meta", ["whole", "broken"])
def test_pages_of_another_size(tmp_path: Path, page_size: int, first_meta: str) -> None:
    path = write_database(tmp_path / "s", {b"key": []})
    image = Image(path)
    image.meta(page_size=page_size)
    old = [bytes(image.data[page * 4096 : page * 4096 + 512]) for page in range(5)]
    image.data = bytearray(5 * page_size)
    for page, data in enumerate(old):
        image.data[page * page_size : page * page_size + 512] = data
    if first_meta == "broken":
        _break(image, 0)
    image.save()
    found = survey(path)
    assert (found.page_size, found.size_bytes, found.items) == (page_size, 5 * page_size, {"key": 0})


def test_the_meta_with_the_higher_transaction_counts(tmp_path: Path) -> None:
    image = Image(write_database(tmp_path / "s", {b"key": []}))
    txids = [META_BODY.unpack_from(image.data, page * 4096 + HEADER.size)[8] for page in (0, 1)]
    assert sorted(txids) == [2, 3]
    assert [txid % 2 for txid in txids] == [0, 1]
    with BoltFile(image.save()) as bolt:
        assert bolt.txid == 3


def test_a_database_file_without_its_checksum_can_be_surveyed(story: dict[str, Taken], tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(story["at_random"].path.read_bytes()[:-32])
    assert survey(path) == survey(story["at_random"].path)


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        survey(tmp_path / "none")
