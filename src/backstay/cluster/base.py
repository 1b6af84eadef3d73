"""What Backstay asks of a Kubernetes cluster: nine verbs over plain JSON objects, kinds known only by discovery.

An object is a ``dict`` exactly as the API server wrote it, so that no field is lost that a typed model would not know.
Where thousands go by, an ``Item`` carries one as the bytes that came, with just its metadata read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Object = dict[str, Any]


@dataclass(frozen=True, order=True)
class Resource:
    """One kind of object, at the version the API server prefers. ``group`` is empty for the core group; ``versions``
    are all that are served of it, the preferred one first; ``verbs`` those of the API (``list``, ``create``)."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = field(default=frozenset(), compare=False)
    versions: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """``deployments.apps``; ``pods`` in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """``apps/v1``; ``v1`` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True)
class Discovery:
    """What the API server serves. ``failed`` names each group version that it could not say
    (``metrics.k8s.io/v1beta1``, an aggregated API whose backend is down) with the reason: objects of these kinds cannot
    be seen at all."""

    resources: tuple[Resource, ...]
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a list. ``json`` is all of it, with apiVersion and kind (a list leaves them out), compact."""

    name: str
    namespace: str  # empty for cluster-scoped objects
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    deleting: bool  # has a deletionTimestamp
    json: bytes


@dataclass(frozen=True)
class Event:
    """One line of a watch: ``type`` is ADDED, MODIFIED or DELETED."""

    type: str
    object: Object


@dataclass(frozen=True)
class Executed:
    """How a command in a container ended. Output is bounded (the last 64 KiB of each)."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Cluster(Protocol):
    """A Kubernetes API server. Safe from several threads. Retries what may be retried (429 with its Retry-After, 5xx,
    a lost connection before an answer) for a bounded time.

    Every method raises ``ClusterUnreachable``, ``ClusterDenied`` (401, 403: names verb, resource and the Role that
    would grant it), and what it says itself; ``ClusterError`` for any other answer, with the server's own message.
    """

    @property
    def url(self) -> str:
        """Where it is: ``https://10.0.0.1:6443``."""

    def version(self) -> str:
        """Of the API server: ``v1.37.2``."""

    def discover(self) -> Discovery:
        """Every kind served now, sorted by group and plural, without subresources, each once at its preferred version.

        Asked anew each time, so that a kind made a minute ago is there.
        """

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        inconsistent: Callable[[str], None] = lambda _words: None,
    ) -> Iterator[Item]:
        """Every object of a kind, in all namespaces or one, filtered by label and field selectors; in pages whose size
        in bytes is bounded too. A token that expired in mid list (410) is gone on from the server's own continuation:
        what existed all the time is never missed, what changed meanwhile may be seen newer; ``inconsistent`` is told.
        """

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """One object. Raises ``ObjectNotFound``."""

    def create(self, resource: Resource, body: Object, *, dry_run: bool = False) -> Object:
        """Make an object and return it as stored. ``body.metadata.namespace`` says where. Raises ``ObjectExists``,
        ``ObjectInvalid`` (422, 400: the server's words), ``ObjectNotFound`` for a namespace or kind that is not there.
        """

    def apply(
        self, resource: Resource, body: Object, *, force: bool = False, dry_run: bool = False, subresource: str = ""
    ) -> Object:
        """Server-side apply under the field manager ``backstay``, and the object as it then is. Raises
        ``ObjectConflict`` (another manager owns a field; ``force`` takes it), ``ObjectInvalid``, ``ObjectNotFound``.
        """

    def replace(self, resource: Resource, body: Object, *, dry_run: bool = False, subresource: str = "") -> Object:
        """PUT an object whole. Raises ``ObjectConflict`` where its resourceVersion is not the current one."""

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        orphan: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Delete an object; with ``uid`` only that very one. What it owns goes in the background; with ``orphan`` that
        stays and loses this owner, and the object is there until the garbage collector has done it. Raises
        ``ObjectNotFound``, ``ObjectConflict`` (it is another one by now)."""

    def watch(
        self, resource: Resource, *, namespace: str = "", labels: str = "", fields: str = "", seconds: float
    ) -> Iterator[Event]:
        """Objects as they are (ADDED) and then as they change, for at most ``seconds``; ends early never silently.

        Where the server has lost its place (410) all is listed again: the difference comes as events, and of what went
        meanwhile only apiVersion, kind, name, namespace and uid are known.
        """

    def execute(
        self, namespace: str, pod: str, argv: Sequence[str], *, container: str = "", stdin: bytes = b"", timeout: float
    ) -> Executed:
        """Run a command in a container of a running pod. Raises ``ObjectNotFound``, ``ClusterError``."""

    def close(self) -> None:
        """Give up its connections."""
