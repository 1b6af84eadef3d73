"""Large objects in one tar file, so that a million of them are not a million objects in the store.

Unpacked into the directory its members are what pg_dump writes there: ``blob_<oid>.dat`` for each, and a list of them
for each entry of the table of contents (pg_backup_directory.c, _StartLO and _EndLOs).
"""

import io
import itertools
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backstay.core.errors import DumpIncomplete
from backstay.tiers.base import File
from backstay.tiers.postgres.directory.custom import Block

if TYPE_CHECKING:
    from psycopg import Connection as Session

BLOBS = File(role="blobs.tar", suffix="/blobs.tar")
HELD_BYTES = 4 << 20  # a larger object is not held in memory; the server is asked for its size
PAD = tarfile.BLOCKSIZE
INV_WRITE = 0x20000  # libpq-fs.h
MANY_LISTS = (1, 16)  # versions of archives that have a list for each entry of large objects
AT_ONCE = 500  # loaded in one transaction


@dataclass
class BlobPacker:
    """Packs large objects on their way. ``size_of`` asks the server for the size of a large one, in bytes.

    Archives before version 1.16 have one list, which every pg_restore looks for under one name. Afterwards ``count``
    says how many there were, ``files`` the name of the list of each entry, by dump id.
    """

    size_of: Callable[[int], int]
    count: int = 0
    files: dict[int, str] = field(default_factory=dict)

    def tar(self, blocks: Iterable[Block], version: tuple[int, ...], tell: Callable[[int], None]) -> Iterator[bytes]:
        """The tar file, for an archive of ``version``; ``tell`` is told the bytes as they pass."""
        for block in blocks:
            if not block.is_large_objects:
                raise DumpIncomplete("the archive has a table after large objects: not as pg_dump writes it")
            listed = []
            for oid, chunks in block.objects():
                name = f"blob_{oid}.dat"
                listed.append(f"{oid} {name}\n")
                self.count += 1
                for chunk in self._member(name, oid, chunks):
                    tell(len(chunk))
                    yield chunk
            file = f"blobs_{block.entry.dump_id}.toc" if version >= MANY_LISTS else "blobs.toc"
            self.files[block.entry.dump_id] = file
            yield from _whole(file, "".join(listed).encode())
        yield bytes(2 * PAD)

    def _member(self, name: str, oid: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        held = bytearray()
        for chunk in chunks:
            held += chunk
            if len(held) > HELD_BYTES:
                break
        else:
            yield from _whole(name, bytes(held))
            return
        size, sent = self.size_of(oid), len(held)
        yield _header(name, size)
        yield bytes(held)
        for chunk in chunks:
            sent += len(chunk)
            yield chunk
        if sent != size:
            raise DumpIncomplete(f"large object {oid} has {sent:,} bytes in the dump and {size:,} in the database")
        yield bytes(-size % PAD)


def _whole(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data)) + data + bytes(-len(data) % PAD)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


class _Stream(io.RawIOBase):
    """Chunks as a file that can only be read on."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._held = memoryview(chunk)
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size


def unpack(chunks: Iterable[bytes]) -> Iterator[tuple[int, Iterator[bytes]]]:
    """The large objects in a tar file, by oid, each to be taken before the next. Raises ``DumpIncomplete``, also while
    the bytes of one are taken.

    Nothing is written anywhere by the names in it: they are only read as ``blob_<oid>.dat``.
    """
    try:
        with tarfile.open(fileobj=io.BufferedReader(_Stream(chunks), 1 << 20), mode="r|") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it would remember each
                oid = member.name.removeprefix("blob_").removesuffix(".dat")
                if member.isreg() and member.name.startswith("blob_") and oid.isdigit():
                    yield int(oid), _bytes_of(archive, member)
    except tarfile.TarError as error:
        raise _damaged(error) from error


def _bytes_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    data = archive.extractfile(member)
    try:
        while data is not None and (chunk := data.read(1 << 18)):
            yield chunk
    except tarfile.TarError as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> DumpIncomplete:
    return DumpIncomplete(f"blobs.tar is damaged: {error}")


def load(session: "Session[tuple[Any, ...]]", chunks: Iterable[bytes], tell: Callable[[int], None]) -> int:
    """Write the large objects of a tar file, which exist and are empty; returns how many. Doing it again is no harm."""
    count = 0
    objects = unpack(chunks)
    while batch := list(_batch(objects, session, tell)):
        count += len(batch)
    return count


def _batch(
    objects: Iterator[tuple[int, Iterator[bytes]]], session: "Session[tuple[Any, ...]]", tell: Callable[[int], None]
) -> Iterator[int]:
    """Up to ``AT_ONCE`` objects in one transaction."""
    with session.transaction():
        for oid, data in itertools.islice(objects, AT_ONCE):
            row = session.execute("SELECT lo_open(%s, %s)", (oid, INV_WRITE)).fetchone()
            handle = row[0] if row else -1
            for chunk in data:
                session.execute("SELECT lowrite(%s, %s)", (handle, chunk))
                tell(len(chunk))
            session.execute("SELECT lo_close(%s)", (handle,))
            yield oid
