"""CBOR as Kubernetes stores it: RFC 8949, narrowed to what JSON can say.

Sources: RFC 8949; k8s.io/apimachinery, serializer/cbor/internal/modes. Strings are written there as byte strings; those
that are base64 in JSON are within tag 22. Numbers that JSON lacks, undefined and other simple values are refused.
"""

import base64
import math
import struct
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import Undecodable

MAX_DEPTH = 150
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
_INDEFINITE = 31
_BREAK = 0xFF
_SIMPLE = {20: False, 21: True, 22: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_TAG_BASE64URL, _TAG_BASE64, _TAG_BASE16 = 21, 22, 23


def loads(data: bytes) -> Any:
    """What the bytes say, as JSON would load it. Raises ``Undecodable``."""
    reader = _Reader(data)
    value = reader.item(0)
    if reader.position != len(data):
        raise Undecodable("CBOR goes on after its end")
    return value


def number_of(number: float) -> float | int:
    """A number as Go writes it in JSON: without a fraction when it has none. ``Undecodable`` for NaN and such."""
    if not math.isfinite(number):
        raise Undecodable("a number is one that JSON lacks")
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


@dataclass
class _Reader:
    data: bytes
    position: int = 0

    def take(self, count: int) -> bytes:
        chunk = self.data[self.position : self.position + count]
        if len(chunk) < count:
            raise Undecodable("CBOR is cut short")
        self.position += count
        return chunk

    def head(self) -> tuple[int, int, int | None]:
        """Major type, additional information, and the argument; None for an indefinite length."""
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info, info
        if info in _SIZES:
            return major, info, int.from_bytes(self.take(_SIZES[info]), "big")
        if info == _INDEFINITE and major in {2, 3, 4, 5}:
            return major, info, None
        raise Undecodable("CBOR has a length that is not one")

    def item(self, depth: int, later: int = 0) -> Any:
        """The next item; ``later`` is the tag that says how byte strings within are written as text."""
        if depth > MAX_DEPTH:
            raise Undecodable("CBOR is nested too deeply")
        major, info, argument = self.head()
        if major in {0, 1}:
            return argument if major == 0 else -1 - (argument or 0)
        if major in {2, 3}:
            return self._string(major, argument, later)
        if major == 4:
            return [self.item(depth + 1, later) for _ in self._count(argument)]
        if major == 5:
            return self._map(argument, depth, later)
        if major == 6:
            tag = argument if argument in {_TAG_BASE64URL, _TAG_BASE64, _TAG_BASE16} else later
            return self.item(depth + 1, tag or 0)
        return self._simple(info, argument)

    def _count(self, argument: int | None) -> Any:
        """Yields once for each element of an array or a map; an indefinite one ends with a break."""
        if argument is not None:
            yield from range(argument)  # a count that is too great ends at the end of the data
            return
        while self.data[self.position : self.position + 1] != bytes([_BREAK]):
            yield 0
        self.position += 1

    def _map(self, argument: int | None, depth: int, later: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in self._count(argument):
            major, _, size = self.head()
            key = self._string(major, size, 0)
            if key in found:
                raise Undecodable("CBOR has a map with one key twice")
            found[key] = self.item(depth + 1, later)
        return found

    def _string(self, major: int, size: int | None, later: int) -> str:
        if major not in {2, 3}:
            raise Undecodable("CBOR has a map whose key is not a string")
        if size is None:
            parts = []
            for _ in self._count(None):
                inner, _, length = self.head()
                if inner != major or length is None:
                    raise Undecodable("CBOR has a string in parts that do not fit")
                parts.append(self.take(length))
            raw = b"".join(parts)
        else:
            raw = self.take(size)
        if major == 2 and later == _TAG_BASE64:
            return base64.b64encode(raw).decode()
        if major == 2 and later == _TAG_BASE64URL:
            return base64.urlsafe_b64encode(raw).decode().rstrip("=")
        if major == 2 and later == _TAG_BASE16:
            return raw.hex()
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Undecodable("CBOR has a string that is not UTF-8") from error

    def _simple(self, info: int, argument: int | None) -> Any:
        if info in _FLOATS and argument is not None:
            (number,) = struct.unpack(_FLOATS[info], argument.to_bytes(_SIZES[info], "big"))
            return number_of(number)
        if info in _SIMPLE:
            return _SIMPLE[info]
        raise Undecodable("CBOR has a value that JSON lacks")
