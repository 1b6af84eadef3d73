"""A zip archive of one file as a stream: what k3s writes and opens for a compressed etcd snapshot.

The form is PKWARE's APPNOTE 6.3.10: a local header (4.3.7) whose sizes are not known yet (bit 3 of 4.4.4), raw deflate,
a data descriptor (4.3.9), the central directory (4.3.12), its end (4.3.16), and the zip64 records (4.3.14, 4.3.15,
4.5.3) where a size needs more than 32 bits. Python's own ``zipfile`` reads it, but compresses only with zlib.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import Corrupt

LOCAL = struct.Struct("<4s5H3I2H")
DESCRIPTOR = struct.Struct("<4s3I")
DESCRIPTOR64 = struct.Struct("<4sI2Q")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR64 = struct.Struct("<4sIQI")
EXTRA64 = struct.Struct("<2H2Q")
EXTRA = struct.Struct("<2H")
DEFLATE, STORED = 8, 0
ENCRYPTED, SIZES_FOLLOW, UTF8 = 0x001, 0x008, 0x800
ZIP64 = 1
VERSION, VERSION64 = 20, 45
MADE_ON_UNIX = 3 << 8
MODE = 0o100600 << 16  # of the file inside, for who unpacks it
DATE = 0x21  # 1 January 1980, the first there is: when it was taken is in the file's name
FULL = 0xFFFFFFFF  # in the place of a size: it is in the zip64 record
LIMIT = FULL  # sizes from here on are
TAIL_BYTES = 1 << 17  # more cannot follow one file


def write(chunks: Iterable[bytes], entry: str, compressor: Any) -> Iterator[bytes]:
    """``chunks`` as the only file of an archive, named ``entry``; ``compressor`` makes raw deflate."""
    name = entry.encode()
    flags = SIZES_FOLLOW if entry.isascii() else SIZES_FOLLOW | UTF8
    yield LOCAL.pack(b"PK\3\4", VERSION, flags, DEFLATE, 0, DATE, 0, 0, 0, len(name), 0) + name
    crc = plain = packed = 0
    for chunk in chunks:
        crc, plain = zlib.crc32(chunk, crc), plain + len(chunk)
        if data := compressor.compress(chunk):
            packed += len(data)
            yield data
    data = compressor.flush()
    packed += len(data)
    yield data + _closing(name, flags, crc, plain, packed)


def _closing(name: bytes, flags: int, crc: int, plain: int, packed: int) -> bytes:
    """What follows the data."""
    start = LOCAL.size + len(name) + packed + DESCRIPTOR.size  # of the directory: the largest number but for ``plain``
    large = max(plain, start) >= LIMIT
    descriptor = (DESCRIPTOR64 if large else DESCRIPTOR).pack(b"PK\7\x08", crc, packed, plain)
    extra = EXTRA64.pack(ZIP64, 16, plain, packed) if large else b""
    sizes = (FULL, FULL) if large else (packed, plain)
    version = VERSION64 if large else VERSION
    central = CENTRAL.pack(
        b"PK\1\2", MADE_ON_UNIX | version, version, flags, DEFLATE, 0, DATE, crc, *sizes,
        len(name), len(extra), 0, 0, 0, MODE, 0,
    )  # fmt: skip
    central += name + extra
    start = LOCAL.size + len(name) + packed + len(descriptor)
    end = END.pack(b"PK\5\6", 0, 0, 1, 1, len(central), FULL if large else start, 0)
    if large:
        at = start + len(central)
        end64 = END64.pack(b"PK\6\6", END64.size - 12, VERSION64, VERSION64, 0, 0, 1, 1, len(central), start)
        end = end64 + LOCATOR64.pack(b"PK\6\7", 0, at, 1) + end
    return descriptor + central + end


@dataclass
class _Stream:
    """The chunks of an archive, taken as they are needed."""

    chunks: Iterator[bytes]
    key: str
    held: bytes = b""

    def take(self, size: int) -> bytes:
        """Exactly so many bytes. Raises ``Corrupt``."""
        while len(self.held) < size:
            more = next(self.chunks, None)
            if more is None:
                raise self.fail("ends before its first file does")
            self.held += more
        taken, self.held = self.held[:size], self.held[size:]
        return taken

    def some(self, most: int) -> bytes:
        """What comes next, at least one byte and at most so many. Raises ``Corrupt`` at the end."""
        if not self.held:
            self.held = self.take(1) + self.held
        taken, self.held = self.held[:most], self.held[most:]
        return taken

    def rest(self) -> bytes:
        """All that is left, which must be little. Raises ``Corrupt``."""
        while len(self.held) <= TAIL_BYTES and (more := next(self.chunks, None)) is not None:
            self.held += more
        if len(self.held) > TAIL_BYTES:
            raise self.fail("holds more than one file")
        return self.held

    def fail(self, what: str) -> Corrupt:
        """The error that says so."""
        return Corrupt(
            f"{self.key} is not a whole zip archive: it {what}",
            hint="The object was damaged or is of another kind. Nothing of it is used. Try an older backup.",
        )


def read(chunks: Iterable[bytes], key: str, inflate: Callable[[], Any], most: int) -> Iterator[bytes]:
    """The bytes of the only file of an archive, at most ``most`` of them at a time.

    Raises ``Corrupt`` when it is no such archive or was cut short, and at its end when checksum or sizes differ; and
    what the machine raises that ``inflate`` makes, for what is no deflate.
    """
    stream = _Stream(iter(chunks), key)
    head = LOCAL.unpack(stream.take(LOCAL.size))
    signature, _, flags, method = head[:4]
    if signature != b"PK\3\4" or method not in {DEFLATE, STORED} or flags & ENCRYPTED:
        raise stream.fail("does not begin with a file packed by deflate")
    extra = stream.take(head[9] + head[10])[head[9] :]
    if method == STORED and flags & SIZES_FOLLOW:
        raise stream.fail("does not say how long its file is")
    said = (head[6], *_sizes(head[7], head[8], extra))
    crc = plain = 0
    file = _File(stream, inflate, most)
    for data in file.stored(said[1]) if method == STORED else file.inflated():
        crc, plain = zlib.crc32(data, crc), plain + len(data)
        yield data
    _check_end(stream, (crc, file.packed, plain), None if flags & SIZES_FOLLOW else said)


def _sizes(packed: int, plain: int, extra: bytes) -> tuple[int, int]:
    """The sizes that a local header says; the zip64 field among ``extra`` has both, in the other order."""
    while FULL in {packed, plain} and len(extra) >= EXTRA.size:
        kind, size = EXTRA.unpack_from(extra)
        if kind == ZIP64 and size >= 16 and len(extra) >= EXTRA64.size:
            _, _, plain, packed = EXTRA64.unpack_from(extra)
            break
        extra = extra[EXTRA.size + size :]
    return packed, plain


@dataclass
class _File:
    """The bytes of the file; ``packed`` counts those it has in the archive."""

    stream: _Stream
    inflate: Callable[[], Any]
    most: int
    packed: int = 0

    def stored(self, size: int) -> Iterator[bytes]:
        """As they are."""
        while self.packed < size:
            data = self.stream.some(min(self.most, size - self.packed))
            self.packed += len(data)
            yield data

    def inflated(self) -> Iterator[bytes]:
        """Unpacked."""
        machine = self.inflate()
        while not machine.eof:
            data = self.stream.some(self.most)
            self.packed += len(data)
            while data and not machine.eof:
                yield machine.decompress(data, self.most)
                data = machine.unconsumed_tail
        self.packed -= len(machine.unused_data)
        self.stream.held = machine.unused_data + self.stream.held


def _check_end(stream: _Stream, found: tuple[int, int, int], said: tuple[int, int, int] | None) -> None:
    """Checksum and sizes, as the header said or, where it did not, as what follows the data does; and that the archive
    ends as archives do."""
    tail = stream.rest()
    if said is None:
        short = DESCRIPTOR.pack(b"PK\7\x08", *(value & FULL for value in found))
        forms = (short, DESCRIPTOR64.pack(b"PK\7\x08", *found))
        right = any(tail.startswith((form, form[4:])) for form in forms)
    else:
        right = said == found
    if not right:
        raise stream.fail("was changed: checksum or size of its file are not what it says")
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < END.size:
        raise stream.fail("ends before its directory does")
    if END.unpack_from(tail, at)[4] != 1:
        raise stream.fail("holds more than one file")
