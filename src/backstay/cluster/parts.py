"""Parts of an object as JSON, which may have any of them or none."""

from typing import Any

from backstay.cluster.base import Object

_TERMS = {"In": "{key} in ({values})", "NotIn": "{key} notin ({values})", "Exists": "{key}", "DoesNotExist": "!{key}"}


def at(body: Any, *path: str) -> dict[str, Any]:
    """The map at a path of keys; an empty one where there is none, which is not part of the object."""
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body if isinstance(body, dict) else {}


def items(body: Any, *path: str) -> list[dict[str, Any]]:
    """The maps of the list at a path of keys; none where there is no list."""
    found = at(body, *path[:-1]).get(path[-1])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def controller_of(body: Object) -> dict[str, Any] | None:
    """The owner that made it and keeps it as it should be, if it has one."""
    return next((owner for owner in items(body, "metadata", "ownerReferences") if owner.get("controller")), None)


def selector_of(body: Object) -> str:
    """The label selector of a workload's pods, as a list request takes it; empty where it has none.

    Source: kubernetes.io, "Labels and Selectors", section "API": ``matchLabels`` and ``matchExpressions``, all of which
    must hold.
    """
    terms = [f"{key}={value}" for key, value in at(body, "spec", "selector", "matchLabels").items()]
    for one in items(body, "spec", "selector", "matchExpressions"):
        values = ",".join(map(str, one.get("values") or ()))
        terms.append(_TERMS[str(one["operator"])].format(key=one["key"], values=values))
    return ",".join(terms)
