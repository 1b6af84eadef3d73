"""What is in etcd under ``/registry``: whose key it is, and enough of the object to list it.

Sources: kubernetes/kubernetes, pkg/registry (keys are ``/registry/<resource>/[<namespace>/]<name>``, for custom
resources ``/registry/<group>/<plural>/[<namespace>/]<name>``); k8s.io/apimachinery, meta/v1 generated.proto (ObjectMeta
is field 1 of every object that can be stored).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backstay.core.errors import Undecodable
from backstay.tiers.etcd.kube import forms, plain
from backstay.tiers.etcd.kube.decode import decode
from backstay.tiers.etcd.kube.envelope import Encoding, encrypted, open_envelope, text
from backstay.tiers.etcd.kube.names import GROUPS, STORED_AS, CustomType, custom_type, type_of
from backstay.tiers.etcd.wire import Malformed, fields

__all__ = [
    "CustomType",
    "Entry",
    "Meta",
    "Resource",
    "Row",
    "Selected",
    "counts",
    "custom_types",
    "encrypted",
    "listing",
    "look",
    "resource_of",
    "select",
    "type_of",
]

DEFAULT_PREFIX = "/registry"
CRDS = "customresourcedefinitions"
NOT_OBJECTS = frozenset({"ranges", "masterleases", "peerserverleases", "health"})  # the API server's own bookkeeping

Row = tuple[bytes, bytes, int]  # key, value, revision of the last change


@dataclass(frozen=True)
class Resource:
    """Whose key it is. ``type`` is as kubectl says it: ``pods``, ``deployments``, ``widgets.example.com``."""

    type: str
    namespace: str  # empty for what is in none
    name: str

    def __str__(self) -> str:
        where = f" of namespace {self.namespace}" if self.namespace else ""
        return f"{self.type}/{self.name}{where}"


@dataclass(frozen=True)
class Meta:
    """The part of an object that a list shows."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    created: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Selected:
    """One object of a snapshot, not yet read."""

    resource: Resource
    value: bytes
    mod_revision: int


@dataclass(frozen=True)
class Entry:
    """One line of a list. ``encrypted`` names the key; ``problem`` says why the object could not be read."""

    resource: Resource
    meta: Meta
    size: int
    mod_revision: int
    encrypted: str | None = None
    problem: str = ""


def resource_of(key: bytes, prefix: str = DEFAULT_PREFIX) -> Resource | None:
    """Whose key it is; None for a key of no object: of another program, or of the API server's own bookkeeping."""
    try:
        path = key.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not path.startswith(f"{prefix}/"):
        return None
    parts = path[len(prefix) + 1 :].split("/")
    if parts[0] in NOT_OBJECTS or not all(parts):
        return None
    start = f"{parts[0]}/{parts[1]}" if len(parts) > 1 else parts[0]
    if start in STORED_AS:
        kind, rest = STORED_AS[start], parts[2:]
    elif "." in parts[0] and len(parts) > 1:
        kind, rest = _of_group(parts[0], parts[1]), parts[2:]
    else:
        kind, rest = STORED_AS.get(parts[0], parts[0]), parts[1:]
    if not 1 <= len(rest) <= 2:
        return None
    return Resource(kind, rest[0] if len(rest) == 2 else "", rest[-1])


def _of_group(group: str, plural: str) -> str:
    return plural if GROUPS.get(plural) == group else f"{plural}.{group}"


def select(
    rows: Iterable[Row],
    *,
    of_type: str | None = None,
    namespace: str | None = None,
    name: str | None = None,
    prefix: str = DEFAULT_PREFIX,
) -> Iterator[Selected]:
    """The objects that fit. ``namespace`` is passed over for what is in none; None stands for all of them."""
    for key, value, revision in rows:
        resource = resource_of(key, prefix)
        if resource is None or (of_type is not None and resource.type != of_type):
            continue
        if namespace is not None and resource.namespace not in {"", namespace}:
            continue
        if name is None or resource.name == name:
            yield Selected(resource, value, revision)


def listing(found: Iterable[Selected]) -> Iterator[Entry]:
    """A line for each object, with what its metadata says. What cannot be read is listed by its key."""
    for one in found:
        meta = Meta(name=one.resource.name, namespace=one.resource.namespace)
        key, problem = encrypted(one.value), ""
        if key is None:
            try:
                meta = look(one.value)
            except Undecodable as error:
                problem = error.message
        yield Entry(one.resource, meta, len(one.value), one.mod_revision, key, problem)


def counts(rows: Iterable[Row], prefix: str = DEFAULT_PREFIX) -> dict[str, int]:
    """How many objects there are of each type, in the order of their names."""
    found = Counter(resource.type for key, _, _ in rows if (resource := resource_of(key, prefix)))
    return dict(sorted(found.items()))


def custom_types(rows: Iterable[Row], prefix: str = DEFAULT_PREFIX) -> tuple[CustomType, ...]:
    """The names of custom resources, out of their definitions; one that cannot be read names nothing."""
    found = []
    for one in select(rows, of_type=CRDS, prefix=prefix):
        try:
            names = custom_type(decode(one.value).object)
        except Undecodable:
            continue
        if names is not None:
            found.append(names)
    return tuple(found)


def look(value: bytes) -> Meta:
    """An object's metadata, without reading the rest of a protobuf message. Raises ``Undecodable``."""
    envelope = open_envelope(value)
    if envelope.encoding is Encoding.PROTOBUF:
        try:
            first = next((part for number, part in fields(envelope.body) if number == 1), b"")
            return _meta(envelope.api_version, envelope.kind, first if isinstance(first, bytes) else b"")
        except Malformed as error:
            raise Undecodable(f"the object's metadata is not a message: {error}") from error
    if envelope.encoding is Encoding.ENCRYPTED:
        raise Undecodable("the value is encrypted by the API server")
    return _meta_of(plain.load(envelope.body))


def _meta(api_version: str, kind: str, data: bytes) -> Meta:
    """ObjectMeta {1 name, 3 namespace, 5 uid, 8 creationTimestamp, 11 labels {1 key, 2 value}}."""
    words = {1: "", 3: "", 5: ""}
    labels: dict[str, str] = {}
    created = None
    for number, part in fields(data):
        if not isinstance(part, bytes):
            continue
        if number in words:
            words[number] = text(part)
        elif number == 8:
            created = forms.instant(part)
        elif number == 11:
            pair = {at: text(word) for at, word in fields(part) if isinstance(word, bytes)}
            labels[pair.get(1, "")] = pair.get(2, "")
    return Meta(api_version, kind, words[1], words[3], words[5], created, labels)


def _meta_of(document: Any) -> Meta:
    """The same of an object in JSON, where anything may stand anywhere."""
    if not isinstance(document, dict):
        raise Undecodable("the value is not an object")
    about = document.get("metadata")
    about = about if isinstance(about, dict) else {}
    labels = about.get("labels")
    return Meta(
        _word(document, "apiVersion"),
        _word(document, "kind"),
        _word(about, "name"),
        _word(about, "namespace"),
        _word(about, "uid"),
        _moment(_word(about, "creationTimestamp")),
        {key: word for key, word in labels.items() if isinstance(word, str)} if isinstance(labels, dict) else {},
    )


def _word(mapping: Mapping[str, Any], key: str) -> str:
    found = mapping.get(key)
    return found if isinstance(found, str) else ""


def _moment(word: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
