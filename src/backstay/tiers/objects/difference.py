"""What changed between two backups, or since a backup in the cluster: object by object, field by field."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.core.errors import ClusterDenied
from backstay.tiers.objects.archive.spooled import Spooled
from backstay.tiers.objects.change.clean import labels_of
from backstay.tiers.objects.change.leave import NEVER, reason_to_leave
from backstay.tiers.objects.fields import FieldChange, field_changes
from backstay.tiers.objects.live import LiveObjects, live_objects
from backstay.tiers.objects.names import NAMESPACES
from backstay.tiers.objects.normalise import normalise
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.request import Options
from backstay.tiers.objects.restore.versions import at_version, version_in
from backstay.tiers.objects.selection import EXCLUDE_LABEL, choose_kinds
from backstay.tiers.objects.settings import Schedule, World


class Change(StrEnum):
    """What happened to an object since."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Difference:
    """One object that is not the same. ``fields`` only where it was changed; what a Secret holds is never in them."""

    change: Change
    resource: str
    namespace: str
    name: str
    fields: tuple[FieldChange, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "change": self.change.value,
            "resource": self.resource,
            "namespace": self.namespace,
            "name": self.name,
            "fields": [change.as_data() for change in self.fields],
        }


def between(before: Spooled, after: Spooled, options: Options | None = None) -> Iterator[Difference]:
    """What changed from one backup to another, by kind, namespace and name. Objects that a restore leaves out (events,
    pods of a Deployment) are left out here too."""
    older, newer = Chosen(options or Options(), before), Chosen(options or Options(), after)
    for resource in _kinds(older, newer):
        for entry, body in older.entries(resource):
            if reason_to_leave(resource, body, older):
                continue
            other = newer.read(resource, entry.namespace, entry.name)
            if other is None:
                yield Difference(Change.REMOVED, resource, entry.namespace, entry.name)
            elif fields := _fields(resource, body, other):
                yield Difference(Change.CHANGED, resource, entry.namespace, entry.name, fields)
        for entry, body in newer.entries(resource):
            if before.find(resource, entry.namespace, entry.name) is None and not reason_to_leave(
                resource, body, newer
            ):
                yield Difference(Change.ADDED, resource, entry.namespace, entry.name)


def against_cluster(
    schedule: Schedule, world: World, before: Spooled, options: Options | None = None
) -> Iterator[Difference]:
    """What changed in the cluster since a backup: of what the schedule takes, or, with ``options``, of that part of the
    kinds in the backup.

    Each kind is listed once and kept on disk meanwhile. Raises what the cluster raises.
    """
    cluster = world.cluster()
    served = {resource.name: resource for resource in cluster.discover().resources}
    more, left_out = set[str](), set[str]()
    if options is None:
        options = _as_scheduled(schedule)
        more = {kind.name for kind in choose_kinds(tuple(served.values()), schedule.selection)[0]} - set(NEVER)
        left_out = _namespaces_left_out(cluster, served[NAMESPACES]) if NAMESPACES in served else left_out
    chosen = Chosen(options, before, served)
    of_backup = _kinds(chosen)
    with live_objects(world.spool) as live:
        for name in sorted({*of_backup, *more}):
            resource = served.get(name)
            if resource is None:
                yield from _gone(chosen, name)
                continue
            try:
                yield from _since(cluster, chosen, resource, live, options, left_out)
            except ClusterDenied:
                if name in of_backup:
                    raise  # else no backup by this account has any of them, and each says so


def _as_scheduled(schedule: Schedule) -> Options:
    selection = schedule.selection
    return Options(
        include_namespaces=selection.namespaces,
        exclude_namespaces=selection.exclude_namespaces,
        resources=selection.resources,
        exclude_resources=selection.exclude_resources,
        selector=selection.labels,
        cluster_scoped=selection.cluster_scoped,
    )


def _namespaces_left_out(cluster: Cluster, kind: Resource) -> set[str]:
    """The namespaces of which no backup takes anything."""
    return {item.name for item in cluster.list(kind) if _stays_out(msgspec.json.decode(item.json, type=dict))}


def _stays_out(body: Object) -> bool:
    """Whether no backup takes the object: it is just being deleted, or labelled for that."""
    return bool(body["metadata"].get("deletionTimestamp")) or labels_of(body).get(EXCLUDE_LABEL) == "true"


def _kinds(*sides: Chosen) -> list[str]:
    return sorted({name for side in sides for name in side.resources()} - set(NEVER))


def _gone(chosen: Chosen, resource: str) -> Iterator[Difference]:
    for entry, body in chosen.entries(resource):
        if not reason_to_leave(resource, body, chosen):
            yield Difference(Change.REMOVED, resource, entry.namespace, entry.name)


def _since(
    cluster: Cluster,
    chosen: Chosen,
    resource: Resource,
    live: LiveObjects,
    options: Options,
    left_out: Collection[str],
) -> Iterator[Difference]:
    name = resource.name
    labels = options.selector if resource.namespaced else ""  # what objects need outside has labels of its own
    live.load(cluster.list(at_version(resource, version_in(chosen, name)), labels=labels))
    for entry, body in chosen.entries(name):
        text = live.take(entry.namespace, entry.name)
        if reason_to_leave(name, body, chosen):
            continue
        if text is None:
            yield Difference(Change.REMOVED, name, entry.namespace, entry.name)
        elif fields := _fields(name, body, msgspec.json.decode(text, type=dict)):
            yield Difference(Change.CHANGED, name, entry.namespace, entry.name, fields)
    for namespace, found, text in live.unseen():
        new: Object = msgspec.json.decode(text, type=dict)
        if namespace in left_out or _stays_out(new):
            continue
        if chosen.would_take(name, namespace, found, new) and not reason_to_leave(name, new, chosen):
            yield Difference(Change.ADDED, name, namespace, found)


def _fields(resource: str, before: Object, after: Object) -> tuple[FieldChange, ...]:
    one, other = normalise(resource, before), normalise(resource, after)
    return field_changes(resource, one, other) if one != other else ()
