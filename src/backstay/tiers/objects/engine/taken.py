"""What Velero put into the store, read once: the objects of its archive, and what its lists say of them.

Velero lists an object before it has written it, so its list may name what is not in the archive (pkg/backup,
``BackedUpItems``); and its errors are lines in a file. Both are omissions here.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import msgspec

from backstay.core.errors import ArchiveDamaged
from backstay.core.units import counted
from backstay.tiers.objects import itemlist
from backstay.tiers.objects.archive.index import Index
from backstay.tiers.objects.archive.reader import objects, twice

MOST_FILE = 256 << 20  # bytes of a list or of the results
SHOWN = 20
WORDS = 400  # characters of one of Velero's errors

T = TypeVar("T")


@dataclass
class Taken:
    """The archive, counted; its list of items goes into ``items``."""

    index: Index
    items: BinaryIO
    kinds: Counter[str] = field(default_factory=Counter)
    namespaces: set[str] = field(default_factory=set)
    size_bytes: int = 0
    resources: dict[str, set[str]] = field(default_factory=dict)  # by the key of a resource list

    def archive(self, chunks: Iterator[bytes]) -> None:
        """Take the plain bytes of the archive. Raises ``ArchiveDamaged``."""
        for stored in objects(chunks):
            place = stored.place
            if not self.index.add(place.resource, place.namespace, place.name):
                raise twice(place)
            self.items.write(itemlist.write(itemlist.line_of(stored)))
            self.kinds[place.resource] += 1
            self.size_bytes += len(stored.json)
            self.resources.setdefault(stored.listed_as, set()).add(place.resource)
            if place.namespace:
                self.namespaces.add(place.namespace)
            elif place.resource == "namespaces":
                self.namespaces.add(place.name)

    def absent(self, listed: bytes) -> list[str]:
        """A sentence for each object of a resource list that is not in the archive; of many, the first few."""
        found: list[str] = []
        for key, names in _decoded(listed, dict[str, list[str]], "resource list").items():
            for words in names:
                namespace, _, name = words.rpartition("/")
                if not any(self.index.mark(resource, namespace, name) for resource in self.resources.get(key, ())):
                    found.append(f"{key} {words}: Velero lists it, and it is not in its archive")
        return few(found)


def said(results: bytes, what: str) -> list[str]:
    """Velero's ``errors`` or ``warnings``, a sentence each; of many, the first few."""
    found = _decoded(results, dict[str, Any], "file of results").get(what)
    if not isinstance(found, dict):
        return []
    lines = [str(line) for part in ("velero", "cluster") for line in found.get(part) or ()]
    for namespace, more in (found.get("namespaces") or {}).items():
        lines += [f"{namespace}: {line}" for line in more or ()]
    return few([line.strip()[:WORDS] for line in lines])


def whole(chunks: Iterator[bytes]) -> bytes:
    """All of a small file. Raises ``ArchiveDamaged`` for one that is none."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MOST_FILE:
            raise ArchiveDamaged(f"a list of Velero's has more than {MOST_FILE:,} bytes")
    return bytes(data)


def few(lines: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {counted(more, 'more like these')}"] if more > 0 else lines


def _decoded(data: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveDamaged(f"Velero's {what} is not what it should be: {error}") from error
