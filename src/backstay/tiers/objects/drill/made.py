"""What a drill has made in the live cluster, held against the backup: both sides normalised, and both made harmless."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from backstay.cluster.base import Object
from backstay.tiers.objects.archive.spooled import Entry
from backstay.tiers.objects.change.leave import reason_to_leave
from backstay.tiers.objects.change.maps import map_namespaces
from backstay.tiers.objects.difference import Change, Difference
from backstay.tiers.objects.drill.fence import Fenced
from backstay.tiers.objects.drill.harmless import harmless
from backstay.tiers.objects.fields import field_changes
from backstay.tiers.objects.live import LiveObjects
from backstay.tiers.objects.normalise import normalise
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.versions import version_in


@dataclass
class Made:
    """Reads back. ``spaces`` maps the backup's namespaces to the drill's; ``equal`` counts by kind what is the same."""

    fence: Fenced
    chosen: Chosen
    served: Served
    spaces: Mapping[str, str]
    live: LiveObjects
    equal: Counter[str] = field(default_factory=Counter)

    def differences(self) -> Iterator[Difference]:
        """Objects that were to be made and are not there, or not as they were. Raises what the cluster raises."""
        own = frozenset(self.spaces.values())
        for name in self.chosen.resources():
            resource = self.served.find(name, version_in(self.chosen, name))
            if resource is None:
                continue
            self.live.load(item for item in self.fence.list(resource) if item.namespace in own)
            for entry, body in self.chosen.entries(name):
                space = self.spaces[entry.namespace]
                if self.fence.makes(name, space, body) and not reason_to_leave(name, body, self.chosen):
                    yield from self._difference(entry, body, self.live.take(space, entry.name))

    def _difference(self, entry: Entry, body: Object, text: bytes | None) -> Iterator[Difference]:
        place = entry.resource, entry.namespace, entry.name
        if text is None:
            yield Difference(Change.REMOVED, *place)
            return
        before, after = self._form(entry.resource, body), self._form(entry.resource, msgspec.json.decode(text))
        if before == after:
            self.equal[entry.resource] += 1
        else:
            yield Difference(Change.CHANGED, *place, field_changes(entry.resource, before, after))

    def _form(self, resource: str, stored: Object) -> Object:
        """As it is compared: in no namespace, and in the form in which it was made."""
        body = normalise(resource, stored, owners=False)
        map_namespaces(resource, body, self.spaces)
        del body["metadata"]["namespace"]
        return harmless(resource, body, self.spaces.values())
