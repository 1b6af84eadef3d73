"""A store in a dict, with the faults that a real one cannot show on demand."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backstay.core.errors import AlreadyExists, NotFound
from backstay.store.base import Caps, ObjectInfo

EPOCH = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)


@dataclass
class DictStore:
    """Objects in memory. ``before`` and ``after`` are called around each request with its verb and key."""

    caps: Caps = Caps(conditional_create=True, conditional_match=True, object_lock=False)
    objects: dict[str, bytes] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda _verb, _key: None
    after: Callable[[str, str], None] = lambda _verb, _key: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    modified_at: datetime = EPOCH
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, key, chunks: Iterable[bytes], *, create=False, match=None, lock_until=None) -> ObjectInfo:
        data = b"".join(chunks)
        with self._request("put", key), self._lock:
            if create and key in self.objects:
                raise AlreadyExists(f"{key} exists")
            if match is not None and (key not in self.objects or self._info(key).etag != match):
                raise AlreadyExists(f"{key} has changed")
            self.objects[key] = data
            return self._info(key)

    @contextmanager
    def get(self, key, *, start=0, length=None) -> Iterator[Iterator[bytes]]:
        with self._request("get", key):
            data = self._bytes(key)[start:]
        yield iter([data[:length]])

    def head(self, key) -> ObjectInfo:
        with self._request("head", key):
            self._bytes(key)
            return self._info(key)

    def list(self, prefix) -> Iterator[ObjectInfo]:
        with self._request("list", prefix):
            found = sorted(key for key in self.objects if key.startswith(prefix))
        for key in found:
            yield self._info(key)

    def delete(self, keys) -> None:
        for key in keys:
            with self._request("delete", key):
                self.objects.pop(key, None)

    def describe(self) -> str:
        return "memory://tests/"

    def close(self) -> None:
        pass

    @contextmanager
    def _request(self, verb: str, key: str) -> Iterator[None]:
        self.requests.append((verb, key))
        self.before(verb, key)
        yield
        self.after(verb, key)

    def _bytes(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFound(f"{key} is not there")
        return self.objects[key]

    def _info(self, key: str) -> ObjectInfo:
        data = self.objects[key]
        etag = hashlib.md5(data).hexdigest()  # noqa: S324 (as S3 does)
        return ObjectInfo(key, len(data), self.modified_at, etag)
