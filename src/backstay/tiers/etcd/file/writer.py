"""A whole bbolt database, written from front to back in one pass and little memory.

Page 0 and 1 are the metas, page 2 an empty list of free pages, then for each bucket its leaves with the branches over
them, and in the end the root tree. Of each level of a tree only the page being filled is held (etcd-io/bbolt
internal/common: page.go, inode.go, meta.go). No bucket is written inline.
"""

import struct
from collections.abc import Iterable
from itertools import accumulate, chain, repeat
from operator import add, sub
from typing import BinaryIO

from backstay.tiers.etcd.file.nodes import BUCKET_FLAG, ELEMENT_SIZE
from backstay.tiers.etcd.file.pages import BRANCH, FREELIST, HEADER, LEAF, MAGIC, META, META_BODY, VERSION, fnv1a

PAGE_SIZE = 4096
_FREELIST_PAGE, _FIRST_PAGE = 2, 3
# A branch of fewer would not make a tree smaller; with long keys it runs over several pages instead.
_FEWEST_CHILDREN = 2
_BUCKET = struct.Struct("<QQ")


class BoltWriter:
    """Writes to ``file``, which is empty and can seek: ``bucket`` for each, then ``finish``. The caller closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._next = _FIRST_PAGE
        self._roots: dict[bytes, bytes] = {}
        file.write(bytes(_FREELIST_PAGE * PAGE_SIZE))
        header = HEADER.pack(_FREELIST_PAGE, FREELIST, 0, 0)
        file.write(header.ljust(PAGE_SIZE, b"\0"))

    def bucket(self, name: bytes, items: Iterable[tuple[bytes, bytes]], sequence: int = 0) -> None:
        """A bucket of its own name. ``items`` are in strict order of keys, of which none is empty."""
        self._roots[name] = _BUCKET.pack(self._tree(items, 0), sequence)

    def finish(self, txid: int) -> int:
        """Write what holds the buckets together; returns the size in bytes. ``txid`` is that of the database copied:
        the new metas have the next two, each on the page where bbolt would put it (transaction number modulo 2)."""
        root = self._tree(sorted(self._roots.items()), BUCKET_FLAG)
        even = txid + 1 + (txid + 1) % 2
        for page in (0, 1):
            body = META_BODY.pack(MAGIC, VERSION, PAGE_SIZE, 0, root, 0, _FREELIST_PAGE, self._next, even + page, 0)
            body = body[:-8] + struct.pack("<Q", fnv1a(body[:-8]))
            self._file.seek(page * PAGE_SIZE)
            self._file.write(HEADER.pack(page, META, 0, 0) + body)
        self._file.seek(0, 2)
        return self._next * PAGE_SIZE

    def _tree(self, items: Iterable[tuple[bytes, bytes]], flag: int) -> int:
        """Write a tree; returns the number of its root page."""
        branches = _Branches(self)
        keys: list[bytes] = []
        values: list[bytes] = []
        size = HEADER.size
        for key, value in items:
            item_size = ELEMENT_SIZE + len(key) + len(value)
            if keys and size + item_size > PAGE_SIZE:
                branches.push(keys[0], self._leaf(keys, values, flag))
                keys, values, size = [], [], HEADER.size
            keys.append(key)
            values.append(value)
            size += item_size
        branches.push(keys[0] if keys else b"", self._leaf(keys, values, flag))
        return branches.root()

    def _leaf(self, keys: list[bytes], values: list[bytes], flag: int) -> int:
        first = HEADER.size + ELEMENT_SIZE * len(keys)
        key_sizes, value_sizes = list(map(len, keys)), list(map(len, values))
        places = accumulate(map(add, key_sizes, value_sizes), initial=first)
        positions = map(sub, places, range(HEADER.size, first, ELEMENT_SIZE))
        table = chain.from_iterable(zip(repeat(flag), positions, key_sizes, value_sizes, strict=False))
        return self.page(
            LEAF,
            len(keys),
            struct.pack(f"<{4 * len(keys)}I", *table),
            *chain.from_iterable(zip(keys, values, strict=True)),
        )

    def page(self, flags: int, count: int, *parts: bytes) -> int:
        """Write one page, with those it runs over; returns its number."""
        body = b"".join(parts)
        pages = -(-(HEADER.size + len(body)) // PAGE_SIZE)
        number = self._next
        self._file.write(HEADER.pack(number, flags, count, pages - 1))
        self._file.write(body.ljust(pages * PAGE_SIZE - HEADER.size, b"\0"))
        self._next += pages
        return number


class _Branches:
    """The branches over the leaves of one tree: of each level the children that have no page yet."""

    def __init__(self, writer: BoltWriter) -> None:
        self._writer = writer
        self._levels: list[list[tuple[bytes, int]]] = []
        self._sizes: list[int] = []

    def push(self, key: bytes, page: int, level: int = 0) -> None:
        """The next child of ``level``, with its first key."""
        if level == len(self._levels):
            self._levels.append([])
            self._sizes.append(HEADER.size)
        size = ELEMENT_SIZE + len(key)
        if self._sizes[level] + size > PAGE_SIZE and len(self._levels[level]) >= _FEWEST_CHILDREN:
            self._flush(level)
        self._levels[level].append((key, page))
        self._sizes[level] += size

    def root(self) -> int:
        """Write what is left; the page under which all others are."""
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            self._flush(level)
            level += 1
        return self._levels[level][0][1]

    def _flush(self, level: int) -> None:
        children = self._levels[level]
        place = ELEMENT_SIZE * len(children)  # of a key, from the element that names it
        table = bytearray()
        for key, page in children:
            table += struct.pack("<IIQ", place, len(key), page)
            place += len(key) - ELEMENT_SIZE
        number = self._writer.page(BRANCH, len(children), bytes(table), *(key for key, _ in children))
        self._levels[level], self._sizes[level] = [], HEADER.size
        self.push(children[0][0], number, level + 1)
