"""A stream of chunks as a file: every byte once, and no end where there was an error."""

import io
import tarfile

import pytest

from backstay.store.chunkfile import ChunkFile
from tests.store.helpers import noise, pieces


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_every_byte_comes_once(size):
    data = noise(5000)
    file, parts = ChunkFile([b"", *pieces(data, 999), b"", b""]), []
    while part := file.read(size):
        parts.append(part)
    assert b"".join(parts) == data
    assert max(map(len, parts)) <= size
    assert (file.read(size), file.error) == (b"", None)


def test_without_a_size_what_comes_next_is_given():
    file = ChunkFile([b"abc", b"", b"de"])
    assert [file.read(2), file.read(), file.read(), file.read(), file.read(0)] == [b"ab", b"c", b"de", b"", b""]


def test_nothing_is_taken_before_it_is_wanted():
    taken = []

    def chunks():
        for number in range(3):
            taken.append(number)
            yield b"%d" % number

    file = ChunkFile(chunks())
    assert taken == []
    assert (file.read(1), taken) == (b"0", [0])


@pytest.mark.parametrize("error", [ValueError("the store failed"), KeyboardInterrupt()])
def test_an_error_is_no_end(error):
    """Not even for who passes over it and reads on."""

    def chunks():
        yield b"abc"
        raise error

    file = ChunkFile(chunks())
    assert file.read(10) == b"abc"
    for _ in range(2):
        with pytest.raises(type(error)):
            file.read(10)
    assert file.error is error


def test_a_library_reads_it():
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in ("a", "b"):
            entry = tarfile.TarInfo(name)
            entry.size = 5000
            archive.addfile(entry, io.BytesIO(noise(5000)))
    with tarfile.open(fileobj=ChunkFile(pieces(written.getvalue(), 700)), mode="r|") as archive:
        assert [(entry.name, archive.extractfile(entry).read() == noise(5000)) for entry in archive] == [
            ("a", True), ("b", True),
        ]  # fmt: skip
