"""A snapshot from the stream into a file, whole and proven, or no file at all.

Framing: the stream is the bbolt file followed by its SHA-256 (etcd-io/etcd, server, api/v3rpc/maintenance.go). etcd's
own client does not compare it; the first to do so would be the restore.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import SnapshotDamaged, SourceError
from backstay.core.units import format_size
from backstay.tiers.etcd.api.client import DIGEST_BYTES, STALL_SECONDS, EtcdClient

PART = ".backstay.part"  # .<name>.backstay.part: nobody else's half files end so
RESERVE_BYTES = 64 * 1024 * 1024  # the store grows while it is copied, and a full disk stops etcd itself
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
ATTEMPTS = 5  # each time another run may remove a leftover that we are about to take


@dataclass(frozen=True)
class Received:
    """A snapshot in its file: ``sha256_hex`` of the whole file, ``content_sha256_hex`` of all but its last 32 bytes.

    The latter is what the file's own last 32 bytes say, compared.
    """

    size_bytes: int
    sha256_hex: str
    content_sha256_hex: str


def receive(
    client: EtcdClient,
    path: Path,
    *,
    advance: Callable[[int], None],
    expected_bytes: int,
    stall_seconds: float = STALL_SECONDS,
) -> Received:
    """Write a snapshot to ``path``, mode 0600; ``advance`` is told the bytes of each block as it is written.

    ``expected_bytes``: ``MemberStatus.db_size_bytes``, for which there must be room, and some more. Until it is whole
    the file has another name in the same folder, and any error or interruption removes it. A file that had the name is
    replaced. What a killed run left in the folder goes with the next one. Nothing is forced to the disk (fsync): after
    a power cut nobody needs the file, and what is stored of it is compared with ``sha256_hex``.

    Raises ``SourceError`` (cut, stalled, no room, another run at it) and ``SnapshotDamaged`` when the bytes are not
    those that etcd sent.
    """
    folder = path.parent
    sweep(folder)
    _check_room(folder, expected_bytes)
    part = folder / f".{path.name}{PART}"
    with _created(part) as descriptor, closing(client.snapshot(stall_seconds=stall_seconds)) as blocks:
        content = _Content()
        for block in blocks:
            with _explained(part, expected_bytes):
                _write_all(descriptor, block)
            content.update(block)
            advance(len(block))
        received = content.compared(client.endpoint)
        with _explained(part, expected_bytes):
            part.replace(path)
    return received


def sweep(folder: Path) -> None:
    """Remove what killed runs left in ``folder``: half files of this account that no process holds."""
    for part in folder.glob(f".*{PART}"):
        with contextlib.suppress(OSError):
            found = part.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                _remove_unheld(part)


class _Content:
    """The hash of all but the last 32 bytes. Any 32 may be the last, so those that came last are kept from it."""

    def __init__(self) -> None:
        self._size = 0
        self._hash = hashlib.sha256()
        self._tail = b""

    def update(self, block: bytes) -> None:
        self._size += len(block)
        last = self._tail + block
        self._hash.update(last[:-DIGEST_BYTES])
        self._tail = last[-DIGEST_BYTES:]

    def compared(self, endpoint: str) -> Received:
        """What came, if it is what was sent. Raises ``SnapshotDamaged``."""
        if self._hash.digest() != self._tail:
            raise SnapshotDamaged(
                f"the snapshot from {endpoint} is not what its checksum says: bytes were changed on the way",
                hint="Run it again; if it comes back, look at the memory and the network of this machine. "
                "No file is left, and nothing was stored.",
            )
        whole = self._hash.copy()
        whole.update(self._tail)
        return Received(self._size, whole.hexdigest(), self._hash.hexdigest())


@contextmanager
def _explained(part: Path, expected_bytes: int) -> Iterator[None]:
    """Errors of the file system as ``SourceError``."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _no_room(part.parent, expected_bytes, str(error.strerror).lower()) from error
        raise SourceError(
            f"the snapshot cannot be written to {part}: {error.strerror}",
            hint="No file is left, and nothing was stored.",
        ) from error


def _write_all(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _created(part: Path) -> Iterator[int]:
    """A new file under lock, open for writing; removed unless it was renamed."""
    descriptor = _create(part)
    try:
        yield descriptor
    finally:
        with contextlib.suppress(FileNotFoundError):
            if _is_at(descriptor, part):
                part.unlink()
        os.close(descriptor)


def _create(part: Path) -> int:
    """O_EXCL and O_NOFOLLOW: never a file or a link that another account laid there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(ATTEMPTS):
        try:
            descriptor = os.open(part, flags, 0o600)
        except FileExistsError:
            break
        except OSError as error:
            raise SourceError(
                f"no file can be made in the spool folder {part.parent}: {error.strerror}", hint="Nothing was asked."
            ) from error
        if _locked(descriptor) and _is_at(descriptor, part):
            return descriptor
        os.close(descriptor)  # a sweep took it for a leftover before it was locked
    raise SourceError(
        f"another run is taking a snapshot to {part}",
        hint="Wait for it to end. Nothing of it was touched.",
        path=str(part),
    )


def _remove_unheld(part: Path) -> None:
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if _locked(descriptor) and _is_at(descriptor, part):
            part.unlink()
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock that ends with its process, however that ends (flock(2)); False when another holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether ``path`` is still the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _check_room(folder: Path, expected_bytes: int) -> None:
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise SourceError(f"there is no spool folder {folder}: {error.strerror}", hint="Nothing was asked.") from error
    if disk.f_bavail * disk.f_frsize < expected_bytes + RESERVE_BYTES:
        raise _no_room(folder, expected_bytes, f"{format_size(disk.f_bavail * disk.f_frsize)} are free")


def _no_room(folder: Path, expected_bytes: int, why: str) -> SourceError:
    return SourceError(
        f"there is no room for a snapshot in {folder}: {why}",
        hint=f"It needs {format_size(expected_bytes + RESERVE_BYTES)} there: the {format_size(expected_bytes)} of the "
        "store and a reserve. Make room or configure another spool folder (etcd.spool). No file is left, and nothing "
        "was stored.",
        needed_bytes=expected_bytes + RESERVE_BYTES,
    )
