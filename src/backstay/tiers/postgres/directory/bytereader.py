"""Exact reads from a stream of chunks, for the two archive formats of pg_dump that are read here."""

from collections.abc import Iterable, Iterator

from backstay.core.errors import DumpIncomplete

MAX_STRING_BYTES = 256 << 20  # a definition: far above any that pg_dump writes, far below what would fill the memory


class ByteReader:
    """Reads integers, strings and blocks as pg_dump writes them (pg_backup_archiver.c, WriteInt and WriteStr).

    Raises ``DumpIncomplete`` when the stream ends before what is asked for.
    """

    def __init__(self, chunks: Iterable[bytes], int_bytes: int = 4) -> None:
        self.int_bytes = int_bytes
        self._chunks = iter(chunks)
        self._held = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        if len(self._held) - self._at < size:
            self._fill(size)
        start, self._at = self._at, self._at + size
        return self._held[start : self._at]

    def byte(self) -> int:
        """One byte as a number."""
        return self.take(1)[0]

    def at_end(self) -> bool:
        """Whether nothing follows."""
        if self._at < len(self._held):
            return False
        self._held, self._at = next((chunk for chunk in self._chunks if chunk), b""), 0
        return not self._held

    def number(self) -> int:
        """A sign byte, then the value, low byte first."""
        data = self.take(1 + self.int_bytes)
        value = int.from_bytes(data[1:], "little")
        return -value if data[0] else value

    def text(self) -> str | None:
        """A length, then that many bytes; a negative length is NULL. Bytes that are no UTF-8 come back as they were."""
        size = self.number()
        if size < 0:
            return None
        if size > MAX_STRING_BYTES:
            raise DumpIncomplete(f"the archive has a text of {size:,} bytes: it is damaged")
        return self.take(size).decode("utf-8", "surrogateescape")

    def blocks(self) -> Iterator[bytes]:
        """The blocks of one stream: each a length and its bytes, a length of 0 at the end."""
        while size := self.number():
            if not 0 < size <= MAX_STRING_BYTES:
                raise DumpIncomplete(f"the archive has a block of {size:,} bytes: it is damaged")
            yield self.take(size)

    def _fill(self, size: int) -> None:
        parts, have = [self._held[self._at :]], len(self._held) - self._at
        while have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                raise DumpIncomplete("the archive ended early")
            parts.append(chunk)
            have += len(chunk)
        self._held, self._at = b"".join(parts), 0
