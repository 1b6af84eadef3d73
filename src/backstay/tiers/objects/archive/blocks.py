"""The members of a tar from a stream of bytes, by a reader that believes nothing.

It takes what Velero (Go's archive/tar), Backstay and any tar program make of regular files and folders: ustar, pax and
GNU headers. Everything else is refused with its reason: links, devices, sparse files, a header whose checksum is wrong,
a tar without its end, and anything behind that.
Sources: POSIX.1-2024, pax; GNU tar manual, "Basic Tar Format"; Go, src/archive/tar/reader.go.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from backstay.core.errors import ArchiveDamaged
from backstay.tiers.objects.archive.paths import DAMAGED

BLOCK = 512
ZERO = bytes(BLOCK)
MOST_EXTRA = 1 << 16  # of a pax header or a GNU long name
MOST_PADDING = 1 << 20  # zeros behind the end: tar programs fill up to 10 KiB, or what they are told
KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"7": "a contiguous file",
    b"g": "a global pax header",
    b"K": "a long link",
    b"S": "a sparse file",
    b"M": "a part of a file",
    b"V": "a volume label",
    b"D": "a dumped folder",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file, or a folder (``data`` is empty)."""

    path: str
    folder: bool
    data: bytes


@dataclass(slots=True)
class _Header:
    name: bytes
    size: int
    kind: bytes


def members(chunks: Iterable[bytes], *, most_bytes: int) -> Iterator[Member]:
    """Every member in order. ``most_bytes`` is how large one may be. Raises ``ArchiveDamaged``, and what ``chunks``
    raise, of which all are taken."""
    stream = _Stream(chunks)
    path: bytes | None = None
    while True:
        header = _header(stream, stream.take(BLOCK))
        if header is None:
            break
        if header.kind in {b"x", b"L"}:
            if path is not None:
                raise _refused("two long names for one member")
            if header.size > MOST_EXTRA:
                raise _refused(f"a header of {header.size:,} bytes")
            path = _long_name(header.kind, stream.padded(header.size))
            continue
        yield _member(header, header.name if path is None else path or header.name, stream, most_bytes)
        path = None
    if path is not None:
        raise _refused("a long name without its member")
    stream.end()


def _member(header: _Header, name: bytes, stream: "_Stream", most_bytes: int) -> Member:
    if header.kind not in {b"0", b"\0", b"5"}:
        raise _refused(f"{KINDS.get(header.kind, f'a member of type {header.kind!r}')}: {name[:200]!r}")
    try:
        path = name.decode()
    except UnicodeDecodeError as error:
        raise _refused(f"a name that is no text: {name[:200]!r}") from error
    folder = header.kind == b"5" or path.endswith("/")
    if folder and header.size:
        raise _refused(f"a folder with {header.size:,} bytes: {path[:200]!r}")
    if header.size > most_bytes:
        raise _refused(f"{path[:200]!r} of {header.size:,} bytes; at most {most_bytes:,} are an object")
    return Member(path, folder, stream.padded(header.size))


def _header(stream: "_Stream", block: bytes) -> _Header | None:
    """The header in a block; None for the end of the tar, of which the second block is taken, too."""
    if block == ZERO:
        if stream.take(BLOCK) != ZERO:
            raise _refused("an end in its middle")
        return None
    magic = block[257:265]
    if magic not in {b"ustar\x0000", b"ustar  \0"}:
        raise _refused("what is not a header of a tar")
    spaced = sum(block) - sum(block[148:156]) + 8 * 0x20
    if _number(block[148:156]) != spaced:
        raise _refused("a header whose checksum is wrong")
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if magic[5:] == b"\x0000" else b""
    return _Header(prefix + b"/" + name if prefix else name, _number(block[124:136]), block[156:157])


def _number(field: bytes) -> int:
    """Octal digits, or a binary number where the first bit is set (GNU). Negative ones are none."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise _refused("a negative number")
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise _refused("a header with a number that is none")
    return int(digits, 8)


def _long_name(kind: bytes, data: bytes) -> bytes:
    """The path of the next member; empty where a pax header does not give one."""
    if kind == b"L":
        name = data.removesuffix(b"\0")
        if not name or b"\0" in name:
            raise _refused("a long name that is none")
        return name
    path = b""
    while data:
        digits, space, _ = data[:8].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record, data = data[:length], data[length:]
        key, equals, value = record[len(digits) + 1 :].partition(b"=")
        if len(record) != length or not equals or not value.endswith(b"\n"):
            raise _refused("a pax header that is none")
        if key == b"path":
            path = value[:-1]
            if not path or b"\0" in path:
                raise _refused("a long name that is none")
        elif key == b"size" or key.startswith(b"GNU.sparse"):
            raise _refused(f"a pax header with {key[:200]!r}")
    return path


class _Stream:
    """Bytes in the portions that are asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """So many bytes. Raises ``ArchiveDamaged`` when there are fewer."""
        at, end = self._at, self._at + count
        if end > len(self._held):
            self._fill(count)
            at, end = 0, count
        self._at = end
        return self._held[at:end]

    def padded(self, count: int) -> bytes:
        """So many bytes, of blocks that are filled up."""
        data = self.take(count)
        self.take(-count % BLOCK)
        return data

    def end(self) -> None:
        """Take what is left, which is nothing but zeros to fill a last block of the medium."""
        total = 0
        for rest in chain((self._held[self._at :],), self._chunks):
            total += len(rest)
            if rest.strip(b"\0") or total > MOST_PADDING:
                raise _refused("more bytes behind its end")

    def _fill(self, count: int) -> None:
        parts, length = [self._held[self._at :]], len(self._held) - self._at
        while length < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ArchiveDamaged("the archive ends in its middle", hint=DAMAGED)
            parts.append(chunk)
            length += len(chunk)
        self._held, self._at = b"".join(parts), 0


def _refused(what: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"the archive holds {what}", hint=DAMAGED)
