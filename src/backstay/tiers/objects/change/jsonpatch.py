"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386) over plain JSON values."""

from copy import deepcopy
from typing import Any


class PatchError(ValueError):
    """A patch cannot be applied to this object; the text says which operation and why."""


class TestFailed(PatchError):
    """A ``test`` operation did not find the value it expects."""

    __test__ = False  # not a test of pytest's


def apply_patch(document: Any, operations: list[dict[str, Any]]) -> Any:
    """The document after all operations ({op, path, from, value}); the one given is left as it was.

    Raises ``TestFailed`` and ``PatchError``; nothing is applied then.
    """
    result = deepcopy(document)
    for operation in operations:
        try:
            result = _apply(result, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, PatchError):
                raise
            raise PatchError(f"{operation.get('op')} {operation.get('path')}: no such place in the object") from error
    return result


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: maps are merged, null removes a key, everything else replaces. The one given is left as it was."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def tokens(pointer: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901), ``/metadata/labels/a~1b``. Raises ``PatchError``."""
    if pointer and not pointer.startswith("/"):
        raise PatchError(f"{pointer!r} is not a path: it begins with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def lookup(document: Any, pointer: str) -> Any:
    """The value there. Raises ``KeyError``, ``IndexError`` or ``TypeError`` where there is none."""
    for token in tokens(pointer):
        document = document[_index(token, len(document)) if isinstance(document, list) else token]
    return document


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    path = str(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, deepcopy(operation["value"]))
        case "remove":
            _remove(document, path)
        case "replace":
            lookup(document, path)
            return _put(document, path, deepcopy(operation["value"]))
        case "move":
            value = lookup(document, str(operation["from"]))
            _remove(document, str(operation["from"]))
            return _add(document, path, value)
        case "copy":
            return _add(document, path, deepcopy(lookup(document, str(operation["from"]))))
        case "test":
            _test(document, path, operation["value"])
        case other:
            raise PatchError(f"{other!r} is not an operation: add, remove, replace, move, copy, test")
    return document


def _test(document: Any, path: str, expected: Any) -> None:
    try:
        found = lookup(document, path)
    except (KeyError, IndexError, TypeError):
        raise TestFailed(f"test {path}: there is nothing") from None
    if not _same(found, expected):
        raise TestFailed(f"test {path}: another value is there")


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _add(document: Any, path: str, value: Any) -> Any:
    parts = tokens(path)
    if not parts:
        return value
    parent = lookup(document, path.rpartition("/")[0])
    if isinstance(parent, list):
        at = len(parent) if parts[-1] == "-" else _index(parts[-1], len(parent) + 1)
        parent.insert(at, value)
    else:
        parent[parts[-1]] = value
    return document


def _put(document: Any, path: str, value: Any) -> Any:
    parts = tokens(path)
    if not parts:
        return value
    parent = lookup(document, path.rpartition("/")[0])
    parent[_index(parts[-1], len(parent)) if isinstance(parent, list) else parts[-1]] = value
    return document


def _remove(document: Any, path: str) -> None:
    parent, last = lookup(document, path.rpartition("/")[0]), tokens(path)[-1]
    del parent[_index(last, len(parent)) if isinstance(parent, list) else last]


def _index(token: str, length: int) -> int:
    if not token.isdecimal() or int(token) >= length:
        raise IndexError(token)
    return int(token)
