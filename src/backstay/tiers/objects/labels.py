"""Label selectors: kubectl's text, and what Velero's own objects have in its place.

Source: Kubernetes, "Labels and Selectors"; apimachinery, pkg/labels/selector.go.
"""

import hashlib
import re
from typing import Any

from backstay.core.errors import UsageError

_SET = re.compile(r"(?P<key>[^\s,!=()]+)\s+(?P<how>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^\s,!=()]+)\s*(?P<how>==|=|!=)\s*(?P<value>[^\s,!=()]*)")
_THERE = re.compile(r"(?P<not>!?)\s*(?P<key>[^\s,!=()]+)")
_PARTS = re.compile(r"(?:[^,()]|\([^()]*\))+")
MOST_LABEL = 63


def velero_selector(text: str) -> dict[str, Any]:
    """``app=shop,tier in (a,b)`` as the ``labelSelector`` of an object; empty for no text. Raises ``UsageError``."""
    equal: dict[str, str] = {}
    expressions: list[dict[str, Any]] = []
    for part in (found.strip() for found in _PARTS.findall(text)):
        if match := _SET.fullmatch(part):
            values = [value.strip() for value in match["values"].split(",")]
            how = "In" if match["how"] == "in" else "NotIn"
            expressions.append({"key": match["key"], "operator": how, "values": values})
        elif match := _EQUAL.fullmatch(part):
            if match["how"] == "!=":
                expressions.append({"key": match["key"], "operator": "NotIn", "values": [match["value"]]})
            elif equal.setdefault(match["key"], match["value"]) != match["value"]:
                expressions.append({"key": match["key"], "operator": "In", "values": [match["value"]]})
        elif match := _THERE.fullmatch(part):
            expressions.append({"key": match["key"], "operator": "DoesNotExist" if match["not"] else "Exists"})
        else:
            raise UsageError(f"{part!r} is not a label selector", hint="Write it as for `kubectl -l`: app=shop,!beta.")
    found = {"matchLabels": equal, "matchExpressions": expressions}
    return {key: value for key, value in found.items() if value}


def label_value(text: str) -> str:
    """A text as the value of a label, shortened as Velero does: the first 57 characters and six of its sha256
    (Velero, pkg/label/label.go)."""
    if len(text) <= MOST_LABEL:
        return text
    return text[: MOST_LABEL - 6] + hashlib.sha256(text.encode()).hexdigest()[:6]
