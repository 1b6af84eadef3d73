"""A store that is opened when it is first used: one whose secret is missing must not stop work on another."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from backstay.store.base import Caps, ObjectInfo, Store


class Deferred:
    """A ``Store``; ``open_store`` is called once, at the first use, and its errors come out of that use."""

    def __init__(self, url: str, open_store: Callable[[], Store]) -> None:
        self._url = url
        self._open = open_store
        self._store: Store | None = None
        self._lock = threading.Lock()

    @property
    def inner(self) -> Store:
        """The store itself, opened."""
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    @property
    def caps(self) -> Caps:
        """See ``Store.caps``."""
        return self.inner.caps

    def put(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        create: bool = False,
        match: str | None = None,
        lock_until: datetime | None = None,
    ) -> ObjectInfo:
        """See ``Store.put``."""
        return self.inner.put(key, chunks, create=create, match=match, lock_until=lock_until)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """See ``Store.get``."""
        return self.inner.get(key, start=start, length=length)

    def head(self, key: str) -> ObjectInfo:
        """See ``Store.head``."""
        return self.inner.head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See ``Store.list``."""
        return self.inner.list(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """See ``Store.delete``."""
        self.inner.delete(keys)

    def describe(self) -> str:
        """See ``Store.describe``; known without opening."""
        return self._url

    def close(self) -> None:
        """See ``Store.close``; one that was never used has nothing to give back."""
        if self._store is not None:
            self._store.close()
