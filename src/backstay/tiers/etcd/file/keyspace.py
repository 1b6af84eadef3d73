"""The keys of a snapshot and their values, as a server restored from it would give them."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import SnapshotDamaged, UsageError
from backstay.tiers.etcd.file.bolt import BoltFile, Bucket
from backstay.tiers.etcd.file.metabucket import heading, key_bucket, newest_revision
from backstay.tiers.etcd.file.nodes import Leaf
from backstay.tiers.etcd.file.records import (
    TOMBSTONE_SIZE,
    KeyValue,
    is_revision,
    key_value,
    main_of,
    revision_key,
    short_key,
    user_key,
)

__all__ = ["KeyValue", "Version", "history", "live"]
_INDEX_BITS = 16  # a page has at most 65,535 items


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key: the revision that made it, whether it was then deleted, and the bytes of its value."""

    mod_revision: int
    tombstone: bool
    value_size: int


def live(path: Path, prefix: bytes, *, at: int | None = None) -> Iterator[tuple[bytes, KeyValue]]:
    """The live keys that begin with ``prefix``, in the order of keys, each with its newest version.

    With ``at`` as of that revision: what etcd answers to a range of it, as long as the file still has it. Held in
    memory are the names of the keys that match; values are read when they are asked for.

    Raises ``UsageError`` at once for a revision that was compacted or is not yet there; ``SnapshotDamaged`` at once or
    on the way, ``OSError`` as the system does.
    """
    revision, compacted = heading(path)
    if at is not None and not max(compacted, 0) <= at <= revision:
        since = f"its revisions before {compacted:,} are compacted" if at < compacted else f"it ends at {revision:,}"
        raise UsageError(f"{path.name} has no revision {at:,}: {since}")
    return _live(path, prefix, revision if at is None else at)


def glance(path: Path, prefixes: tuple[bytes, ...]) -> Callable[[bytes], Iterator[tuple[bytes, KeyValue]]]:
    """As ``live``, for several prefixes at once: the file is walked a single time, for all of them; what is returned
    gives the keys of each, or of a part of it."""
    with BoltFile(path) as bolt:
        buckets = bolt.buckets()
        newest = _places(bolt, key_bucket(bolt, buckets), prefixes, newest_revision(bolt, buckets))

    def look(prefix: bytes) -> Iterator[tuple[bytes, KeyValue]]:
        with BoltFile(path) as bolt:
            bucket = key_bucket(bolt, bolt.buckets())
            yield from _values(bolt, bucket, {user: at for user, at in newest.items() if user.startswith(prefix)})

    return look


def history(path: Path, key: bytes) -> Iterator[Version]:
    """Every version of ``key`` that is in the file, oldest first: before its last compaction not all of them are.

    Raises ``SnapshotDamaged`` on the way, ``OSError`` as the system does.
    """
    with BoltFile(path) as bolt:
        for leaf in bolt.leaves(key_bucket(bolt, bolt.buckets())):
            for index, user in _users(bolt, leaf, key):
                if user == key:
                    revision = main_of(leaf.keys[index])
                    tombstone = len(leaf.keys[index]) == TOMBSTONE_SIZE
                    found = key_value(leaf.value(index), bolt.name, revision)
                    yield Version(revision, tombstone, len(found.value))


def _live(path: Path, prefix: bytes, at: int) -> Iterator[tuple[bytes, KeyValue]]:
    with BoltFile(path) as bolt:
        bucket = key_bucket(bolt, bolt.buckets())
        yield from _values(bolt, bucket, _places(bolt, bucket, prefix, at))


def _values(bolt: BoltFile, bucket: Bucket, newest: Mapping[bytes, int]) -> Iterator[tuple[bytes, KeyValue]]:
    """What is at these places, in the order of keys."""
    for user in sorted(newest):
        page, index = divmod(newest[user], 1 << _INDEX_BITS)
        leaf = bolt.leaf(bucket, page)
        if index >= len(leaf.keys):
            raise SnapshotDamaged(f"{bolt.name} was changed while it was read: page {page} has fewer items")
        found = key_value(leaf.value(index), bolt.name, main_of(leaf.keys[index]))
        if found.key != user:
            raise SnapshotDamaged(f"{bolt.name} was changed while it was read: page {page} has another key")
        yield user, found


def _places(bolt: BoltFile, bucket: Bucket, prefix: bytes | tuple[bytes, ...], at: int) -> dict[bytes, int]:
    """Where the newest record of each key is, at revision ``at``: the page and the number of the item in it."""
    newest: dict[bytes, int] = {}
    beyond = revision_key(at + 1)
    for leaf in bolt.leaves(bucket):
        count = bisect_left(leaf.keys, beyond)
        for index, user in _users(bolt, leaf, prefix):
            if index >= count:
                break
            if len(leaf.keys[index]) == TOMBSTONE_SIZE:
                newest.pop(user, None)
            elif user:  # the record that a revision bump leaves behind has no key
                newest[user] = leaf.page << _INDEX_BITS | index
        if count < len(leaf.keys):
            break
    return newest


def _users(bolt: BoltFile, leaf: Leaf, prefix: bytes | tuple[bytes, ...]) -> Iterator[tuple[int, bytes]]:
    """Number and user key of the records of ``leaf`` whose key begins with ``prefix``."""
    data = leaf.data
    for index, (key, start, end) in enumerate(zip(leaf.keys, leaf.starts, leaf.ends, strict=True)):
        if not is_revision(key):
            raise SnapshotDamaged(f"{bolt.name} is damaged: page {leaf.page} has a record without a revision")
        user = short_key(data, start, end) or user_key(data[start:end], bolt.name, main_of(key))
        if user.startswith(prefix):
            yield index, user
