"""Databases made by hand, whole or broken on purpose."""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from backstay.tiers.etcd.file.pages import HEADER, META_BODY, fnv1a
from backstay.tiers.etcd.file.records import revision_key
from backstay.tiers.etcd.file.writer import PAGE_SIZE, BoltWriter
from backstay.tiers.etcd.wire import message

Items = Iterable[tuple[bytes, bytes]]


def write_database(path: Path, buckets: Mapping[bytes, Items]) -> Path:
    """A database of these buckets, with its checksum."""
    with path.open("w+b") as file:
        writer = BoltWriter(file)
        for name, items in buckets.items():
            writer.bucket(name, items)
        writer.finish(0)
    return seal(path)


def seal(path: Path) -> Path:
    """Append the checksum."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    with path.open("ab") as file:
        file.write(digest)
    return path


def record(revision: int, key: bytes, value: bytes = b"value", sub: int = 0) -> tuple[bytes, bytes]:
    """An item of bucket ``key``: a put, of a key that is new."""
    return revision_key(revision, sub), message((1, key), (2, revision), (3, revision), (4, 1), (5, value))


def tombstone(revision: int, key: bytes, sub: int = 0) -> tuple[bytes, bytes]:
    """An item of bucket ``key``: a deletion."""
    return revision_key(revision, sub) + b"t", message((1, key))


class Image:
    """The bytes of a database without a checksum, to be changed page by page."""

    def __init__(self, path: Path) -> None:
        self.data = bytearray(path.read_bytes()[:-32])
        self.path = path

    def save(self) -> Path:
        """Write it back."""
        self.path.write_bytes(self.data)
        return self.path

    def put(self, form: str, page: int, offset: int, *values: int | bytes) -> None:
        """Numbers or bytes at ``offset`` of ``page``."""
        struct.pack_into(form, self.data, page * PAGE_SIZE + offset, *values)

    def header(self, page: int) -> tuple[int, int, int, int]:
        """Id, flags, count and overflow of ``page``."""
        return HEADER.unpack_from(self.data, page * PAGE_SIZE)

    def meta(self, **changes: int) -> None:
        """Both metas with other fields and a right checksum."""
        names = ("magic", "version", "page_size", "flags", "root", "sequence", "freelist", "high_water", "txid")
        for page in (0, 1):
            offset = page * PAGE_SIZE + HEADER.size
            fields = dict(zip(names, META_BODY.unpack_from(self.data, offset), strict=False))
            body = META_BODY.pack(*(fields | changes).values(), 0)[:-8]
            self.data[offset : offset + len(body) + 8] = body + struct.pack("<Q", fnv1a(body))
