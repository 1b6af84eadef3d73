"""What etcd keeps in the buckets of its database: revisions as keys, messages of mvccpb and etcdserverpb as values.

A key of bucket ``key`` is a revision: 8 bytes main, ``_``, 8 bytes sub, both big-endian, then ``t`` for a tombstone
(etcd server/storage/mvcc/revision.go). Its value is an mvccpb.KeyValue; that of a tombstone has the key only. The value
of the record that a revision bump leaves behind is empty (etcdutl/snapshot/v3_snapshot.go).
"""

import struct
from dataclasses import dataclass

from backstay.core.errors import SnapshotDamaged
from backstay.tiers.etcd import wire

KEY_BUCKET, ALARM_BUCKET = b"key", b"alarm"
REVISION_SIZE, TOMBSTONE_SIZE = 17, 18
MAX_REVISION = (1 << 63) - 1
_REVISION = struct.Struct(">QcQ")
_UINT64 = (1 << 64) - 1
_ALARM_KINDS = {1: "NOSPACE", 2: "CORRUPT"}


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One version of a key: mvccpb.KeyValue. ``version`` counts from the key's creation, ``lease`` is 0 for none."""

    key: bytes
    create_revision: int
    mod_revision: int
    version: int
    value: bytes
    lease: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that a member has raised: ``NOSPACE`` or ``CORRUPT``."""

    member_id: int
    kind: str


def revision_key(main: int, sub: int = 0) -> bytes:
    """The key of a record that is no tombstone."""
    return _REVISION.pack(main, b"_", sub)


def is_revision(key: bytes) -> bool:
    """Whether ``key`` is one of a record: of 17 bytes, or 18 for a tombstone."""
    if len(key) == TOMBSTONE_SIZE:
        return key[8] == ord("_") and key[17] == ord("t")
    return len(key) == REVISION_SIZE and key[8] == ord("_")


def main_of(key: bytes) -> int:
    """The main revision of a record."""
    return int.from_bytes(key[:8], "big")


def key_value(data: bytes, name: str, revision: int) -> KeyValue:
    """The message in a record. Raises ``SnapshotDamaged`` naming the file ``name`` and the ``revision``."""
    try:
        numbers, texts = _fields(data)
    except wire.Malformed as malformed:
        raise _no_message(name, revision, malformed) from None
    if numbers.keys() & {1, 5} or texts.keys() & {2, 3, 4, 6}:
        raise _no_message(name, revision, "a number stands for bytes, or bytes for a number")
    created, modified, version, lease = (numbers.get(number, 0) for number in (2, 3, 4, 6))
    return KeyValue(texts.get(1, b""), created, modified, version, texts.get(5, b""), lease)


def short_key(data: bytes, start: int, end: int) -> bytes | None:
    """The user key of the KeyValue in ``data[start:end]`` at a glance; ``None`` where it takes ``user_key``.

    etcd writes field 1, the key, first: a tag, its length, and the bytes. Keys below 128 bytes have one of length.
    """
    if end - start > 2 and data[start] == 0x0A and (size := data[start + 1]) < 0x80:
        stop = start + 2 + size
        return data[start + 2 : stop] if stop <= end else None
    return None


def user_key(data: bytes, name: str, revision: int) -> bytes:
    """The key alone: for the rare record where it is not short and first, as a quick look expects."""
    try:
        return next((value for number, value in wire.fields(data) if number == 1 and isinstance(value, bytes)), b"")
    except wire.Malformed as malformed:
        raise _no_message(name, revision, malformed) from None


def alarm(data: bytes) -> Alarm | None:
    """An etcdserverpb.AlarmMember, the key of an item of bucket ``alarm``; ``None`` where it is none."""
    try:
        numbers, _ = _fields(data)
    except wire.Malformed:
        return None
    kind = numbers.get(2, 0)
    return Alarm(numbers.get(1, 0) & _UINT64, _ALARM_KINDS.get(kind, f"alarm {kind}"))


def _fields(data: bytes) -> tuple[dict[int, int], dict[int, bytes]]:
    """Numbers and bytes of a message by field number; of a repeated field the last, as protobuf has it."""
    numbers: dict[int, int] = {}
    texts: dict[int, bytes] = {}
    for number, value in wire.fields(data):
        if isinstance(value, int):
            numbers[number] = wire.signed(value)
        else:
            texts[number] = value
    return numbers, texts


def _no_message(name: str, revision: int, why: object) -> SnapshotDamaged:
    return SnapshotDamaged(f"{name} is damaged: the record of revision {revision} is not a KeyValue: {why}")
