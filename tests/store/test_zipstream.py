"""Zip archives of one file as a stream: what others make of ours, what we make of theirs, damage, bombs, large ones."""

import base64
import io
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
import zlib

import pyrage
import pytest

from backstay.core.errors import Corrupt
from backstay.core.model import Artifact
from backstay.store import pipeline, zipstream
from backstay.store.pipeline import Encoded, Encoding, decode, decompress
from tests.store.helpers import MIB, noise, pieces

NAME = "etcd-snapshot-server-1-1766000000"
TEXT = b"".join(b"/registry/pods/shop/web-%05d\n" % number for number in range(400))
HELLO = b"hello hello hello hello\n"
# By Info-ZIP 3.0, which makes room for sizes of 64 bits before it knows them: `zip c.zip -` and `zip - - | cat`.
INFO_ZIP = {
    "sizes first": (
        "UEsDBC0AAAAIAJxBel0AiFkL//////////8BABQALQEAEAAYAAAAAAAAAAsAAAAAAAAAy0jNyclXyEAnuQBQSwECHgMtAAAACACc"
        "QXpdAIhZCwsAAAAYAAAAAQAAAAAAAAABAAAAgBEAAAAALVBLBgYsAAAAAAAAAB4DLQAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAAv"
        "AAAAAAAAAD4AAAAAAAAAUEsGBwAAAABtAAAAAAAAAAEAAABQSwUGAAAAAAEAAQAvAAAAPgAAAAAA"
    ),
    "sizes last": (
        "UEsDBC0ACAAIAKFBel0AAAAA//////////8BABQALQEAEAAAAAAAAAAAAAAAAAAAAAAAy0jNyclXyEAnuQBQSwcIAIhZCwsAAAAA"
        "AAAAGAAAAAAAAABQSwECHgMtAAgACAChQXpdAIhZCwsAAAAYAAAAAQAAAAAAAAABAAAAgBEAAAAALVBLBQYAAAAAAQABAC8AAABW"
        "AAAAAAA="
    ),
}
TESTERS = [
    command for command in (["unzip", "-tqq"], [sys.executable, "-m", "zipfile", "-t"]) if shutil.which(command[0])
]


@pytest.fixture(params=["isal", "zlib"])
def machine(request, monkeypatch):
    """Both libraries that may do the work; zlib is there everywhere."""
    if request.param == "zlib":
        monkeypatch.setattr(pipeline, "_deflate", lambda: zlib)
    return request.param


class Unseekable(io.RawIOBase):
    """What zipfile cannot go back in, so that sizes follow the data."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def ours(data, name=NAME, size=300_000):
    return b"".join(Encoded(pieces(data, size), Encoding("zip", entry=name)))


def theirs(data, method=zipfile.ZIP_DEFLATED, *, stream=False, large=False, names=(NAME,)):
    """By Python's own module."""
    file = Unseekable() if stream else io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names:
            with archive.open(name, "w", force_zip64=large) as entry:
                entry.write(data)
    return file.data if stream else file.getvalue()


def unpacked(archive, size=300_000):
    return b"".join(decompress(pieces(archive, size), "zip", "k"))


def promised(plain, archive):
    """An artifact as a manifest has it."""
    stored, tally = pipeline.Tally(), pipeline.Tally()
    for _ in (*stored.through([archive]), *tally.through([plain])):
        pass
    return Artifact("snapshot", "k", stored.size_bytes, stored.sha256, tally.size_bytes, tally.sha256, ("zip",))


@pytest.mark.parametrize("data", [b"", b"x", TEXT, noise(70_000), noise(3 * MIB) + bytes(3 * MIB)], ids=len)
def test_round_trip(machine, data):
    archive = ours(data)
    for size in (1 << 20, 65_537, *([1, 7] if len(archive) < 100_000 else [])):
        assert unpacked(archive, size) == data
    with zipfile.ZipFile(io.BytesIO(archive)) as read:
        [entry] = read.infolist()
        assert (entry.filename, entry.file_size, entry.external_attr >> 16) == (NAME, len(data), 0o100600)
        assert read.read(NAME) == data


def test_encrypted_on_top():
    identity = pyrage.x25519.Identity.generate()
    encoded = Encoded(pieces(TEXT), Encoding("zip", recipients=(str(identity.to_public()),), entry=NAME))
    data, artifact = b"".join(encoded), encoded.artifact("snapshot", "k")
    assert artifact.encoding == ("zip", "age")
    assert b"".join(decode([data], artifact, [str(identity)])) == TEXT
    with pytest.raises(Corrupt):
        list(decode([data[:-100]], artifact, [str(identity)]))


