"""The live rows of a database: the newest of each name, where it is no deletion, in the order of names.

Source: k3s-io/kine, pkg/drivers/generic/generic.go (listSQL): a row is a revision, its number is ``id``; the current
state of a key is its row with the highest one, unless that says ``deleted``. The column ``name`` is declared INTEGER
but holds text. Rows that fill a gap (``gap-<id>``) are deletions. The row ``compact_rev_key`` is kine's own note.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backstay.tiers.etcd.kine.database import reading
from backstay.tiers.etcd.kube.objects import Row
from backstay.tiers.etcd.lookup import require_revision

_COMPACTED = "SELECT max(prev_revision) FROM kine WHERE name = 'compact_rev_key'"
# Both parts follow an index that begins with ``name``: no sorting, nothing held but the row at hand.
_LIVE = """
    SELECT kv.name, kv.value, kv.id FROM kine AS kv
    WHERE kv.deleted = 0 AND kv.id <= :at {within} AND NOT EXISTS (
        SELECT 1 FROM kine AS later WHERE later.name = kv.name AND later.id > kv.id AND later.id <= :at
    )
    ORDER BY kv.name
"""
_WITHIN = "AND kv.name >= CAST(:first AS TEXT) AND kv.name < CAST(:behind AS TEXT)"
_LAST = 2**63 - 1


def live(path: Path, prefix: bytes = b"", *, at: int | None = None) -> Iterator[Row]:
    """Key, value and revision of each live row whose key begins with ``prefix``; one is in memory at a time.

    With ``at`` as of that revision, as long as it is not compacted. Raises ``UsageError`` for one that is not there,
    ``SnapshotDamaged`` and ``SourceError`` on the way.
    """
    if at is not None:
        _require(path, at)
    return _live(path, prefix, _LAST if at is None else at)


def heading(path: Path) -> tuple[int, int]:
    """Revision and compact revision (0 for none)."""
    with reading(path) as database:
        revision = database.execute("SELECT max(id) FROM kine").fetchone()[0]
        return int(revision or 0), int(database.execute(_COMPACTED).fetchone()[0] or 0)


def _require(path: Path, at: int) -> None:
    revision, compacted = heading(path)
    require_revision(path.name, at, revision, compacted)


def _live(path: Path, prefix: bytes, at: int) -> Iterator[Row]:
    query = _LIVE.format(within=_WITHIN if prefix else "")
    with reading(path) as database:
        found = database.execute(query, {"at": at, "first": prefix, "behind": _behind(prefix)})
        for name, value, revision in found:
            yield _as_bytes(name), _as_bytes(value), revision


def _behind(prefix: bytes) -> bytes:
    """The first text behind all that begin with ``prefix``. SQLite compares text by its bytes."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else b""


def _as_bytes(found: Any) -> bytes:
    """A name that reads as a number was stored as one; a value that is null counts as empty."""
    if found is None:
        return b""
    return found if isinstance(found, bytes) else str(found).encode()
