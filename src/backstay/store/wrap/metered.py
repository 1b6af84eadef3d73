"""Counts what is asked of a store, for the cost report and for tests of how many requests a command makes."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from backstay.core.model import EMPTY
from backstay.store.base import ObjectInfo, Store
from backstay.store.wrap.base import Wrapper, watched


@dataclass(frozen=True)
class Usage:
    """Calls by kind, failed ones too, objects listed and deleted, and bytes each way.

    One call can be several requests: a list makes one for each 1,000 objects, a large put one for each part.
    """

    puts: int = 0
    gets: int = 0
    heads: int = 0
    lists: int = 0
    deletes: int = 0
    listed_objects: int = 0
    deleted_objects: int = 0
    written_bytes: int = 0
    read_bytes: int = 0


class Metered(Wrapper):
    """Counts into ``usage``. Within ``Retrying`` it counts every attempt; around it, what was wanted."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._usage = Usage()
        self._counting = threading.Lock()

    @property
    def usage(self) -> Usage:
        """The counts so far: a value that does not change."""
        return self._usage

    def put(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        create: bool = False,
        match: str | None = None,
        lock_until: datetime | None = None,
        metadata: Mapping[str, str] = EMPTY,
    ) -> ObjectInfo:
        """As ``Store.put``; counts the bytes as they are taken."""
        self._count(puts=1)
        counted = watched(chunks, lambda chunk: self._count(written_bytes=len(chunk)))
        return self.inner.put(key, counted, create=create, match=match, lock_until=lock_until, metadata=metadata)

    @contextmanager
    def get(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[Iterator[bytes]]:
        """As ``Store.get``; counts the bytes as they are taken."""
        self._count(gets=1)
        with self.inner.get(key, start=start, length=length) as chunks:
            yield iter(watched(chunks, lambda chunk: self._count(read_bytes=len(chunk))))

    def head(self, key: str) -> ObjectInfo:
        """As ``Store.head``."""
        self._count(heads=1)
        return self.inner.head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``Store.list``."""
        self._count(lists=1)
        for info in self.inner.list(prefix):
            self._count(listed_objects=1)
            yield info

    def delete(self, keys: Iterable[str]) -> None:
        """As ``Store.delete``."""
        wanted = list[str](keys)
        self._count(deletes=1, deleted_objects=len(wanted))
        self.inner.delete(wanted)

    def _count(self, **more: int) -> None:
        with self._counting:
            now = self._usage
            self._usage = replace(now, **{name: getattr(now, name) + n for name, n in more.items()})
