"""The fields in which two objects differ, named as people write them: ``spec.containers[web].image``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backstay.cluster.base import Object
from backstay.cluster.parts import at
from backstay.tiers.objects.change.kinds import LAST_APPLIED

HIDDEN = "(hidden)"
_MISSING = object()
_KEYS = ("name", "key", "port", "type", "ip", "host", "path")  # what tells the maps of a list apart


@dataclass(frozen=True)
class FieldChange:
    """One field. None stands for a field that is not there."""

    path: str
    before: Any
    after: Any

    def as_data(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"path": self.path, "before": self.before, "after": self.after}


def field_changes(resource: str, before: Object, after: Object) -> tuple[FieldChange, ...]:
    """All of them, in order of their paths. What a Secret holds is never in it, only that it differs."""
    found = sorted(_changes("", before, after), key=lambda change: change.path)
    return tuple(_hide(change) if resource == "secrets" and _is_secret(change.path) else change for change in found)


def hide_secrets(resource: str, body: Object) -> Object:
    """The object without the values of a Secret, for showing; changed in place."""
    if resource == "secrets":
        for key in ("data", "stringData"):
            for name in at(body, key):
                body[key][name] = HIDDEN
        at(body, "metadata", "annotations").pop(LAST_APPLIED, None)
    return body


def _is_secret(path: str) -> bool:
    return path.startswith(("data", "stringData")) or LAST_APPLIED in path or path == "metadata.annotations"


def _hide(change: FieldChange) -> FieldChange:
    return FieldChange(
        change.path,
        None if change.before is None else HIDDEN,
        None if change.after is None else HIDDEN,
    )


def _changes(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before is _MISSING or after is _MISSING:
        yield FieldChange(path, None if before is _MISSING else before, None if after is _MISSING else after)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _changes(_below(path, str(key)), before.get(key, _MISSING), after.get(key, _MISSING))
    elif isinstance(before, list) and isinstance(after, list) and before != after:
        yield from _list_changes(path, before, after)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield FieldChange(path, before, after)


def _list_changes(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    key = _key_of(before, after)
    if key is None:
        if len(before) == len(after) and all(isinstance(one, dict) for one in (*before, *after)):
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _changes(f"{path}[{number}]", one, other)
        else:
            yield FieldChange(path, before, after)
        return
    old, new = ({str(one[key]): one for one in values} for values in (before, after))
    shared_before, shared_after = ([name for name in side if name in old and name in new] for side in (old, new))
    if shared_before != shared_after:
        yield FieldChange(f"{path} (order)", list(old), list(new))
    for name in {**old, **new}:
        yield from _changes(f"{path}[{name}]", old.get(name, _MISSING), new.get(name, _MISSING))


def _key_of(before: list[Any], after: list[Any]) -> str | None:
    """The key by which the maps of both lists are told apart."""
    both = (*before, *after)
    if not all(isinstance(one, dict) for one in both):
        return None
    for key in _KEYS:
        if all(key in one for one in both) and all(_distinct([one[key] for one in side]) for side in (before, after)):
            return key
    return None


def _distinct(values: list[Any]) -> bool:
    return len({str(value) for value in values}) == len(values)


def _below(path: str, key: str) -> str:
    if not path:
        return key
    return f"{path}[{key}]" if "." in key or "/" in key else f"{path}.{key}"
