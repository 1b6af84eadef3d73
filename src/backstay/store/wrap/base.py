"""What every wrapper is: a store that asks another, and changes only what it is named for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from backstay.core.model import EMPTY
from backstay.store.base import Caps, ObjectInfo, Store


class Wrapper:
    """Forwards everything to ``inner``; closing it closes ``inner``."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def caps(self) -> Caps:
        """What the inner store can do."""
        return self.inner.caps

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
        """As ``Store.put``."""
        return self.inner.put(key, chunks, create=create, match=match, lock_until=lock_until, metadata=metadata)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """As ``Store.get``."""
        return self.inner.get(key, start=start, length=length)

    def head(self, key: str) -> ObjectInfo:
        """As ``Store.head``."""
        return self.inner.head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``Store.list``."""
        return self.inner.list(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """As ``Store.delete``."""
        self.inner.delete(keys)

    def describe(self) -> str:
        """As ``Store.describe``."""
        return self.inner.describe()

    def close(self) -> None:
        """Close the inner store."""
        self.inner.close()


class Watched:
    """Chunks that tell ``see`` of each one as it is taken, and can be taken again if the chunks can."""

    def __init__(self, chunks: Iterable[bytes], see: Callable[[bytes], None]) -> None:
        self._chunks = chunks
        self._see = see

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._see(chunk)
            yield chunk


def watched(chunks: Iterable[bytes], see: Callable[[bytes], None]) -> Iterable[bytes]:
    """``chunks`` with ``see`` called for each; an iterator stays one, so that nobody replays what is spent."""
    again = Watched(chunks, see)
    return iter(again) if iter(chunks) is chunks else again


def unwrapped(store: Store) -> Store:
    """The backend at the core of any wrappers."""
    while (inner := getattr(store, "inner", None)) is not None:
        store = inner
    return store


def unfinished(store: Store, before: datetime, prefix: str) -> int:
    """How many things ``sweep`` would remove."""
    return int(_of_backend(store, "unfinished", before, prefix) or 0)


def sweep(store: Store, before: datetime, prefix: str) -> int:
    """Remove what killed writers left unfinished since before a time: uploads whose parts cost money, hidden files.

    Only of keys that begin with ``prefix``: other programs may keep theirs in the same bucket. Returns how many; 0 for
    a backend that never leaves anything. Raises ``Denied`` through a read-only wrapper.
    """
    return int(_of_backend(store, "sweep", before, prefix) or 0)


def drop_folder(store: Store, folder: str) -> None:
    """Remove a folder that has nothing in it any more, where the backend would go on listing it. Raises ``Denied``
    through a read-only wrapper."""
    _of_backend(store, "drop_folder", folder)


def _of_backend(store: Store, verb: str, *words: Any) -> Any:
    layer: Any = store
    while layer is not None:
        if hasattr(layer, verb):
            return getattr(layer, verb)(*words)
        layer = getattr(layer, "inner", None)
    return None
