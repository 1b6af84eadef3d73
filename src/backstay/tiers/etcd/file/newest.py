"""Which record of each user key is the newest, for any number of keys in little memory.

Records come in order of age as pairs of whole numbers: a hash of the user key, and a tag. A dictionary filled in that
order is left with the last tag of each hash. Up to ``CHUNK`` records that is all there is to it; beyond, each chunk is
dealt into ``PARTS`` by hash and written to an unnamed file, and then one part at a time is read back into a dictionary.
A part has 1/256 of the keys: about 300,000, and 40 MB, at the 80 million records of an 8 GB file of small values.

Two keys with one 64-bit hash would be taken for one: at ten million keys that has a chance of 3 in a million. Python's
hash of bytes is SipHash, keyed anew in each process, so that nobody can make such keys on purpose.
"""

import errno
import os
import sys
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


def blake2_hash(data: bytes) -> int:
    """A hash of 64 bits where Python's own has fewer, as on 32-bit ARM."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)


HASH: Callable[[bytes], int] = hash if sys.hash_info.width >= 64 else blake2_hash
CHUNK = 1 << 18
PARTS = 256


class Newest:
    """Takes ``add`` in order of age, then gives ``tags``. The file is made in ``folder`` when it is needed."""

    def __init__(self, folder: Path, *, chunk: int = CHUNK) -> None:
        self._folder = folder
        self._chunk = chunk
        self._hashes, self._tags = array("q"), array("q")
        self._closing = ExitStack()
        self._descriptor = -1
        self._spilled: list[array[int]] = []  # of each chunk: where its parts begin in the file, and its end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()

    def add(self, hashes: Iterable[int], tags: Iterable[int]) -> None:
        """Records newer than all before them; as many hashes as tags, each of 64 bits with a sign."""
        self._hashes.extend(hashes)
        self._tags.extend(tags)
        if len(self._hashes) >= self._chunk:
            self._spill()

    def tags(self, before: int | None = None) -> Iterator[Collection[int]]:
        """The tag of the newest record of each hash, a part of them at a time. Tags must have come in rising order for
        ``before``, which leaves out those from it on."""
        if not self._spilled:
            stop = len(self._tags) if before is None else bisect_left(self._tags, before)
            yield dict(zip(self._hashes[:stop], self._tags[:stop], strict=True)).values()
            return
        if self._tags:
            self._spill()
        for part in range(PARTS):
            newest: dict[int, int] = {}
            for bounds in self._spilled:
                pairs = array("q")
                start, end = bounds[part], bounds[part + 1]
                pairs.frombytes(os.pread(self._descriptor, end - start, start))
                tags = pairs[1::2]
                stop = len(tags) if before is None else bisect_left(tags, before)
                newest.update(zip(pairs[: 2 * stop : 2], tags[:stop], strict=True))
            yield newest.values()

    def _spill(self) -> None:
        if self._descriptor < 0:
            self._descriptor = self._closing.enter_context(_unnamed_file(self._folder)).fileno()
        parts = [array("q") for _ in range(PARTS)]
        for hashed, tag in zip(self._hashes, self._tags, strict=True):
            part = parts[hashed % PARTS]
            part.append(hashed)
            part.append(tag)
        bounds = array("q", [self._spilled[-1][-1] if self._spilled else 0])
        for part in parts:
            _write(self._descriptor, part.tobytes(), bounds[-1])
            bounds.append(bounds[-1] + part.itemsize * len(part))
        self._spilled.append(bounds)
        del self._hashes[:], self._tags[:]


def _unnamed_file(folder: Path) -> BinaryIO:
    """Beside the snapshot, where there is room for files of its kind; elsewhere if that folder is read-only."""
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        return tempfile.TemporaryFile()


def _write(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
