"""Newest records by key, in memory and by way of a file."""

import random
from pathlib import Path

import pytest

from backstay.tiers.etcd.file import newest as module
from backstay.tiers.etcd.file.newest import Newest


@pytest.mark.parametrize("chunk", [1, 7, 100, 1000, 100_000])
@pytest.mark.parametrize("before", [None, 0, 1, 499, 1500, 9999])
def test_newest_of_each_hash(tmp_path: Path, chunk: int, before: int | None) -> None:
    dice = random.Random(chunk)
    pairs = [(dice.choice((-1, 1)) * dice.randrange(400) << dice.choice((0, 50)), tag) for tag in range(3000)]
    with Newest(tmp_path, chunk=chunk) as newest:
        for start in range(0, 3000, 10):
            part = pairs[start : start + 10]
            newest.add([hashed for hashed, _ in part], [tag for _, tag in part])
        expected = {hashed: tag for hashed, tag in pairs if before is None or tag < before}
        for _ in range(2):
            found = [tag for tags in newest.tags(before) for tag in tags]
            assert sorted(found) == sorted(expected.values())
        assert list(tmp_path.iterdir()) == []


def test_the_file_is_beside_the_snapshot_and_gone_at_the_end(tmp_path: Path) -> None:
    def ours() -> list[Path]:
        links = [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
        return [target for one in links if (target := one.readlink()).is_relative_to(tmp_path)]

    with Newest(tmp_path, chunk=10) as newest:
        newest.add(range(9), range(9))
        assert ours() == []
        newest.add(range(9), range(9, 18))
        assert len(ours()) == 1
        assert sum(map(len, newest.tags())) == 9
    assert ours() == []


def test_a_folder_that_cannot_be_written_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = module.tempfile.TemporaryFile, []

    def temporary_file(**options: Path) -> object:
        asked.append(options.get("dir"))
        if asked[-1] == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real()

    monkeypatch.setattr(module.tempfile, "TemporaryFile", temporary_file)
    with Newest(tmp_path, chunk=2) as newest:
        newest.add([1, 2, 1], [0, 1, 2])
        assert sorted(tag for tags in newest.tags() for tag in tags) == [1, 2]
    assert asked == [tmp_path, None]


def test_another_trouble_with_the_file_is_raised(tmp_path: Path) -> None:
    with Newest(tmp_path / "none", chunk=2) as newest, pytest.raises(FileNotFoundError):
        newest.add([1, 2, 1], [0, 1, 2])
