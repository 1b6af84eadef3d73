"""A snapshot written anew: defragmented, and with its revision raised where that is asked for.

A cluster that goes back to a snapshot gives revisions a second time, and what watched it (kubelets, controllers) waits
for revisions it has seen already. Raised far enough none comes twice, and marked as compacted every old watch is
cancelled: what ``etcdutl snapshot restore --bump-revision --mark-compacted`` does from etcd 3.6 on (etcd issue 16028),
here put into the file, so that any restore has it.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from backstay.core.errors import UsageError
from backstay.tiers.etcd.file.bolt import BoltFile, Bucket
from backstay.tiers.etcd.file.metabucket import META_BUCKET, SCHEDULED_COMPACTION, key_bucket, newest_revision
from backstay.tiers.etcd.file.records import KEY_BUCKET, MAX_REVISION, revision_key
from backstay.tiers.etcd.file.writer import BoltWriter

_BUFFER_BYTES = 1 << 20


def rewrite(source: Path, destination: Path, *, bump: int = 0) -> None:
    """Write the snapshot ``source`` to ``destination``, whole, with its checksum, for its owner's eyes only (0600).

    ``bump`` is added to the revision that the restored store begins with. ``destination`` may exist, and is replaced
    once the new file is on the disk; on any error it is as it was. It may be ``source``.

    Raises ``SnapshotDamaged`` where ``source`` is no whole database, ``UsageError`` for a ``bump`` below 0 or beyond
    what etcd can count, ``OSError`` as the system does.
    """
    if bump < 0:
        raise UsageError(f"a revision can be raised, not lowered: {bump:,}")
    with BoltFile(source) as bolt:
        descriptor, name = tempfile.mkstemp(prefix=".rewrite-", suffix=".part", dir=destination.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "w+b", buffering=_BUFFER_BYTES) as file:
                _copy(bolt, file, bump)
                _seal(file)
            part.replace(destination)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _sync_folder(destination.parent)


def _copy(bolt: BoltFile, file: BinaryIO, bump: int) -> None:
    """Every bucket, with what the bump adds."""
    reached = bolt.reached()
    buckets = bolt.buckets(reached)
    key_bucket(bolt, buckets)
    added = _bumped(bolt, buckets, bump) if bump else {}
    writer = BoltWriter(file)
    for name in sorted(buckets.keys() | added.keys()):
        bucket = buckets.get(name)
        items = bolt.items(bucket, reached) if bucket else iter(())
        writer.bucket(name, _with(items, *added.get(name, ())), bucket.sequence if bucket else 0)
    bolt.check_free(reached)
    writer.finish(bolt.txid)


def _bumped(bolt: BoltFile, buckets: dict[bytes, Bucket], bump: int) -> dict[bytes, tuple[bytes, bytes]]:
    """The two items of a bump: a record without a key, and the revision up to which a compaction is due."""
    revision = newest_revision(bolt, buckets) + bump
    if revision > MAX_REVISION:
        raise UsageError(f"etcd cannot count to revision {revision:,}; raise it by less than {bump:,}")
    key = revision_key(revision)
    return {KEY_BUCKET: (key, b""), META_BUCKET: (SCHEDULED_COMPACTION, key)}


def _with(items: Iterable[tuple[bytes, bytes]], key: bytes = b"", value: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """``items`` with ``key`` in its place, instead of one of that name; as they are where it is empty."""
    after = not key
    for item in items:
        if not after and item[0] >= key:
            after = True
            yield key, value
            if item[0] == key:
                continue
        yield item
    if not after:
        yield key, value


def _seal(file: BinaryIO) -> None:
    """Append the SHA-256 of all before, and see that the disk has it."""
    file.flush()
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_BUFFER_BYTES):
        digest.update(chunk)
    file.write(digest.digest())
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Without this a power cut could undo the renaming."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
