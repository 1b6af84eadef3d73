"""Bucket ``meta``: how far the store was compacted, and how far its log was applied (etcd server/storage/schema)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import SnapshotDamaged
from backstay.tiers.etcd.file.bolt import BoltFile, Bucket
from backstay.tiers.etcd.file.records import KEY_BUCKET, MAX_REVISION, REVISION_SIZE, is_revision, main_of

META_BUCKET = b"meta"
SCHEDULED_COMPACTION, FINISHED_COMPACTION = b"scheduledCompactRev", b"finishedCompactRev"
NEVER_COMPACTED = -1
_INDEX, _TERM, _STORAGE_VERSION = b"consistent_index", b"term", b"storageVersion"
_WANTED = {SCHEDULED_COMPACTION, FINISHED_COMPACTION, _INDEX, _TERM, _STORAGE_VERSION}
_MAX_VALUE_BYTES = 256


@dataclass(frozen=True, slots=True)
class MetaBucket:
    """``compact_revision`` is the higher of the compaction that was finished and the one that was asked for; -1 where
    there was none. ``storage_version`` is empty before etcd 3.6, the numbers are 0 where they are not there."""

    compact_revision: int
    consistent_index: int
    term: int
    storage_version: str


def read_meta_bucket(bolt: BoltFile, buckets: Mapping[bytes, Bucket]) -> MetaBucket:
    """What of the bucket is used here. Raises ``SnapshotDamaged`` where a value is not of its form."""
    bucket = buckets.get(META_BUCKET)
    found = {key: value for key, value in bolt.items(bucket) if key in _WANTED} if bucket else {}
    long = next((key for key, value in found.items() if len(value) > _MAX_VALUE_BYTES), None)
    if long:
        raise _damaged(bolt.name, long)
    return MetaBucket(
        max(_revision(bolt.name, found, key) for key in (SCHEDULED_COMPACTION, FINISHED_COMPACTION)),
        _number(bolt.name, found, _INDEX),
        _number(bolt.name, found, _TERM),
        found.get(_STORAGE_VERSION, b"").decode("utf-8", "backslashreplace"),
    )


def key_bucket(bolt: BoltFile, buckets: Mapping[bytes, Bucket]) -> Bucket:
    """The bucket of all records. Raises ``SnapshotDamaged`` where there is none."""
    if KEY_BUCKET not in buckets:
        raise SnapshotDamaged(f"{bolt.name} is not a snapshot of etcd: its database has no bucket 'key'")
    return buckets[KEY_BUCKET]


def newest_revision(bolt: BoltFile, buckets: Mapping[bytes, Bucket]) -> int:
    """The revision that a store restored from this has; 0 where it is empty. That of the last record, or that of the
    compaction which removed it (mvcc/kvstore.go, ``restore``)."""
    last = main_of(bolt.last_key(key_bucket(bolt, buckets)))
    if last > MAX_REVISION:
        raise SnapshotDamaged(f"{bolt.name} is damaged: its last revision is {last}, more than etcd can count")
    return max(last, read_meta_bucket(bolt, buckets).compact_revision, 0)


def heading(path: Path) -> tuple[int, int]:
    """Revision and compact revision (-1 for none) of the snapshot at ``path``, from a few pages; nothing else is
    checked. Raises ``SnapshotDamaged``, and ``OSError`` as the system does."""
    with BoltFile(path) as bolt:
        buckets = bolt.buckets()
        return newest_revision(bolt, buckets), read_meta_bucket(bolt, buckets).compact_revision


def _revision(name: str, found: Mapping[bytes, bytes], key: bytes) -> int:
    value = found.get(key)
    if value is None:
        return NEVER_COMPACTED
    if len(value) != REVISION_SIZE or not is_revision(value) or main_of(value) > MAX_REVISION:
        raise _damaged(name, key)
    return main_of(value)


def _number(name: str, found: Mapping[bytes, bytes], key: bytes) -> int:
    value = found.get(key, bytes(8))
    if len(value) != 8:
        raise _damaged(name, key)
    return int.from_bytes(value, "big")


def _damaged(name: str, key: bytes) -> SnapshotDamaged:
    return SnapshotDamaged(f"{name} is damaged: {key.decode()} in bucket 'meta' is not of its form")
