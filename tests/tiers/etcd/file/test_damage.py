"""Whatever a file holds, reading it ends with an answer or with ``SnapshotDamaged``, soon."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.core.errors import SnapshotDamaged
from backstay.tiers.etcd.file.bolt import BoltFile
from backstay.tiers.etcd.file.keyspace import live
from backstay.tiers.etcd.file.pages import BRANCH, LEAF
from backstay.tiers.etcd.file.rewrite import rewrite
from backstay.tiers.etcd.file.survey import Survey, survey
from tests.tiers.etcd.file.handmade import Image, record, write_database
from tests.tiers.etcd.file.story import Taken

FLIPS = CUTS = 1000
SOON_SECONDS = 5.0


def outcome(path: Path) -> Survey | str:
    """What ``survey`` found, or what damage it names; fails for anything else, and where it takes long."""
    begun = time.monotonic()
    try:
        return survey(path)
    except SnapshotDamaged as damaged:
        return damaged.message
    finally:
        assert time.monotonic() - begun < SOON_SECONDS


@pytest.mark.parametrize("step", ["at_random", "defragmented"])
def test_changed_bits_never_upset_the_survey(story: dict[str, Taken], tmp_path: Path, step: str) -> None:
    whole = story[step].path.read_bytes()
    path = tmp_path / "flipped"
    path.write_bytes(whole)
    truth = survey(path)
    found: list[Survey | str] = []
    dice = random.Random(22)
    with path.open("r+b") as file:
        for number in range(FLIPS // 2):
            # Every second one near the start of a page, where headers and tables are.
            page = dice.randrange(len(whole) // 4096)
            place = page * 4096 + dice.randrange(64 if number % 2 else 4096)
            file.seek(place)
            file.write(bytes([whole[place] ^ 1 << dice.randrange(8)]))
            file.flush()
            found.append(outcome(path))
            file.seek(place)
            file.write(whole[place : place + 1])
            file.flush()
    refused = [one for one in found if isinstance(one, str)]
    other = [one for one in found if isinstance(one, Survey) and one != truth]
    assert len(refused) > FLIPS // 40
    assert any(one.hash_kv != truth.hash_kv for one in other)
    assert outcome(path) == truth


def test_cut_files_never_upset_the_survey(story: dict[str, Taken], tmp_path: Path) -> None:
    whole = story["at_random"].path.read_bytes()
    path = tmp_path / "cut"
    dice = random.Random(23)
    for _ in range(CUTS):
        size = dice.randrange(len(whole) - 32)
        path.write_bytes(whole[:size])
        message = outcome(path)
        assert isinstance(message, str)
        assert "cut short" in message or "not a snapshot" in message


def test_bytes_of_chance_behind_whole_metas_never_upset_the_survey(story: dict[str, Taken], tmp_path: Path) -> None:
    whole = bytearray(story["defragmented"].path.read_bytes())
    path = tmp_path / "noise"
    dice = random.Random(24)
    for _ in range(300):
        noisy = bytearray(whole)
        page = dice.randrange(2, len(whole) // 4096)
        start = page * 4096 + dice.choice((8, 16, 64, 200))
        noisy[start : start + 100] = dice.randbytes(100)
        path.write_bytes(noisy)
        assert outcome(path) is not None


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """A key bucket of three levels: pages 3 on, leaves and branches, then the root tree's leaf as the last page."""
    records = [record(number, b"/registry/pods/" + b"n" * 900 + b"%d" % number) for number in range(2, 800)]
    return Image(write_database(tmp_path / "s", {b"alarm": [], b"key": records, b"meta": []}))


