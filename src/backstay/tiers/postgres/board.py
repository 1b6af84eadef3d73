"""Tasks of different sizes, some of which begin only when others are done: workers always take the largest there is."""

import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

BEAT_SECONDS = 0.5


@dataclass(order=True)
class _Task:
    rank: tuple[int, int]
    work: Callable[[], None] = field(compare=False)


class Board:
    """Safe from several threads. A task may add others; the work is over when none is left and none is running."""

    def __init__(self) -> None:
        self._heap: list[_Task] = []
        self._running = 0
        self._waiting = 0
        self._changed = threading.Condition()
        self._numbers = itertools.count()

    def add(self, size: int, work: Callable[[], None]) -> None:
        """Something to do; larger ones first."""
        with self._changed:
            heapq.heappush(self._heap, _Task((-size, next(self._numbers)), work))
            self._changed.notify()

    def idle(self) -> int:
        """How many workers have nothing to do, and will not have when they have seen what was added last."""
        with self._changed:
            return max(0, self._waiting - len(self._heap))

    def work(self, check: Callable[[], None]) -> None:
        """Do tasks until all are done; ``check`` raises when this is to end early. Raises what a task raises."""
        while (task := self._take(check)) is not None:
            try:
                task.work()
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def _take(self, check: Callable[[], None]) -> _Task | None:
        with self._changed:
            while not self._heap:
                if not self._running:
                    return None
                self._waiting += 1
                try:
                    self._changed.wait(BEAT_SECONDS)
                finally:
                    self._waiting -= 1
                check()
            check()
            self._running += 1
            return heapq.heappop(self._heap)
