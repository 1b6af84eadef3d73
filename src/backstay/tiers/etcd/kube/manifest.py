"""An object as YAML that ``kubectl apply -f`` takes.

kubectl reads YAML 1.1 by a Go library that takes more plain words for numbers and booleans than PyYAML does (``1e3``,
``12e45``, ``y``; yaml.org, "Language-Independent Types for YAML 1.1"), so strings like these are quoted here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from backstay.tiers.etcd.kube.fit import Fitted, for_apply

FIRST = ("apiVersion", "kind", "metadata")  # then the rest by its names, as kubectl prints them
FIRST_OF_METADATA = ("name", "namespace")
FIRST_OF_ITEMS = ("name",)
TOO_LONG_TO_ANNOTATE = 200_000  # kubectl keeps a copy in an annotation, and annotations end at 262,144 bytes
_NUMBER = re.compile(
    r"[-+]?(?:0x[0-9a-f_]+|0[ob][0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:e[-+]?[0-9_]+)?"
    r"|\.[0-9_]+(?:e[-+]?[0-9_]+)?|\.(?:inf|nan))",
    re.IGNORECASE,
)
_OTHER_BREAKS = re.compile("[\\r\\x85\\u2028\\u2029]")  # ends of lines too, which only double quotes keep as they are
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "=", "<<", ""})
_MAX_COMMENT_LINE = 110


@dataclass(frozen=True)
class Manifest:
    """A document of YAML with a comment above it. ``secrets``: values in it are secret, so warn before it is shown."""

    yaml: str
    secrets: bool
    notes: tuple[str, ...] = ()


def manifest(obj: Mapping[str, Any], *, whole: bool = False, source: str = "") -> Manifest:
    """The object as YAML: fit to be applied, or as it was stored with ``whole``. ``source`` is named in the comment.

    Without ``whole``, ``status`` and what the server sets in metadata is left out, and what ``fit`` says for the kind;
    each thing that a person may need to know is in ``notes`` and in the comment.
    """
    secrets = holds_secrets(obj)
    fitted = Fitted(dict(obj), notes=("This is the object as it was stored, not one to apply.",))
    if not whole:
        fitted = for_apply(obj)
    notes = list(fitted.notes)
    body = dump(fitted.object)
    if not whole and len(body) > TOO_LONG_TO_ANNOTATE:
        notes.append("It is large: apply it with kubectl apply --server-side -f.")
    if secrets:
        notes.insert(0, "It holds secret values, base64 and not encrypted.")
    about = obj.get("metadata")
    name = about.get("name") if isinstance(about, dict) else None
    lines = [f"{obj.get('kind')} {name}" + (f", from {source}" if source else "")]
    if fitted.left_out:
        lines.append(f"Left out: {', '.join(fitted.left_out)}.")
    return Manifest(_comment([*lines, *notes]) + body, secrets, tuple(notes))


def holds_secrets(obj: Mapping[str, Any]) -> bool:
    """Whether it is a Secret with something in it."""
    is_secret = (obj.get("apiVersion"), obj.get("kind")) == ("v1", "Secret")
    return is_secret and bool(obj.get("data") or obj.get("stringData"))


def dump(obj: Mapping[str, Any]) -> str:
    """Any object as YAML, in a stable order, with strings of many lines as blocks."""
    return yaml.dump(
        _ordered(obj, FIRST),
        Dumper=_Dumper,
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=2**31,
    )


def _comment(lines: list[str]) -> str:
    return "".join(f"# {part}\n" for line in lines for part in _wrapped(line))


def _wrapped(line: str) -> list[str]:
    """A comment in short lines. Names come from the snapshot, so nothing in them may end the comment."""
    words = "".join(char if char.isprintable() else " " for char in line).split()
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < _MAX_COMMENT_LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _ordered(value: Any, first: tuple[str, ...] = ()) -> Any:
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: (first.index(name) if name in first else len(first), name))
        return {name: _ordered(value[name], FIRST_OF_METADATA if name == "metadata" else ()) for name in names}
    return [_ordered(one, FIRST_OF_ITEMS) for one in value] if isinstance(value, list) else value


class _Dumper(yaml.SafeDumper):
    """Writes what JSON can say, and neither anchors nor aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (PyYAML's signature)
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if _OTHER_BREAKS.search(value) or value.lower() in _WORDS or _NUMBER.fullmatch(value):
        style = '"'
    elif "\n" in value:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _string)
