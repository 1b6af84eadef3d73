"""``Cluster`` over HTTP: objects go and come as JSON, untouched (docs/decisions/0018).

with connect(Access()) as cluster:
    for resource in cluster.discover().resources: ...
"""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from backstay.cluster import discovery, execute, listing
from backstay.cluster.answers import Asked
from backstay.cluster.base import Discovery, Event, Executed, Item, Object, Resource
from backstay.cluster.kubeconfig import Access, Configuration, find
from backstay.cluster.watching import Watching
from backstay.cluster.wire import Patience, Wire, query
from backstay.core.errors import ObjectInvalid, ObjectNotFound

__all__ = ["Access", "Client", "Patience", "connect"]

MANAGER = "backstay"
APPLY = "application/apply-patch+yaml"  # JSON is YAML


def connect(
    access: Access,
    *,
    patience: Patience | None = None,
    warned: Callable[[str], None] = lambda _words: None,
) -> "Client":
    """A cluster found as ``kubeconfig.find`` says; nothing is asked of it yet. ``warned`` hears the server's warnings:
    of a field it does not know and drops, of an API that is going to end.

    Raises ``ConfigError``, ``ClusterDenied`` for a client certificate that has expired. The caller closes it.
    """
    return Client(find(access), patience or Patience(), warned)


class Client:
    """A ``Cluster``: see there. A context manager that closes its connections."""

    def __init__(
        self, found: Configuration, patience: Patience, warned: Callable[[str], None] = lambda _words: None
    ) -> None:
        self._wire = Wire(found, patience, warned)
        self.source = found.source

    @property
    def url(self) -> str:
        """As ``Cluster.url``."""
        return self._wire.url

    def version(self) -> str:
        """As ``Cluster.version``."""
        return str(self._json(Asked("GET", "/version")).get("gitVersion", ""))

    def discover(self) -> Discovery:
        """As ``Cluster.discover``."""
        return discovery.discover(self._wire)

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
        return listing.items(self._wire, resource, namespace, labels, fields, inconsistent)

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """As ``Cluster.get``."""
        return self._json(_about("GET", "get", resource, name, namespace))

    def create(self, resource: Resource, body: Object, *, dry_run: bool = False) -> Object:
        """As ``Cluster.create``."""
        name, namespace = _named(resource, body)
        params = query(fieldManager=MANAGER, fieldValidation="Warn", dryRun="All" if dry_run else "")
        # A server that makes up the name would make two.
        asked = _about("POST", "create", resource, name, namespace, params, body, again=bool(name))
        return self._json(asked)

    def apply(
        self, resource: Resource, body: Object, *, force: bool = False, dry_run: bool = False, subresource: str = ""
    ) -> Object:
        """As ``Cluster.apply``."""
        name, namespace = _named(resource, body)
        params = query(fieldManager=MANAGER, fieldValidation="Warn", force=force, dryRun="All" if dry_run else "")
        asked = _about("PATCH", "patch", resource, name, namespace, params, body, subresource=subresource, kind=APPLY)
        return self._json(asked)

    def replace(self, resource: Resource, body: Object, *, dry_run: bool = False, subresource: str = "") -> Object:
        """As ``Cluster.replace``."""
        name, namespace = _named(resource, body)
        params = query(fieldManager=MANAGER, fieldValidation="Warn", dryRun="All" if dry_run else "")
        return self._json(_about("PUT", "update", resource, name, namespace, params, body, subresource=subresource))

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
        """As ``Cluster.delete``."""
        policy = "Orphan" if orphan else "Background"
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
        if uid:
            options["preconditions"] = {"uid": uid}
        if dry_run:
            options["dryRun"] = ["All"]  # with a body the server does not look for it in the query, and deletes
        try:
            self._json(_about("DELETE", "delete", resource, name, namespace, body=options))
        except ObjectNotFound as error:
            if not error.context.get("resent"):
                raise  # else it was the attempt whose answer was lost that deleted it

    def watch(
        self, resource: Resource, *, namespace: str = "", labels: str = "", fields: str = "", seconds: float
    ) -> Iterator[Event]:
        """As ``Cluster.watch``."""
        return Watching(self._wire, resource, namespace, labels, fields, seconds).events()

    def execute(
        self, namespace: str, pod: str, argv: Sequence[str], *, container: str = "", stdin: bytes = b"", timeout: float
    ) -> Executed:
        """As ``Cluster.execute``."""
        return execute.execute(self._wire, namespace, pod, argv, container, stdin, timeout)

    def close(self) -> None:
        """As ``Cluster.close``."""
        self._wire.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _json(self, asked: Asked) -> dict[str, Any]:
        found: dict[str, Any] = self._wire.json(asked, dict)
        return found


def _about(
    method: str,
    verb: str,
    resource: Resource,
    name: str,
    namespace: str,
    params: tuple[tuple[str, str], ...] = (),
    body: Object | None = None,
    *,
    subresource: str = "",
    kind: str = "application/json",
    again: bool = True,
) -> Asked:
    path = listing.path_of(resource, namespace)
    if method != "POST":
        path += f"/{quote(name, safe='')}" + (f"/{subresource}" if subresource else "")
    return Asked(
        method=method,
        path=path,
        verb=verb,
        resource=resource.name,
        namespace=namespace,
        name=name,
        params=params,
        content=None if body is None else msgspec.json.encode(body),
        headers={"Content-Type": kind} if body is not None else {},
        again=again,
    )


def _named(resource: Resource, body: Object) -> tuple[str, str]:
    """Name and namespace of an object; without a name only where the server is to make one up."""
    metadata = body.get("metadata") or {}
    name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
    if resource.namespaced and not namespace:
        raise ObjectInvalid(f"the {resource.kind} {name} has no metadata.namespace")
    if not resource.namespaced and namespace:
        raise ObjectInvalid(f"the {resource.kind} {name} is in a namespace, but its kind is not")
    if not name and not metadata.get("generateName"):
        raise ObjectInvalid(f"a {resource.kind} has no metadata.name")
    return name, namespace
