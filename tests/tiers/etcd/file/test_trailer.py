"""The checksum at the end: nothing gets past it, and what is said of a bad file is true."""

import random
from pathlib import Path

import pytest

from backstay.core.errors import SnapshotDamaged
from backstay.tiers.etcd.file.trailer import check_trailer
from tests.tiers.etcd.file.handmade import Image, write_database
from tests.tiers.etcd.file.story import Taken

FLIPS = 1000


def test_a_whole_snapshot_has_its_size_and_progress(story: dict[str, Taken]) -> None:
    taken = story["at_random"]
    steps: list[int] = []
    assert check_trailer(taken.path, steps.append) == taken.status["totalSize"]
    assert sum(steps) == taken.status["totalSize"]


def test_every_changed_bit_is_caught(story: dict[str, Taken], tmp_path: Path) -> None:
    whole = bytearray(story["at_random"].path.read_bytes())
    path = tmp_path / "flipped"
    path.write_bytes(whole)
    dice = random.Random(20)
    with path.open("r+b") as file:
        for _ in range(FLIPS):
            place, bit = dice.randrange(len(whole)), 1 << dice.randrange(8)
            file.seek(place)
            file.write(bytes([whole[place] ^ bit]))
            file.flush()
            with pytest.raises(SnapshotDamaged, match="was changed"):
                check_trailer(path)
            file.seek(place)
            file.write(bytes([whole[place]]))
            file.flush()
    assert check_trailer(path) == len(whole) - 32


def test_every_shortened_file_is_called_cut_short(story: dict[str, Taken], tmp_path: Path) -> None:
    whole = story["at_random"].path.read_bytes()
    path = tmp_path / "cut"
    dice = random.Random(21)
    sizes = [1, 31, 32, 33, 512 + 32, 4096 + 32, len(whole) - 1, len(whole) - 512, len(whole) - 4096]
    for size in sizes + [dice.randrange(1, len(whole)) for _ in range(200)]:
        if size == len(whole) - 32:
            continue
        path.write_bytes(whole[:size])
        with pytest.raises(SnapshotDamaged, match=f"cut short: it has {size:,} bytes"):
            check_trailer(path)


def test_an_empty_file_and_one_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"")
    with pytest.raises(SnapshotDamaged, match="s is empty"):
        check_trailer(path)
    path.write_bytes(b"no database" * 400 + bytes(512 + 32 - 4400 % 512))
    with pytest.raises(SnapshotDamaged, match="was changed"):
        check_trailer(path)


def test_a_database_file_without_checksum_is_told_from_a_cut_one(tmp_path: Path) -> None:
    path = Image(write_database(tmp_path / "s", {b"key": []})).save()
    with pytest.raises(SnapshotDamaged, match="has no checksum at its end") as caught:
        check_trailer(path)
    assert "etcdctl snapshot save" in caught.value.hint


def test_bytes_added_are_a_change(story: dict[str, Taken], tmp_path: Path) -> None:
    path = tmp_path / "longer"
    path.write_bytes(story["puts"].path.read_bytes() + bytes(512))
    with pytest.raises(SnapshotDamaged, match="was changed"):
        check_trailer(path)