def pages(image: Image, flags: int) -> list[int]:
    """The numbers of the pages of a kind."""
    return [page for page in range(2, len(image.data) // 4096) if image.header(page)[1] == flags]


def branch(image: Image) -> int:
    """A branch right over leaves."""
    return pages(image, BRANCH)[0]


def leaf(image: Image) -> int:
    """A leaf of bucket ``key`` in the middle."""
    return pages(image, LEAF)[20]


def root_leaf(image: Image) -> int:
    """The leaf of the root tree."""
    return pages(image, LEAF)[-1]


def a_branch_that_is_its_own_child(image: Image) -> None:
    image.put("<Q", branch(image), 16 + 8, branch(image))


def a_cycle_by_way_of_the_root(image: Image) -> None:
    image.put("<Q", branch(image), 16 + 16 + 8, pages(image, BRANCH)[-1])


def one_leaf_twice(image: Image) -> None:
    image.put("<Q", branch(image), 16 + 2 * 16 + 8, 4)


def a_child_beyond_the_file(image: Image) -> None:
    image.put("<Q", branch(image), 16 + 8, 1 << 60)


def a_meta_page_as_a_child(image: Image) -> None:
    image.put("<Q", branch(image), 16 + 8, 1)


def page_zero_as_a_child(image: Image) -> None:
    image.put("<Q", branch(image), 16 + 8, 0)


def two_children_in_the_wrong_order(image: Image) -> None:
    first, second = (int.from_bytes(image.data[at : at + 8], "little") for at in _children(image))
    image.put("<Q", branch(image), 16 + 8, second)
    image.put("<Q", branch(image), 16 + 16 + 8, first)


def _children(image: Image) -> tuple[int, int]:
    at = branch(image) * 4096 + 16 + 8
    return at, at + 16


def a_branch_key_that_is_too_low(image: Image) -> None:
    start = 16 * image.header(branch(image))[2] + 16  # of the keys, 17 bytes each
    image.put("8s", branch(image), start + 17, b"\0" * 8)


def a_branch_key_that_is_too_high(image: Image) -> None:
    _rename_child(image, branch(image), 3, 15)


def a_branch_key_that_an_earlier_leaf_passes(image: Image) -> None:
    _rename_child(image, branch(image), 3, 12)


def a_branch_key_that_an_earlier_branch_passes(image: Image) -> None:
    _rename_child(image, pages(image, BRANCH)[-1], 1, 100)


def _rename_child(image: Image, page: int, child: int, revision: int) -> None:
    """The leaves have four records each, the first of child 3 is of revision 14."""
    image.put(">Q", page, 16 + 16 * image.header(page)[2] + 17 * child, revision)


def a_branch_without_children(image: Image) -> None:
    image.put("<H", branch(image), 10, 0)


def a_branch_with_too_many_children(image: Image) -> None:
    image.put("<H", branch(image), 10, 0xFFFF)


def a_branch_key_of_four_gigabytes(image: Image) -> None:
    image.put("<I", branch(image), 16 + 4, 0xFFFFFFFF)


def a_leaf_with_too_many_items(image: Image) -> None:
    image.put("<H", leaf(image), 10, 0xFFFF)


def a_leaf_that_is_empty(image: Image) -> None:
    image.put("<H", leaf(image), 10, 0)


def items_that_overlap(image: Image) -> None:
    image.put("<I", leaf(image), 16 + 16 + 4, 16)


def an_item_over_the_table(image: Image) -> None:
    image.put("<I", leaf(image), 16 + 4, 0)


def a_value_of_four_gigabytes(image: Image) -> None:
    image.put("<I", leaf(image), 16 + 12, 0xFFFFFFFF)


def the_last_value_beyond_its_page(image: Image) -> None:
    count = image.header(leaf(image))[2]
    image.put("<I", leaf(image), 16 + 16 * (count - 1) + 12, 4000)


def keys_out_of_order(image: Image) -> None:
    start = 16 + 16 * image.header(leaf(image))[2]
    image.put("8s", leaf(image), start, b"\x7f" * 8)


def a_key_without_bytes(image: Image) -> None:
    image.put("<I", leaf(image), 16 + 8, 0)


def a_bucket_in_a_bucket(image: Image) -> None:
    image.put("<I", leaf(image), 16, 1)


def an_item_of_the_root_that_is_no_bucket(image: Image) -> None:
    image.put("<I", root_leaf(image), 16, 0)


def a_page_of_two_kinds(image: Image) -> None:
    image.put("<H", leaf(image), 8, 0x03)


def a_page_of_no_kind(image: Image) -> None:
    image.put("<H", leaf(image), 8, 0)


def a_free_list_in_a_tree(image: Image) -> None:
    image.put("<H", leaf(image), 8, 0x10)


def a_page_that_claims_another_number(image: Image) -> None:
    image.put("<Q", leaf(image), 0, 7)


def a_page_as_long_as_the_file(image: Image) -> None:
    image.put("<I", leaf(image), 12, len(image.data) // 4096 - leaf(image) - 1)


def a_page_longer_than_the_file(image: Image) -> None:
    image.put("<I", leaf(image), 12, 0xFFFFFFFF)


def a_free_page_in_use(image: Image) -> None:
    image.put("<H", 2, 10, 1)
    image.put("<Q", 2, 16, leaf(image))


def a_free_page_beyond_the_file(image: Image) -> None:
    image.put("<H", 2, 10, 1)
    image.put("<Q", 2, 16, 1 << 50)


def a_free_list_longer_than_its_page(image: Image) -> None:
    image.put("<H", 2, 10, 600)


def a_free_list_with_a_forged_long_count(image: Image) -> None:
    image.put("<H", 2, 10, 0xFFFF)
    image.put("<Q", 2, 16, 1 << 62)


def a_free_list_that_is_a_leaf(image: Image) -> None:
    image.meta(freelist=leaf(image))


def a_page_nobody_knows_of(image: Image) -> None:
    image.data += bytes(4096)
    image.meta(high_water=len(image.data) // 4096)


def a_root_that_is_a_free_list(image: Image) -> None:
    image.meta(root=2)


def a_root_beyond_the_file(image: Image) -> None:
    image.meta(root=1 << 40)


def a_root_that_is_page_zero(image: Image) -> None:
    image.meta(root=0)


def more_pages_than_the_file_has(image: Image) -> None:
    image.meta(high_water=1 << 50)


def no_pages_in_use(image: Image) -> None:
    image.meta(high_water=2)


def a_page_size_nobody_has(image: Image) -> None:
    image.meta(page_size=1 << 31)


def metas_of_another_version(image: Image) -> None:
    image.meta(version=3)


def metas_with_wrong_checksums(image: Image) -> None:
    for page in (0, 1):
        image.put("<Q", page, 16 + 56, 1)


def a_bucket_without_a_root(image: Image) -> None:
    _, pos, key_size, _ = _root_element(image, 1)
    image.put("<Q", root_leaf(image), 32 + pos + key_size, 0)


def _root_element(image: Image, index: int) -> tuple[int, int, int, int]:
    at = root_leaf(image) * 4096 + 16 + 16 * index
    flags, pos, key_size, value_size = (
        int.from_bytes(image.data[at + 4 * one : at + 4 * one + 4], "little") for one in range(4)
    )
    return flags, pos, key_size, value_size


DAMAGE: dict[str, tuple[Callable[[Image], None], str]] = {
    made.__name__: (made, said)
    for made, said in (
        (a_branch_that_is_its_own_child, r"page \d+ is used twice"),
        (a_cycle_by_way_of_the_root, r"page \d+ is used twice"),
        (one_leaf_twice, "page 4 is used twice"),
        (a_child_beyond_the_file, "page 1152921504606846976 is named in the file, which has pages 2 to"),
        (a_meta_page_as_a_child, "page 1 is named in the file"),
        (page_zero_as_a_child, "page 0 is named in the file"),
        (two_children_in_the_wrong_order, "page 4 does not begin with the key its branch names"),
        (a_branch_key_that_is_too_low, r"page \d+ has key 1 out of order"),
        (a_branch_key_that_is_too_high, "page 7 does not begin with the key its branch names"),
        (a_branch_key_that_an_earlier_leaf_passes, "page 7 is out of order"),
        (a_branch_key_that_an_earlier_branch_passes, r"page \d+ is out of order"),
        (a_branch_without_children, "cannot be a branch of 0 children"),
        (a_branch_with_too_many_children, "cannot be a branch of 65,535 children"),
        (a_branch_key_of_four_gigabytes, "has key 1 not right after"),
        (a_leaf_with_too_many_items, "cannot hold 65,535 items"),
        (a_leaf_that_is_empty, "does not begin with the key its branch names"),
        (items_that_overlap, "has item 1 not right after"),
        (an_item_over_the_table, "has item 0 not right after"),
        (a_value_of_four_gigabytes, "has item 1 not right after"),
        (the_last_value_beyond_its_page, "has an item that ends beyond it"),
        (keys_out_of_order, "has key 1 out of order"),
        (a_key_without_bytes, "has key 0 out of order"),
        (a_bucket_in_a_bucket, "has a bucket where none may be"),
        (an_item_of_the_root_that_is_no_bucket, "or none where one must be"),
        (a_page_of_two_kinds, "is of no known kind"),
        (a_page_of_no_kind, "is of no known kind"),
        (a_free_list_in_a_tree, "is neither a branch nor a leaf"),
        (a_page_that_claims_another_number, "calls itself page 7"),
        (a_page_as_long_as_the_file, r"is used twice"),
        (a_page_longer_than_the_file, "claims to be 4,294,967,296 pages long"),
        (a_free_page_in_use, "is used twice"),
        (a_free_page_beyond_the_file, "lists page 1125899906842624 as free"),
        (a_free_list_longer_than_its_page, "cannot hold 600 numbers of free pages"),
        (a_free_list_with_a_forged_long_count, "cannot hold 4,611,686,018,427,387,904 numbers"),
        (a_free_list_that_is_a_leaf, "should be the list of free pages"),
        (a_page_nobody_knows_of, "leaves out 1 pages"),
        (a_root_that_is_a_free_list, "is neither a branch nor a leaf"),
        (a_root_beyond_the_file, "page 1099511627776 is named in the file"),
        (a_root_that_is_page_zero, "page 0 is named in the file"),
        (more_pages_than_the_file_has, "is cut short"),
        (no_pages_in_use, "says that only 2 pages are in use"),
        (a_page_size_nobody_has, "neither page 0 nor page 1 is a meta page"),
        (metas_of_another_version, "neither page 0 nor page 1 is a meta page"),
        (metas_with_wrong_checksums, "neither page 0 nor page 1 is a meta page"),
        (a_bucket_without_a_root, "has a root for bucket key that is none"),
    )
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(image: Image, name: str) -> None:
    make, said = DAMAGE[name]
    make(image)
    path = image.save()
    with pytest.raises(SnapshotDamaged, match=said) as caught:
        survey(path)
    assert caught.value.message.startswith("s is ")
    with pytest.raises(SnapshotDamaged):
        rewrite(path, path.parent / "new")
    assert [one.name for one in path.parent.iterdir()] == ["s"]


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_never_upsets_a_range(image: Image, name: str) -> None:
    DAMAGE[name][0](image)
    path = image.save()
    try:
        found = len(list(live(path, b"/registry/")))
    except SnapshotDamaged:
        found = 0
    # Damage outside of the tree of bucket ``key`` is not seen by a range.
    assert found in (0, 798)


def test_a_tree_too_deep_is_refused(tmp_path: Path) -> None:
    """A chain of branches with one child each, none of them met twice."""
    image = Image(write_database(tmp_path / "s", {b"key": [record(2, b"/registry/pods/a")]}))
    depth, leaf_page = 200, 3
    first = len(image.data) // 4096
    key = bytes(image.data[leaf_page * 4096 + 32 : leaf_page * 4096 + 32 + 17])
    image.data += bytes(4096 * depth)
    for number in range(depth):
        page = first + number
        child = page + 1 if number < depth - 1 else leaf_page
        image.put("<QHHIIIQ17s", page, 0, page, BRANCH, 1, 0, 16, 17, child, key)
    image.put("<Q", root_leaf(image), 32 + 3, first)
    image.meta(high_water=first + depth)
    path = image.save()
    with BoltFile(path) as bolt:
        bucket = bolt.buckets()[b"key"]
        with pytest.raises(SnapshotDamaged, match="in a tree that is too deep"):
            list(bolt.items(bucket))
        with pytest.raises(SnapshotDamaged, match="in a tree that is too deep"):
            bolt.last_key(bucket)


def test_too_many_buckets_are_refused(tmp_path: Path) -> None:
    path = write_database(tmp_path / "s", {b"%05d" % number: [] for number in range(300)})
    with pytest.raises(SnapshotDamaged, match="more than 256 buckets"):
        survey(path)


def test_a_database_that_is_not_etcds(tmp_path: Path) -> None:
    path = write_database(tmp_path / "s", {b"volumes": []})
    with pytest.raises(SnapshotDamaged, match="no bucket 'key'"):
        survey(path)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([(b"abc", b"")], "has a record without a revision"),
        ([(b"\0" * 8 + b"-" + b"\0" * 8, b"")], "has a record without a revision"),
        ([(b"\0" * 8 + b"_" + b"\0" * 8 + b"x", b"")], "has a record without a revision"),
        ([(b"\xff" * 8 + b"_" + b"\0" * 8, b"")], "last revision is 18446744073709551615"),
        ([(b"\0" * 7 + b"\5_" + b"\0" * 8, b"\x0a\xff\xff")], "record of revision 5 is not a KeyValue"),
        ([(b"\0" * 7 + b"\5_" + b"\0" * 8, b"\x0a\x05ab")], "record of revision 5 is not a KeyValue"),
    ],
)
def test_records_that_are_none(tmp_path: Path, records: list[tuple[bytes, bytes]], said: str) -> None:
    path = write_database(tmp_path / "s", {b"key": records})
    with pytest.raises(SnapshotDamaged, match=said):
        survey(path)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([(b"consistent_index", b"\0" * 7)], "consistent_index in bucket 'meta' is not of its form"),
        ([(b"scheduledCompactRev", b"\0" * 8)], "scheduledCompactRev in bucket 'meta'"),
        ([(b"finishedCompactRev", b"\xff" * 8 + b"_" + b"\0" * 8)], "finishedCompactRev in bucket 'meta'"),
        ([(b"storageVersion", b"3" * 300)], "storageVersion in bucket 'meta'"),
    ],
)
def test_meta_values_that_are_none(tmp_path: Path, items: list[tuple[bytes, bytes]], said: str) -> None:
    path = write_database(tmp_path / "s", {b"key": [], b"meta": items})
    with pytest.raises(SnapshotDamaged, match=said):
        survey(path)
