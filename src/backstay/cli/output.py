"""What people and programs read: data on stdout, everything else on stderr; the one place that decides on colour.

Colour repeats what words say, so nothing is lost without it. Text may hold what came from a store or a server, so
control characters never reach a terminal. A reader that goes away (``| head``) ends the printing, not the work.
"""

import json
import os
import re
import shutil
import sys
import textwrap
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar, cast

from backstay.core.errors import BackstayError

WIDTH = 100  # columns of prose, and of everything when there is no terminal
# What steers a terminal: C0 and C1 controls but tab and line feed, and what reorders or breaks lines (UAX 9, "Bidi_C").
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Style(StrEnum):
    """Colours by meaning; the values are SGR parameters (ECMA-48)."""

    GOOD = "32"
    BAD = "31"
    WARN = "33"
    HINT = "36"
    STRONG = "1"
    FAINT = "2"


_PAINT = re.compile(rf"(\x1b\[(?:0|{'|'.join(Style)})m)")  # ours alone: another could hide what follows it


class Display(Protocol):
    """Something that redraws itself on the terminal, and must stand aside while a line is printed."""

    def hide(self) -> None:
        """Clear what is drawn."""

    def show(self) -> None:
        """Draw again."""


DisplayType = TypeVar("DisplayType", bound=Display)


class Output:
    """Prints. Safe to use from several threads.

    ``as_json``: documents and lines of JSON instead of text. ``quiet``: nothing but the data asked for, warnings and
    errors. ``verbose`` adds what an error knows beyond its message. ``lines`` is set by long actions: their warnings
    are then lines of the stream on stdout.
    """

    def __init__(
        self,
        stdout: TextIO,
        stderr: TextIO,
        env: Mapping[str, str],
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.lines = False
        self.stdout = stdout
        self.stderr = stderr
        self.env = env
        self._colour = {stdout: colour_wanted(stdout, env), stderr: colour_wanted(stderr, env)}
        self._display: Display | None = None
        self._gone: set[TextIO] = set()
        self._lock = threading.RLock()

    def data(self, text: str) -> None:
        """What was asked for; never left out."""
        self._write(self.stdout, text)

    def result(self, text: str) -> None:
        """What an action has done; left out when quiet, and with JSON, where ``line`` tells it."""
        if not self.quiet and not self.as_json:
            self._write(self.stdout, text)

    def say(self, text: str) -> None:
        """What happens meanwhile, on stderr; left out when quiet and with JSON."""
        if not self.quiet and not self.as_json:
            self._write(self.stderr, text)

    def ask(self, question: str) -> None:
        """A question on stderr, which the cursor waits behind; also when quiet, since it must be read."""
        self._write(self.stderr, question, end="")

    def warn(self, text: str) -> None:
        """Something that is well, but perhaps not meant."""
        if self.as_json:
            self._json(self.stdout if self.lines else self.stderr, {"message_type": "warning", "message": text})
        else:
            self._write(self.stderr, f"{self.paint('warning:', Style.WARN, self.stderr)} {text}")

    def error(self, error: BackstayError) -> None:
        """``error: ...``, a blank line, ``hint: ...``; as JSON its code and context too."""
        if self.as_json:
            self._json(self.stderr, {"message_type": "error", **error.as_json()})
            return
        self._write(self.stderr, "\n".join(self._error_lines(error)))

    def document(self, value: Any) -> None:
        """The answer to a query, as one JSON document."""
        self._write(self.stdout, json.dumps(value, indent=2))

    def line(self, message_type: str, **fields: Any) -> None:
        """One line of the JSON stream of a long action; nothing without ``--json``."""
        if self.as_json:
            self._json(self.stdout, {"message_type": message_type, **fields})

    def paint(self, text: str, style: Style | None, stream: TextIO | None = None) -> str:
        """``text`` in a style, where ``stream`` (stdout unless given) takes colour."""
        if style is None or not text or not self._colour[stream or self.stdout]:
            return text
        return f"\x1b[{style.value}m{text}\x1b[0m"

    @property
    def width(self) -> int | None:
        """Columns of the terminal that data goes to; ``None`` where it goes to a file or a pipe, which are endless."""
        if not self.stdout.isatty():
            return None
        return shutil.get_terminal_size((WIDTH, 24)).columns

    def display(self, make: Callable[[], DisplayType]) -> DisplayType:
        """The display that stands aside for every line printed: made by ``make`` the first time."""
        with self._lock:
            if self._display is None:
                self._display = make()
            return cast("DisplayType", self._display)

    def _json(self, stream: TextIO, value: Mapping[str, Any]) -> None:
        # ASCII alone, so that no encoding and no cleaning can alter it; an error's context may hold anything
        self._write(stream, json.dumps(value, default=str))

    def _error_lines(self, error: BackstayError) -> list[str]:
        label = self.paint("error:", Style.BAD, self.stderr)
        lines = [f"{label} " + error.message.replace("\n", "\n       ")]
        if error.hint:
            label = self.paint("hint:", Style.HINT, self.stderr)
            lines += ["", f"{label} " + "\n      ".join(self._wrapped(error.hint))]
        if self.verbose and error.context:
            lines += ["", *(f"{key}: {value}" for key, value in error.context.items())]
        return lines

    def _wrapped(self, hint: str) -> list[str]:
        """The lines of a hint, broken where a person reads them on a terminal, and never inside a command."""
        if not self.stderr.isatty():
            return hint.splitlines()
        width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) - len("hint: ")
        lines = (
            textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) for line in hint.split("\n")
        )
        return [line for wrapped in lines for line in wrapped or [""]]

    def _write(self, stream: TextIO, text: str, end: str = "\n") -> None:
        with self._lock:
            if stream in self._gone:
                return
            if self._display:
                self._display.hide()
            try:
                stream.write(clean(text, keep_paint=self._colour[stream]) + end)
                stream.flush()
            except BrokenPipeError:
                self._gone.add(stream)
                discard(stream)
            except OSError as error:
                self._gone.add(stream)
                discard(stream)
                raise BackstayError(
                    f"the output cannot be written: {error.strerror}", hint="What was done until then stays done."
                ) from error
            finally:
                if self._display:
                    self._display.show()


def colour_wanted(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Whether ``stream`` takes colour: NO_COLOR says no to all (no-color.org), FORCE_COLOR yes, else a terminal."""
    if env.get("NO_COLOR"):
        return False
    forced = env.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return stream.isatty() and env.get("TERM") != "dumb"


def clean(text: str, *, keep_paint: bool = False) -> str:
    """``text`` without what steers a terminal; of colours only those of ``Style`` stay, where they are kept."""
    if not keep_paint:
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    parts = _PAINT.split(text)
    return "".join(part if index % 2 else clean(part) for index, part in enumerate(parts))


def discard(stream: TextIO) -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush does not fail too."""
    with suppress(OSError, ValueError):  # a stream without a descriptor has nothing to redirect
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def flush(stream: TextIO) -> None:
    """Send what is buffered; a reader that has left is no error."""
    try:
        stream.flush()
    except BrokenPipeError:
        discard(stream)


def tolerate_encoding(*streams: TextIO) -> None:
    """Write a name that the terminal's encoding lacks with escapes, rather than fail on it."""
    for stream in streams:
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def process_output(**options: bool) -> Output:
    """An ``Output`` over the streams and the environment of this process; a closed stream swallows what it gets."""
    stdout, stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    return Output(stdout, stderr, os.environ, **options)