def test_chunks_may_be_empty():
    archive = ours(TEXT)
    assert b"".join(decompress([b"", archive[:40], b"", archive[40:], b""], "zip", "k")) == TEXT


@pytest.mark.parametrize("limit", [zipstream.LIMIT, 1000])
@pytest.mark.parametrize("command", TESTERS, ids=["unzip", "zipfile"][-len(TESTERS) :])
def test_stock_programs_find_it_whole(tmp_path, monkeypatch, command, limit):
    monkeypatch.setattr(zipstream, "LIMIT", limit)
    (tmp_path / "a.zip").write_bytes(ours(noise(70_000)))
    done = subprocess.run([*command, "a.zip"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done


@pytest.mark.parametrize("name", ["é日本", "with space", "x" * 300])
def test_any_name(name):
    with zipfile.ZipFile(io.BytesIO(ours(TEXT, name))) as read:
        assert read.namelist() == [name]
        assert read.read(name) == TEXT


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_deflated_by_zipfile(machine, stream, large):
    archive = theirs(TEXT, stream=stream, large=large)
    for size in (1, 50, 1 << 20):
        assert unpacked(archive, size) == TEXT


@pytest.mark.parametrize("large", [False, True])
def test_stored_by_zipfile(large):
    data = noise(3 * MIB)
    archive = theirs(data, zipfile.ZIP_STORED, large=large)
    for size in (10_007, 1 << 20, 10 * MIB):
        assert unpacked(archive, size) == data
    assert max(map(len, decompress([archive], "zip", "k"))) <= pipeline.CHUNK_BYTES


@pytest.mark.parametrize("archive", INFO_ZIP.values(), ids=INFO_ZIP)
def test_by_info_zip(archive):
    for size in (1, 1000):
        assert unpacked(base64.b64decode(archive), size) == HELLO


def test_with_a_comment():
    file = io.BytesIO(ours(TEXT))
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"of no use" * 7000
    assert unpacked(file.getvalue()) == TEXT


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (b"", "ends before"),
        (b"PK", "ends before"),
        (TEXT, "does not begin with a file"),
        (b"\x1f\x8b" + bytes(100), "does not begin with a file"),
        (theirs(b"", names=()), "ends before"),
        (theirs(TEXT, zipfile.ZIP_STORED, stream=True), "does not say how long its file is"),
        (theirs(TEXT, zipfile.ZIP_BZIP2), "does not begin with a file packed by deflate"),
        (theirs(TEXT, zipfile.ZIP_LZMA), "does not begin with a file packed by deflate"),
        (theirs(TEXT, names=("a", "b")), "holds more than one file"),
        (theirs(TEXT, stream=True, names=("a", "b", "c")), "holds more than one file"),
        (theirs(noise(200_000), names=("a", "b")), "holds more than one file"),
        (ours(TEXT) + bytes(200_000), "holds more than one file"),
    ],
)
def test_what_is_no_archive_of_one_file(archive, said):
    for size in (1000, 1 << 20):
        with pytest.raises(Corrupt, match=f"k is not a whole zip archive: it {said}"):
            unpacked(archive, size)


def test_one_that_is_encrypted():
    archive = bytearray(theirs(TEXT))
    archive[6] |= zipstream.ENCRYPTED
    with pytest.raises(Corrupt, match="does not begin with a file packed by deflate"):
        unpacked(bytes(archive))


