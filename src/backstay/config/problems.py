"""What is wrong with a configuration, each with its line, gathered so that all of it is told at once."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backstay.core.errors import ConfigError
from backstay.core.units import listed

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]
NOTHING_DONE = "Nothing was read or written."
WANTED = {  # pydantic's error types, and what should have stood there
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a section with keys",
    "dict_type": "a section with keys",
    "mapping_type": "a section with keys",
    "tuple_type": "a list, such as [one, two]",
}
BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
}


@dataclass(frozen=True)
class Fault:
    """Something wrong at a place in the file; ``path`` is empty for the file as a whole."""

    path: Path
    message: str
    hint: str = ""
    key: str = ""  # a key below ``path`` that the fault is about: its line is the one to show

    @property
    def place(self) -> Path:
        """The path whose line is to be shown."""
        return (*self.path, self.key) if self.key else self.path


@dataclass(frozen=True)
class Problem:
    """A fault with its line, counted from 1."""

    line: int
    fault: Fault


def dotted(path: Iterable[str | int]) -> str:
    """``stores.main.lifecycle[0].prefix``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def config_error(name: str, problems: Sequence[Problem]) -> ConfigError:
    """One error for all the problems: a line each, in the order of the file."""
    ordered = sorted(problems, key=lambda problem: problem.line)
    details = [_as_data(problem) for problem in ordered]
    lines = [_sentence(name, problem) for problem in ordered]
    if len(ordered) == 1:
        return ConfigError(lines[0], hint=ordered[0].fault.hint or NOTHING_DONE, path=name, problems=details)
    hinted = [f"{line} ({p.fault.hint})" if p.fault.hint else line for line, p in zip(lines, ordered, strict=True)]
    return ConfigError("\n".join(hinted), hint=NOTHING_DONE, path=name, problems=details)


def _sentence(name: str, problem: Problem) -> str:
    where = dotted(problem.fault.path)
    return ": ".join(filter(None, [f"{name}:{problem.line}", where, problem.fault.message]))


def _as_data(problem: Problem) -> dict[str, Any]:
    fault = problem.fault
    return {"line": problem.line, "key": dotted(fault.path), "message": fault.message, "hint": fault.hint}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest of ``known``, or with all of them where none is near."""
    candidates = list(known)
    near = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known here: {', '.join(f'`{name}`' for name in candidates)}" if candidates else ""


def from_pydantic(details: "ErrorDetails") -> Fault:
    """One of pydantic's errors in our words. Never repeats a secret."""
    from backstay.config.schema import keys

    path = tuple(part for part in details["loc"] if part != "[key]")
    code, given, context = details["type"], details["input"], details.get("ctx", {})
    if code == "extra_forbidden":
        key = str(path[-1])
        return Fault(path[:-1], f"unknown key `{key}`", did_you_mean(key, keys(path[:-1])), key)
    if code == "missing":
        return Fault(path[:-1], f"needs the key `{path[-1]}`", key=str(path[-1]))
    if code == "value_error":
        return Fault(path, str(context["error"]))
    if code == "literal_error":
        choices = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        hint = did_you_mean(given, choices) if isinstance(given, str) else ""
        shown = repr(given) if isinstance(given, str) else _shown(given)
        return Fault(path, f"{shown} is not {listed(choices, last='or')}", hint)
    if code in WANTED:
        return Fault(path, f"must be {WANTED[code]}, not {_shown(given)}{_quotes(code, given)}")
    if code in BOUNDS:
        name, words = BOUNDS[code]
        return Fault(path, f"must be {words} {context[name]:g}, not {given}")
    if code == "too_short":
        return Fault(path, "must not be empty")
    if code == "too_long":
        return Fault(path, f"must have at most {context['max_length']}")
    return Fault(path, f"is not valid: {details['msg']}")


def _quotes(code: str, given: Any) -> str:
    """What quotes have to do with it, where they are the likely slip."""
    if code == "string_type" and not isinstance(given, dict | list):
        return ": put it in quotes"
    if code in {"int_type", "float_type"} and isinstance(given, str) and given.strip().isdecimal():
        return ": write it without quotes"
    return ""


def _shown(value: Any) -> str:
    """A value in a message: what it is, and itself where it is short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return "nothing" if value is None else f"the number {value}"
