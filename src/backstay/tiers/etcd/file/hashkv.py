"""HashKV: the checksum by which the members of a cluster compare themselves, computed from a file.

It is a CRC-32C over the word ``key`` and the records of that bucket in order: all after the compact revision C, and of
those up to C the newest of each key unless it is a tombstone. Newest means at the revision hashed, the file's last; so
it makes no difference whether a compaction to C was through when the snapshot was taken. Where no key is left at that
revision, newest means at C, which is what the compaction leaves. Two hashes can be compared only under the same C.

Source: etcd server/storage/mvcc, hash.go and key_index.go (``keep``). From 3.5.15 on a tombstone at C stays in the
file, and is left out of the hash like any other up to C. While a compaction runs in a store that has no key left, a
server may give another hash, of what is yet to be removed.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from backstay.tiers.etcd.file.bolt import BoltFile, Bucket
from backstay.tiers.etcd.file.census import Counted
from backstay.tiers.etcd.file.nodes import Leaf, body
from backstay.tiers.etcd.file.records import KEY_BUCKET


class Crc32c(Protocol):
    """``google_crc32c.extend``: the checksum of what gave ``crc``, with ``chunk`` after it."""

    def __call__(self, crc: int, chunk: bytes, /) -> int: ...


def crc32c() -> Crc32c:
    """The function; its module is loaded when a file is hashed, and not with every command."""
    import google_crc32c

    extend: Crc32c = google_crc32c.extend
    return extend


def hash_kv(bolt: BoltFile, bucket: Bucket, counted: Counted, advance: Callable[[int], None]) -> int:
    """The hash at the file's last revision. ``advance`` is given the bytes of each page. Raises ``SnapshotDamaged``."""
    extend = crc32c()
    crc = extend(0, KEY_BUCKET)
    record = 0
    for page, data, count in bolt.pages(bucket):
        if record >= counted.old or _all_kept(counted, record, count):
            crc = extend(crc, body(data, count))
        else:
            for part in _parts_kept(bolt.parse(page, data, count), record, counted):
                crc = extend(crc, part)
        record += count
        advance(len(data))
    return crc


def _all_kept(counted: Counted, record: int, count: int) -> bool:
    if record + count > counted.old:
        return False
    all_of_them = (1 << count) - 1
    window = int.from_bytes(counted.kept[record >> 3 : (record + count + 7) >> 3], "little")
    return window >> (record & 7) & all_of_them == all_of_them


def _parts_kept(leaf: Leaf, record: int, counted: Counted) -> Iterator[bytes]:
    """Key and value of each record that counts; the first of ``leaf`` is ``record``, by their order in the file."""
    data, kept, old = leaf.data, counted.kept, counted.old
    for number, (key, start, end) in enumerate(zip(leaf.keys, leaf.starts, leaf.ends, strict=True), record):
        if number >= old or kept[number >> 3] & 1 << (number & 7):
            yield data[start - len(key) : end]
