"""What is wrong with a configuration, each with its line, gathered so that all of it is told at once."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backstay.core.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]
NOTHING_DONE = "Nothing was read or written."


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
        return Fault(path, f"{shown} is not one of {', '.join(choices)}", hint)
    return Fault(path, _type_message(code, given, context))


def _type_message(code: str, given: Any, context: Mapping[str, Any]) -> str:
    if code == "string_type":
        return f"must be text, not {_shown(given)}{'' if isinstance(given, dict | list) else ': put it in quotes'}"
    if code in {"int_type", "float_type"}:
        what = "a whole number" if code == "int_type" else "a number"
        quoted = isinstance(given, str) and given.strip().isdecimal()
        return f"must be {what}, not {_shown(given)}{': write it without quotes' if quoted else ''}"
    if code == "bool_type":
        return f"must be true or false, not {_shown(given)}"
    if code in {"model_type", "dict_type", "mapping_type"}:
        return f"must be a section with keys, not {_shown(given)}"
    if code in {"tuple_type", "list_type"}:
        return f"must be a list, such as [one, two], not {_shown(given)}"
    bounds = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le"}
    words = {"ge": "at least", "gt": "more than", "le": "at most"}
    if code in bounds:
        bound = bounds[code]
        return f"must be {words[bound]} {context[bound]:g}, not {given}"
    if code == "too_short":
        return "must not be empty"
    if code == "too_long":
        return f"must have at most {context['max_length']}, not {context['actual_length']}"
    raise AssertionError(f"no words for {code}")


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
