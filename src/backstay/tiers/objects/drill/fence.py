"""The live cluster as a drill may use it: dry runs of anything, real writes of nothing but harmless objects in its own
namespaces. Whatever the restore above it does, no other request leaves here.

A dry run is answered with the object as it would be stored, so the answer is compared with what was sent. Source:
Kubernetes API concepts, "Dry-run": admission and validation take part, and a webhook that has side effects is refused.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from copy import deepcopy
from typing import Any, NoReturn

from backstay.cluster.base import Cluster, Discovery, Event, Item, Object, Resource
from backstay.core.errors import ClusterDenied, ClusterError, ClusterUnreachable, ObjectInvalid, RestoreError
from backstay.tiers.objects.drill.compare import another
from backstay.tiers.objects.drill.harmless import harmless, stays
from backstay.tiers.objects.fields import field_changes
from backstay.tiers.objects.normalise import normalise

UNAUTHORIZED = 401
NO_ANSWER = "the API server did not answer when it was tried"
# What a dry run is refused with that does not speak of the object, in the API server's words. Rules of the cluster
# judge a copy, in a namespace of another name, beside the original: a host may be taken by just that.
OF_THE_CLUSTER = (
    "does not support dry run",
    "failed calling webhook",
    "denied the request",  # a webhook
    "denied request",  # a ValidatingAdmissionPolicy
    "violates PodSecurity",
    "error looking up service account",
    "exceeded quota",  # of somebody who gives each new namespace one: the backup's own come last
)


class Fenced:
    """A ``Cluster``: see there. ``own`` are the namespaces of the drill, ``made`` the kinds that it makes.

    ``untried`` counts by kind the objects that could not be tried, ``reasons`` has why the first of each could not;
    their kind is not made in that namespace either.
    """

    def __init__(self, cluster: Cluster, own: Collection[str], made: Collection[str]) -> None:
        self._cluster = cluster
        self._own, self._made = frozenset(own), frozenset(made)
        self._blocked: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.untried: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}

    def makes(self, resource: str, namespace: str, body: Object) -> bool:
        """Whether an object of this kind is really made in a namespace of the drill."""
        inside = namespace in self._own and resource in self._made and stays(resource, body)
        return inside and (resource, namespace) not in self._blocked

    def create(self, resource: Resource, body: Object, *, dry_run: bool = False) -> Object:
        """As ``Cluster.create``; what is not to be made is returned as it came."""
        if dry_run:
            return self._tried(resource, body, lambda: self._cluster.create(resource, body, dry_run=True))
        if not self.makes(resource.name, _namespace(body), body):
            return body
        return self._cluster.create(resource, self._harmless(resource, body))

    def replace(self, resource: Resource, body: Object, *, dry_run: bool = False, subresource: str = "") -> Object:
        """As ``Cluster.replace``; a status is never written."""
        if dry_run:
            return self._tried(resource, body, lambda: self._cluster.replace(resource, body, dry_run=True))
        if subresource or not self.makes(resource.name, _namespace(body), body):
            return body
        return self._cluster.replace(resource, self._harmless(resource, body))

    def apply(self, *_given: Any, **_named: Any) -> NoReturn:
        """Never: nothing in a drill needs it. Raises ``RestoreError``."""
        raise RestoreError("a drill applies nothing to the live cluster")

    def delete(self, *_given: Any, **_named: Any) -> NoReturn:
        """Never: what was made goes with its namespace. Raises ``RestoreError``."""
        raise RestoreError("a drill deletes no object of the live cluster")

    def execute(self, *_given: Any, **_named: Any) -> NoReturn:
        """Never. Raises ``RestoreError``."""
        raise RestoreError("a drill runs nothing in a pod of the live cluster")

    @property
    def url(self) -> str:
        """As ``Cluster.url``."""
        return self._cluster.url

    def version(self) -> str:
        """As ``Cluster.version``."""
        return self._cluster.version()

    def discover(self) -> Discovery:
        """As ``Cluster.discover``."""
        return self._cluster.discover()

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        inconsistent: Callable[[str], None] = lambda _words: None,
    ) -> Iterator[Item]:
        """As ``Cluster.list``."""
        return self._cluster.list(
            resource, namespace=namespace, labels=labels, fields=fields, inconsistent=inconsistent
        )

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """As ``Cluster.get``."""
        return self._cluster.get(resource, name, namespace)

    def watch(
        self, resource: Resource, *, namespace: str = "", labels: str = "", fields: str = "", seconds: float
    ) -> Iterator[Event]:
        """As ``Cluster.watch``."""
        return self._cluster.watch(resource, namespace=namespace, labels=labels, fields=fields, seconds=seconds)

    def close(self) -> None:
        """Nothing: the connection is not its own."""

    def _harmless(self, resource: Resource, body: Object) -> Object:
        return harmless(resource.name, deepcopy(body), self._own)

    def _tried(self, resource: Resource, body: Object, ask: Callable[[], Object]) -> Object:
        """The answer, which is as what was sent. Raises ``ClusterError`` that says what is wrong with the object."""
        try:
            answer = ask()
        except ClusterUnreachable:
            self._cluster.version()  # raises where it is not this object alone
            return self._untried(resource, body, NO_ANSWER)
        except ClusterDenied as error:
            if error.context.get("status") == UNAUTHORIZED:
                raise RestoreError(error.message, hint=error.hint) from error  # of all objects, not of this one
            return self._untried(resource, body, f"{error.message}. {error.hint}".strip())
        except ClusterError as error:
            if not any(words in error.message for words in OF_THE_CLUSTER):
                raise
            return self._untried(resource, body, error.message)
        sent, found = (normalise(resource.name, one, owners=False) for one in (body, answer))
        if sent != found:
            paths = [change.path for change in field_changes(resource.name, sent, found)]
            raise ObjectInvalid(f"it would come back with {another(paths)}")
        return answer

    def _untried(self, resource: Resource, body: Object, why: str) -> Object:
        with self._lock:
            self._blocked.add((resource.name, _namespace(body)))
            self.untried[resource.name] += 1
            self.reasons.setdefault(resource.name, why)
        return body


def _namespace(body: Object) -> str:
    return str(body["metadata"].get("namespace", ""))
