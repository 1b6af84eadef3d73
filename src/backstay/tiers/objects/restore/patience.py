"""How long a restore waits for what, and the clock it does so by."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds at most for each. ``gone``: an object or namespace that is being deleted; ``established``: definitions;
    ``settle``: what the cluster makes a moment later by itself (a quota's sum, a namespace's default ServiceAccount);
    ``tries`` for an object that others change at the same time."""

    gone: float = 60.0
    established: float = 60.0
    settle: float = 6.0
    tries: int = 5
    first: float = 0.1
    longest: float = 2.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def rounds(self, seconds: float) -> Iterator[None]:
        """Once at once, then again after growing pauses until the time is over."""
        end, pause = self.clock() + seconds, self.first
        while True:
            yield
            left = end - self.clock()
            if left <= 0:
                return
            self.sleep(min(pause, left))
            pause = min(pause * 2, self.longest)
