"""How long actions tell how far they are: a bar on a terminal, a line a minute elsewhere, JSON lines, or nothing.

All are ``core.model.Progress``, fed from any thread. While the program is being interrupted they raise
``Interrupted``: that is how work in other threads than the main one is stopped, where Ctrl-C does not reach.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backstay.cli.output import Output
from backstay.cli.signals import interrupted
from backstay.core.model import Progress
from backstay.core.units import format_size

if TYPE_CHECKING:
    from backstay.cli.session import Session

PLAIN_SECONDS = 60.0
JSON_SECONDS = 1.0


class Meter:
    """What is known of an action now. Below this, each kind of progress says when and how it is shown."""

    def __init__(self, label: str, clock: Callable[[], float], stop: threading.Event, every: float) -> None:
        self.label = label
        self.name = ""
        self.total_bytes: int | None = None
        self.done_bytes = 0
        self.text = ""
        self._clock = clock
        self._stop = stop
        self._every = every
        self._began = self._told = clock()
        self._lock = threading.Lock()

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """See ``Progress.phase``."""
        with self._lock:
            self.name, self.total_bytes, self.done_bytes, self.text = name, total_bytes, 0, ""
            self._began = self._clock()
            self._changed()

    def advance(self, n_bytes: int) -> None:
        """See ``Progress.advance``."""
        with self._lock:
            self.done_bytes += n_bytes
            self._changed()

    def note(self, text: str) -> None:
        """See ``Progress.note``."""
        with self._lock:
            self.text = text
            self._changed()

    @property
    def fraction(self) -> float | None:
        """How much of the phase is done, from 0 to 1; an estimate may have been low."""
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else None

    @property
    def bytes_per_second(self) -> float:
        """Over the whole phase so far."""
        seconds = self._clock() - self._began
        return self.done_bytes / seconds if seconds > 0 else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the end of the phase at this speed."""
        rate = self.bytes_per_second
        return max(0, self.total_bytes - self.done_bytes) / rate if self.total_bytes and rate else None

    def _changed(self) -> None:
        if self._stop.is_set() and threading.current_thread() is not threading.main_thread():
            raise interrupted()
        now = self._clock()
        if now - self._told >= self._every:
            self._told = now
            self.tell()

    def tell(self) -> None:
        """Show it."""
        raise NotImplementedError


class PlainProgress(Meter):
    """A line a minute, for logs."""

    def __init__(self, label: str, clock: Callable[[], float], stop: threading.Event, output: Output) -> None:
        super().__init__(label, clock, stop, PLAIN_SECONDS)
        self._output = output

    def tell(self) -> None:
        """``postgres/cardboard: dumping 68 %, 96 MB, 31 MB/s, tables 17/23``."""
        share = f" {self.fraction:.0%}".replace("%", " %") if self.fraction is not None else ""
        rate = f"{format_size(int(self.bytes_per_second))}/s" if self.done_bytes else ""
        facts = [format_size(self.done_bytes) if self.done_bytes else "", rate, self.text]
        self._output.say(f"{self.label}: {self.name}{share}" + "".join(f", {fact}" for fact in facts if fact))


class JsonProgress(Meter):
    """A line of JSON a second at most."""

    def __init__(self, label: str, clock: Callable[[], float], stop: threading.Event, output: Output) -> None:
        super().__init__(label, clock, stop, JSON_SECONDS)
        self._output = output

    def tell(self) -> None:
        """See docs/json.md, "progress"."""
        self._output.line(
            "progress",
            target=self.label,
            phase=self.name,
            done_bytes=self.done_bytes,
            total_bytes=self.total_bytes,
            bytes_per_second=round(self.bytes_per_second),
            note=self.text,
        )


class SilentProgress(Meter):
    """Says nothing; only stops."""

    def tell(self) -> None:
        """Nothing."""


@contextmanager
def progress(session: "Session", label: str) -> Iterator[Progress]:
    """The progress of one action on ``label``, as the options and the terminal ask for."""
    output, options = session.output, session.options
    if output.quiet or options.no_progress:
        yield SilentProgress(label, session.clock, session.stop, PLAIN_SECONDS)
    elif output.as_json:
        yield JsonProgress(label, session.clock, session.stop, output)
    elif output.stderr.isatty() and output.env.get("TERM") != "dumb":
        from backstay.cli.bar import Bar, Bars

        bars = output.display(lambda: Bars(output.stderr))
        with bars.showing(Bar(label, session.clock, session.stop, PLAIN_SECONDS)) as bar:
            yield bar
    else:
        yield PlainProgress(label, session.clock, session.stop, output)
