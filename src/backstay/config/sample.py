"""A starter ``backstay.yaml``: every key with what it is for, the few that matter set, the rest commented out.

Written from the schema, so that it cannot fall behind the models. A line of text begins ``# ``, a key that is not set
begins ``#`` without a space: taking that one character away sets it.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backstay.config import schema
from backstay.config.models.root import NOT_ACTED_ON
from backstay.config.problems import Path
from backstay.config.yamltree import plain, read

WIDTH = 100
NAMES: dict[Path, str] = {  # what stands for a name that the user gives
    ("stores",): "main",
    ("postgres", "databases"): "app",
    ("objects", "schedules"): "daily",
}
_BARE = re.compile(r"[A-Za-z0-9_./@][A-Za-z0-9_./:@-]*", re.ASCII)


def sample(
    *,
    cluster: str = "homelab",
    store_url: str = "s3://my-backups",
    database: str = "app",
    schema_url: str = "backstay.schema.json",
) -> str:
    """The text of a starter file, which loads as it is. ``schema_url`` is where editors find the JSON Schema."""
    store, databases = ("stores", "main"), ("postgres", "databases", database)
    names = NAMES | {databases[:-1]: database, (*databases, "checks"): "recent-orders"}
    active: dict[Path, Any] = {
        ("cluster",): cluster,
        (*store, "url"): store_url,
        ("postgres", "keep"): {"days": 7},
        (*databases, "schedule"): "0 3 * * *",
    }
    head = [
        f"# yaml-language-server: $schema={schema_url}",
        "# Backstay's one file. Take one # away to set a key; `backstay check` says what is missing or wrong.",
        "# `backstay config schema` prints the schema from which editors complete and explain.",
        "# ${NAME} and ${NAME:-default} in a value stand for environment variables.",
        "# Secrets are only referred to: secret:namespace/name[/key], file:/path, cmd:program, env:NAME.",
    ]
    lines = _Writer(active, names).section((), schema.json_schema())
    return "\n".join([*head, *lines]) + "\n"


@dataclass(frozen=True)
class _Writer:
    """Writes sections line by line: ``active`` keys are set, the others commented out."""

    active: Mapping[Path, Any]
    names: Mapping[Path, str]

    def section(self, path: Path, node: Mapping[str, Any]) -> Iterator[str]:
        shared = schema.keys(path[:1]) if path[:2] == ("postgres", "databases") else ()
        for key, inner, required in schema.fields(node):
            if key in shared:
                continue  # a database can set again what the tier sets: told once
            if not path:
                yield ""
            yield from _described((*path, key), inner, required=required)
            yield from self._key((*path, key), inner)

    def _key(self, path: Path, node: Mapping[str, Any]) -> Iterator[str]:
        indent = "  " * (len(path) - 1)
        mark = "" if any(place[: len(path)] == path for place in self.active) else "#"
        below = schema.named(node)
        if path in self.active or "examples" in node or "default" in node or node["type"] != "object":
            yield f"{indent}{mark}{path[-1]}: {_written(self.active.get(path, _value(node)))}"
        elif below is not None:
            yield f"{indent}{mark}{path[-1]}:"
            yield f"{indent}  {mark}{self.names[path]}:"
            yield from self.section((*path, self.names[path]), below)
        else:
            yield f"{indent}{mark}{path[-1]}:"
            yield from self.section(path, node)


def _described(path: Path, node: Mapping[str, Any], *, required: bool) -> list[str]:
    text = str(node["description"]) + (" Required." if required and len(path) > 1 else "")
    if path == ("postgres", "databases"):
        text += " Each can set again what is set above for all."
    if len(path) == 1 and path[0] in NOT_ACTED_ON:
        text += f" Not yet acted on in this version: {NOT_ACTED_ON[str(path[0])]}."
    start = "  " * (len(path) - 1) + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def _value(node: Mapping[str, Any]) -> Any:
    """The default where it says something, else an example."""
    default = node.get("default")
    return default if default not in (None, [], {}, "") or "examples" not in node else node["examples"][0]


def _written(value: Any) -> str:
    """A value on one line, with quotes only where YAML needs them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_written(inner) for inner in value) + "]"
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) and _reads_back(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _reads_back(word: str) -> bool:
    node, problems = read(f"- {word}", {})
    return not problems and plain(node) == [word]
