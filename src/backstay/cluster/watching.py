"""Objects of a kind as they are, and then as they change, for a time.

kubernetes.io, "Kubernetes API Concepts", section "Efficient detection of changes": a list, then a watch from its
resourceVersion. The server ends watches as it likes; they are taken up at the last version seen. Where it no longer has
that (410), everything is listed anew, and what is different from before becomes events.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec

from backstay.cluster.answers import Asked, Refused, error_of, error_of_transport, printable
from backstay.cluster.base import Event, Object, Resource
from backstay.cluster.listing import items_of, pages, path_of
from backstay.cluster.wire import Wire, query
from backstay.core.errors import ClusterError

MARGIN_SECONDS = 10.0  # how long past its time a watch may stay open before the server counts as gone
LOST_IN_A_ROW = 5
PAUSE_SECONDS = 1.0


class Line(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: dict[str, Any]


LINE = msgspec.json.Decoder(Line)


class Expired(Exception):
    """The server no longer has the version to go on from."""


@dataclass
class Watching:
    """One watch and what it has seen: of each object its uid and version."""

    wire: Wire
    resource: Resource
    namespace: str
    labels: str
    fields: str
    seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    version: str = ""
    seen: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def events(self) -> Iterator[Event]:
        """As ``Cluster.watch``."""
        end = self.clock() + self.seconds
        yield from self._list()
        lost = 0
        while (left := end - self.clock()) > 0:
            before = self.version
            try:
                yield from self._follow(left, end)
                lost = 0
            except Expired:
                yield from self._list()
            except Refused as error:
                if error.refusal.status == httpx2.codes.GONE:
                    yield from self._list()
                    continue
                lost = self._lost(lost, error_of(error.refusal, self._asked(left), self.wire.url, self.wire.source))
            except (httpx2.TransportError, httpx2.StreamError) as error:
                if self.clock() >= end:
                    return
                lost = 0 if self.version != before else lost
                lost = self._lost(lost, error_of_transport(error, self._asked(left), self.wire.url))

    def _list(self) -> Iterator[Event]:
        """Everything now, as events; what is gone since the list before as DELETED."""
        old, self.seen, first = self.seen, {}, ""
        for page in pages(self.wire, self.resource, self.namespace, self.labels, self.fields, lambda _words: None):
            # The first page's: from an older version, a change may be seen twice, but none is missed.
            first = first or page.metadata.resource_version
            for item in items_of(page, self.resource):
                key, state = (item.namespace, item.name), (item.uid, item.resource_version)
                self.seen[key] = state
                if old.get(key) != state:
                    yield Event("MODIFIED" if old.get(key, ("", ""))[0] == item.uid else "ADDED", _object(item.json))
        for (namespace, name), (uid, _) in old.items():
            if (namespace, name) not in self.seen:
                metadata = {"name": name, "uid": uid, **({"namespace": namespace} if namespace else {})}
                gone = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, "metadata": metadata}
                yield Event("DELETED", gone)
        self.version = first

    def _follow(self, left: float, end: float) -> Iterator[Event]:
        """One connection, until the server or the time ends it."""
        with self.wire.open(self._asked(left), read_seconds=left + MARGIN_SECONDS) as response:
            for line in response.iter_lines():
                event = self._take(line)
                if event is not None:
                    yield event
                if self.clock() >= end:
                    return

    def _take(self, line: str) -> Event | None:
        if not line:
            return None
        try:
            said = LINE.decode(line)
        except msgspec.DecodeError as error:
            raise ClusterError(f"cannot watch {self.resource.name}: the server sent a line that is no event") from error
        if said.type == "ERROR":
            if said.object.get("code") == httpx2.codes.GONE:
                raise Expired
            words = printable(str(said.object.get("message") or ""))
            raise ClusterError(f"cannot watch {self.resource.name}: {words}")
        metadata = said.object.get("metadata") or {}
        self.version = str(metadata.get("resourceVersion") or self.version)
        if said.type == "BOOKMARK":
            return None
        key = (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        if said.type == "DELETED":
            self.seen.pop(key, None)
        else:
            self.seen[key] = (str(metadata.get("uid") or ""), self.version)
        return Event(said.type, said.object)

    def _asked(self, left: float) -> Asked:
        params = query(
            watch=True,
            allowWatchBookmarks=True,
            resourceVersion=self.version,
            timeoutSeconds=max(1, int(left + 0.999)),
            labelSelector=self.labels,
            fieldSelector=self.fields,
        )
        path = path_of(self.resource, self.namespace)
        return Asked("GET", path, "watch", self.resource.name, self.namespace, params=params)

    def _lost(self, lost: int, failure: ClusterError) -> int:
        """Count a watch that could not be taken up; raise ``failure`` when that is no passing trouble."""
        if not failure.retryable or "certificate" in failure.context or lost + 1 >= LOST_IN_A_ROW:
            raise failure
        self.sleep(PAUSE_SECONDS * (lost + 1))
        return lost + 1


def _object(json: bytes) -> Object:
    found: Object = msgspec.json.decode(json)
    return found
