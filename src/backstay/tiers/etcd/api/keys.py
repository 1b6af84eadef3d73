"""Reading and writing keys: what checks after a restore ask, and what fills the demo and the tests.

A backup needs none of it but the reading. Field numbers: etcd-io/etcd, api/etcdserverpb/rpc.proto.
"""

from collections.abc import Iterable, Iterator

from backstay.tiers.etcd import wire
from backstay.tiers.etcd.api import messages
from backstay.tiers.etcd.api.channel import Connection
from backstay.tiers.etcd.api.messages import KeyValue, Page

PAGE_KEYS = 500  # as many as kube-apiserver asks for at a time (its default limit, pager.go)
MAX_TXN_OPERATIONS = 128  # etcd's --max-txn-ops, where it was not changed
COMPACT_SECONDS = 60.0

Put = tuple[bytes, bytes]  # key and value


class KeyCalls(Connection):
    """The service KV of one member."""

    def get(self, key: bytes) -> KeyValue | None:
        """The key's present value, or ``None``. Raises ``SourceError``."""
        items = self.page(key, b"", limit=1).items
        return items[0] if items else None

    def range(
        self, prefix: bytes, *, keys_only: bool = False, limit: int = 0, page_keys: int = PAGE_KEYS
    ) -> Iterator[KeyValue]:
        """The keys that begin with ``prefix`` (empty: all), in order, ``limit`` at most (0: no limit).

        Asked for in pages of ``page_keys``, all at the revision of the first, so that it is one state of the store.
        Raises ``SourceError``, also when that revision is compacted away between two pages.
        """
        start, end, revision, given = prefix or b"\0", end_of_prefix(prefix), 0, 0
        while True:
            wanted = min(page_keys, limit - given) if limit else page_keys
            found = self.page(start, end, limit=wanted, revision=revision, keys_only=keys_only)
            yield from found.items
            given += len(found.items)
            if not found.more or not found.items or given == limit:
                return
            start, revision = found.items[-1].key + b"\0", revision or found.revision

    def count(self, prefix: bytes) -> int:
        """How many keys begin with ``prefix`` (empty: all)."""
        asked = wire.message((1, prefix or b"\0"), (2, end_of_prefix(prefix)), (9, 1))
        return self.unary("KV/Range", asked, messages.page).count

    def page(self, start: bytes, end: bytes, *, limit: int, revision: int = 0, keys_only: bool = False) -> Page:
        """One range request: from ``start`` up to, not with, ``end`` (``\\0``: to the last key; empty: one key)."""
        pairs: list[tuple[int, int | bytes]] = [(1, start), (3, limit)]
        pairs += [(2, end)] if end else []  # an end that is there and empty means the last key (mvcc, mkGteRange)
        pairs += [(4, revision)] if revision else []
        pairs += [(8, 1)] if keys_only else []
        return self.unary("KV/Range", wire.message(*pairs), messages.page)

    def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Write one key; the revision it got. Raises ``SourceError``, also when there is no room (NOSPACE)."""
        return self.unary("KV/Put", _put(key, value, lease), messages.revision)

    def delete(self, key: bytes, *, prefix: bool = False) -> int:
        """Delete one key, or with ``prefix`` all that begin with it; the revision after. Raises ``SourceError``."""
        return self.unary("KV/DeleteRange", _delete(key, prefix=prefix), messages.revision)

    def txn(self, puts: Iterable[Put] = (), deletes: Iterable[bytes] = ()) -> int:
        """Write and delete in one revision, which is returned; ``MAX_TXN_OPERATIONS`` at most, no key twice."""
        operations = [wire.message((2, _put(key, value, 0))) for key, value in puts]
        operations += [wire.message((3, _delete(key))) for key in deletes]
        return self.unary("KV/Txn", wire.message(*((2, each) for each in operations)), messages.revision)

    def compact(self, revision: int, *, physical: bool = True) -> None:
        """Forget what was before ``revision``; with ``physical`` return when it is gone from the file."""
        pairs = ((1, revision), (2, 1)) if physical else ((1, revision),)
        self.unary("KV/Compact", wire.message(*pairs), messages.revision, seconds=COMPACT_SECONDS)


def end_of_prefix(prefix: bytes) -> bytes:
    """The first key after all that begin with ``prefix``; ``\\0`` (to the last) when there is none (clientv3 op.go)."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


def _put(key: bytes, value: bytes, lease: int) -> bytes:
    return wire.message((1, key), (2, value), *(((3, lease),) if lease else ()))


def _delete(key: bytes, *, prefix: bool = False) -> bytes:
    return wire.message((1, key), (2, end_of_prefix(key))) if prefix else wire.message((1, key))
