"""Threads that work on one thing: when one fails all are stopped, and the first error is the one that is raised."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from backstay.core.errors import Interrupted

T = TypeVar("T")
BEAT_SECONDS = 1.0


class Crew:
    """A context manager. ``start`` work, then ``wait`` for all of it; leaving early stops what still runs.

    Work that may block says how it is woken, with ``stopped_by``; other work calls ``check`` now and then.
    """

    def __init__(self, size: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)
        self._futures: list[Future[Any]] = []
        self._stops: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._first: BaseException | None = None

    def start(self, work: Callable[[], T]) -> "Future[T]":
        """Run ``work`` in a thread of the crew."""
        future = self._pool.submit(self._guarded, work)
        self._futures.append(future)
        return future

    def wait(self, beat: Callable[[], None] = lambda: None) -> None:
        """Until all is done. ``beat`` is called every second; what it raises ends the work too.

        Raises the first error of any thread.
        """
        while (left := wait(self._futures, timeout=BEAT_SECONDS, return_when="FIRST_EXCEPTION").not_done) and not (
            self._over.is_set()
        ):
            beat()
        if left:
            self.stop()
            wait(self._futures)
        if self._first is not None:
            raise self._first

    def check(self) -> None:
        """Raise ``Interrupted`` once the work is to end."""
        if self._over.is_set():
            raise Interrupted("stopped, because something else failed")

    def taken(self, todo: "deque[T]") -> Iterator[T]:
        """Things to do, as several threads share them: each is given to one of them. Raises as ``check``."""
        while todo:
            try:
                one = todo.popleft()
            except IndexError:  # another thread was faster
                return
            self.check()
            yield one

    @contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """While in the block, ``stop`` is called when the work is to end."""
        with self._lock:
            self.check()
            self._stops.add(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.discard(stop)

    def stop(self) -> None:
        """End all work. What cannot be stopped, as a session whose server is gone, spares none of the others."""
        self._over.set()
        with self._lock:
            stops = list(self._stops)
        for stop in stops:
            with suppress(Exception):
                stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop()
        self._pool.shutdown(cancel_futures=error is not None)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            self.check()
            return work()
        except BaseException as error:
            with self._lock:
                self._first = self._first or error
            self._over.set()
            raise
