"""What a restore would do with each object, found out by reading and by server-side dry runs only."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from backstay.cluster.base import Cluster, Item, Object, Resource
from backstay.cluster.parts import at
from backstay.core.errors import ClusterError, ClusterUnreachable, ObjectNotFound
from backstay.tiers.objects.archive.spooled import Entry
from backstay.tiers.objects.change.jsonpatch import PatchError
from backstay.tiers.objects.change.leave import NEVER
from backstay.tiers.objects.change.transform import Left, Ready, Transform
from backstay.tiers.objects.fields import field_changes
from backstay.tiers.objects.live import LiveObjects
from backstay.tiers.objects.names import CLAIMS, CRDS, VOLUMES
from backstay.tiers.objects.normalise import normalise
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.existing import (
    DIFFERS,
    HOLDS_OTHERS,
    KEPT_BY_OWNER,
    NAMESPACE,
    onto,
    why_not_onto,
)
from backstay.tiers.objects.restore.order import Wave, waves
from backstay.tiers.objects.restore.parallel import each
from backstay.tiers.objects.restore.request import Options, Policy
from backstay.tiers.objects.restore.served import Served, can_create
from backstay.tiers.objects.restore.versions import at_version, version_in, version_of
from backstay.tiers.objects.restore.volumes import Volumes
from backstay.tiers.objects.restore.wave import NO_CREATE

LISTED = 2_000  # objects that a plan tells of one by one
FIELDS = 10  # changed fields that it tells of for each
MOST_VALUE = 200  # characters of a value


class Action(StrEnum):
    """What would become of an object, the ones that need a look first."""

    CONFLICT = "conflict"  # the API server would refuse it
    RECREATE = "recreate"
    CHANGE = "change"
    SKIP = "skip"
    CREATE = "create"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Line:
    """One object of a plan."""

    action: Action
    resource: str
    namespace: str
    name: str
    reason: str = ""
    fields: tuple[dict[str, Any], ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As plain JSON, without what is empty."""
        data = {"action": self.action.value, "resource": self.resource, "namespace": self.namespace, "name": self.name}
        more = {"reason": self.reason, "fields": list(self.fields)}
        return {**data, **{key: value for key, value in more.items() if value}}


