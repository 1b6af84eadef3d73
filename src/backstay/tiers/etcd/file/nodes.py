"""One page of a tree: the items of a leaf, or the children of a branch.

Behind the header stands a table of elements, 16 bytes each, which say where key and value are, counted from the element
itself; then keys and values (etcd-io/bbolt internal/common: page.go). bbolt has always written them in the order of the
elements with nothing between them (inode.go), so that anything else is damage: no two items can share bytes.
"""

import struct
from typing import NamedTuple

from backstay.tiers.etcd.file.pages import HEADER, Pages

ELEMENT_SIZE = 16
LEAF_ELEMENT = struct.Struct("<IIII")  # flags, position, size of the key, size of the value
BRANCH_ELEMENT = struct.Struct("<IIQ")  # position, size of the key, page of the child
BUCKET_FLAG = 0x01


class Leaf(NamedTuple):
    """One page of items: value i is ``data[starts[i]:ends[i]]``, and key i stands right before it."""

    page: int
    data: bytes
    keys: list[bytes]
    starts: list[int]
    ends: list[int]

    @property
    def body(self) -> bytes:
        """Keys and values one after another, with nothing between them."""
        return self.data[self.starts[0] - len(self.keys[0]) : self.ends[-1]]

    def value(self, index: int) -> bytes:
        """The value of item ``index``."""
        return self.data[self.starts[index] : self.ends[index]]


def read_leaf(pages: Pages, page: int, data: bytes, count: int, flag: int) -> Leaf:
    """The items of a leaf. ``flag`` is what each element must have: whether they are buckets."""
    begin = HEADER.size + ELEMENT_SIZE * count
    if begin > len(data):
        raise pages.damaged(page, f"cannot hold {count:,} items")
    keys: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    last, element = b"", HEADER.size
    for flags, pos, key_size, value_size in LEAF_ELEMENT.iter_unpack(data[element:begin]):
        if element + pos != begin:
            raise pages.damaged(page, f"has item {len(keys)} not right after what is before it")
        if flags != flag:
            raise pages.damaged(page, f"has a bucket where none may be, or none where one must be ({flags})")
        start = begin + key_size
        key = data[begin:start]
        if key <= last:
            raise pages.damaged(page, f"has key {len(keys)} out of order")
        begin = start + value_size
        keys.append(key)
        starts.append(start)
        ends.append(begin)
        last, element = key, element + ELEMENT_SIZE
    if begin > len(data):
        raise pages.damaged(page, "has an item that ends beyond it")
    return Leaf(page, data, keys, starts, ends)


def body(data: bytes, count: int) -> bytes:
    """All keys and values of a leaf whose items were found in order before; only the last is asked where it ends."""
    begin = HEADER.size + ELEMENT_SIZE * count
    if not count or begin > len(data):
        return b""
    _, pos, key_size, value_size = LEAF_ELEMENT.unpack_from(data, begin - ELEMENT_SIZE)
    return data[begin : begin - ELEMENT_SIZE + pos + key_size + value_size]


def read_branch(pages: Pages, page: int, data: bytes, count: int, floor: bytes) -> list[tuple[bytes, int]]:
    """The children of a branch, whose keys begin at ``floor``."""
    begin = HEADER.size + ELEMENT_SIZE * count
    if not count or begin > len(data):
        raise pages.damaged(page, f"cannot be a branch of {count:,} children")
    children: list[tuple[bytes, int]] = []
    last, element = b"", HEADER.size
    for pos, size, child in BRANCH_ELEMENT.iter_unpack(data[element:begin]):
        if element + pos != begin:
            raise pages.damaged(page, f"has key {len(children)} not right after what is before it")
        key = data[begin : begin + size]
        if key <= last:
            raise pages.damaged(page, f"has key {len(children)} out of order")
        children.append((key, child))
        last, element, begin = key, element + ELEMENT_SIZE, begin + size
    if begin > len(data):
        raise pages.damaged(page, "has a key that ends beyond it")
    if children[0][0] < floor:
        raise pages.damaged(page, "does not begin with the key its branch names")
    return children
