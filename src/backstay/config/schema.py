"""The JSON Schema of ``backstay.yaml``, and questions to it: which keys a place knows, what each is for.

Error hints, the starter file and the reference page all read the schema, so that they cannot say different things.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from backstay.config.models.root import Config
from backstay.core.units import exact_duration, listed

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generate(GenerateJsonSchema):
    """Titles only where a kind of value has a name; no ``null``, for a key without a value is one left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if "default" in schema and schema["default"] is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def encode_default(self, dft: Any) -> Any:
        return exact_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


@cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema as committed in docs/schema/ and printed by ``backstay config schema``. Do not change it."""
    schema = Config.model_json_schema(schema_generator=_Generate)
    return {"$schema": SCHEMA_DIALECT, **schema, "title": "backstay.yaml"}


def resolve(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node of the schema with its reference followed; what stands beside the reference wins.

    ``about`` is then what the section says of itself, where ``description`` is what it is for at this place.
    """
    reference = node.get("$ref")
    if reference is None:
        return dict(node)
    definition = json_schema()["$defs"][str(reference).rpartition("/")[2]]
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**definition, "about": definition["description"], **beside}


def at(path: Sequence[str | int]) -> dict[str, Any] | None:
    """The node for a place in the file: keys, and numbers within lists; ``None`` where the schema has none."""
    node = resolve(json_schema())
    for part in path:
        below = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        inner = below or named(node)
        if not isinstance(inner, dict):
            return None
        node = resolve(inner)
    return node


def named(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """What stands below each name, where a section's keys are names that the user gives; else ``None``."""
    by_pattern = list(node.get("patternProperties", {}).values())
    inner = by_pattern[0] if by_pattern else node.get("additionalProperties")
    return resolve(inner) if isinstance(inner, dict) else None


def keys(path: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that the section at ``path`` knows; none where any name may stand."""
    return tuple((at(path) or {}).get("properties", {}))


def fields(node: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Key, node and whether it must be given, for each key of a section in the order of the models."""
    required = node.get("required", ())
    for key, inner in node.get("properties", {}).items():
        yield key, resolve(inner), key in required


def kind(node: Mapping[str, Any]) -> str:
    """What a value is, in Markdown for people: ``duration``, ``list of names``, ``gzip or zstd``."""
    if "enum" in node:
        return listed(node["enum"], quote=lambda value: f"`{value}`", last="or")
    if "const" in node:
        return f"`{node['const']}`"
    if node.get("type") == "array":
        return f"list of {_plural(kind(resolve(node['items'])))}"
    if node.get("type") == "object":
        below = named(node)
        return f"{_plural(kind(below))} by name" if below is not None else "section"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return str(node.get("title") or words[str(node.get("type"))])


def _plural(noun: str) -> str:
    return "addresses".join(noun.rsplit("address", 1)) if noun.endswith("address") else f"{noun}s"
