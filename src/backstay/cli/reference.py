"""The reference page of the commands (docs/reference/commands.md): the help pages themselves, so that both are one."""

import io
from collections.abc import Iterator

from cyclopts import App
from rich.console import Console

from backstay.cli.output import WIDTH

HEAD = """\
# Commands

What `backstay COMMAND --help` prints. Data goes to stdout, everything else to stderr; [json.md](../json.md) describes
what `--json` prints, [errors.md](errors.md) the exit codes.
"""


def reference(root: App) -> str:
    """The whole page, in Markdown."""
    parts = [HEAD]
    for words in [[], *_commands(root)]:
        title = " ".join(["backstay", *words])
        parts.append(f"## {title}\n\n```\n{help_page(root, words)}\n```\n")
    return "\n".join(parts)


def help_page(root: App, words: list[str]) -> str:
    """What ``--help`` prints for one command."""
    page = io.StringIO()
    root.help_print(words, console=Console(file=page, width=WIDTH))
    return page.getvalue().strip()


def _commands(app: App, above: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Every command in the order of the help pages, each before its sub-commands."""
    found = [(name, sub) for name, sub in app.resolved_commands().items() if sub.show and not name.startswith("-")]
    for name, sub in found:
        yield [*above, name]
        yield from _commands(sub, (*above, name))
