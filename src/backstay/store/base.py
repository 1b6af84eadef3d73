"""The contract of a store: eight members, six errors, and what every backend promises.

* ``put`` is atomic. A reader sees the whole object or none; on any error, also one raised by ``chunks``, nothing
  becomes visible and a multipart upload is aborted.
* After ``put`` or ``delete`` returns, ``head``, ``get`` and ``list`` agree with it.
* ``list`` is sorted by key, yields each key once, and never shows a partial upload. It is a stream.
* A read that ends before its length is ``Corrupt``, never a short result.
* Backends raise ``NotFound``, ``AlreadyExists``, ``Denied``, ``Locked``, ``Corrupt``, ``Unavailable`` or
  ``StoreMissing``, and no library's own error.
* Backends never retry an operation; ``wrap.Retrying`` does. (A single HTTP request whose body is in memory, such as
  one part of a multipart upload, may be sent again by the S3 backend: docs/decisions/0003.)

One suite checks this for every backend: tests/store/test_contract.py, and ``backstay store check`` for the user's own.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backstay.core.errors import UsageError
from backstay.core.model import EMPTY

MAX_KEY_BYTES = 1024  # S3's own limit


@dataclass(frozen=True)
class Caps:
    """What a store can do beyond the contract: declared by the backend, probed by ``store check``."""

    conditional_create: bool  # put(create=True) is atomic even against another writer
    conditional_match: bool  # put(match=etag) likewise
    object_lock: bool  # put(lock_until=...) is honoured


@dataclass(frozen=True)
class ObjectInfo:
    """One object as the store sees it. ``etag`` changes whenever the bytes do; its form is the backend's own."""

    key: str
    size_bytes: int
    modified_at: datetime
    etag: str
    storage_class: str = "STANDARD"


class Store(Protocol):
    """A flat space of keys and bytes. Safe to use from several threads."""

    @property
    def caps(self) -> Caps:
        """What this store can do."""

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
        """Store ``chunks`` under ``key``, atomically.

        ``create`` refuses a key that exists; ``match`` refuses one whose etag is another (or that is gone). Both
        raise ``AlreadyExists``. ``metadata`` is for other programs (S3 keeps it beside the object, as
        x-amz-meta-NAME); a store that has no place for it drops it. An iterator can be sent once; a list, tuple or
        other re-iterable may be replayed by a retry.
        """

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes from ``start``, to the end or ``length`` of them. Raises ``NotFound`` on entering."""

    def head(self, key: str) -> ObjectInfo:
        """The facts of one object. Raises ``NotFound``."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with ``prefix``, sorted by key."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the keys; one that is absent already counts as removed. Raises ``Locked``."""

    def describe(self) -> str:
        """The URL people know the store by, ending in ``/``; never a secret."""

    def close(self) -> None:
        """Give back connections and threads."""


def check_key(key: str) -> str:
    """Return ``key`` if it may name an object, both when written and when read from a store's own list.

    Relative, no empty, ``.`` or ``..`` part, no backslash, no control character, at most 1,024 bytes of UTF-8.
    Raises ``UsageError``.
    """
    parts = key.split("/")
    bad = (
        not key
        or any(part in {"", ".", ".."} for part in parts)
        or "\\" in key
        or any(ord(character) < 32 or ord(character) == 127 for character in key)
        or any("\ud800" <= character < "\udc80" or "\udcff" < character <= "\udfff" for character in key)  # no text
        or len(key.encode("utf-8", "surrogateescape")) > MAX_KEY_BYTES
    )
    if bad:
        raise UsageError(f"{key!r} cannot be the key of an object", hint="Nothing was read or written under it.")
    return key
