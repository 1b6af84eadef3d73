"""The table of fields, read when it is first asked for.

``fields.json`` holds facts alone, taken by ``tools/kubernetes_fields.py`` from the modules it names in ``sources``; the
form of its rows is described there.
"""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

PLAIN = frozenset({"string", "bytes", "bool", "int32", "int64", "uint32", "double"})
META = "k8s.io.apimachinery.pkg.apis.meta.v1"


@dataclass(frozen=True)
class Field:
    """One field of a message: what it is on the wire, and how encoding/json of Go writes it."""

    number: int
    name: str  # in JSON; empty when inlined
    kind: str  # a plain type of proto, or the whole name of a message
    repeated: bool = False
    is_map: bool = False  # from string to ``kind``
    pointer: bool = False  # absent is another thing than empty
    omit_empty: bool = False
    omit_zero: bool = False
    inline: bool = False
    old: bool = False  # gone from the API: there only when it is on the wire

    @cached_property
    def is_message(self) -> bool:
        """It has fields of its own."""
        return self.kind not in PLAIN


@dataclass(frozen=True)
class Message:
    """The fields of a message in the order of its JSON; or, with ``items``, a list with a message around it."""

    name: str
    fields: tuple[Field, ...] = ()
    items: str | None = None  # of what the list is
    numbers: frozenset[int] = frozenset()


@cache
def _content() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files(__package__).joinpath("fields.json").read_bytes())
    return loaded


def sources() -> tuple[str, ...]:
    """The modules that the table was taken from, each with its version, newest first."""
    return tuple(_content()["sources"])


def message_of(api_version: str, kind: str) -> str | None:
    """The name of the message of a kind, ``apps/v1`` and ``Deployment``; None where the table has none."""
    package, kinds = _content()["kinds"].get(api_version, ("", ()))
    return f"{package}.{kind}" if kind in kinds else None


def kinds() -> tuple[tuple[str, str], ...]:
    """Each apiVersion and kind that can be read."""
    return tuple((api, kind) for api, (_, names) in _content()["kinds"].items() for kind in names)


@cache
def message(name: str) -> Message:
    """The fields of a message, by its whole name. ``KeyError`` for one that the table lacks, which none names."""
    package, _, short = name.rpartition(".")
    rows = _content()["packages"][package][short]
    if rows and rows[0] == "list":
        return Message(name, items=_kind(package, rows[1]))
    found = tuple(_field(package, *row) for row in rows)
    return Message(name, found, numbers=frozenset(field.number for field in found))


def _field(package: str, number: int, name: str, kind: str, flags: str) -> Field:
    return Field(
        number,
        name,
        _kind(package, kind),
        repeated="r" in flags,
        is_map="m" in flags,
        pointer="p" in flags,
        omit_empty="o" in flags,
        omit_zero="z" in flags,
        inline="i" in flags,
        old="a" in flags,
    )


def _kind(package: str, kind: str) -> str:
    """The whole name of a type that stands in a row."""
    if kind in PLAIN:
        return kind
    return kind[1:] if kind.startswith(".") else f"{package}.{kind}"
