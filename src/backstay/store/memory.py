"""A store in memory, for tests and trials: the contract without a disk, and stores with less than all capabilities."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from backstay.core.errors import AlreadyExists, Locked, NotFound
from backstay.core.model import EMPTY
from backstay.store.base import Caps, ObjectInfo, check_key
from backstay.store.keys import check_put

CHUNK_BYTES = 1024 * 1024
EVERYTHING = Caps(conditional_create=True, conditional_match=True, object_lock=True)


@dataclass(frozen=True)
class Stored:
    """One object and what is known of it."""

    data: bytes
    info: ObjectInfo
    locked_until: datetime | None


class MemoryStore:
    """Keys and bytes in a dictionary. Where ``caps`` lacks a condition, it is looked at before the bytes are taken
    and not again, as a store without conditional writes would be used: two writers can then both win."""

    def __init__(
        self,
        caps: Caps = EVERYTHING,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.caps = caps
        self._now = now
        self._objects: dict[str, Stored] = {}
        self._changing = threading.Lock()

    def put(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        create: bool = False,
        match: str | None = None,
        lock_until: datetime | None = None,
        metadata: Mapping[str, str] = EMPTY,  # noqa: ARG002 - no place for it
    ) -> ObjectInfo:
        """As ``Store.put``."""
        check_put(self.caps, key, create=create, match=match, lock_until=lock_until)
        atomic = self.caps.conditional_create if create else self.caps.conditional_match
        if not atomic:
            self._check_condition(key, create=create, match=match)
        data = b"".join(chunks)
        with self._changing:
            if atomic:
                self._check_condition(key, create=create, match=match)
            self._check_lock(key)
            now = self._now()
            etag = hashlib.sha256(data).hexdigest()
            self._objects[key] = Stored(data, ObjectInfo(key, len(data), now, etag), lock_until)
            return self._objects[key].info

    @contextmanager
    def get(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[Iterator[bytes]]:
        """As ``Store.get``; a start at or past the end gives no bytes."""
        data = self._stored(key).data
        end = len(data) if length is None else min(start + length, len(data))
        yield (data[at : min(at + CHUNK_BYTES, end)] for at in range(start, end, CHUNK_BYTES))

    def head(self, key: str) -> ObjectInfo:
        """As ``Store.head``."""
        return self._stored(key).info

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``Store.list``; the state at the moment of the first object."""
        with self._changing:
            found = sorted(key for key in self._objects if key.startswith(prefix))
            infos = [self._objects[key].info for key in found]
        yield from infos

    def delete(self, keys: Iterable[str]) -> None:
        """As ``Store.delete``."""
        for key in keys:
            check_key(key)
            with self._changing:
                self._check_lock(key)
                self._objects.pop(key, None)

    def describe(self) -> str:
        """``memory:///``."""
        return "memory:///"

    def close(self) -> None:
        """Nothing is held."""

    def _stored(self, key: str) -> Stored:
        try:
            return self._objects[check_key(key)]
        except KeyError:
            raise NotFound(f"there is no memory:///{key}") from None

    def _check_condition(self, key: str, *, create: bool, match: str | None) -> None:
        found = self._objects.get(key)
        if (create and found) or (match is not None and (found is None or found.info.etag != match)):
            raise AlreadyExists(f"cannot write memory:///{key}: another write came first")

    def _check_lock(self, key: str) -> None:
        found = self._objects.get(key)
        if found and found.locked_until and found.locked_until > self._now():
            raise Locked(f"memory:///{key} is locked until {found.locked_until:%Y-%m-%d %H:%M} UTC")
