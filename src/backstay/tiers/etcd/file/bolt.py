"""A bbolt database, read in key order with its structure checked on the way; nothing in it is trusted.

A bucket is a tree: branch pages of (first key of the child, child), leaf pages of (key, value). The items of the root
tree are the buckets themselves: a root page, or, for a small bucket, one leaf page written *inside* the value (an
inline bucket, which etcd's empty and small ones are). etcd has no buckets in buckets. The rules checked here are those
of bbolt's own ``Tx.Check`` (etcd-io/bbolt tx_check.go), and those of ``nodes``.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from backstay.tiers.etcd.file.nodes import BUCKET_FLAG, Leaf, read_branch, read_leaf
from backstay.tiers.etcd.file.pages import BRANCH, FREELIST, HEADER, LEAF, NO_FREELIST, Pages

_BUCKET = struct.Struct("<QQ")  # root page, sequence
# A tree with two children in each branch and a page in each of its leaves would have terabytes at this depth.
MAX_DEPTH = 32
MAX_BUCKETS = 256  # etcd has fewer than twenty


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the items of a bucket are: in the tree under ``root``, or in ``inline`` where that is not empty."""

    name: bytes
    page: int  # the leaf of the root tree that names it
    root: int
    sequence: int
    inline: bytes = b""


class Reached:
    """The pages a walk has come by, one bit each, so that none is read twice: a cycle ends at once."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._bits = bytearray(pages.meta.high_water // 8 + 1)
        self._bits[0] = 0b11  # the two metas
        self.count = 2

    def mark(self, page: int, run: int = 1) -> None:
        """``run`` pages from ``page``. Raises ``SnapshotDamaged`` for one that was marked before."""
        bits = self._bits
        for one in range(page, page + run):
            byte, bit = bits[one >> 3], 1 << (one & 7)
            if byte & bit:
                raise self._pages.damaged(one, "is used twice")
            bits[one >> 3] = byte | bit
        self.count += run


class BoltFile:
    """A database file, or a snapshot with its checksum behind, open for reading within a ``with`` block.

    Every method raises ``SnapshotDamaged``, with the page in its message, where the file is not what it should be.
    """

    def __init__(self, path: Path) -> None:
        self._pages = Pages(path)
        self.name = path.name
        self.page_size = self._pages.page_size
        self.txid = self._pages.meta.txid
        self.size_bytes = self._pages.meta.size_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pages.close()

    def reached(self) -> Reached:
        """A new map of pages, to be given to each walk that is part of one check."""
        return Reached(self._pages)

    def buckets(self, reached: Reached | None = None) -> dict[bytes, Bucket]:
        """The buckets by name, in the order of names."""
        found: dict[bytes, Bucket] = {}
        tree = Bucket(b"", 0, self._pages.meta.root, 0)
        for leaf in self._walk(tree, reached or self.reached(), BUCKET_FLAG):
            for index, name in enumerate(leaf.keys):
                found[name] = self._bucket(name, leaf.page, leaf.value(index))
            if len(found) > MAX_BUCKETS:
                raise self._pages.damaged(leaf.page, f"is one of a root with more than {MAX_BUCKETS} buckets")
        return found

    def leaves(self, bucket: Bucket, reached: Reached | None = None) -> Iterator[Leaf]:
        """The pages of items of ``bucket`` in key order, none of them empty."""
        if not bucket.inline:
            return self._walk(bucket, reached or self.reached(), 0)
        leaf = self._inline(bucket)
        return iter((leaf,) if leaf.keys else ())

    def pages(self, bucket: Bucket) -> Iterator[tuple[int, bytes, int]]:
        """Number, bytes and count of items of each page that ``leaves`` gave, on a second and quicker walk: what
        ``nodes.body`` and ``parse`` take."""
        if bucket.inline:
            yield bucket.page, bucket.inline, HEADER.unpack_from(bucket.inline)[2]
            return
        for _, _, page, data, count in self._leaf_pages(bucket, self.reached()):
            yield page, data, count

    def parse(self, page: int, data: bytes, count: int) -> Leaf:
        """The items of one of ``pages``."""
        return read_leaf(self._pages, page, data, count, 0)

    def items(self, bucket: Bucket, reached: Reached | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of ``bucket`` in key order."""
        for _, data, keys, starts, ends in self.leaves(bucket, reached):
            for key, start, end in zip(keys, starts, ends, strict=True):
                yield key, data[start:end]

    def leaf(self, bucket: Bucket, page: int) -> Leaf:
        """One leaf of ``bucket`` again, by the page that ``leaves`` gave it."""
        if bucket.inline:
            return self._inline(bucket)
        data, flags, count = self._pages.read(page)
        if flags != LEAF:
            raise self._pages.damaged(page, "is no longer a leaf: the file was changed while it was read")
        return read_leaf(self._pages, page, data, count, 0)

    def last_key(self, bucket: Bucket) -> bytes:
        """The greatest key of ``bucket``, without reading the others; empty where there is none."""
        if bucket.inline:
            return (self._inline(bucket).keys or [b""])[-1]
        page = bucket.root
        for _ in range(MAX_DEPTH):
            data, flags, count = self._pages.read(page)
            if flags == LEAF:
                return (read_leaf(self._pages, page, data, count, 0).keys or [b""])[-1]
            if flags != BRANCH:
                raise self._pages.damaged(page, "is neither a branch nor a leaf")
            page = read_branch(self._pages, page, data, count, b"")[-1][1]
        raise self._pages.damaged(page, "is in a tree that is too deep")

    def check_free(self, reached: Reached) -> int:
        """The list of free pages against the pages ``reached`` by walks over everything: no page is both, none neither.

        Returns how many it lists. etcd stores no list, and then nothing is checked.
        """
        page = self._pages.meta.freelist
        if page == NO_FREELIST:
            return 0
        data, flags, count = self._pages.read(page)
        if flags != FREELIST:
            raise self._pages.damaged(page, "should be the list of free pages and is not")
        reached.mark(page, len(data) // self.page_size)
        start = HEADER.size
        if count == 0xFFFF:  # the true count does not fit in the header, and comes first
            count = struct.unpack_from("<Q", data, start)[0]
            start += 8
        if count > (len(data) - start) // 8:
            raise self._pages.damaged(page, f"cannot hold {count:,} numbers of free pages")
        for (free,) in struct.iter_unpack("<Q", memoryview(data)[start : start + 8 * count]):
            if not 2 <= free < self._pages.meta.high_water:
                raise self._pages.damaged(page, f"lists page {free} as free, which is not in the file")
            reached.mark(free)
        if reached.count != self._pages.meta.high_water:
            lost = self._pages.meta.high_water - reached.count
            raise self._pages.damaged(page, f"leaves out {lost:,} pages that are not in use either")
        return count

    def _bucket(self, name: bytes, page: int, value: bytes) -> Bucket:
        if len(value) < _BUCKET.size:
            raise self._pages.damaged(page, f"has no root for bucket {_text(name)}")
        root, sequence = _BUCKET.unpack_from(value)
        inline = value[_BUCKET.size :]
        if bool(root) == bool(inline) or len(inline) > self.page_size:
            raise self._pages.damaged(page, f"has a root for bucket {_text(name)} that is none")
        return Bucket(name, page, root, sequence, inline)

    def _inline(self, bucket: Bucket) -> Leaf:
        if len(bucket.inline) < HEADER.size:
            raise self._pages.damaged(bucket.page, f"has too few bytes for bucket {_text(bucket.name)}")
        _, flags, count, overflow = HEADER.unpack_from(bucket.inline)
        if flags != LEAF or overflow:
            raise self._pages.damaged(bucket.page, f"has something else than items for bucket {_text(bucket.name)}")
        return read_leaf(self._pages, bucket.page, bucket.inline, count, 0)

    def _walk(self, bucket: Bucket, reached: Reached, flag: int) -> Iterator[Leaf]:
        """The leaves under ``bucket.root``, each with the keys that belong there."""
        last = b""
        for outer, floor, page, data, count in self._leaf_pages(bucket, reached):
            leaf = read_leaf(self._pages, page, data, count, flag)
            if not leaf.keys and page == bucket.root:
                return
            if not leaf.keys or leaf.keys[0] < floor:
                raise self._pages.damaged(page, "does not begin with the key its branch names")
            if last and outer <= last:
                raise self._pages.damaged(page, "is out of order: an earlier page has keys that belong after it")
            yield leaf
            last = leaf.keys[-1]

    def _leaf_pages(self, bucket: Bucket, reached: Reached) -> Iterator[tuple[bytes, bytes, int, bytes, int]]:
        """Of each leaf its number, bytes and count of items, and before them two keys: the leaf before has only lesser
        ones than the first of the two, this one none lesser than the second. They are those of the outermost branch
        that begins here and of the innermost. With a stack and no recursion, which a file could exhaust."""
        stack: list[Iterator[tuple[bytes, int]]] = [iter(((b"", bucket.root),))]
        outer: bytes | None = None
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                continue
            floor, page = step
            outer = floor if outer is None else outer
            data, flags, count = self._pages.read(page)
            reached.mark(page, len(data) // self.page_size)
            if flags == LEAF:
                yield outer, floor, page, data, count
                outer = None
            elif flags == BRANCH and len(stack) < MAX_DEPTH:
                stack.append(iter(read_branch(self._pages, page, data, count, floor)))
            else:
                raise self._pages.damaged(page, "is neither a branch nor a leaf, or in a tree that is too deep")


def _text(name: bytes) -> str:
    return name[:80].decode("utf-8", "backslashreplace")
