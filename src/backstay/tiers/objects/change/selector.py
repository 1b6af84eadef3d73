"""Label selectors: kubectl's text, and the ``matchLabels``/``matchExpressions`` of objects.

Source: kubernetes.io/docs/concepts/overview/working-with-objects/labels, "Label selectors".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import UsageError
from backstay.tiers.objects.labels import velero_selector

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}


@dataclass(frozen=True)
class Requirement:
    """One condition: ``operator`` is in, notin, exists or absent. ``notin`` holds for a label that is not there."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet it."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case _:
                return value is None


@dataclass(frozen=True)
class Selector:
    """All requirements together; none of them selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.holds(labels or {}) for requirement in self.requirements)


def parse_selector(text: str) -> Selector:
    """``app=web,tier in (a, b),!canary`` as kubectl takes it. Raises ``UsageError``."""
    return selector_of(velero_selector(text))


def selector_of(given: Mapping[str, Any]) -> Selector:
    """From ``{matchLabels: {...}, matchExpressions: [{key, operator, values}]}``. Raises ``UsageError``."""
    found = [Requirement(key, "in", frozenset({str(value)})) for key, value in (given.get("matchLabels") or {}).items()]
    for expression in given.get("matchExpressions") or ():
        operator = _OPERATORS.get(str(expression.get("operator")))
        if operator is None or "key" not in expression:
            raise UsageError(f"{expression!r} is not an expression of a label selector")
        values = frozenset(map(str, expression.get("values") or ()))
        found.append(Requirement(str(expression["key"]), operator, values))
    return Selector(tuple(found))
