"""Progress bars on a terminal, one line for each action that runs; redrawn by rich, gone when the action ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from backstay.cli.output import clean
from backstay.cli.progress import Meter
from backstay.core.units import format_duration, format_size

REFRESH_PER_SECOND = 8
BAR_WIDTH = 30
LEAST_BAR_WIDTH = 10
FACTS_WIDTH = 60  # kept free behind the bar, so that it does not jump about


class Bar(Meter):
    """A meter that is only looked at when the display is redrawn."""

    def tell(self) -> None:
        """Nothing: the display asks."""


class Bars:
    """The bars on one terminal. A ``Display`` of the output, which makes it stand aside for lines that stay."""

    def __init__(self, stderr: TextIO) -> None:
        self._console = Console(file=stderr, force_terminal=True, highlight=False, markup=False)
        self._meters: list[Meter] = []
        self._live: Live | None = None
        self._lock = threading.RLock()

    def show(self) -> None:
        """Draw, if there is anything to draw."""
        with self._lock:
            if self._meters and self._live is None:
                self._live = Live(
                    console=self._console,
                    get_renderable=self._lines,
                    refresh_per_second=REFRESH_PER_SECOND,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()

    def hide(self) -> None:
        """Clear what is drawn."""
        with self._lock:
            live, self._live = self._live, None
            if live is not None:
                live.stop()

    @contextmanager
    def showing(self, meter: Meter) -> Iterator[Meter]:
        """Draw ``meter`` for as long as its action runs."""
        with self._lock:
            self._meters.append(meter)
            self.show()
        try:
            yield meter
        finally:
            with self._lock:
                self._meters.remove(meter)
                if not self._meters:
                    self.hide()

    def _lines(self) -> Text:
        many = len(self._meters) > 1
        meters = [meter for meter in list(self._meters) if meter.name]
        lines = [bar_line(meter, self._console.width - 1, labelled=many) for meter in meters]
        return Text("\n".join(lines), no_wrap=True, overflow="crop", end="")


def bar_line(meter: Meter, width: int, *, labelled: bool = False) -> str:
    """``  dumping    |#########        |  68 %   96 MB   31 MB/s   ETA 2 s     tables 17/23``."""
    eta, fraction = meter.eta_seconds, meter.fraction
    facts = [
        f"{format_size(meter.done_bytes):>7}" if meter.done_bytes else "",
        f"{format_size(int(meter.bytes_per_second))}/s" if meter.done_bytes else "",
        f"ETA {format_duration(round(eta))}" if eta is not None else "",
        clean(meter.text),
    ]
    tail = "   ".join(fact for fact in facts if fact)
    head = f"  {meter.label}  {meter.name:<10} " if labelled else f"  {meter.name:<10} "
    if fraction is None:
        return f"{head}{tail}"[:width]
    room = max(LEAST_BAR_WIDTH, min(BAR_WIDTH, width - len(head) - FACTS_WIDTH))
    filled = int(room * fraction)
    return f"{head}|{'#' * filled}{' ' * (room - filled)}| {fraction * 100:3.0f} %   {tail}"[:width]
