"""Messages that are something else in JSON than an object: times, quantities, ports, and JSON within.

Sources: k8s.io/apimachinery: apis/meta/v1 (Time, MicroTime, Duration, FieldsV1), api/resource (Quantity),
util/intstr (IntOrString), runtime (RawExtension); k8s.io/apiextensions-apiserver (JSON); pkg.go.dev/time,
"Duration.String".
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from backstay.core.errors import Undecodable
from backstay.tiers.etcd import wire
from backstay.tiers.etcd.kube import cbor, plain, table
from backstay.tiers.etcd.kube.envelope import text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO_TIME = -62_135_596_800  # the seconds of 0001-01-01, which is Go's "no time"
_NANOSECONDS = ((3_600 * 10**9, "h"), (60 * 10**9, "m"))


def time(data: bytes) -> str | None:
    """Time {1 seconds, 2 nanos}: RFC 3339 in UTC without fractions, which Kubernetes drops; null when there is none."""
    moment = instant(data)
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z") if moment else None


def micro_time(data: bytes) -> str | None:
    """MicroTime: RFC 3339 with six digits after the second."""
    moment = instant(data)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None


def instant(data: bytes) -> datetime | None:
    """Seconds and nanoseconds since 1970, to the microsecond; None for an empty message. Raises ``Undecodable``."""
    parts = numbers(data)
    seconds, nanos = wire.signed(parts.get(1, 0)), parts.get(2, 0) & 0xFFFF_FFFF
    if not data or (seconds == _ZERO_TIME and not nanos):
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=min(nanos, 999_999_999) // 1000)
    except OverflowError as error:
        raise Undecodable("a time is out of all bounds") from error


def duration(data: bytes) -> str:
    """Duration {1 nanoseconds} as Go writes it: ``1h0m0s``, ``1.5s``, ``250ms``, ``0s``."""
    left = wire.signed(numbers(data).get(1, 0))
    sign, left = ("-" if left < 0 else ""), abs(left)
    if left < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if left >= size:
                return f"{sign}{_decimal(left, size)}{unit}"
        return "0s"
    out = ""
    for size, unit in _NANOSECONDS:
        count, left = divmod(left, size)
        out += f"{count}{unit}" if count or out else ""
    return f"{sign}{out}{_decimal(left, 10**9)}s"


def quantity(data: bytes) -> str:
    """Quantity {1 string}; ``0`` when there is none. The API server has it in its canonical form already."""
    return string(data) or "0"


def int_or_string(data: bytes) -> int | str:
    """IntOrString {1 type, 2 intVal, 3 strVal}: type 0 is the number, 1 the string."""
    parts = dict(wire.fields(data))
    kind, number, word = parts.get(1, 0), parts.get(2, 0), parts.get(3, b"")
    if kind not in {0, 1} or not isinstance(number, int) or not isinstance(word, bytes):
        raise Undecodable("a port or a count is neither a number nor a string")
    number &= 0xFFFF_FFFF
    return text(word) if kind else number - (1 << 32) if number >= 1 << 31 else number


def raw(data: bytes) -> Any:
    """RawExtension {1 raw}, JSON {1 raw}: a document within the object; null when there is none."""
    inner = payload(data)
    return plain.load(inner) if inner else None


def managed(data: bytes) -> Any:
    """FieldsV1 {1 Raw}: JSON, or CBOR, whose map has no tag before it."""
    inner = payload(data)
    if not inner:
        return None
    return cbor.loads(inner) if inner[0] >= 0xA0 else plain.load_json(inner)


def string(data: bytes) -> str:
    """A message of which field 1 is a string."""
    return text(payload(data))


def payload(data: bytes) -> bytes:
    """Field 1 of a message, as bytes. Raises ``Undecodable``."""
    inner = dict(wire.fields(data)).get(1, b"")
    if isinstance(inner, int):
        raise Undecodable("a field is not of its type")
    return inner


def numbers(data: bytes) -> dict[int, int]:
    """The fields of a message of varints, within 64 bits. Raises ``Undecodable``."""
    found = {}
    for number, value in wire.fields(data):
        if isinstance(value, bytes):
            raise Undecodable("a field is not of its type")
        found[number] = value & (1 << 64) - 1
    return found


def _decimal(value: int, size: int) -> str:
    """``value / size`` without an end of zeros."""
    count, rest = divmod(value, size)
    digits = str(size + rest)[1:].rstrip("0")
    return f"{count}.{digits}" if digits else str(count)


_EXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions"
FORMS: Mapping[str, Callable[[bytes], Any]] = {
    f"{table.META}.Time": time,
    f"{table.META}.MicroTime": micro_time,
    f"{table.META}.Duration": duration,
    f"{table.META}.FieldsV1": managed,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": quantity,
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": int_or_string,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": raw,
    f"{_EXTENSIONS}.v1.JSON": raw,
    f"{_EXTENSIONS}.v1beta1.JSON": raw,
}