ARCHIVES = {
    "ours": ours(TEXT[:600]),
    "deflated": theirs(TEXT[:600]),
    "deflated, sizes last": theirs(TEXT[:600], stream=True),
    "deflated, large": theirs(TEXT[:600], large=True),
    "stored": theirs(TEXT[:200], zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_bit_that_is_changed_is_found_or_does_not_matter(machine, kind):
    archive = ARCHIVES[kind]
    data = unpacked(archive)
    matter = 0
    for bit in range(8 * len(archive)):
        changed = bytearray(archive)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            assert unpacked(bytes(changed)) == data, bit
        except Corrupt:
            matter += 1
    assert matter > 8 * len(archive) // 3


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_cut_is_found(machine, kind):
    archive = ARCHIVES[kind]
    for end in range(len(archive)):
        with pytest.raises(Corrupt):
            unpacked(archive[:end])


def test_nothing_is_told_whole_before_its_end_was_seen():
    archive = ours(noise(3 * MIB))
    read = decompress(pieces(archive[:-1]), "zip", "k")
    with pytest.raises(Corrupt, match="ends before its directory does"):
        for _ in read:
            pass


def test_a_bomb_ends_where_the_promise_does():
    """No more than that and a chunk is unpacked of thousands of times as much."""
    bomb, came = ours(bytes(64 * MIB)), []
    read = decode(pieces(bomb), promised(TEXT, ours(TEXT)))
    with pytest.raises(Corrupt, match=f"holds more than the {len(TEXT):,} bytes its manifest promises"):
        came.extend(map(len, read))
    assert sum(came) <= len(TEXT)
    assert sum(map(len, decode(pieces(bomb), promised(bytes(64 * MIB), bomb)))) == 64 * MIB


def test_memory_is_bounded(machine):
    """What packs to nothing, and what does not pack at all."""
    for plain in (bytes(MIB), noise(MIB)):
        tracemalloc.start()
        try:
            encoded = Encoded((plain for _ in range(24)), Encoding("zip", entry=NAME))
            assert sum(map(len, decompress(encoded, "zip", "k"))) == 24 * MIB
            assert tracemalloc.get_traced_memory()[1] < 12 * MIB
        finally:
            tracemalloc.stop()


def test_an_error_of_the_source_comes_through():
    def failing():
        yield TEXT
        raise ValueError("the source failed")

    with pytest.raises(ValueError, match="the source failed"):
        list(Encoded(failing(), Encoding("zip", entry=NAME)))

    def cut():
        yield ours(TEXT)[:-30]
        raise ValueError("the store failed")

    with pytest.raises(ValueError, match="the store failed"):
        list(decompress(cut(), "zip", "k"))


@pytest.mark.parametrize("limit", [1, 500, 1000, 69_000, 70_001])
@pytest.mark.parametrize("kind", ["packs", "does not"])
def test_sizes_in_64_bits(monkeypatch, kind, limit):
    monkeypatch.setattr(zipstream, "LIMIT", limit)
    data = bytes(70_000) if kind == "packs" else noise(70_000)
    archive = ours(data)
    large = len(data) >= limit or len(archive) > limit + 200
    assert (b"PK\6\6" in archive[-120:], b"PK\6\7" in archive[-120:]) == (large, large)
    assert unpacked(archive) == data
    with zipfile.ZipFile(io.BytesIO(archive)) as read:
        assert read.read(NAME) == data


class Counting:
    """Stands in for a compressor: says that it made ``left`` bytes, without making them."""

    def __init__(self, size):
        self.size = size

    def compress(self, chunk):
        return self

    def flush(self):
        return b""

    def __len__(self):
        return self.size


@pytest.mark.parametrize("size", [zipstream.FULL + more for more in (-100, -64, -1, 0, 1, 1 << 20)])
def test_at_the_edge_of_32_bits(size):
    """The directory begins beyond it a little before the data themselves do."""
    *_, closing = zipstream.write([b"x"], NAME, Counting(size))
    start = zipstream.LOCAL.size + len(NAME) + size + zipstream.DESCRIPTOR.size
    at = closing.index(b"PK\1\2")
    assert (b"PK\6\7" in closing) == (start >= zipstream.FULL)
    said = zipstream.END.unpack_from(closing, len(closing) - zipstream.END.size)[6]
    if start < zipstream.FULL:
        assert said == start
        return
    assert said == zipstream.FULL
    record = zipstream.END64.unpack_from(closing, closing.index(b"PK\6\6"))
    assert record[-1] == start - zipstream.DESCRIPTOR.size + at
    extra = zipstream.EXTRA64.unpack_from(closing, at + zipstream.CENTRAL.size + len(NAME))
    assert extra == (1, 16, 1, size)


def test_more_than_four_gibibytes():
    """All of it, there and back; what it packs to is small."""
    count = 4100
    block = bytes(MIB)
    packed = list(zipstream.write((block for _ in range(count)), NAME, pipeline._raw_deflate(1)))
    with zipfile.ZipFile(io.BytesIO(b"".join(packed))) as read:
        assert read.getinfo(NAME).file_size == count * MIB > zipstream.FULL
    assert sum(map(len, decompress(packed, "zip", "k"))) == count * MIB
