"""From a value in etcd to the object that the API server would print as JSON.

What is written follows encoding/json of Go on the types of k8s.io/api: a field in the table is left out, null or empty
as its struct tags and its type say, whether or not it was on the wire (see ``table.Field``). What the table does not
know is reported by its path, never dropped in silence. Sources: protobuf.dev, "Encoding"; the generated.proto files and
struct tags named in ``table.sources()``; pkg.go.dev/encoding/json, "Marshal".
"""

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.core.errors import Undecodable
from backstay.tiers.etcd import wire
from backstay.tiers.etcd.kube import cbor, forms, plain, table
from backstay.tiers.etcd.kube.envelope import Encoding, encrypted, open_envelope
from backstay.tiers.etcd.kube.table import Field

MAX_MESSAGES = 100  # one within the other; protobuf's own libraries stop there too
_MASK64 = (1 << 64) - 1
_ZERO: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "uint32": 0, "double": 0}

Values = list[int | bytes]
OnWire = dict[int, Values]


@dataclass(frozen=True)
class Decoded:
    """An object as JSON would have it, with ``apiVersion`` and ``kind`` first.

    ``unknown`` has the path of each field that is on the wire and not in the table (``spec.containers[0].#99``, from a
    newer Kubernetes): the object is then less than what was stored. A path that ends in ``(not UTF-8)`` is of a string
    that could not be read as it is.
    """

    object: dict[str, Any]
    encoding: Encoding
    unknown: tuple[str, ...] = ()


def decode(value: bytes) -> Decoded:
    """Read one value of etcd. Raises ``Undecodable``, and nothing else, for what is no object that can be read."""
    envelope = open_envelope(value)
    if envelope.encoding is Encoding.ENCRYPTED:
        raise Undecodable(
            "the value is encrypted by the API server",
            hint="Restore the cluster, or read it through an API server that has the key",
            key=encrypted(value),
        )
    if envelope.encoding is not Encoding.PROTOBUF:
        return Decoded(_typed(plain.load(envelope.body)), envelope.encoding)
    name = table.message_of(envelope.api_version, envelope.kind)
    if name is None:
        raise Undecodable(
            "the object is of a kind that this version of Backstay has no table for",
            api_version=envelope.api_version[:253],
            kind=envelope.kind[:253],
        )
    reader = Reader()
    try:
        found = reader.message(name, envelope.body, "", 0)
    except wire.Malformed as error:
        raise Undecodable(f"the object is not a message: {error}") from error
    whole = {"apiVersion": envelope.api_version, "kind": envelope.kind} | found
    plain.check_depth(whole)
    return Decoded(whole, envelope.encoding, tuple(reader.unknown))


def _typed(document: Any) -> dict[str, Any]:
    """A document with an apiVersion and a kind, which it then begins with."""
    if not isinstance(document, dict):
        raise Undecodable("the value is not an object")
    first = {key: document.get(key) for key in ("apiVersion", "kind")}
    if not all(isinstance(part, str) and part for part in first.values()):
        raise Undecodable("the value names no apiVersion and kind")
    return first | document


