"""A store that leaves bandwidth to others: so many bytes a second, each way."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from backstay.core.model import EMPTY
from backstay.store.base import ObjectInfo, Store
from backstay.store.wrap.base import Wrapper, watched

BURST_SECONDS = 1.0  # what an idle second may be made up for


class Bucket:
    """A token bucket as the time at which it will be empty again; safe to use from several threads."""

    def __init__(self, bytes_per_second: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._paid_until = clock()
        self._taking = threading.Lock()

    def take(self, n_bytes: int) -> None:
        """Return when so many bytes may go."""
        with self._taking:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - BURST_SECONDS) + n_bytes / self._rate
            due = self._paid_until - now
        if due > 0:
            self._sleep(due)


class Throttled(Wrapper):
    """Delays chunks so that writing and reading each stay at ``bytes_per_second`` over all threads.

    ``clock`` counts seconds and never goes back. A chunk is waited for whole: give chunks well below the rate.
    """

    def __init__(
        self,
        inner: Store,
        bytes_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(inner)
        self._up = Bucket(bytes_per_second, clock, sleep)
        self._down = Bucket(bytes_per_second, clock, sleep)

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
        paced = watched(chunks, lambda chunk: self._up.take(len(chunk)))
        return self.inner.put(key, paced, create=create, match=match, lock_until=lock_until, metadata=metadata)

    @contextmanager
    def get(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[Iterator[bytes]]:
        """As ``Store.get``."""
        with self.inner.get(key, start=start, length=length) as chunks:
            yield iter(watched(chunks, lambda chunk: self._down.take(len(chunk))))
