"""What is around an object in etcd: how its value was encoded, and whether it was encrypted.

Sources: k8s.io/apimachinery, runtime.Unknown and serializer/protobuf (``k8s`` and a zero byte, then the message);
RFC 8949 section 3.4.6 (the tag that begins CBOR); kubernetes.io, "Encrypting Confidential Data at Rest" (the prefix of
each provider).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from backstay.core.errors import Undecodable
from backstay.tiers.etcd.wire import Malformed, fields

PROTOBUF_MAGIC = b"k8s\x00"
CBOR_MAGIC = b"\xd9\xd9\xf7"
ENCRYPTED_MAGIC = b"k8s:enc:"
JSON_SPACE = b" \t\r\n"

_ENCRYPTED = re.compile(rb"k8s:enc:([a-z0-9]{1,32}):v\d{1,3}:([^:\x00-\x1f]{1,253}):")


class Encoding(StrEnum):
    """How a value was written."""

    PROTOBUF = "protobuf"  # what Kubernetes knows by itself
    JSON = "json"  # custom resources, their definitions, API services
    CBOR = "cbor"  # custom resources where CBORServingAndStorage is on
    ENCRYPTED = "encrypted"


@dataclass(frozen=True)
class Envelope:
    """A value taken out of its envelope. For JSON and CBOR, ``body`` is the whole value and there is no kind yet."""

    encoding: Encoding
    body: bytes
    api_version: str = ""
    kind: str = ""


def encrypted(value: bytes) -> str | None:
    """Provider and name of the key that the value is encrypted with, ``aescbc/key1``; None for a readable value.

    Backstay has no key of an API server: such a value can be restored as it is, not read.
    """
    if not value.startswith(ENCRYPTED_MAGIC):
        return None
    match = _ENCRYPTED.match(value)
    return f"{match[1].decode()}/{match[2].decode(errors='replace')}" if match else "unknown"


def open_envelope(value: bytes) -> Envelope:
    """Tell how a value is encoded, and take it out of ``runtime.Unknown``. Raises ``Undecodable``."""
    if value.startswith(PROTOBUF_MAGIC):
        return _unknown(value[len(PROTOBUF_MAGIC) :])
    if value.startswith(CBOR_MAGIC):
        return Envelope(Encoding.CBOR, value)
    if value.startswith(ENCRYPTED_MAGIC):
        return Envelope(Encoding.ENCRYPTED, value)
    if value.lstrip(JSON_SPACE).startswith(b"{"):
        return Envelope(Encoding.JSON, value)
    raise Undecodable("the value is in no encoding that Kubernetes writes")


def _unknown(data: bytes) -> Envelope:
    """``Unknown {1 typeMeta {1 apiVersion, 2 kind}, 2 raw, 3 contentEncoding, 4 contentType}``."""
    try:
        parts = dict(fields(data))
        about = parts.get(1, b"")
        names = dict(fields(about)) if isinstance(about, bytes) else {}
    except Malformed as error:
        raise Undecodable(f"the value is not a message: {error}") from error
    body, content_encoding, content_type = parts.get(2, b""), parts.get(3, b""), parts.get(4, b"")
    api_version, kind = names.get(1, b""), names.get(2, b"")
    if not isinstance(body, bytes) or not isinstance(api_version, bytes) or not isinstance(kind, bytes):
        raise Undecodable("the value's envelope is not one of Kubernetes")
    if content_encoding:
        raise Undecodable("the value is in a content encoding, which Kubernetes has never used")
    if content_type == b"application/json":
        return Envelope(Encoding.JSON, body)
    if content_type not in {b"", b"application/vnd.kubernetes.protobuf"}:
        raise Undecodable("the value is of a content type that is not known")
    if not body:
        raise Undecodable("the value is cut short: there is no object in it")
    return Envelope(Encoding.PROTOBUF, body, text(api_version), text(kind))


def text(data: bytes) -> str:
    """A string of the API, which is UTF-8; what is not becomes the replacement character, as in Go's JSON."""
    return data.decode("utf-8", errors="replace")