@dataclass
class Reader:
    """Reads messages by the table; ``unknown`` grows with what is not in it."""

    unknown: list[str] = field(default_factory=list)

    def message(self, name: str, data: bytes, path: str, depth: int) -> Any:
        """One message as JSON has it. Raises ``Undecodable`` and ``wire.Malformed``."""
        if depth > MAX_MESSAGES:
            raise Undecodable("the object is nested too deeply")
        if form := forms.FORMS.get(name):
            return form(data)
        if form_of_schema := _SCHEMA_FORMS.get(name):
            return form_of_schema(self, name, self.on_wire(data, (1, 2), path), path, depth)
        message = table.message(name)
        if message.items is not None:
            return [self.scalar(message.items, one, path) for one in self.on_wire(data, (1,), path).get(1, ())]
        found = self.on_wire(data, message.numbers, path)
        result: dict[str, Any] = {}
        for member in message.fields:
            self.member(member, found.get(member.number), result, path, depth)
        return result

    def on_wire(self, data: bytes, known: tuple[int, ...] | frozenset[int], path: str) -> OnWire:
        """The values of each field; a number that is not known is reported."""
        found: OnWire = {}
        for number, value in wire.fields(data):
            found.setdefault(number, []).append(value)
        self.unknown += [_join(path, f"#{number}") for number in found if number not in known]
        return found

    def member(self, member: Field, values: Values | None, into: dict[str, Any], path: str, depth: int) -> None:
        """Put one field into the JSON of its message, or leave it out."""
        if values is None and (member.old or (member.pointer and member.omit_empty)):
            return
        here = _join(path, member.name)
        if member.inline:
            inner = self.message(member.kind, _joined(values), path, depth + 1)
            into.update(inner)
            return
        if member.repeated or member.is_map:
            found = self.many(member, values, here, depth) if values else None
        elif values is None and (member.pointer or member.kind == "bytes" or self.is_list(member)):
            found = None
        else:
            found = self.single(member, values, here, depth)
        if member.omit_zero and found is None:
            return
        can_be_empty = member.repeated or member.is_map or not member.is_message or self.is_list(member)
        if member.omit_empty and not member.pointer and not found and can_be_empty:
            return  # Go leaves out what is false, 0 or of no length, and never a struct
        into[member.name] = found

    def is_list(self, member: Field) -> bool:
        """A list in JSON with a message around it on the wire."""
        return member.is_message and member.kind not in forms.FORMS and table.message(member.kind).items is not None

    def single(self, member: Field, values: Values | None, path: str, depth: int) -> Any:
        """A field that is there once. Of a scalar the last counts; a message in parts is one (protobuf.dev)."""
        if member.is_message:
            return self.message(member.kind, _joined(values), path, depth + 1)
        return self.scalar(member.kind, values[-1], path) if values else _ZERO[member.kind]

    def many(self, member: Field, values: Values, path: str, depth: int) -> Any:
        """A list, or a map in the order of its keys, as Go sorts them."""
        if member.is_map:
            pairs = dict(self.pair(member.kind, value, path, depth) for value in values)
            return dict(sorted(pairs.items(), key=lambda pair: pair[0].encode()))
        if member.is_message:
            return [
                self.message(member.kind, _bytes(value), f"{path}[{index}]", depth + 1)
                for index, value in enumerate(values)
            ]
        return [self.scalar(member.kind, one, path) for value in values for one in _unpacked(member.kind, value)]

    def pair(self, kind: str, value: int | bytes, path: str, depth: int) -> tuple[str, Any]:
        """An entry of a map: a message of 1 the key, 2 the value."""
        entry = self.on_wire(_bytes(value), (1, 2), path)
        key = self.scalar("string", entry.get(1, [b""])[-1], path)
        here = f"{path}[{key}]"
        if kind in table.PLAIN:
            given = entry.get(2)
            return key, self.scalar(kind, given[-1], here) if given else ("" if kind == "bytes" else _ZERO[kind])
        return key, self.message(kind, _joined(entry.get(2)), here, depth + 1)

    def scalar(self, kind: str, value: int | bytes, path: str) -> Any:
        """A value of a plain type."""
        if kind == "string":
            return self.string(_bytes(value), path)
        if kind == "bytes":
            return base64.b64encode(_bytes(value)).decode()
        if kind == "double":
            return double(_bytes(value))
        if isinstance(value, bytes):
            raise Undecodable("a field is not of its type")
        return whole(kind, value)

    def string(self, data: bytes, path: str) -> str:
        """Text; what is not UTF-8 is reported, and replaced as Go's JSON does."""
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            self.unknown.append(f"{path} (not UTF-8)")
            return data.decode("utf-8", errors="replace")


def whole(kind: str, value: int) -> bool | int:
    """A varint as its type has it: the bits above the type's are cut off, as Go does."""
    value &= _MASK64
    if kind == "bool":
        return value != 0
    if kind == "int64":
        return wire.signed(value)
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if kind == "int32" and value >= 1 << 31 else value


def double(data: bytes) -> float | int:
    """Eight bytes as a number."""
    if len(data) != 8:
        raise Undecodable("a field is not of its type")
    return cbor.number_of(struct.unpack("<d", data)[0])


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise Undecodable("a field is not of its type")
    return value


def _joined(values: Values | None) -> bytes:
    """A message that came in parts: one after the other they are the merged one (protobuf.dev, "Last One Wins")."""
    return b"".join(map(_bytes, values or ()))


def _unpacked(kind: str, value: int | bytes) -> Values:
    """Numbers may come one by one or packed in one field."""
    if isinstance(value, int) or kind in {"string", "bytes", "double"}:
        return [value]
    found: Values = []
    position = 0
    while position < len(value):
        number, position = wire.varint_at(value, position)
        found.append(number)
    return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _schema_or_list(reader: Reader, name: str, found: OnWire, path: str, depth: int) -> Any:
    """JSONSchemaPropsOrArray {1 schema, 2 schemas} or JSONSchemaPropsOrStringArray {1 schema, 2 property}."""
    package = name.rpartition(".")[0]
    if given := found.get(2):
        if name.endswith("OrStringArray"):
            return [reader.scalar("string", one, path) for one in given]
        schema = f"{package}.JSONSchemaProps"
        return [reader.message(schema, _bytes(one), f"{path}[{at}]", depth + 1) for at, one in enumerate(given)]
    if 1 in found:
        return reader.message(f"{package}.JSONSchemaProps", _joined(found[1]), path, depth + 1)
    return None


def _schema_or_bool(reader: Reader, name: str, found: OnWire, path: str, depth: int) -> Any:
    """JSONSchemaPropsOrBool {1 allows, 2 schema}: the schema where there is one."""
    if 2 in found:
        return reader.message(f"{name.rpartition('.')[0]}.JSONSchemaProps", _joined(found[2]), path, depth + 1)
    return reader.scalar("bool", found.get(1, [0])[-1], path)


_SchemaForm = Callable[[Reader, str, OnWire, str, int], Any]
_SCHEMA_FORMS: Mapping[str, _SchemaForm] = {
    f"k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}.{name}": form
    for version in ("v1", "v1beta1")
    for name, form in (
        ("JSONSchemaPropsOrArray", _schema_or_list),
        ("JSONSchemaPropsOrStringArray", _schema_or_list),
        ("JSONSchemaPropsOrBool", _schema_or_bool),
    )
}
