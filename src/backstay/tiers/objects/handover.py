"""Batches from several threads to one, with a bound on what waits between them, and an end however it comes."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """Nobody takes any more: for a thread that puts, to stop."""


class Handover(Generic[T]):
    """``producers`` threads put, each says ``done`` at its end; one thread iterates.

    An error of a producer (``fail``) ends the iteration at once; after ``close`` every ``put`` raises ``Closed``.
    """

    def __init__(self, producers: int, most_bytes: int) -> None:
        self._most = most_bytes
        self._running = producers
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, batch: T, size: int) -> None:
        """Hand over a batch of so many bytes; waits while too much is waiting. Raises ``Closed``."""
        with self._changed:
            while self._bytes and self._bytes + size > self._most and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._waiting.append((batch, size))
            self._bytes += size
            self._changed.notify_all()

    def done(self) -> None:
        """One producer has ended."""
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """A producer met an error that ends all of it."""
        with self._changed:
            self._error = self._error or error
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """The one that takes has ended."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Every batch, until all producers have ended. Raises what one of them failed with."""
        while True:
            with self._changed:
                while not self._waiting and self._running and self._error is None:
                    self._changed.wait()
                if self._error is not None:
                    raise self._error
                if not self._waiting:
                    return
                batch, size = self._waiting.popleft()
                self._bytes -= size
                self._changed.notify_all()
            yield batch
