"""``pg_dump --format=custom`` as a stream: the table of contents, then the data of what has any, never on a disk.

Blocks follow the table of contents in its order, each with a type and the id of its entry (pg_backup_custom.c).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backstay.core.errors import DumpIncomplete
from backstay.core.units import counted
from backstay.tiers.postgres.directory import toc
from backstay.tiers.postgres.directory.bytereader import ByteReader

DATA, LARGE_OBJECTS = 1, 3  # BLK_DATA, BLK_BLOBS


@dataclass(frozen=True)
class Block:
    """The data of one entry. Take all of it before the next: ``chunks`` of a table, ``objects`` of large objects."""

    entry: toc.Entry
    reader: ByteReader
    kind: int

    @property
    def is_large_objects(self) -> bool:
        """Whether it holds large objects."""
        return self.kind == LARGE_OBJECTS

    def chunks(self) -> Iterator[bytes]:
        """The bytes of a table's data, with the end that pg_dump writes."""
        return self.reader.blocks()

    def objects(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Each large object by its oid, with its bytes, to be taken before the next."""
        while oid := self.reader.number():
            # An oid is unsigned; it is written as a signed integer (WriteInt).
            yield oid % (1 << 32), self.reader.blocks()


class CustomArchive:
    """The archive in a stream of chunks, dumped without compression. ``toc`` has been read when this is made.

    Raises ``UnknownArchive`` and ``DumpIncomplete``.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._reader = ByteReader(chunks)
        self.toc = toc.read(self._reader, expect=toc.CUSTOM)
        self._entries = {entry.dump_id: entry for entry in self.toc.entries}

    def blocks(self) -> Iterator[Block]:
        """The data, in the order of the archive, which has no end mark. Raises ``DumpIncomplete`` when it lacks any."""
        left = {dump_id for dump_id, entry in self._entries.items() if entry.had_dumper}
        while not self._reader.at_end():
            kind, dump_id = self._reader.byte(), self._reader.number()
            if kind not in {DATA, LARGE_OBJECTS} or dump_id not in self._entries:
                raise DumpIncomplete(f"the archive has data of kind {kind} for entry {dump_id}: it is damaged")
            left.discard(dump_id)
            yield Block(self._entries[dump_id], self._reader, kind)
        if left:
            raise DumpIncomplete(
                f"the archive lacks the data of {counted(len(left), 'entry', 'entries')} that it lists"
            )
