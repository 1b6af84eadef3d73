"""Help pages: what a command is for, examples, how it can end, then its options.

The text is the docstring of the command's function, so that a command and its page are one thing; the root page lists
commands from ``main``'s table without importing any of them.
"""

import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO, cast

from cyclopts import App, Group, Parameter

from backstay.cli.output import WIDTH, discard

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

LABEL_WIDTH = 24
OPTIONS = Group("Options", sort_key=2)
ARGUMENTS = Group("Arguments", sort_key=1)
GLOBAL_OPTIONS = Group("Options of every command", sort_key=3)
DEFAULTS = Parameter(negative=(), show_default=False, show_choices=False)


class Page:
    """Prints help in plain text; a ``HelpFormatter`` of the library. ``text`` stands in place of the summary."""

    def __init__(self, text: str = "") -> None:
        self._text = text

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """A list of commands, arguments or options in two columns."""
        if panel.entries:
            width = min(WIDTH, options.max_width) if console.is_terminal else WIDTH
            lines = [line for entry in panel.entries for line in _entry(entry, width)]
            _send(console, "\n".join([f"{panel.title}:", *lines, "", ""]))

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:  # noqa: ARG002
        """The line that shows the form of the command."""
        words = str(usage).strip().removeprefix("Usage: ")
        _send(console, f"Usage: {words}\n\n")

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        """What it is for, and examples."""
        if self._text:
            _send(console, f"{self._text}\n\n")
        else:
            with console.capture() as capture:
                console.print(description, width=min(WIDTH, options.max_width), highlight=False)
            _send(console, f"{capture.get().strip()}\n\n")


def command(function: Callable[..., int], *, usage: str, name: str = "") -> App:
    """The ``App`` of one command, its page made from its docstring; ``usage`` is its form, without ``backstay``."""
    text = inspect.cleandoc(function.__doc__ or "")
    return App(
        name=name or function.__name__,
        default_command=function,
        usage=f"Usage: backstay {usage}",
        help=_first_sentence(text),
        help_formatter=Page(text),
        group_parameters=OPTIONS,
        group_arguments=ARGUMENTS,
        default_parameter=DEFAULTS,
    )


def group_of(name: str, text: str, *commands: App) -> App:
    """The ``App`` of a command that only has sub-commands."""
    made = App(name=name, help=text, help_formatter=Page(text), default_parameter=DEFAULTS)
    for sub in commands:
        made.command(sub)
    return made


def _send(console: "Console", text: str) -> None:
    """Write to where the console does, as it is; a reader that has left is no error."""
    try:
        console.file.write(text)
    except BrokenPipeError:
        discard(cast("TextIO", console.file))


def _first_sentence(text: str) -> str:
    paragraph = text.partition("\n\n")[0].replace("\n", " ")
    return f"{paragraph.partition('. ')[0].rstrip('.')}."


def _entry(entry: "HelpEntry", width: int) -> list[str]:
    label = "  " + ", ".join(entry.display_labels_with_metavar)
    described = getattr(entry.description, "primary_renderable", entry.description)
    text = textwrap.wrap(str(described), max(30, width - LABEL_WIDTH), break_on_hyphens=False) or [""]
    indent = " " * LABEL_WIDTH
    if len(label) < LABEL_WIDTH - 1:
        return [f"{label:<{LABEL_WIDTH}}{text[0]}".rstrip(), *(indent + line for line in text[1:])]
    return [label, *(indent + line for line in text)]
