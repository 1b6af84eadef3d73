"""What a database holds: its revisions, how many live keys of what, and one hash over all of them; in one pass.

``content_sha256`` is for kine what HashKV is for etcd: the SHA-256 over each live row in the order of names, as the
length of the name (4 bytes, big-endian), the name, the revision (8 bytes), the length of the value (4 bytes) and the
value. It stays the same through VACUUM, through a change of journal mode and through a compaction.
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.tiers.etcd import promised
from backstay.tiers.etcd.file.census import OTHER, resource_of
from backstay.tiers.etcd.kine.database import reading
from backstay.tiers.etcd.kine.rows import heading, live

PROMISED = ("revision", "compact_revision", "keys", "rows", "content_sha256")
MAX_RESOURCES = 65_000  # names of kinds are the one thing that is held in memory
_HEAD, _MIDDLE = struct.Struct(">I"), struct.Struct(">QI")


@dataclass(frozen=True, slots=True)
class Census:
    """``rows`` counts all of them, with old revisions and deletions; ``keys`` and ``resources`` the live ones."""

    revision: int
    compact_revision: int
    keys: int
    rows: int
    resources: Mapping[str, int]
    content_sha256: str
    size_bytes: int

    def facts(self) -> dict[str, Any]:
        """As plain data, for a manifest or a journal."""
        found = {name: getattr(self, name) for name in (*PROMISED, "size_bytes")}
        return {**found, "resources": dict(self.resources)}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Census":
        """The inverse of ``facts``."""
        return cls(**{name: facts[name] for name in (*PROMISED, "size_bytes", "resources")})


def count(path: Path, prefix: bytes, advance: Callable[[int], None] = lambda _: None) -> Census:
    """Read the database at ``path``; Kubernetes keeps its objects under ``prefix``. ``advance`` is told the bytes of
    keys and values. Raises ``SnapshotDamaged``, ``SourceError``."""
    revision, compact_revision = heading(path)
    below = prefix.rstrip(b"/") + b"/"
    found: Counter[str] = Counter()
    digest = hashlib.sha256()
    for key, value, at in live(path):
        digest.update(_HEAD.pack(len(key)) + key + _MIDDLE.pack(at, len(value)))
        digest.update(value)
        name = resource_of(key, below)
        found[name if name in found or len(found) < MAX_RESOURCES else OTHER] += 1
        advance(len(key) + len(value))
    with reading(path) as database:
        rows = int(database.execute("SELECT count(*) FROM kine").fetchone()[0])
    return Census(
        revision=revision,
        compact_revision=compact_revision,
        keys=found.total(),
        rows=rows,
        resources=dict(sorted(found.items())),
        content_sha256=digest.hexdigest(),
        size_bytes=path.stat().st_size,
    )


def differences(found: Census, contents: Mapping[str, Any]) -> Iterator[str]:
    """In what a database is not what the manifest says."""
    return promised.differences(found, contents, (*PROMISED, "size_bytes"))
