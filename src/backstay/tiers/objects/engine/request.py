"""What Velero is asked for: a selection as the spec of a Backup.

Patterns go as the names they stand for now: Velero knows none for kinds, and for namespaces only since 1.18. Events
are left out as Backstay does, unless they are asked for.
"""

from collections.abc import Iterable
from typing import Any

from backstay.tiers.objects import velerofiles
from backstay.tiers.objects.selection import EVENTS, Chosen, matches
from backstay.tiers.objects.settings import Schedule

# Ten years. Velero deletes what has expired whatever else there is, also the last good one and what other rules of
# `keep` are to keep; without a ttl it takes 720 hours.
NEVER = "87600h0m0s"


def spec_of(schedule: Schedule, chosen: Chosen, location: str) -> dict[str, Any]:
    """The spec. Volumes are not in it: their snapshots would outlive a backup whose files are removed. It does not
    expire: prune removes it, which looks at what else there is."""
    selection = schedule.selection
    spec = velerofiles.spec(schedule) | {"storageLocation": location, "ttl": NEVER}
    if _patterned((*selection.namespaces, *selection.exclude_namespaces)):
        spec["includedNamespaces"] = sorted(chosen.namespaces)
        spec.pop("excludedNamespaces", None)
    known = {*(one.name for one in (*chosen.kinds, *chosen.related)), *chosen.left_out, "namespaces"}
    if selection.resources:
        spec["includedResources"] = _plain(selection.resources, known)
    left = _plain(selection.exclude_resources, known)
    spec["excludedResources"] = sorted({*left, *(EVENTS & set(chosen.left_out))})
    return spec


def _patterned(texts: Iterable[str]) -> bool:
    return any("*" in one or "?" in one for one in texts)


def _plain(patterns: Iterable[str], known: Iterable[str]) -> list[str]:
    """The kinds that are meant, by name; what stands for none is given as it is."""
    found: set[str] = set()
    for one in patterns:
        fitting = {name for name in known if matches(name, one)}
        found |= fitting or (set() if _patterned([one]) else {one})
    return sorted(found)
