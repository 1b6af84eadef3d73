"""What every command is given: the global options, where to print, and the world around the process."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from cyclopts import Parameter

from backstay.cli.output import Output
from backstay.core.model import Progress

if TYPE_CHECKING:
    from backstay.app import App
    from backstay.config.load import Loaded


@dataclass(frozen=True)
class Options:
    """The options that every command takes, before or after its name."""

    config: Annotated[
        Path | None,
        Parameter(
            metavar="FILE",
            help="The configuration. Else $BACKSTAY_CONFIG, ./backstay.yaml, $XDG_CONFIG_HOME/backstay/backstay.yaml, "
            "/etc/backstay/backstay.yaml.",
        ),
    ] = None
    json: Annotated[bool, Parameter(help="Print JSON: one document, or lines with a message_type (docs/json.md).")] = (
        False
    )
    quiet: Annotated[bool, Parameter(alias="-q", help="Print nothing on success but what was asked for.")] = False
    verbose: Annotated[bool, Parameter(alias="-v", help="Say all that is known of an error.")] = False
    no_progress: Annotated[bool, Parameter(help="Leave out progress, as bars and as lines.")] = False
    no_input: Annotated[bool, Parameter(help="Never ask; what would need an answer is declined.")] = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Session:
    """One run of the program. ``stop`` is set when it is being interrupted; ``clock`` gives seconds."""

    options: Options
    output: Output
    stop: threading.Event
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    stdin: TextIO | None = field(default_factory=lambda: sys.stdin)
    now: Callable[[], datetime] = _utc_now
    clock: Callable[[], float] = time.monotonic
    _warned: set[str] = field(default_factory=set)

    def load(self) -> "Loaded":
        """The configuration. Raises ``ConfigError``."""
        from backstay.config.load import load

        return load(self.options.config, self.env)

    @contextmanager
    def app(self, loaded: "Loaded | None" = None, **choices: Any) -> Iterator["App"]:
        """The application over the configuration; ``choices`` are those of ``open_app``. Raises ``ConfigError``."""
        from backstay.app import open_app

        with open_app(loaded or self.load(), self.env, now=self.now, warn=self.warn_once, **choices) as app:
            yield app

    def warn_once(self, text: str) -> None:
        """A warning that would come again with every use of the same thing."""
        if text not in self._warned:
            self._warned.add(text)
            self.output.warn(text)

    def progress(self, label: str) -> AbstractContextManager[Progress]:
        """How a long action on ``label`` is told while it runs."""
        from backstay.cli.progress import progress

        return progress(self, label)

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to answer."""
        return not self.options.no_input and self.stdin is not None and self.stdin.isatty()

    def answer(self) -> str:
        """One line from whoever is there; the end of input counts as an empty answer."""
        return self.stdin.readline().strip() if self.stdin else ""


Given = Annotated[Session, Parameter(parse=False)]  # how a command asks for its session
