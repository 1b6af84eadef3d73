"""Definitions of custom resources: made, and then served."""

from collections.abc import Iterable

from backstay.cluster.base import Cluster, Object, Resource
from backstay.cluster.parts import items
from backstay.core.errors import ObjectNotFound
from backstay.core.units import format_duration
from backstay.tiers.objects.restore.patience import Patience


def wait_established(
    cluster: Cluster, resource: Resource, names: Iterable[str], patience: Patience
) -> list[tuple[str, str]]:
    """Until the API server serves what these define; the names of those it does not, each with what it says."""
    missing = dict.fromkeys(names, "it is not there")
    for _ in patience.rounds(patience.established):
        for name in list(missing):
            try:
                missing[name] = _lacks(cluster.get(resource, name))
            except ObjectNotFound:
                missing[name] = "it is not there"
            if not missing[name]:
                del missing[name]
        if not missing:
            break
    took = format_duration(patience.established)
    return [(name, f"the API server does not serve it after {took}: {reason}") for name, reason in missing.items()]


def _lacks(definition: Object) -> str:
    conditions = {str(one.get("type")): one for one in items(definition, "status", "conditions")}
    if conditions.get("Established", {}).get("status") == "True":
        return ""
    refused = conditions.get("NamesAccepted", {})
    if refused.get("status") == "False" and refused.get("message"):
        return str(refused["message"])
    return "not established"
