"""One thread reads, several do: the objects of a wave side by side, with only a few of them in memory."""

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
THREADS = 8
AHEAD = 32  # read, but not yet begun


def each(items: Iterable[T], work: Callable[[T], None], threads: int = THREADS) -> None:
    """Call ``work`` for every item, in about their order; returns when all are done. The first error of ``items`` or
    ``work`` ends it and is raised, once the calls under way have ended. Ctrl-C, too."""
    pool = _Pool(work)
    workers = [threading.Thread(target=pool.loop, name="restore", daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for item in items:
            if pool.stop.is_set():
                break
            pool.waiting.put(item)
    except BaseException:
        pool.stop.set()
        raise
    finally:
        for _ in workers:
            pool.waiting.put(None)
        for worker in workers:
            worker.join()
    if pool.errors:
        raise pool.errors[0]


class _Pool(Generic[T]):
    """What the threads share: a short queue, and whether to go on. None in the queue ends one of them."""

    def __init__(self, work: Callable[[T], None]) -> None:
        self._work = work
        self.waiting: queue.Queue[T | None] = queue.Queue(AHEAD)
        self.stop = threading.Event()
        self.errors: list[BaseException] = []

    def loop(self) -> None:
        """One thread."""
        while (item := self.waiting.get()) is not None:
            if self.stop.is_set():
                continue
            try:
                self._work(item)
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                self.errors.append(error)
                self.stop.set()
