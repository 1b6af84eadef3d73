"""An archive laid out on the disk for the length of a block, so that any object of it is at hand.

The JSON of all members lies in one file, in the order of the archive, and an index beside it says where: memory stays
the same, however many there are. The folder is for this account alone, and gone at the end: Secrets are in it.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import ArchiveDamaged
from backstay.tiers.objects.archive.index import Entry, Index
from backstay.tiers.objects.archive.paths import DAMAGED
from backstay.tiers.objects.archive.reader import objects, twice

__all__ = ["Entry", "Spooled", "spooled"]

BUFFER_BYTES = 1 << 20


class Spooled:
    """The objects of an archive. Safe from several threads."""

    def __init__(self, handle: int, index: Index) -> None:
        self._handle = handle
        self._index = index

    def resources(self) -> list[str]:
        """Every resource there is, sorted: ``configmaps``, ``deployments.apps``."""
        return list(self._index.resources())

    def namespaces(self) -> list[str]:
        """Every namespace that holds an object, sorted."""
        return self._index.namespaces()

    def count(self, resource: str = "", namespace: str | None = None) -> int:
        """How many objects: of all, of a resource, of a namespace (empty: cluster-scoped)."""
        return self._index.count(resource, namespace)

    def entries(self, resource: str, namespace: str | None = None) -> Iterator[Entry]:
        """Objects of a resource, of all namespaces or one (empty: cluster-scoped), sorted by namespace and name."""
        return self._index.entries(resource, namespace)

    def find(self, resource: str, namespace: str, name: str) -> Entry | None:
        """One object, if it is there."""
        return self._index.find(resource, namespace, name)

    def read(self, entry: Entry) -> bytes:
        """The JSON of an object. Raises ``ArchiveDamaged`` when the spooled file was changed under us."""
        data = os.pread(self._handle, entry.size, entry.offset)
        if len(data) != entry.size:
            raise ArchiveDamaged("the spooled archive is shorter than it was", hint=DAMAGED)
        return data


@contextmanager
def spooled(chunks: Iterable[bytes], folder: Path, *, limit_bytes: int | None = None) -> Iterator[Spooled]:
    """Read an archive into a new folder below ``folder``. All of it has been read, and every object checked, before
    the block begins. ``limit_bytes`` bounds the JSON of all objects together.

    Raises ``ArchiveDamaged``, ``OSError`` (no space), and what ``chunks`` raise.
    """
    with ExitStack() as held:
        inside = held.enter_context(temp_folder("archive", folder))
        file = held.enter_context((inside / "objects.json").open("w+b", BUFFER_BYTES))
        index = held.enter_context(Index(inside / "index"))
        offset = 0
        for one in objects(chunks, limit_bytes=limit_bytes):
            place = one.place
            if not index.add(place.resource, place.namespace, place.name, offset, len(one.json)):
                raise twice(place)
            file.write(one.json)
            offset += len(one.json)
        file.flush()
        yield Spooled(file.fileno(), index)
