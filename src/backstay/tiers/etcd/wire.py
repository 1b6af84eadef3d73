"""Protocol Buffers by hand: the few messages of etcd and Kubernetes that Backstay reads and writes.

A message is a run of fields: a varint tag (``number << 3 | kind``), then for kind 0 a varint, 1 eight bytes, 2 a varint
length and so many bytes, 5 four bytes (protobuf.dev, "Encoding"). A field that has its default value may be absent.
"""

from collections.abc import Iterator

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
MAX_VARINT_BYTES = 10


class Malformed(ValueError):
    """The bytes are not a message."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field, in order. Values of kinds 1 and 5 come as their bytes. Raises ``Malformed``."""
    position, end = 0, len(data)
    while position < end:
        tag, position = varint_at(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, position = varint_at(data, position)
            yield number, value
            continue
        if kind == BYTES:
            size, position = varint_at(data, position)
        elif kind in {EIGHT_BYTES, FOUR_BYTES}:
            size = 8 if kind == EIGHT_BYTES else 4
        else:
            raise Malformed(f"field {number} is of kind {kind}")
        if not number or size > end - position:
            raise Malformed(f"field {number} of {size:,} bytes does not fit")
        yield number, data[position : position + size]
        position += size


def varint_at(data: bytes, position: int) -> tuple[int, int]:
    """The varint at ``position`` and the position after it. Raises ``Malformed``."""
    value = 0
    for shift in range(0, 7 * MAX_VARINT_BYTES, 7):
        if position >= len(data):
            raise Malformed("a number is cut short")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise Malformed("a number is too long")


def varint(value: int) -> bytes:
    """``value`` (not negative) as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*pairs: tuple[int, int | bytes]) -> bytes:
    """A message of these fields: whole numbers as varints, bytes with their length before them."""
    out = bytearray()
    for number, value in pairs:
        if isinstance(value, int):
            out += varint(number << 3 | VARINT) + varint(value)
        else:
            out += varint(number << 3 | BYTES) + varint(len(value)) + value
    return bytes(out)


def signed(value: int) -> int:
    """A varint that was meant as int64: negative numbers come as their two's complement."""
    return value - (1 << 64) if value >= 1 << 63 else value
