"""Velero's resource modifiers: rules that change objects on their way back.

The format is that of Velero's ConfigMap (velero.io/docs, "Restore Resource Modifiers"; ``version: v1``), read so that
the same rules do the same here. What is stricter: a rule that cannot be applied to an object it is for is an error of
that object, which is then not restored unchanged.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from backstay.cluster.base import Object
from backstay.core.errors import UsageError
from backstay.tiers.objects.change.jsonpatch import TestFailed, apply_patch, lookup, merge_patch
from backstay.tiers.objects.change.selector import Selector, selector_of

EVERYTHING = Selector()
OPERATIONS = frozenset({"add", "remove", "replace", "copy", "move", "test"})
_CONDITIONS = frozenset({"groupResource", "namespaces", "resourceNameRegex", "labelSelector", "matches"})
_RULE = frozenset({"conditions", "patches", "mergePatches", "strategicPatches"})


@dataclass(frozen=True)
class Rule:
    """One rule. ``namespaces`` are those in the backup; ``matches`` are (path, value) that all must hold; ``patches``
    are operations of RFC 6902, applied together or, where a ``test`` fails, not at all."""

    group_resource: str
    namespaces: tuple[str, ...] = ()
    name_regex: re.Pattern[str] | None = None
    selector: Selector = EVERYTHING
    matches: tuple[tuple[str, Any], ...] = ()
    patches: tuple[Mapping[str, Any], ...] = ()
    merge_patches: tuple[Any, ...] = ()

    def is_for(self, resource: str, namespace: str, body: Object) -> bool:
        """Whether it changes this object; ``namespace`` as in the backup."""
        metadata = body.get("metadata", {})
        return (
            fnmatchcase(resource, self.group_resource)
            and (not self.namespaces or any(fnmatchcase(namespace, pattern) for pattern in self.namespaces))
            and (self.name_regex is None or self.name_regex.search(metadata.get("name", "")) is not None)
            and self.selector.matches(metadata.get("labels"))
            and all(_found(body, path) == value for path, value in self.matches)
        )

    def apply(self, body: Object) -> Object:
        """The object changed. Raises ``PatchError``."""
        try:
            changed: Object = apply_patch(body, [dict(patch) for patch in self.patches])
        except TestFailed:
            return body
        for patch in self.merge_patches:
            changed = merge_patch(changed, patch)
        return changed


def modify(rules: Iterable[Rule], resource: str, namespace: str, body: Object) -> Object:
    """The object after all rules that are for it, in their order. Raises ``PatchError``."""
    for rule in rules:
        if rule.is_for(resource, namespace, body):
            body = rule.apply(body)
    return body


def parse_rules(given: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The ``resourceModifierRules``. Raises ``UsageError`` that names the rule, counted from one."""
    return tuple(_rule(number, rule) for number, rule in enumerate(given, 1))


def rules_in(text: str) -> list[dict[str, Any]]:
    """The rules in a file: ``version: v1`` with ``resourceModifierRules``, or a ConfigMap with one key that holds that.

    They are plain JSON, checked. Raises ``UsageError``.
    """
    document = _yaml(text)
    if isinstance(document, Mapping) and document.get("kind") == "ConfigMap":
        data = document.get("data") or {}
        if len(data) != 1:
            raise UsageError("a ConfigMap of resource modifiers has one key", hint="Velero takes it so, too.")
        document = _yaml(str(next(iter(data.values()))))
    if not isinstance(document, Mapping) or document.get("version") != "v1":
        raise UsageError("resource modifiers begin with `version: v1`")
    rules = document.get("resourceModifierRules")
    if not isinstance(rules, list):
        raise UsageError("resource modifiers have a list `resourceModifierRules`")
    parse_rules(rules)
    return [dict(rule) for rule in rules]


def _rule(number: int, given: Mapping[str, Any]) -> Rule:
    where = f"resource modifier {number}"
    if not isinstance(given, Mapping):
        raise UsageError(f"{where} is not a map")
    conditions = given.get("conditions") or {}
    for key in (*sorted(set(given) - _RULE), *sorted(set(conditions) - _CONDITIONS)):
        raise UsageError(f"{where}: unknown key `{key}`")
    if given.get("strategicPatches"):
        raise UsageError(
            f"{where} has strategicPatches, which Backstay does not apply",
            hint="Write it as `patches` (JSON patch) or `mergePatches`. Nothing was changed.",
        )
    if not conditions.get("groupResource"):
        raise UsageError(f"{where} does not say for which groupResource it is")
    return Rule(
        group_resource=str(conditions["groupResource"]),
        namespaces=tuple(map(str, conditions.get("namespaces") or ())),
        name_regex=_regex(where, conditions.get("resourceNameRegex")),
        selector=selector_of(conditions.get("labelSelector") or {}),
        matches=tuple((str(match["path"]), _value(match.get("value"))) for match in conditions.get("matches") or ()),
        patches=tuple(_operation(where, patch) for patch in given.get("patches") or ()),
        merge_patches=tuple(_merge(where, patch) for patch in given.get("mergePatches") or ()),
    )


def _regex(where: str, pattern: Any) -> re.Pattern[str] | None:
    try:
        return re.compile(str(pattern)) if pattern else None
    except re.error as error:
        raise UsageError(f"{where}: {pattern!r} is not a regular expression: {error}") from None


def _operation(where: str, patch: Mapping[str, Any]) -> dict[str, Any]:
    name = patch.get("operation", patch.get("op"))
    if name not in OPERATIONS or "path" not in patch:
        raise UsageError(f"{where}: {dict(patch)!r} is not a patch with an operation and a path")
    if name in {"move", "copy"} and not patch.get("from"):
        raise UsageError(f"{where}: {name} needs `from`")
    operation = {"op": name, "path": str(patch["path"])}
    if "from" in patch:
        operation["from"] = str(patch["from"])
    if name in {"add", "replace", "test"}:
        operation["value"] = _value(patch.get("value", ""))
    return operation


def _merge(where: str, patch: Mapping[str, Any]) -> Any:
    data = patch.get("patchData")
    found = _yaml(data) if isinstance(data, str) else data
    if not isinstance(found, Mapping):
        raise UsageError(f"{where}: a merge patch has `patchData` with a map in YAML or JSON")
    return found


def _value(given: Any) -> Any:
    """Velero's values are text: what is a number, true, false, null, a list or a map in it is meant so, and ``"1"``
    with quotes of its own is the text (json_patch.go, addQuotes)."""
    if not isinstance(given, str):
        return given
    if len(given) > 1 and given.startswith('"') and given.endswith('"'):
        return given[1:-1]
    if given.lower() in {"true", "false"}:
        return given.lower() == "true"
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError:
        return given


def _found(body: Object, path: str) -> Any:
    try:
        return lookup(body, path)
    except (KeyError, IndexError, TypeError):
        return None


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"resource modifiers cannot be read as YAML: {error}") from None
