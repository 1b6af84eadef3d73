"""Write a view of a backup that other programs read, to a place of its own: plain bytes, checked as they go."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from backstay.core.errors import AlreadyExists
from backstay.core.model import Progress
from backstay.store.base import Store
from backstay.store.pipeline import compress

GZIP_LEVEL = 1
Opened = Callable[[], AbstractContextManager[Iterator[bytes]]]  # a stream, for the length of a block


class Part(Protocol):
    """One file: its name, plain bytes, and whether it is to be compressed with gzip."""

    @property
    def name(self) -> str:
        """Its key below the folder of the view."""

    @property
    def compressed(self) -> bool:
        """Whether gzip is put around its bytes."""

    @property
    def opened(self) -> Opened:
        """Opens its plain bytes; what is damaged raises ``Corrupt`` as they end."""


def export(
    store: Store, prefix: str, parts: Iterable[Part], last: tuple[str, bytes], progress: Progress
) -> tuple[int, int]:
    """Write every part below ``prefix``, then ``last``, by which the others count. Returns files and stored bytes.

    Raises ``AlreadyExists`` before anything is written when ``last`` is there, and what the store and the backup raise:
    what was written until then is without ``last``, and so nothing to whoever looks for it; the next run replaces it.
    """
    final = f"{prefix}/{last[0]}" if prefix else last[0]
    if any(info.key == final for info in store.list(final)):
        raise AlreadyExists(
            f"{store.describe()}{final} is there already",
            hint="Nothing was written. Remove that folder, or export to another place.",
        )
    files = stored = 0
    for part in parts:
        progress.phase(f"writing {part.name.rpartition('/')[2]}")
        with part.opened() as chunks:
            plain = _told(chunks, progress)
            data = compress(plain, "gzip", GZIP_LEVEL) if part.compressed else plain
            stored += store.put(f"{prefix}/{part.name}" if prefix else part.name, data, create=False).size_bytes
        files += 1
    stored += store.put(final, [last[1]], create=True).size_bytes
    return files + 1, stored


def _told(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        progress.advance(len(chunk))
        yield chunk
