"""A store that tries again: exponential backoff with full jitter, on the one error that says trying again may help.

Full jitter (a random part of the whole delay) spreads clients that failed together: Marc Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015.
"""

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import TypeVar

from backstay.core.errors import AlreadyExists, NotFound, StoreError
from backstay.core.model import EMPTY
from backstay.store.base import ObjectInfo, Store
from backstay.store.wrap.base import Wrapper, watched

Result = TypeVar("Result")


@dataclass(frozen=True)
class Backoff:
    """How often, how long, and by whose clock and dice."""

    attempts: int
    delay_seconds: float
    max_delay_seconds: float
    sleep: Callable[[float], None]
    uniform: Callable[[], float]
    told: Callable[[StoreError, float], None]


class Tries:
    """The failures of one operation since it last got on."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self.failed = 0

    def again_or_raise(self, error: StoreError) -> None:
        """Return when it is time to try again; raise ``error`` when that would not help, or was done enough."""
        self.failed += 1
        if not error.retryable or self.failed >= self._backoff.attempts:
            raise error
        longest = min(self._backoff.max_delay_seconds, self._backoff.delay_seconds * 2 ** (self.failed - 1))
        seconds = longest * self._backoff.uniform()
        self._backoff.told(error, seconds)
        self._backoff.sleep(seconds)


class Reading:
    """One object being read, over as many connections as it takes."""

    def __init__(self, inner: Store, backoff: Backoff, key: str, start: int, length: int | None) -> None:
        self._inner = inner
        self._key = key
        self._start = start
        self._length = length
        self._tries = Tries(backoff)
        self._connection = ExitStack()
        self._source: Iterator[bytes] = iter(())

    def open(self) -> None:
        """Connect at the byte that is next."""
        while True:
            self.close()
            opened = self._inner.get(self._key, start=self._start, length=self._length)
            try:
                self._source = self._connection.enter_context(opened)
            except StoreError as error:
                self._tries.again_or_raise(error)
            else:
                return

    def chunks(self) -> Iterator[bytes]:
        """The bytes, each once."""
        while self._length != 0:
            try:
                chunk = next(self._source, None)
            except StoreError as error:
                self._tries.again_or_raise(error)
                self.open()
                continue
            if chunk is None:
                return
            self._start += len(chunk)
            if self._length is not None:
                self._length -= len(chunk)
            self._tries.failed = 0
            yield chunk

    def close(self) -> None:
        """Give back the connection."""
        self._connection.close()


class Retrying(Wrapper):
    """Repeats an operation whose error is ``retryable``, up to ``attempts`` times in all; reads and lists count from
    the last progress.

    Delays begin at up to ``delay_seconds`` and double, to at most ``max_delay_seconds``. ``told`` hears of each error
    that is going to be retried and of the seconds until then. ``uniform`` gives a number from 0 to 1.
    """

    def __init__(
        self,
        inner: Store,
        attempts: int = 5,
        *,
        delay_seconds: float = 0.5,
        max_delay_seconds: float = 20.0,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[], float] = random.random,
        told: Callable[[StoreError, float], None] = lambda _error, _seconds: None,
    ) -> None:
        super().__init__(inner)
        self._backoff = Backoff(attempts, delay_seconds, max_delay_seconds, sleep, uniform, told)

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
        """As ``Store.put``. Chunks that can be taken once are not sent again after the first was taken.

        A repeated conditional put that finds exactly its own bytes was stored by the attempt whose answer was lost.
        """
        once = iter(chunks) is chunks
        taken = Event()
        source = watched(chunks, lambda _chunk: taken.set()) if once else chunks
        tries = Tries(self._backoff)
        while True:
            try:
                return self.inner.put(key, source, create=create, match=match, lock_until=lock_until, metadata=metadata)
            except AlreadyExists:
                if tries.failed == 0 or once or not self._holds(key, chunks):
                    raise
                return self.head(key)
            except StoreError as error:
                if taken.is_set():
                    raise
                tries.again_or_raise(error)

    @contextmanager
    def get(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[Iterator[bytes]]:
        """As ``Store.get``; goes on at the byte where a connection was lost."""
        reading = Reading(self.inner, self._backoff, key, start, length)
        try:
            reading.open()
            yield reading.chunks()
        finally:
            reading.close()

    def head(self, key: str) -> ObjectInfo:
        """As ``Store.head``."""
        return self._again(lambda: self.inner.head(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``Store.list``; a list that breaks off is begun again and taken up after the last key given."""
        last = ""
        tries = Tries(self._backoff)
        while True:
            try:
                for info in self.inner.list(prefix):
                    if info.key > last:
                        yield info
                        last, tries.failed = info.key, 0
            except StoreError as error:
                tries.again_or_raise(error)
            else:
                return

    def delete(self, keys: Iterable[str]) -> None:
        """As ``Store.delete``."""
        wanted = list[str](keys)
        self._again(lambda: self.inner.delete(wanted))

    def _again(self, action: Callable[[], Result]) -> Result:
        tries = Tries(self._backoff)
        while True:
            try:
                return action()
            except StoreError as error:
                tries.again_or_raise(error)

    def _holds(self, key: str, chunks: Iterable[bytes]) -> bool:
        """Whether the object is, byte for byte, what ``chunks`` give."""
        wanted, found = hashlib.sha256(), hashlib.sha256()
        for chunk in chunks:
            wanted.update(chunk)
        try:
            with self.get(key) as stored:
                for chunk in stored:
                    found.update(chunk)
        except NotFound:
            return False
        return wanted.digest() == found.digest()
