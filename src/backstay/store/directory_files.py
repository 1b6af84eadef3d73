"""Folders held open by descriptor, so that no symbolic link and no rename leads out of the store; and their errors."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backstay.core.errors import AlreadyExists, Denied, NotFound, StoreError, StoreMissing, Unavailable
from backstay.store.base import ObjectInfo

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe would wait for its other end.
OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
PASSING = frozenset({errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EHOSTDOWN, errno.EBUSY})
NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


@contextmanager
def open_folder(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder ``parts`` below ``root``; ``make`` creates what is not there, never ``root`` itself.

    Raises ``StoreMissing`` without ``root``, ``StoreError`` when something that is no folder is in the way of a new
    one, else ``OSError``.
    """
    try:
        folder = os.open(root, FOLDER & ~os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreMissing(
            f"the folder {root} does not exist",
            hint="If a disk or a network mount belongs there, mount it; for a new store make the folder.",
        ) from error
    try:
        for part in parts:
            inner = _enter(folder, part, make=make)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _enter(folder: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as error:
        if make and error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise StoreError(f"{name} is not a folder, so nothing can be stored below it") from error
        raise
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
        os.fsync(folder)
    except FileExistsError:
        pass  # another writer was first
    return os.open(name, FOLDER, dir_fd=folder)


def names_in(folder: int) -> list[str]:
    """Every name in an open folder, in no order."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def object_at(key: str, folder: int, name: str) -> ObjectInfo | None:
    """The facts of a plain file, or ``None`` if there is none of this name."""
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return ObjectInfo(
        key=key,
        size_bytes=facts.st_size,
        modified_at=datetime.fromtimestamp(facts.st_mtime, UTC),
        etag=f"{facts.st_size:x}-{facts.st_mtime_ns:x}-{facts.st_ino:x}",
    )


def is_folder(folder: int, name: str) -> bool:
    """Whether there is a folder of this name, and not a link to one."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def move(source: int, temporary: str, target: int, name: str, *, replace: bool) -> None:
    """Give a finished file its name, at once. Without ``replace`` an existing one raises ``AlreadyExists``.

    A hard link refuses a taken name by itself; file systems without them (FAT, some network mounts) get a rename,
    for which the caller has looked under the lock.
    """
    if not replace:
        try:
            os.link(temporary, name, src_dir_fd=source, dst_dir_fd=target)
        except FileExistsError as error:
            raise AlreadyExists(f"{name} exists") from error
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
        else:
            os.unlink(temporary, dir_fd=source)
            return
    os.rename(temporary, name, src_dir_fd=source, dst_dir_fd=target)


def translated(error: OSError, what: str) -> StoreError:
    """The error to raise for the operating system's; ``what`` is ``write file:///srv/backups/key`` and the like."""
    reason = error.strerror or type(error).__name__
    if error.errno in FULL:
        return StoreError(
            f"cannot {what}: no room on the disk ({reason})",
            hint="Free space or raise the quota; nothing of it became visible.",
        )
    if error.errno in FORBIDDEN:
        return Denied(
            f"cannot {what}: {reason}",
            hint="The folder and all in it must be open to the user who runs Backstay.",
        )
    if error.errno in ABSENT:
        return NotFound(f"cannot {what}: there is no such object")
    if error.errno in PASSING:
        return Unavailable(f"cannot {what}: {reason}", hint="If it is a network mount, check the server behind it.")
    if error.errno == errno.ENAMETOOLONG:
        return StoreError(f"cannot {what}: a part of the name is longer than this file system takes")
    return StoreError(f"cannot {what}: {reason}")
