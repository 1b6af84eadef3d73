"""Text to plain values, each with the line it stands on.

A small reader over PyYAML's events, for what its constructors do not give: line numbers for every key, duplicate keys
refused, ``${VAR}`` expanded in values only, and no surprises. Words are typed by the core schema of YAML 1.2 (yaml.org,
10.3.2), as editors do; what older readers would type otherwise (``no``, ``010``) is refused instead of guessed.
Bounded: nesting, and the number of values *after* aliases are followed, which is counted without following them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from backstay.config.problems import Fault, Path, Problem

MAX_DEPTH = 20
MAX_VALUES = 100_000
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one where PyYAML was built with it

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_OCTAL = re.compile(r"[-+]?0[0-9_]+", re.ASCII)
_OLD_BOOLEANS = {"y": "true", "yes": "true", "on": "true", "n": "false", "no": "false", "off": "false"}
_WORDS: dict[str, Any] = {"": None, "~": None} | {
    spelled: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelled in (word, word.capitalize(), word.upper())
}
_EXPANSION = re.compile(r"\$\$|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.ASCII | re.DOTALL)


class Expanded(str):
    """Text in which variables were expanded: it may stand for a number or for true and false, quoted or not.

    Between braces YAML allows ``${NAME}`` only in quotes, so quotes cannot tell text from numbers here.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Node:
    """A value and its line, counted from 1. ``value`` is a scalar, a list of nodes or a dict of them.

    ``variables`` are those expanded in a scalar. ``size`` is the number of values below and with it, ``depth`` how deep
    they are nested, both with aliases followed.
    """

    value: Any
    line: int
    variables: tuple[str, ...] = ()
    size: int = 1
    depth: int = 0


class Unreadable(Exception):
    """Reading cannot go on; ``problem`` says why. Does not leave this package."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.fault.message)
        self.problem = problem


def read(text: str, env: Mapping[str, str]) -> tuple[Node, list[Problem]]:
    """The tree in ``text``, and what is wrong in it that did not stop the reading. Raises ``Unreadable``."""
    reader = _Reader(text, env)
    try:
        return reader.document(), reader.problems
    except yaml.YAMLError as error:
        raise Unreadable(_syntax(error)) from None


def plain(node: Node) -> Any:
    """The values alone."""
    if isinstance(node.value, dict):
        return {key: plain(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [plain(inner) for inner in node.value]
    return node.value


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every node with its path, from the root down."""
    yield path, node
    if isinstance(node.value, dict):
        for key, inner in node.value.items():
            yield from walk(inner, (*path, key))
    elif isinstance(node.value, list):
        for number, inner in enumerate(node.value):
            yield from walk(inner, (*path, number))


