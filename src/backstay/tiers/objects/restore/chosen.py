"""Which objects of a backup are part of a restore, and what else is known of the backup meanwhile."""

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from functools import cache

import msgspec

from backstay.cluster.base import Object
from backstay.tiers.objects.archive.spooled import Entry, Spooled
from backstay.tiers.objects.change.clean import labels_of
from backstay.tiers.objects.names import CRDS, NAMESPACES
from backstay.tiers.objects.related import RELATED, Needs, names_others
from backstay.tiers.objects.restore.request import Options


def matches_kind(resource: str, patterns: Collection[str]) -> bool:
    """Whether one of the patterns means this kind: ``deployments.apps``, ``*.longhorn.io``, or just ``deployments``."""
    plural = resource.partition(".")[0]
    return any(fnmatchcase(resource, pattern) or ("." not in pattern and pattern == plural) for pattern in patterns)


class Chosen:
    """The part of a backup that is restored; ``leave.Around`` too. For one thread.

    ``served`` are the kinds that the cluster has: definitions of others are needed.
    """

    def __init__(self, options: Options, archive: Spooled, served: Collection[str] = ()) -> None:
        self._options = options
        self._archive = archive
        self._served = frozenset(served)
        self._labels = options.labels()
        self._names = frozenset(options.names)
        self._kinds: dict[tuple[str, str], str] | None = None
        self._needs: Needs | None = None
        self._takes_namespace = cache(self._matches_namespace)  # asked for every object of the backup

    def resources(self) -> list[str]:
        """The kinds that may have objects in it."""
        return [name for name in self._archive.resources() if self._takes_kind(name)]

    def entries(self, resource: str) -> Iterator[tuple[Entry, Object]]:
        """The objects of one kind that are part of it, each decoded anew."""
        for entry in self._archive.entries(resource):
            if self._may_take(entry):
                body = self.decoded(entry)
                if self._takes(entry, body):
                    yield entry, body

    def namespaces(self) -> set[str]:
        """Those of the backup that may have objects in it, or may be part of it themselves."""
        entries = (entry for name in self.resources() for entry in self._archive.entries(name) if self._may_take(entry))
        return {entry.namespace or entry.name for entry in entries if entry.namespace or entry.resource == NAMESPACES}

    def stored(self) -> Iterator[tuple[Entry, Object]]:
        """All objects of the backup, also those that are not part of the restore, each decoded anew."""
        for name in self._archive.resources():
            for entry in self._archive.entries(name):
                yield entry, self.decoded(entry)

    def may_have(self, resource: str) -> bool:
        """Whether the kind has any object that is not left out by kind, namespace or name."""
        return any(self._may_take(entry) for entry in self._archive.entries(resource))

    def would_take(self, resource: str, namespace: str, name: str, body: Object) -> bool:
        """Whether an object that the backup may not have would be part of it by what was asked."""
        entry = Entry(resource, namespace, name, 0, 0)
        return self._takes_kind(resource) and self._may_take(entry) and self._takes(entry, body)

    def decoded(self, entry: Entry) -> Object:
        """The object as it was stored."""
        body: Object = msgspec.json.decode(self._archive.read(entry), type=dict)
        return body

    def has(self, resource: str, namespace: str, name: str) -> bool:
        """See ``Around.has``."""
        if not resource or not self._takes_kind(resource):
            return False
        entry = self._archive.find(resource, namespace, name)
        if entry is None or not self._may_take(entry):
            return False
        return not self._labels.requirements or self._takes(entry, self.decoded(entry))

    def read(self, resource: str, namespace: str, name: str) -> Object | None:
        """See ``Around.read``."""
        entry = self._archive.find(resource, namespace, name)
        return self.decoded(entry) if entry else None

    def resource_of(self, api_version: str, kind: str) -> str:
        """See ``Around.resource_of``; the version does not matter, the group does."""
        if self._kinds is None:
            self._kinds = {}
            for resource in self._archive.resources():
                if first := next(iter(self._archive.entries(resource)), None):
                    self._kinds[resource.partition(".")[2], str(self.decoded(first).get("kind"))] = resource
        group = api_version.rpartition("/")[0]
        return self._kinds.get((group, kind), "")

    def _takes_kind(self, resource: str) -> bool:
        if matches_kind(resource, self._options.exclude_resources):
            return False
        wanted = not self._options.resources or matches_kind(resource, self._options.resources)
        return wanted or (resource == CRDS and self._options.cluster_scoped is not False)

    def _may_take(self, entry: Entry) -> bool:
        if self._names and f"{entry.resource}/{entry.name}" not in self._names:
            return not entry.namespace and self._is_needed_kind(entry)
        if not entry.namespace:
            return self._may_take_unscoped(entry)
        return self._takes_namespace(entry.namespace)

    def _matches_namespace(self, namespace: str) -> bool:
        included, excluded = self._options.include_namespaces, self._options.exclude_namespaces
        inside = not included or any(fnmatchcase(namespace, pattern) for pattern in included)
        return inside and not any(fnmatchcase(namespace, pattern) for pattern in excluded)

    def _may_take_unscoped(self, entry: Entry) -> bool:
        options = self._options
        if entry.resource == NAMESPACES:
            return self._takes_namespace(entry.name) and not (options.selector or self._names)
        if options.cluster_scoped is not None:
            return options.cluster_scoped and self._is_asked_definition(entry)
        if not self._is_asked_definition(entry):
            return False
        return not options.narrowed or f"{entry.resource}/{entry.name}" in self._names or self._is_needed_kind(entry)

    def _is_asked_definition(self, entry: Entry) -> bool:
        """Of definitions, where kinds are named and theirs is not, only the ones that are missing."""
        named = not self._options.resources or matches_kind(CRDS, self._options.resources)
        return entry.resource != CRDS or named or self._is_needed_kind(entry)

    def _is_needed_kind(self, entry: Entry) -> bool:
        if self._options.cluster_scoped is False:
            return False
        if entry.resource == CRDS:
            return entry.name not in self._served and self._wants_kind(entry.name)
        return entry.resource in RELATED

    def _wants_kind(self, resource: str) -> bool:
        return resource != CRDS and self._takes_kind(resource) and self.may_have(resource)

    def _takes(self, entry: Entry, body: Object) -> bool:
        options = self._options
        if not (options.narrowed and not entry.namespace):
            return self._labels.matches(labels_of(body))
        if entry.resource in {NAMESPACES, CRDS} or f"{entry.resource}/{entry.name}" in self._names:
            return True
        if options.cluster_scoped and self._labels.matches(labels_of(body)):
            return not self._names
        return self._is_needed_kind(entry) and self._needed().wants(entry.resource, entry.name, lambda: body)

    def _needed(self) -> Needs:
        """What all that is restored needs; it is gone through once for that."""
        if self._needs is None:
            self._needs = Needs(self.has)
            for resource in filter(names_others, self.resources()):
                for entry, _ in self.entries(resource):
                    self._needs.see(resource, self._archive.read(entry))
        return self._needs
