"""One pass over the records of bucket ``key``: which of them count, and how many live keys each resource has.

Kubernetes keeps an object under ``<prefix>/<resource>/...``, one of a group with a dot in its name under
``<prefix>/<group>/<plural>/...`` (kube-apiserver, pkg/registry and apiextensions-apiserver, "resource prefix").
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import repeat
from operator import and_

from backstay.core.errors import SnapshotDamaged
from backstay.tiers.etcd.file.newest import HASH, Newest
from backstay.tiers.etcd.file.nodes import Leaf
from backstay.tiers.etcd.file.records import (
    TOMBSTONE_SIZE,
    is_revision,
    main_of,
    revision_key,
    short_key,
    user_key,
)

OTHER = "(other)"
BOOTSTRAP = b"/bootstrap/"
MAX_BOOTSTRAP_KEYS = 1000  # k3s has one for each token it ever had
# A tag is the record's number and, in its lower 16 bits, what kind of record it is.
_KIND_BITS = 16
_KIND = (1 << _KIND_BITS) - 1
_TOMBSTONE, _NAMELESS, _OTHER = 0, 1, 2
_SERVICES = b"services"  # holds services/specs/... and services/endpoints/...
_RENAMED = {"minions": "nodes"}
# Kubernetes' names have less, and no cluster has so many resources; it keeps a forged file from filling the memory.
_MAX_NAME_BYTES = 256
_MAX_RESOURCES = 10_000


@dataclass(frozen=True, slots=True)
class Counted:
    """What the pass found. ``kept`` has a bit for each record up to the compact revision, of which there are ``old``:
    set where the record is the newest of its key and no tombstone. Newest is meant at the last revision or, if there
    no key is left at all, at the compact revision."""

    records: int
    revision: int
    old: int
    kept: bytearray
    resources: Mapping[str, int]
    bootstrap_keys: tuple[str, ...]


class Census:
    """Takes the leaves of bucket ``key`` in order, then gives ``result``."""

    def __init__(self, name: str, prefix: bytes, compact_revision: int, newest: Newest) -> None:
        self._name = name
        self._prefix = prefix.rstrip(b"/") + b"/"
        self._first_new = revision_key(compact_revision + 1)
        self._newest = newest
        self._records = self._old = 0
        self._last = b""
        self._kinds: dict[bytes, int] = {}  # by the start of a user key, up to the slash after its resource
        self._names = {"tombstone": _TOMBSTONE, "nameless": _NAMELESS, OTHER: _OTHER}
        self._bootstrap: dict[bytes, bool] = {}

    def add(self, leaf: Leaf) -> None:
        """The next leaf. Raises ``SnapshotDamaged`` for what is no record."""
        if self._old == self._records:
            self._old += bisect_left(leaf.keys, self._first_new)
        data, record, skip = leaf.data, self._records, len(self._prefix)
        kinds, kind_of, hashed = self._kinds.get, self._kind_of, HASH
        hashes: list[int] = []
        tags: list[int] = []
        for key, start, end in zip(leaf.keys, leaf.starts, leaf.ends, strict=True):
            if not is_revision(key):
                raise SnapshotDamaged(f"{self._name} is damaged: page {leaf.page} has a record without a revision")
            user = short_key(data, start, end) or user_key(data[start:end], self._name, main_of(key))
            kind = kinds(user[: user.find(b"/", skip) + 1]) or kind_of(user)
            if len(key) == TOMBSTONE_SIZE:
                kind = _TOMBSTONE
                if user in self._bootstrap:
                    self._bootstrap[user] = False
            hashes.append(hashed(user))
            tags.append(record << _KIND_BITS | kind)
            record += 1
        self._newest.add(hashes, tags)
        self._records, self._last = record, leaf.keys[-1]

    def result(self) -> Counted:
        """What was found, once every leaf was added."""
        counts: Counter[int] = Counter()
        kept = bytearray(self._old // 8 + 1)
        for tags in self._newest.tags():
            counts.update(map(and_, tags, repeat(_KIND)))
            self._keep(kept, tags)
        del counts[_TOMBSTONE]
        if not counts:
            for tags in self._newest.tags(before=self._old << _KIND_BITS):
                self._keep(kept, tags)
        del counts[_NAMELESS]
        resources = {name: counts[kind] for name, kind in sorted(self._names.items()) if counts[kind]}
        bootstrap = sorted(key.decode("utf-8", "backslashreplace") for key, live in self._bootstrap.items() if live)
        return Counted(self._records, main_of(self._last), self._old, kept, resources, tuple(bootstrap))

    def _keep(self, kept: bytearray, tags: Collection[int]) -> None:
        limit = self._old << _KIND_BITS
        for tag in tags if limit else ():
            if tag < limit and tag & _KIND:
                record = tag >> _KIND_BITS
                kept[record >> 3] |= 1 << (record & 7)

    def _kind_of(self, user: bytes) -> int:
        """The kind of a live key whose resource was not met before, or cannot be told from its first part alone."""
        if not user:
            return _NAMELESS  # what a revision bump leaves behind
        if user.startswith(BOOTSTRAP) and len(self._bootstrap) < MAX_BOOTSTRAP_KEYS and len(user) < _MAX_NAME_BYTES:
            self._bootstrap[user] = True
        if not user.startswith(self._prefix):
            return _OTHER
        first_slash = user.find(b"/", len(self._prefix))
        second_slash = user.find(b"/", first_slash + 1) if first_slash >= 0 else -1
        kind = self._kinds.get(user[: second_slash + 1])
        return self._new_kind(user, first_slash, second_slash) if kind is None else kind

    def _new_kind(self, user: bytes, first_slash: int, second_slash: int) -> int:
        parts = user[len(self._prefix) :].split(b"/", 2)
        name = resource(parts[0], parts[1] if len(parts) > 1 else b"")
        kind = self._names.get(name)
        if kind is None:
            if len(self._names) >= _MAX_RESOURCES:
                return _OTHER
            kind = self._names[name] = len(self._names)
        slash = second_slash if b"." in parts[0] or parts[0] == _SERVICES else first_slash
        if 0 <= slash < 2 * _MAX_NAME_BYTES + len(self._prefix) and len(self._kinds) < 2 * _MAX_RESOURCES:
            self._kinds[user[: slash + 1]] = kind
        return kind


def resource_of(key: bytes, below: bytes) -> str:
    """What Kubernetes calls the objects a key is among; ``below`` ends in a slash."""
    if not key.startswith(below):
        return OTHER
    first, _, rest = key.removeprefix(below).partition(b"/")
    return resource(first, rest.partition(b"/")[0])


def resource(first: bytes, second: bytes) -> str:
    """What Kubernetes calls the objects under ``<prefix>/first/second``, as ``kubectl get`` takes it."""
    if first == _SERVICES:
        return "endpoints" if second == b"endpoints" else "services"
    name = _text(first)
    return f"{_text(second)}.{name}" if b"." in first and second else _RENAMED.get(name, name)


def _text(part: bytes) -> str:
    return part[:_MAX_NAME_BYTES].decode("utf-8", "backslashreplace")
