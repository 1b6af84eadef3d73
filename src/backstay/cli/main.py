"""The command line: its commands, its global options, and ``main``, which alone turns errors into words and exit codes.

Commands are registered by import path and imported when they are used, so that ``backstay --help`` stays fast; a test
counts what it imports.
"""

import sys
import threading
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter

from backstay import __version__
from backstay.cli.help import DEFAULTS, GLOBAL_OPTIONS, Page
from backstay.cli.output import Output, clean, flush, process_output, tolerate_encoding
from backstay.cli.session import Options, Session
from backstay.cli.signals import interrupted, stopping
from backstay.core.errors import BackstayError

ABOUT = """\
Back up a Kubernetes cluster into S3 or a folder, and prove that each backup restores.

Examples:
  backstay init                                       write a commented backstay.yaml
  backstay check                                      is everything in it right and reachable?
  backstay backup --all                               back everything up
  backstay drill postgres/app                         prove that it restores, and how fast
  backstay status                                     what needs a person, worst first
  backstay restore postgres/app --dry-run             what a restore would do
  backstay restore postgres/app@20260211-154344 --to app_copy"""

SET_UP = Group("Setting up", sort_key=1)

COMMANDS: dict[Group | None, dict[str, str]] = {
    None: {  # the library's own group, Commands
        "backup": "Back up databases, etcd and Kubernetes objects.",
        "list": "List the backups there are.",
        "show": "Show one backup: contents, proofs, and the steps to restore it by hand.",
        "verify": "Check backups against their manifests.",
        "drill": "Prove that backups restore: into scratch, checked and timed.",
        "restore": "Restore a backup beside the live data, compare, and swap.",
        "prune": "Remove the backups that no rule keeps.",
        "status": "Say how every target stands.",
        "diff": "Show what changed in the cluster since a backup of its objects.",
        "export": "Write a backup in the form that another program reads.",
        "etcd": "Look into snapshots of etcd, and let servers join again after a restore.",
    },
    SET_UP: {
        "init": "Write a commented backstay.yaml to start from.",
        "check": "Check the configuration, every store and every database.",
        "config": "Show the effective configuration, its schema, or whether it is valid.",
        "store": "Set up a store, or find out what it can do.",
        "demo": "Back up, lose and restore databases on servers of its own.",
        "completion": "Print the completion script of a shell.",
        "version": "Print the version.",
    },
}


class CommandLine(App):
    """The library's ``App``, whose generated documentation is the help pages themselves."""

    def generate_docs(self, *_: Any, **__: Any) -> str:
        """The reference page of the commands, in Markdown."""
        from backstay.cli.reference import reference

        return reference(self)


app = CommandLine(
    name="backstay",
    help=ABOUT.partition("\n")[0],
    version=f"backstay {__version__}",
    help_format="plaintext",
    help_formatter=Page(ABOUT),
    default_parameter=DEFAULTS,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
for _group, _commands in COMMANDS.items():
    for _order, (_name, _summary) in enumerate(_commands.items()):
        _path = f"backstay.cli.commands.{_name}:app"
        app.command(_path, name=_name, help=_summary, group=_group, sort_key=_order)
for _flag, _help in (("--help", "Print this page, or that of a command."), ("--version", "Print the version.")):
    app[_flag].group = (GLOBAL_OPTIONS,)
    app[_flag].help = _help


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    options: Annotated[Options, Parameter(name="*", group=GLOBAL_OPTIONS)] = Options(),  # noqa: B008 - frozen
    output: Annotated[Output, Parameter(parse=False)],
    stop: Annotated[threading.Event, Parameter(parse=False)],
) -> int:
    """Take the global options from wherever they stand, and run the command with what is left."""
    output.as_json, output.quiet, output.verbose = options.json, options.quiet, options.verbose
    session = Session(options, output, stop)
    command, bound, wanted = app.parse_args(tokens, exit_on_error=False, print_error=False)
    bound.arguments.update(dict.fromkeys(wanted, session))
    return int(command(*bound.args, **bound.kwargs) or 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, this process's unless given, and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    tolerate_encoding(sys.stdout, sys.stderr)
    output = process_output(as_json="--json" in given, verbose="-v" in given)
    stop = threading.Event()
    try:
        with stopping(stop):
            return _run(given, output, stop)
    except BaseException as error:  # noqa: BLE001 - whatever it was, it becomes words and an exit code
        known = _known(error, output)
        output.error(known)
        return known.exit_code


def _run(given: list[str], output: Output, stop: threading.Event) -> int:
    command, bound, wanted = app.meta.parse_args(given, exit_on_error=False, print_error=False)
    bound.arguments.update({"output": output, "stop": stop} if wanted else {})
    code = int(command(*bound.args, **bound.kwargs) or 0)
    flush(output.stdout)  # help pages are only now sent
    return code


def _known(error: BaseException, output: Output) -> BackstayError:
    """Any error as one of ours; one that is not known is a mistake in this program, and says so."""
    if isinstance(error, BackstayError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return interrupted()
    if isinstance(error, CycloptsError):
        from backstay.cli.usage import usage_error

        return usage_error(error, app)
    if not isinstance(error, Exception):
        raise error
    if output.verbose:
        import traceback

        sys.stderr.write(clean("".join(traceback.format_exception(error))))
    return BackstayError(
        f"{type(error).__name__}: {error} (this is a bug)",
        hint=f"Please report it with what the same command prints with -v added, and this version: {__version__}.",
    )
