"""Owner references given back: by the uid that the owner has now.

They were taken out of every object before it was made: with an old uid the garbage collector deletes the object. Once
the owners are there too, each object that this restore has made gets those back whose owner exists.
"""

from collections.abc import Iterable, Iterator, Mapping
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
from backstay.tiers.objects.restore.versions import version_in

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
                each(self._missing(resource), self._give(resource))

    def _missing(self, resource: Resource) -> Iterator[tuple[Item, list[Mapping[str, Any]]]]:
        """Objects without owners, and the references that the backup has of them."""
        for item in self.cluster.list(resource, labels=f"{MARK}={self.stamp}"):
            live: Object = msgspec.json.decode(item.json, type=dict)
            stored = None if items(live, "metadata", "ownerReferences") else self._stored(resource.name, item)
            if stored:
                yield item, [dict(owner) for owner in items(stored, "metadata", "ownerReferences")]

    def _stored(self, resource: str, item: Item) -> Object | None:
        origins = [old for old, new in self.namespaces.items() if new == item.namespace]
        for namespace in (*origins, item.namespace):
            if stored := self.chosen.read(resource, namespace, item.name):
                return stored
        return None

    def _give(self, resource: Resource) -> Any:
        def give(found: tuple[Item, list[Mapping[str, Any]]]) -> None:
            item, owners = found
            try:
                references = self.known.references(owners, item.namespace)
                if references:
                    self.cluster.apply(resource, _patch(resource, item, references), force=True)
                    self.given += 1
            except ClusterUnreachable:
                raise
            except ClusterError as error:
                self._tell(called(resource.name, item.namespace, item.name), error)

        return give

    def _tell(self, what: str, error: ClusterError) -> None:
        if len(self.findings) < TOLD:
            words = f"{what} did not get its owner back: {error.message}"
            self.findings.append(Finding(Severity.WARNING, words, "restore.owner"))


def _patch(resource: Resource, item: Item, owners: list[dict[str, Any]]) -> Object:
    metadata: dict[str, Any] = {"name": item.name, "ownerReferences": owners}
    if item.namespace:
        metadata["namespace"] = item.namespace
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
