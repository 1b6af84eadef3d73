"""A folder as a store: a disk, a NAS mount. Each object is a plain file whose path is its key, readable by any tool.

A file is written under a hidden name, synced to the disk, and then appears under its key at once. Every change of what
is visible happens under one file lock, so conditions hold between processes on one machine, and between machines where
the file system carries ``flock`` (NFS does). Symbolic links inside the folder are never followed. POSIX only.
"""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from backstay.core.errors import AlreadyExists, BackstayError, Corrupt, Denied, NotFound, StoreError
from backstay.core.model import EMPTY
from backstay.store.base import Caps, ObjectInfo, check_key
from backstay.store.directory_files import (
    NEW_FILE,
    OLD_FILE,
    is_folder,
    move,
    names_in,
    object_at,
    open_folder,
    translated,
)
from backstay.store.keys import check_put, is_key

HIDDEN = ".backstay-tmp"  # in the folder of the store, hence on the same file system
LABEL = 100  # characters of the key in the name of an unfinished file; some file systems take names of 143 bytes
LOCK = "lock"
READ_BYTES = 1024 * 1024


def random_name() -> str:
    """A name for one unfinished file that no other has."""
    return secrets.token_hex(8)


class DirectoryStore:
    """The folder ``root``, which must exist: an unmounted disk must be an error, not a new folder beneath it.

    An ``etag`` is size, time of change in nanoseconds and inode. A name that cannot be a key, and whatever is not a
    plain file, was put there by something else: ``list`` tells ``foreign`` of it and goes on. A key cannot be both an
    object and the folder of others, as on S3 it can: ``put`` refuses that.
    """

    caps = Caps(conditional_create=True, conditional_match=True, object_lock=False)

    def __init__(
        self,
        root: Path,
        *,
        foreign: Callable[[str], None] | None = None,
        time_ns: Callable[[], int] = time.time_ns,
        name: Callable[[], str] = random_name,
    ) -> None:
        self.root = root.absolute()
        self._foreign = foreign
        self._time_ns = time_ns
        self._name = name

    def put(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        create: bool = False,
        match: str | None = None,
        lock_until: datetime | None = None,
        metadata: Mapping[str, str] = EMPTY,  # noqa: ARG002 - no place for it
    ) -> ObjectInfo:
        """As ``Store.put``. A full disk is a plain ``StoreError``: waiting would free nothing."""
        check_put(self.caps, key, create=create, match=match, lock_until=lock_until)
        self._refuse_hidden(key)
        temporary = f"{self._name()}-{_label(key)}"
        with self._talk("write", key), self._folder([HIDDEN], make=True) as hidden:
            file = os.open(temporary, NEW_FILE, 0o600, dir_fd=hidden)
        try:
            self._fill(key, file, chunks)
            return self._commit(key, temporary, create=create, match=match)
        except BaseException as error:
            self._discard(temporary, error)
            raise

    @contextmanager
    def get(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[Iterator[bytes]]:
        """As ``Store.get``; a start at or past the end gives no bytes. What was opened is read to its end, whatever
        replaces it meanwhile."""
        *folders, name = check_key(key).split("/")
        with self._talk("read", key), self._folder(folders) as folder:
            file = os.open(name, OLD_FILE, dir_fd=folder)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode) or folders[:1] == [HIDDEN]:
                raise NotFound(f"there is no {self.describe()}{key}")
            end = facts.st_size if length is None else min(start + length, facts.st_size)
            yield self._read(key, file, start, end)
        finally:
            os.close(file)

    def head(self, key: str) -> ObjectInfo:
        """As ``Store.head``."""
        *folders, name = check_key(key).split("/")
        with self._talk("look up", key), self._folder(folders) as folder:
            found = None if folders[:1] == [HIDDEN] else object_at(key, folder, name)
        if found is None:
            raise NotFound(f"there is no {self.describe()}{key}")
        return found

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``Store.list``; holds one folder's facts in memory, and those of the folders above it."""
        folders = prefix.split("/")[:-1]
        with self._talk("list", prefix), self._folder([]):
            pass  # the root must be there, even when nothing below it matches
        if folders[:1] != [HIDDEN] and (not folders or is_key("/".join(folders))):
            yield from self._walk(folders, prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """As ``Store.delete``; folders left empty go too."""
        for key in keys:
            parts = check_key(key).split("/")
            self._refuse_hidden(key)
            with self._talk("delete", key), self._locked():
                self._remove(parts)

    def describe(self) -> str:
        """``file:///path/``."""
        return f"file://{self.root.as_posix().rstrip('/')}/"

    def close(self) -> None:
        """Nothing is held between calls."""

    def unfinished(self, before: datetime, prefix: str) -> int:
        """How many files ``sweep`` would remove."""
        try:
            with self._talk("look into", HIDDEN), self._folder([HIDDEN]) as hidden:
                return len(_stale(hidden, before, prefix))
        except NotFound:
            return 0

    def sweep(self, before: datetime, prefix: str) -> int:
        """Remove the hidden files, of keys that begin with ``prefix``, that killed writers have left unchanged since a
        time. Returns how many."""
        with self._talk("sweep", ""), self._locked() as hidden:
            stale = _stale(hidden, before, prefix)
            for name in stale:
                os.unlink(name, dir_fd=hidden)
        return len(stale)

    def _fill(self, key: str, file: int, chunks: Iterable[bytes]) -> None:
        """Write everything and close ``file``. Errors of ``chunks`` come out as they are."""
        try:
            for chunk in chunks:
                rest = memoryview(chunk)
                with self._talk("write", key):
                    while rest:
                        rest = rest[os.write(file, rest) :]
            with self._talk("write", key):
                now = self._time_ns()  # the kernel's own stamp is too coarse to tell two writes apart
                os.utime(file, ns=(now, now))
                os.fsync(file)
        finally:
            os.close(file)

    def _commit(self, key: str, temporary: str, *, create: bool, match: str | None) -> ObjectInfo:
        *folders, name = key.split("/")
        with self._talk("write", key), self._locked() as hidden, self._folder(folders, make=True) as folder:
            if is_folder(folder, name):
                raise StoreError(f"cannot write {self.describe()}{key}: it is the folder of other objects")
            found = object_at(key, folder, name)
            if (create and found) or (match is not None and (found is None or found.etag != match)):
                raise AlreadyExists(f"cannot write {self.describe()}{key}: another write came first")
            move(hidden, temporary, folder, name, replace=not create)
            os.fsync(folder)
            written = object_at(key, folder, name)
        if written is None:
            raise StoreError(f"{self.describe()}{key} vanished as it was written")
        return written

    def _discard(self, temporary: str, error: BaseException) -> None:
        try:
            with self._folder([HIDDEN]) as hidden:
                os.unlink(temporary, dir_fd=hidden)
        except FileNotFoundError:
            return
        except (OSError, BackstayError) as failure:
            error.add_note(f"{self.root / HIDDEN / temporary} could not be removed ({failure}); `prune` will.")

    def _read(self, key: str, file: int, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            with self._talk("read", key):
                chunk = os.pread(file, min(READ_BYTES, end - start), start)
            if not chunk:
                raise Corrupt(f"{self.describe()}{key} ended {end - start} bytes before its end")
            start += len(chunk)
            yield chunk

    def _walk(self, folders: Sequence[str], prefix: str) -> Iterator[ObjectInfo]:
        """The objects in a folder and below it, in the order of their keys: a folder sorts as its name and ``/``."""
        above = "".join(f"{name}/" for name in folders)
        with self._talk("list", above):
            try:
                with self._folder(folders) as folder:
                    found = sorted(self._entries(folder, above, prefix), key=lambda entry: entry[0])
            except (FileNotFoundError, NotADirectoryError):
                return  # removed since it was seen, or never there
        for path, info in found:
            if info is not None:
                yield info
            else:
                yield from self._walk(path[:-1].split("/"), prefix)

    def _entries(self, folder: int, above: str, prefix: str) -> Iterator[tuple[str, ObjectInfo | None]]:
        """Names that the prefix does not rule out: files with their facts, folders with a ``/`` and without."""
        for name in names_in(folder):
            path = above + name
            if not path.startswith(prefix) and not prefix.startswith(f"{path}/"):
                continue
            known = is_key(path)
            if known and is_folder(folder, name):
                if path != HIDDEN:
                    yield f"{path}/", None
            elif known and (info := object_at(path, folder, name)) is not None:
                if path.startswith(prefix):
                    yield path, info
            elif self._foreign is not None:
                self._foreign(path)

    def _remove(self, parts: Sequence[str]) -> None:
        try:
            with self._folder(parts[:-1]) as folder:
                if is_folder(folder, parts[-1]):
                    return
                os.unlink(parts[-1], dir_fd=folder)
                os.fsync(folder)
            for depth in range(len(parts) - 1, 0, -1):
                with self._folder(parts[: depth - 1]) as folder:
                    os.rmdir(parts[depth - 1], dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            return  # absent already
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise

    def _refuse_hidden(self, key: str) -> None:
        if key.split("/", 1)[0] == HIDDEN:
            raise Denied(f"{self.describe()}{key} is where unfinished files are kept; nothing else may be there")

    def _folder(self, parts: Sequence[str], *, make: bool = False) -> AbstractContextManager[int]:
        return open_folder(self.root, parts, make=make)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The folder of unfinished files, while no other writer changes what is visible."""
        with self._folder([HIDDEN], make=True) as hidden:
            lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=hidden)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield hidden
            finally:
                os.close(lock)

    @contextmanager
    def _talk(self, verb: str, key: str) -> Iterator[None]:
        """Around every use of the file system: only errors of ``core.errors`` come out."""
        try:
            yield
        except OSError as error:
            raise translated(error, f"{verb} {self.describe()}{key}") from error


def _label(key: str) -> str:
    """How a key, or the beginning of one, is written in the name of an unfinished file: without ``/``, and cut off."""
    return quote(key, safe="", errors="surrogateescape")[:LABEL]


def _stale(hidden: int, before: datetime, prefix: str) -> list[str]:
    """The unfinished files of keys that begin with ``prefix``, unchanged since a time."""
    wanted = _label(prefix)
    names = (name for name in names_in(hidden) if name != LOCK and name.partition("-")[2].startswith(wanted))
    found = (object_at(name, hidden, name) for name in names)
    return [info.key for info in found if info is not None and info.modified_at < before]
