"""What was found against what a manifest promises."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol


class Found(Protocol):
    """A survey or a census: numbers by name, and how many keys each resource has."""

    @property
    def resources(self) -> Mapping[str, int]:
        """Live keys by resource."""


def differences(found: Found, contents: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """In what ``found`` is not what the manifest says: the attributes ``names``, and the keys of each resource."""
    for name in names:
        promised, here = contents.get(name), getattr(found, name)
        if promised != here:
            yield f"{name} {here}, expected {promised}"
    recorded = contents.get("resources")
    resources = recorded if isinstance(recorded, dict) else {}
    for name in sorted({*resources, *found.resources}):
        if resources.get(name, 0) != found.resources.get(name, 0):
            yield f"{name}: {found.resources.get(name, 0)} keys, expected {resources.get(name, 0)}"
