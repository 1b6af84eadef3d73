"""The checksum at the end of a snapshot: 32 bytes, the SHA-256 of the database before them.

etcd's server appends it to the stream (server/etcdserver/api/v3rpc/maintenance.go); its client checks no more than that
the size is a multiple of 512 and 32 bytes, and the first to compute it is otherwise the restore.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from backstay.core.errors import SnapshotDamaged
from backstay.tiers.etcd.file.pages import read_meta

TRAILER_BYTES = 32
_SECTOR_BYTES = 512
_CHUNK_BYTES = 1 << 20
_FETCH_AGAIN = "Fetch it again, or use another snapshot."


def check_trailer(path: Path, progress: Callable[[int], None] = lambda _: None) -> int:
    """The size of the database in bytes, once its SHA-256 was found to equal the file's last 32 bytes.

    ``progress`` is given the number of bytes hashed since it was last called. Raises ``SnapshotDamaged``, whose message
    tells a file that was cut short from one that was changed; ``OSError`` as the system does.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= TRAILER_BYTES or size % _SECTOR_BYTES != TRAILER_BYTES:
            raise _incomplete(path.name, size, _promised(file))
        left = size - TRAILER_BYTES
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        while left:
            count = file.readinto(buffer[: min(left, _CHUNK_BYTES)])
            if not count:
                raise SnapshotDamaged(f"{path.name} became shorter while it was read")
            digest.update(buffer[:count])
            left -= count
            progress(count)
        promised = _promised(file)
        if file.read(TRAILER_BYTES) == digest.digest():
            return size - TRAILER_BYTES
    if promised > size - TRAILER_BYTES:
        raise _incomplete(path.name, size, promised)
    raise SnapshotDamaged(f"{path.name} was changed: its bytes do not match the checksum at its end", hint=_FETCH_AGAIN)


def _promised(file: BinaryIO) -> int:
    """The size of the whole database by its meta pages; 0 where neither is whole."""
    meta = read_meta(file.fileno())
    return meta.size_bytes if meta else 0


def _incomplete(name: str, size: int, promised: int) -> SnapshotDamaged:
    if not size:
        return SnapshotDamaged(f"{name} is empty", hint=_FETCH_AGAIN)
    if promised and promised == size:
        return SnapshotDamaged(
            f"{name} has no checksum at its end: it is cut short by just that, or a copy of etcd's own database file",
            hint="Take it with etcdctl snapshot save. A copy of a running etcd's file may be torn.",
        )
    whole = f" of {promised + TRAILER_BYTES:,}" if promised else ""
    return SnapshotDamaged(f"{name} is cut short: it has {size:,} bytes{whole}", hint=_FETCH_AGAIN)
