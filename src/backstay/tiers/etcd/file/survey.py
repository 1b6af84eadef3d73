"""Everything a snapshot file says of itself: whole in structure, at which revision, with how many keys of what.

The structure is checked in the same walk, and nothing is held in memory but a bit for each page and record, and what
``newest`` needs. Two walks, of which the second has bucket ``key`` alone: which records count in HashKV is known after
the first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from backstay.core.errors import UsageError
from backstay.tiers.etcd.file.bolt import BoltFile, Bucket, Reached
from backstay.tiers.etcd.file.census import Census
from backstay.tiers.etcd.file.hashkv import crc32c, hash_kv
from backstay.tiers.etcd.file.metabucket import key_bucket, newest_revision, read_meta_bucket
from backstay.tiers.etcd.file.newest import Newest
from backstay.tiers.etcd.file.records import ALARM_BUCKET, KEY_BUCKET, Alarm, alarm

KUBERNETES_PREFIX = b"/registry"
MAX_ALARMS = 1000
_REPORT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Survey:
    """What ``survey`` found. Sizes are in bytes.

    ``revision`` is the last one in the file, 0 where it has no record; the server may stand further on, at
    ``compact_revision``, if it compacted away a tombstone that came last. ``compact_revision`` is the one under which
    ``hash_kv`` holds: the file's own (-1 for none), unless another was asked for. ``keys`` counts live user keys,
    ``records`` everything in bucket ``key``, ``items`` the items of each bucket. ``status_hash`` is the hash that
    ``etcdutl snapshot status`` prints, ``size_bytes`` its total size: the file without its checksum. What is not in use
    of that (``in_use_bytes``) a defragmentation gives back. ``storage_version`` is there from etcd 3.6 on.
    """

    revision: int
    compact_revision: int
    hash_kv: int
    status_hash: int
    keys: int
    records: int
    resources: Mapping[str, int]
    bootstrap_keys: tuple[str, ...]
    consistent_index: int
    term: int
    storage_version: str
    alarms: tuple[Alarm, ...]
    items: Mapping[str, int]
    size_bytes: int
    in_use_bytes: int
    page_size: int


def survey(
    path: Path,
    *,
    prefix: bytes = KUBERNETES_PREFIX,
    compact_revision: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Read the snapshot at ``path``, with or without its checksum, which is not looked at (``check_trailer`` does).

    ``prefix`` is where the cluster keeps its objects (kube-apiserver ``--etcd-prefix``). ``compact_revision`` is that
    of the servers' HashKV, where they have compacted further since. ``advance`` is given numbers of bytes that add up
    to ``size_bytes``. Beyond 262,144 records an unnamed file beside the snapshot takes 16 bytes for each.

    Raises ``SnapshotDamaged`` for a file that is no whole database of etcd, ``UsageError`` for a ``compact_revision``
    below the file's own or beyond its end, ``OSError`` as the system does.
    """
    with BoltFile(path) as bolt, Newest(path.parent) as newest:
        progress = _Progress(bolt.size_bytes, advance)
        reached = bolt.reached()
        buckets = bolt.buckets(reached)
        records = key_bucket(bolt, buckets)
        meta = read_meta_bucket(bolt, buckets)
        own = meta.compact_revision
        compacted = own if compact_revision is None else compact_revision
        if not own <= compacted <= max(newest_revision(bolt, buckets), own):
            raise UsageError(f"{bolt.name}, compacted at {own}, cannot be hashed as if compacted at {compacted}")
        census = Census(bolt.name, prefix, compacted, newest)
        status, items = _walk(bolt, buckets, reached, census, progress)
        free = bolt.check_free(reached)
        counted = census.result()
        hashed = hash_kv(bolt, records, counted, progress.add_half)
        found = Survey(
            revision=counted.revision,
            compact_revision=compacted,
            hash_kv=hashed,
            status_hash=status,
            keys=sum(counted.resources.values()),
            records=counted.records,
            resources=counted.resources,
            bootstrap_keys=counted.bootstrap_keys,
            consistent_index=meta.consistent_index,
            term=meta.term,
            storage_version=meta.storage_version,
            alarms=_alarms(bolt, buckets.get(ALARM_BUCKET)),
            items=items,
            size_bytes=bolt.size_bytes,
            in_use_bytes=(reached.count - free) * bolt.page_size,
            page_size=bolt.page_size,
        )
        progress.finish()
        return found


def _walk(
    bolt: BoltFile, buckets: Mapping[bytes, Bucket], reached: Reached, census: Census, progress: "_Progress"
) -> tuple[int, dict[str, int]]:
    """All buckets, with the records for ``census``. The hash of ``etcdutl snapshot status``, which is a CRC-32C over
    name, keys and values of each bucket in order (etcdutl/snapshot/v3_snapshot.go), and how many items each has."""
    extend = crc32c()
    status = 0
    items: dict[str, int] = {}
    for name, bucket in buckets.items():
        status, count = extend(status, name), 0
        for leaf in bolt.leaves(bucket, reached):
            status = extend(status, leaf.body)
            count += len(leaf.keys)
            if name == KEY_BUCKET:
                census.add(leaf)
            progress.add_half(len(leaf.data))
        items[name.decode("utf-8", "backslashreplace")] = count
    return status, items


def _alarms(bolt: BoltFile, bucket: Bucket | None) -> tuple[Alarm, ...]:
    keys = (key for key, _ in bolt.items(bucket)) if bucket else iter(())
    return tuple(found for key in islice(keys, MAX_ALARMS) if (found := alarm(key)))


class _Progress:
    """Adds up bytes, and hands them on in few calls; never more than ``total``, and in the end just that."""

    def __init__(self, total: int, advance: Callable[[int], None]) -> None:
        self._left = total
        self._advance = advance
        self._kept = 0

    def add_half(self, size: int) -> None:
        """A page was read, for the first or the second time."""
        self._kept += size // 2
        if self._kept >= _REPORT_BYTES:
            self._hand_on(min(self._kept, self._left))

    def finish(self) -> None:
        """What pages are out of use, or were read once."""
        self._hand_on(self._left)

    def _hand_on(self, size: int) -> None:
        self._left -= size
        self._kept = 0
        if size:
            self._advance(size)