@dataclass
class Survey:
    """Asks of every object; ``look`` first, then the results are in the fields. Memory is bounded by ``LISTED``."""

    cluster: Cluster
    options: Options
    chosen: Chosen
    served: Served
    transform: Transform
    live: LiveObjects
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)  # of what would be left out
    undried: int = 0  # objects that could not be tried
    _namespaces: set[str] = field(default_factory=set)
    _defined: set[str] = field(default_factory=set)
    _volumes: Volumes = field(default_factory=Volumes)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> list[Wave]:
        """Go through all; the waves there would be. Raises ``ClusterUnreachable``, ``ClusterDenied`` (of a list)."""
        self._namespaces = {item.name for item in self.cluster.list(NAMESPACE) if not item.deleting}
        self._volumes = Volumes.of(self.cluster, self.served.find(VOLUMES))
        found = waves(self.chosen.resources())
        for wave in found:
            for name in wave.resources:
                self._look_at(name)
        return found

    @property
    def counts(self) -> Counter[str]:
        """Objects by action, over all kinds."""
        return sum(self.kinds.values(), Counter())

    def _look_at(self, name: str) -> None:
        resource = self.served.find(name)
        if resource is not None and name not in NEVER and can_create(resource):
            self.live.load(self._listed(at_version(resource, version_in(self.chosen, name))))
        each(self._questions(name, resource), self._ask)

    def _listed(self, resource: Resource) -> Iterator[Item]:
        """What is there of a kind; only of the namespaces restored into, where they are named."""
        named = self.options.include_namespaces
        if not resource.namespaced or not named or any(set(name) & set("*?[") for name in named):
            yield from self.cluster.list(resource)
            return
        mapping = self.options.namespace_map
        for namespace in sorted({mapping.get(name, name) for name in named} & self._namespaces):
            yield from self.cluster.list(resource, namespace=namespace)

    def _questions(self, name: str, resource: Resource | None) -> Iterator["_Question"]:
        """The objects whose answer needs the API server; all others are told of at once."""
        for entry, body in self.chosen.entries(name):
            try:
                made = self.transform(name, body)
            except PatchError as error:
                self._tell(entry, Action.CONFLICT, f"a resource modifier does not fit: {error}")
                continue
            found = self._question(entry, resource, made)
            if isinstance(found, _Question):
                yield found
                continue
            self.undried += not found.tried
            self._tell(entry, found.action, found.reason, found.fields)

    def _question(self, entry: Entry, resource: Resource | None, made: Ready | Left) -> "_Question | _Answer":
        if isinstance(made, Left):
            return _Answer(Action.SKIP, made.reason)
        if entry.resource == CRDS:
            self._defined.add(entry.name)
        if resource is None:
            if entry.resource in self._defined:
                return _Answer(Action.CREATE, tried=False)
            return _Answer(Action.CONFLICT, self.served.why_not(entry.resource))
        if not can_create(resource):
            return _Answer(Action.SKIP, NO_CREATE)
        resource = at_version(resource, version_of(made.body))
        made.body["apiVersion"] = resource.api_version
        if entry.resource == VOLUMES:
            self._plan_volume(made)
        if entry.resource == CLAIMS:
            self._volumes.release(made.body)
        text = self.live.take(made.namespace, made.name)
        if text is not None:
            return self._differing(entry, resource, made, msgspec.json.decode(text, type=dict))
        if made.namespace and made.namespace not in self._namespaces:
            return _Answer(Action.CREATE, tried=False)
        return _Question(entry, resource, made)

    def _plan_volume(self, made: Ready) -> None:
        """A volume that would be made is there for its claim; what is there already counts as it is."""
        if not self._volumes.has(made.name):
            self._volumes.add(made.body)

    def _differing(self, entry: Entry, resource: Resource, made: Ready, live: Object) -> "_Question | _Answer":
        """What becomes of one that is there."""
        if at(live, "metadata").get("deletionTimestamp"):
            return _Answer(Action.CREATE, tried=False)
        name = resource.name
        before, after = (normalise(name, body, owners=False) for body in (live, made.body))
        if before == after:
            return _Answer(Action.UNCHANGED)
        fields = tuple(_bounded(change.as_data()) for change in field_changes(name, before, after)[:FIELDS])
        if made.history or self.options.existing is Policy.SKIP:
            return _Answer(Action.SKIP, KEPT_BY_OWNER if made.history else DIFFERS, fields)
        if self.options.existing is Policy.RECREATE and name not in HOLDS_OTHERS:
            return _Answer(Action.RECREATE, fields=fields, tried=False)  # a plan never asks for a delete, not even dry
        if reason := why_not_onto(resource, made.body, live):
            return _Answer(Action.CONFLICT, reason, fields)
        return _Question(entry, resource, made, live, fields)

    def _ask(self, question: "_Question") -> None:
        entry, made = question.entry, question.made
        action = Action.CREATE if question.live is None else Action.CHANGE
        try:
            if question.live is None:
                self.cluster.create(question.resource, made.body, dry_run=True)
            else:
                self.cluster.replace(question.resource, onto(question.resource, made.body, question.live), dry_run=True)
        except ClusterUnreachable:
            self.cluster.version()  # raises where it is not this object alone
            self._tell(entry, Action.CONFLICT, "the API server did not answer when it was tried")
        except ObjectNotFound as error:
            self._tell(entry, Action.CONFLICT, error.message)
        except ClusterError as error:
            self._tell(entry, Action.CONFLICT, error.message, question.fields)
        else:
            self._tell(entry, action, "", question.fields)

    def _tell(self, entry: Entry, action: Action, reason: str = "", fields: tuple[dict[str, Any], ...] = ()) -> None:
        with self._lock:
            self.kinds.setdefault(entry.resource, Counter())[action.value] += 1
            if action is Action.SKIP:
                self.reasons[reason] += 1
            self.lines.append(Line(action, entry.resource, entry.namespace, entry.name, reason, fields))
            if len(self.lines) >= 2 * LISTED:
                self.lines = self.told()

    def told(self) -> list[Line]:
        """The lines that matter most, at most ``LISTED``, in order."""
        weight = {action: number for number, action in enumerate(Action)}
        ordered = sorted(self.lines, key=lambda line: (weight[line.action], line.resource, line.namespace, line.name))
        return ordered[:LISTED]


@dataclass(frozen=True)
class _Answer:
    """What is known of an object without trying it; not ``tried`` where that could not be."""

    action: Action
    reason: str = ""
    fields: tuple[dict[str, Any], ...] = ()
    tried: bool = True


@dataclass(frozen=True)
class _Question:
    """One object to be tried. ``live`` is what is there."""

    entry: Entry
    resource: Resource
    made: Ready
    live: Object | None = None
    fields: tuple[dict[str, Any], ...] = ()


def _bounded(change: dict[str, Any]) -> dict[str, Any]:
    """A field with long values cut."""

    def cut(value: Any) -> Any:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return value if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]}..."

    return {**change, "before": cut(change["before"]), "after": cut(change["after"])}