class _Reader:
    """One pass over the events; each method takes the event that begins what it reads."""

    def __init__(self, text: str, env: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._events: Iterator[Event] = yaml.parse(text, Loader=LOADER)
        self._env = env
        self._anchors: dict[str, Node | None] = {}

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self._stop(event, (), "a second document begins here", "Keep one, without `---` between.")
                root = self._node(next(self._events), (), 0)
        return root or Node(None, 1)

    def _node(self, event: Any, path: Path, line: int) -> Node:
        node = self._alias(event, path) if isinstance(event, AliasEvent) else self._own(event, path, line)
        if node.size > MAX_VALUES:
            self._stop(event, path, f"stands for more than {MAX_VALUES:,} values once its aliases are followed", "")
        if len(path) + node.depth > MAX_DEPTH:
            self._too_deep(event)
        return node

    def _own(self, event: Any, path: Path, line: int) -> Node:
        """A value that stands here itself; it can be repeated by an alias once it is complete."""
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if event.tag is not None:
            self._stop(event, path, f"the tag {event.tag} is not supported", "Write the plain value.")
        if len(path) > MAX_DEPTH:
            self._too_deep(event)
        line = line or _line(event)
        if isinstance(event, MappingStartEvent):
            node = self._mapping(path, line)
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(path, line)
        else:
            node = self._scalar(event, path, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _too_deep(self, event: Any) -> NoReturn:
        self._stop(event, (), f"is nested more than {MAX_DEPTH} deep", "")

    def _alias(self, event: Any, path: Path) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            hint = "An alias comes after the value it repeats, and not inside it."
            self._stop(event, path, f"*{event.anchor} stands for nothing here", hint)
        return node

    def _mapping(self, path: Path, line: int) -> Node:
        items: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key, key_line = self._key(event, path), _line(event)
            node = self._node(next(self._events), (*path, key), key_line)
            if key in items:
                message = f"the key `{key}` is here twice, first on line {lines[key]}"
                self._report(key_line, path, message, "Remove one of them.")
            items[key], lines[key] = node, key_line
        return _collection(items, line, items.values())

    def _sequence(self, path: Path, line: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), 0))
        return _collection(items, line, items)

    def _key(self, event: Any, path: Path) -> str:
        """A key is text whatever it looks like: a database may be named ``no`` or ``007``."""
        if not isinstance(event, ScalarEvent) or event.tag is not None or not event.value:
            self._stop(event, path, "a key must be a word", "Put it in quotes if it has special characters.")
        if event.value == "<<" and event.implicit[0]:
            self._stop(event, path, "merging with `<<` is not supported", "Set shared values once, on the tier.")
        return str(event.value)

    def _scalar(self, event: Any, path: Path, line: int) -> Node:
        text, variables = self._expanded(event.value, path, _line(event))
        if variables:
            return Node(Expanded(text), line, variables)
        if not event.implicit[0]:
            return Node(text, line)
        if text.lower() in _OLD_BOOLEANS:
            meant = _OLD_BOOLEANS[text.lower()]
            message = f"`{text}` is {meant} to some readers of YAML and a word to others"
            self._report(line, path, message, f'Write {meant}, or "{text}" in quotes for the word.')
        elif _OCTAL.fullmatch(text):
            message = "begins with a zero: an octal number to some readers of YAML, a decimal one to others"
            self._report(line, path, message, "Write the number without it, or put text in quotes.")
        return Node(_typed(text), line)

    def _expanded(self, text: str, path: Path, line: int) -> tuple[str, tuple[str, ...]]:
        variables: list[str] = []

        def expand(match: re.Match[str]) -> str:
            if match[0] == "$$":
                return "$"
            variable = _VARIABLE.fullmatch(match["inside"]) if match["end"] else None
            if variable is None:
                hint = "Write ${NAME} or ${NAME:-default}; `$$` stands for a dollar sign."
                self._report(line, path, "`${` does not begin the name of a variable here", hint)
                return ""
            name, default = variable["name"], variable["default"]
            variables.append(name)
            if default is None and name not in self._env:
                hint = f"Set it, or give a default: ${{{name}:-value}}."
                self._report(line, path, f"the environment variable {name} is not set", hint)
            elif not self._env.get(name, "").isprintable():
                self._report(line, path, f"the environment variable {name} holds line breaks or what is not text", "")
            return self._env.get(name, "") or default or ""

        return _EXPANSION.sub(expand, text), tuple(variables)

    def _report(self, line: int, path: Path, message: str, hint: str) -> None:
        self.problems.append(Problem(line, Fault(path, message, hint)))

    def _stop(self, event: Any, path: Path, message: str, hint: str) -> NoReturn:
        raise Unreadable(Problem(_line(event), Fault(path, message, hint)))


def _collection(value: Any, line: int, items: Collection[Node]) -> Node:
    size, depth = sum(node.size for node in items), max((node.depth for node in items), default=0)
    return Node(value, line, size=size + 1, depth=depth + 1)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _typed(text: str) -> Any:
    """The value of a word without quotes, by YAML 1.2's core schema; octal and hexadecimal numbers stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _syntax(error: Any) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    hint = "Check the indentation, and put text that holds ': ' or ' #' in quotes."
    if "\\t" in said or "tab" in said:
        hint = "Indent with spaces: YAML allows no tabs there."
    return Problem(mark.line + 1 if mark else 1, Fault((), f"is not valid YAML: {said}", hint))
