"""A command line that cannot be understood, in the same words and form as every other error."""

import difflib
from collections.abc import Iterable
from enum import Enum
from typing import get_args

from cyclopts import App, CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from backstay.core.errors import UsageError

_TYPES: dict[object, str] = {int: "a whole number", float: "a number"}


def usage_error(error: CycloptsError, root: App) -> UsageError:
    """The library's error as ours; ``root`` knows the global options."""
    command = " ".join(["backstay", *(error.command_chain or ())])
    see = f"`{command} --help` shows what it takes."
    match error:
        case UnknownCommandError():
            word = (error.unused_tokens or [""])[0]
            known = [name for name in error.app or () if not name.startswith("-")]
            return UsageError(f"there is no command `{command} {word}`", hint=_near(word, known) or see)
        case UnknownOptionError():
            return _unknown_option(error, root, command, see)
        case MissingArgumentError():
            return _missing(error, command, see)
        case CoercionError():
            return _wrong_value(error, see)
        case UnusedCliTokensError():
            words = " ".join(error.unused_tokens or ())
            return UsageError(f"`{command}` does not know what to do with: {words}", hint=see)
        case RepeatArgumentError():
            return UsageError(f"{error.token.keyword} is given more than once", hint=see)
    return UsageError(str(error).strip() or "the command line is not understood", hint=see)


def _unknown_option(error: UnknownOptionError, root: App, command: str, see: str) -> UsageError:
    word = (error.token.keyword or error.token.value).partition("=")[0]
    collections = (error.argument_collection, root.meta.assemble_argument_collection())
    known = [name for collection in collections for argument in collection for name in argument.names]
    return UsageError(f"`{command}` has no option {word}", hint=_near(word, known) or see)


def _missing(error: MissingArgumentError, command: str, see: str) -> UsageError:
    name = error.argument.name if error.argument else "an argument"
    if name.startswith("-") and not (error.argument and error.argument.index is not None):
        return UsageError(f"{error.keyword or name} needs a value", hint=see)
    return UsageError(f"`{command}` needs {name.lstrip('-').upper()}", hint=see)


def _wrong_value(error: CoercionError, see: str) -> UsageError:
    value = error.token.value if error.token else ""
    name = (error.token and error.token.keyword) or (error.argument and error.argument.name) or "an argument"
    if choices := _choices(error.target_type):
        return UsageError(f"{name}: {value!r} is not one of {', '.join(choices)}", hint=_near(value, choices) or see)
    return UsageError(f"{name}: {value!r} is not {_TYPES.get(error.target_type, 'a value it takes')}", hint=see)


def _choices(kind: object) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return [str(choice) for choice in get_args(kind)]


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
