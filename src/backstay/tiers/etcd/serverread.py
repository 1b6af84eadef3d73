"""The archive of the server's files read again: listed, or laid into a folder where somebody can look at them."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from backstay.core.errors import Corrupt, RestoreError, UsageError
from backstay.store.chunkfile import ChunkFile
from backstay.tiers.base import Source
from backstay.tiers.etcd.serverpart import SERVER


def names(source: Source) -> Iterator[tuple[str, int]]:
    """Name and size in bytes of each file; read to the end, so that the checksum was compared. Raises ``Corrupt``."""
    with _archive(source) as archive:
        yield from ((entry.name, entry.size) for entry in archive)


def extract(source: Source, folder: Path) -> int:
    """Lay the files into a new folder that only this account may enter; how many. Nothing is put where it came from.

    What comes from a store is not trusted: names that lead out of the folder are refused, and only plain files are
    written, no links. Raises ``Corrupt``, ``UsageError`` for a folder that is there, ``RestoreError``.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise UsageError(f"{folder} is there already", hint="Name a folder that is not. Nothing was written.") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}", hint="Nothing was written.") from error
    count = 0
    try:
        with _archive(source) as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is not None:
                    _write(content, _place(folder, entry.name))
                    count += 1
    except OSError as error:
        words = f"not all server files were written to {folder}: {error.strerror}"
        raise RestoreError(words, hint="Remove that folder, and name one with more room.") from error
    return count


def _place(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise Corrupt(f"the server files hold a name that no backup has: {name!r}", hint=f"See {folder}.")
    return folder.joinpath(*parts)


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        shutil.copyfileobj(content, file)


@contextmanager
def _archive(source: Source) -> Iterator[tarfile.TarFile]:
    if source.backup.artifact(SERVER) is None:
        raise UsageError(
            f"{source.backup.id} has no server files",
            hint="They are backed up where encryption.recipients are set (docs/etcd.md).",
        )
    with source.open(SERVER) as chunks:
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", ChunkFile(chunks)), mode="r|") as archive:
                yield archive
        except tarfile.ReadError as error:
            raise Corrupt(f"the server files of {source.backup.id} are no tar archive: {error}") from error
        for _ in chunks:
            pass
