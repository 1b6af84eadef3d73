"""Owner references given back: by the uid that the owner has now.

They were taken out of every object before it was made: with an old uid the garbage collector deletes the object. Once
the owners are there too, each object that this restore has made gets those back whose owner exists. What was there and
lost its owner, because this restore has deleted that to make it again, is given to the new one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from backstay.cluster.base import Cluster, Item, Object, Resource
from backstay.cluster.parts import items
from backstay.core.errors import ClusterError, ClusterUnreachable, ObjectNotFound
from backstay.core.model import Finding, Severity
from backstay.tiers.objects.change.clean import MARK, labels_of
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.parallel import each
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.tally import TOLD, called
from backstay.tiers.objects.restore.versions import version_in, version_of

REMEMBERED = 10_000  # owners kept in memory


@dataclass(frozen=True)
class Owner:
    """One as it is now; without a uid it is not there. ``ours``: made by this restore."""

    uid: str = ""
    ours: bool = False


NOBODY = Owner()


@dataclass
class Known:
    """Looks owners up, each once. Safe from several threads."""

    cluster: Cluster
    served: Served
    stamp: str
    _owners: dict[tuple[str, str, str], Owner] = field(default_factory=dict)

    def find(self, reference: Mapping[str, Any], namespace: str) -> Owner:
        """The owner that a reference means, for an object of this namespace. Raises what a get raises."""
        resource = self.served.of_kind(str(reference.get("apiVersion")), str(reference.get("kind")))
        if resource is None:
            return NOBODY
        key = (resource.name, namespace if resource.namespaced else "", str(reference.get("name")))
        owner = self._owners.get(key)
        if owner is None:
            if len(self._owners) >= REMEMBERED:
                self._owners.clear()
            owner = self._owners[key] = self._look(resource, key[2], key[1])
        return owner

    def references(self, owners: Iterable[Mapping[str, Any]], namespace: str) -> list[dict[str, Any]]:
        """Those references whose owner is there, with its uid of now."""
        found = [(reference, self.find(reference, namespace)) for reference in owners]
        return [{**reference, "uid": owner.uid} for reference, owner in found if owner.uid]

    def _look(self, resource: Resource, name: str, namespace: str) -> Owner:
        try:
            live = self.cluster.get(resource, name, namespace)
        except ObjectNotFound:
            return NOBODY
        return Owner(str(live["metadata"]["uid"]), labels_of(live).get(MARK) == self.stamp)


@dataclass(frozen=True)
class _Child:
    """An object, and ``owners`` that it had in the backup. ``live``: as it is there; None: not looked at yet."""

    resource: Resource
    namespace: str
    name: str
    owners: Sequence[Mapping[str, Any]]
    live: Object | None = None


@dataclass
class Owners:
    """Gives them back. ``namespaces`` maps the backup's to the cluster's."""

    cluster: Cluster
    chosen: Chosen
    served: Served
    known: Known
    stamp: str
    namespaces: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)
    given: int = 0

    def give_back(self, resources: Iterable[str]) -> None:
        """For all objects of these kinds that this restore has made. What cannot be done is a finding."""
        for name in resources:
            resource = self.served.find(name, version_in(self.chosen, name))
            if resource is not None:
                each(self._made(resource), self._give)

    def give_to_new(self, kinds: Collection[str]) -> None:
        """For all objects of the backup that were there, also those that are not part of the restore: the owners of
        these kinds that this restore has made."""
        each(self._owned_by(kinds), self._give)

    def _made(self, resource: Resource) -> Iterator[_Child]:
        for item in self.cluster.list(resource, labels=f"{MARK}={self.stamp}"):
            live: Object = msgspec.json.decode(item.json, type=dict)
            stored = None if items(live, "metadata", "ownerReferences") else self._stored(resource.name, item)
            if stored:
                owners = items(stored, "metadata", "ownerReferences")
                yield _Child(resource, item.namespace, item.name, owners, live)

    def _stored(self, resource: str, item: Item) -> Object | None:
        origins = [old for old, new in self.namespaces.items() if new == item.namespace]
        for namespace in (*origins, item.namespace):
            if stored := self.chosen.read(resource, namespace, item.name):
                return stored
        return None

    def _owned_by(self, kinds: Collection[str]) -> Iterator[_Child]:
        for entry, body in self.chosen.stored():
            owners = [owner for owner in items(body, "metadata", "ownerReferences") if self._kind(owner) in kinds]
            resource = self.served.find(entry.resource, version_of(body)) if owners else None
            if resource is not None:
                namespace = self.namespaces.get(entry.namespace, entry.namespace)
                yield _Child(resource, namespace, entry.name, owners)

    def _kind(self, owner: Mapping[str, Any]) -> str:
        resource = self.served.of_kind(str(owner.get("apiVersion")), str(owner.get("kind")))
        return resource.name if resource else ""

    def _give(self, child: _Child) -> None:
        try:
            self._give_missing(child)
        except ClusterUnreachable:
            raise
        except ObjectNotFound:
            return  # it is not there any more
        except ClusterError as error:
            self._tell(called(child.resource.name, child.namespace, child.name), error)

    def _give_missing(self, child: _Child) -> None:
        owners, live = child.owners, child.live
        if live is None:
            owners = [owner for owner in owners if self.known.find(owner, child.namespace).ours]
            live = self.cluster.get(child.resource, child.name, child.namespace) if owners else {}
        has = items(live, "metadata", "ownerReferences")
        known = {(owner.get("kind"), owner.get("name")) for owner in has}  # one by its old uid: it goes with that owner
        owners = [owner for owner in owners if (owner.get("kind"), owner.get("name")) not in known]
        if missing := self.known.references(owners, child.namespace):
            uid = str(live["metadata"]["uid"])
            self.cluster.apply(child.resource, _patch(child, uid, [*has, *missing]), force=True)
            self.given += 1

    def _tell(self, what: str, error: ClusterError) -> None:
        if len(self.findings) < TOLD:
            words = f"{what} did not get its owner back: {error.message}"
            self.findings.append(Finding(Severity.WARNING, words, "restore.owner"))


def _patch(child: _Child, uid: str, owners: list[dict[str, Any]]) -> Object:
    metadata: dict[str, Any] = {"name": child.name, "uid": uid, "ownerReferences": owners}  # by uid: never a new object
    if child.namespace:
        metadata["namespace"] = child.namespace
    return {"apiVersion": child.resource.api_version, "kind": child.resource.kind, "metadata": metadata}
