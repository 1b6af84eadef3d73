"""Ctrl-C and SIGTERM: the first stops cleanly, so that everything begun is undone; the second ends at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from backstay.core.errors import Interrupted

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_STOPPING = b"\nstopping: what was begun is being undone (again to end at once)\n"


def interrupted() -> Interrupted:
    """What such a run ends with."""
    return Interrupted(
        "interrupted", hint="What was begun is undone, or finished by the next run. Run it again when you like."
    )


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """While inside, the first of the two signals sets ``stop`` and raises ``KeyboardInterrupt`` in the main thread.

    Only the main thread can set handlers; elsewhere this does nothing.
    """

    def first(_number: int, _frame: FrameType | None) -> None:
        for number in _NUMBERS:
            signal.signal(number, _at_once)
        stop.set()
        if os.isatty(2):
            os.write(2, _STOPPING)  # not through a stream: its lock may be held by what was interrupted
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, first) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _at_once(_number: int, _frame: FrameType | None) -> None:
    os._exit(Interrupted.exit_code)
