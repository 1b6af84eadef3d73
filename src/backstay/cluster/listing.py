"""All objects of a kind, page by page, as the bytes that came.

Chunks: kubernetes.io, "Kubernetes API Concepts", section "Retrieving large results sets in chunks". ``limit`` counts
objects, and an object may have a kilobyte or a megabyte; so the first page is small, each further one as large as the
sizes seen allow, and one that turns out too large is given up and asked for again with fewer objects.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx2
import msgspec

from backstay.cluster.answers import Asked, Refused
from backstay.cluster.base import Item, Resource
from backstay.cluster.wire import Wire, query
from backstay.core.errors import ClusterError
from backstay.core.model import EMPTY

PAGE_BYTES = 16 << 20
WANTED_BYTES = PAGE_BYTES * 3 // 4  # what a page is planned to have: sizes vary
LARGEST_BYTES = 256 << 20  # a page of one object; or of a server that does not know ``limit``
PAGE_ITEMS = 500  # as kubectl asks
FIRST_ITEMS = 100
GROWTH = 5
MARK = b'"creationTimestamp":"'  # about once in each object


class ListMeta(msgspec.Struct):
    """``metadata`` of a list."""

    continuation: str = msgspec.field(name="continue", default="")
    resource_version: str = msgspec.field(name="resourceVersion", default="")


class Page(msgspec.Struct):
    """One chunk of a list, its objects not yet decoded."""

    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[msgspec.Raw] | None = None


class Meta(msgspec.Struct):
    """Of an object's metadata, what an ``Item`` says."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = msgspec.field(name="deletionTimestamp", default=None)


class Head(msgspec.Struct):
    """What is read of an object."""

    metadata: Meta
    api_version: str = msgspec.field(name="apiVersion", default="")
    kind: str = ""


HEAD = msgspec.json.Decoder(Head)


class TooLarge(Exception):
    """A page has more bytes than it may; ``items`` is about how many objects there were until then."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = items


def path_of(resource: Resource, namespace: str = "") -> str:
    """Where objects of a kind are: ``/apis/apps/v1/namespaces/x/deployments``."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    return f"{root}/namespaces/{namespace}/{resource.plural}" if namespace else f"{root}/{resource.plural}"


def items(
    wire: Wire, resource: Resource, namespace: str, labels: str, fields: str, inconsistent: Callable[[str], None]
) -> Iterator[Item]:
    """As ``Cluster.list``."""
    for page in pages(wire, resource, namespace, labels, fields, inconsistent):
        yield from items_of(page, resource)


def pages(
    wire: Wire, resource: Resource, namespace: str, labels: str, fields: str, inconsistent: Callable[[str], None]
) -> Iterator[Page]:
    """The chunks of a list; ``metadata.resource_version`` is the moment each shows."""
    asked = Asked("GET", path_of(resource, namespace), "list", resource.name, namespace)
    limit, continuation, seen = FIRST_ITEMS, "", 0
    while True:
        params = {"limit": limit, "labelSelector": labels, "fieldSelector": fields, "continue": continuation}
        try:
            page, size = _page(wire, replace(asked, params=query(**params)), limit)
        except TooLarge as error:
            limit = max(1, min(limit // 2, error.items * WANTED_BYTES // PAGE_BYTES))
            continue
        except ClusterError as error:
            continuation = _beyond_expiry(error, asked, continuation, seen)
            inconsistent(f"the list of {resource.name} took longer than the server keeps its past; its rest is newer")
            continue
        found = page.items or ()
        seen += len(found)
        yield page
        continuation = page.metadata.continuation
        if not continuation:
            return
        limit = min(PAGE_ITEMS, limit * GROWTH, max(1, WANTED_BYTES * max(1, len(found)) // max(1, size)))


def items_of(page: Page, resource: Resource) -> Iterator[Item]:
    """The objects of a page. Raises ``ClusterError`` for one that is none."""
    both = _prefix(api_version=resource.api_version, kind=resource.kind)
    for raw in page.items or ():
        try:
            head = HEAD.decode(raw)
        except msgspec.DecodeError as error:
            raise ClusterError(f"the API server lists a {resource.kind} that is no object: {error}") from error
        if head.api_version and head.kind:
            json = bytes(raw)
        else:
            front = both if not (head.api_version or head.kind) else _missing(head, resource)
            json = b"".join((front, memoryview(raw)[1:]))
        meta = head.metadata
        yield Item(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resource_version=meta.resource_version,
            labels=meta.labels or EMPTY,
            deleting=meta.deletion_timestamp is not None,
            json=json,
        )


def _page(wire: Wire, asked: Asked, limit: int) -> tuple[Page, int]:
    """One chunk and its size in bytes."""
    most = PAGE_BYTES if limit > 1 else LARGEST_BYTES

    def read(response: httpx2.Response) -> bytearray:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > most:
                if limit == 1:
                    raise ClusterError(f"cannot {asked.what}: one object has more than {LARGEST_BYTES >> 20} MiB")
                raise TooLarge(max(1, body.count(MARK)))
        return body

    body = wire.send(asked, read)
    return wire.decode(body, Page, asked), len(body)


def _beyond_expiry(error: ClusterError, asked: Asked, continuation: str, seen: int) -> str:
    """Where a list goes on whose past the server has compacted away (410). Raises ``error`` if that is not the case."""
    refused = error.__cause__
    if not continuation or not isinstance(refused, Refused) or refused.refusal.status != httpx2.codes.GONE:
        raise error
    if not refused.refusal.continuation:
        raise ClusterError(
            f"cannot {asked.what}: the list expired after {seen} objects, and the server offers no way to go on",
            hint="Try again when the server is less busy; it keeps its past for five minutes unless told otherwise.",
        ) from error
    return refused.refusal.continuation


def _prefix(**members: str) -> bytes:
    names = {"api_version": "apiVersion", "kind": "kind"}
    return b"{" + b"".join(
        msgspec.json.encode(names[key]) + b":" + msgspec.json.encode(value) + b"," for key, value in members.items()
    )


def _missing(head: Head, resource: Resource) -> bytes:
    return _prefix(kind=resource.kind) if head.api_version else _prefix(api_version=resource.api_version)
