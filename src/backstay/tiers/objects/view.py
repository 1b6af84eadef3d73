"""Velero's view of a backup: the files that Velero reads, as plain bytes, for a place of their own.

A backup that is encrypted is of no use to Velero, and one whose expiration has passed is deleted by it at once
(measured with 1.18.3), so the view has neither.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from backstay.core.errors import CatalogError
from backstay.core.model import Artifact
from backstay.core.units import parse_time
from backstay.tiers.base import Source

META_LIMIT = 8 << 20  # bytes; a Backup with every namespace of a large cluster by name is below one
OURS = "items"  # the list of what is in the archive: Backstay's own


@dataclass(frozen=True)
class ViewFile:
    """One file of the view. ``name`` is below Velero's folder (``backups/<b>/<b>.tar.gz``); plain bytes come out of
    ``opened``, to be compressed with gzip where ``compressed``."""

    name: str
    compressed: bool
    opened: Callable[[], AbstractContextManager[Iterator[bytes]]]


def files(source: Source) -> Iterator[ViewFile]:
    """All but Velero's own ``velero-backup.json``, which ``last`` gives."""
    for artifact in source.backup.artifacts:
        if artifact.role not in {OURS, "velero-backup"}:
            yield ViewFile(_name(artifact), "gzip" in artifact.encoding, partial(source.open, artifact.role))


def last(source: Source, now: datetime) -> tuple[str, bytes]:
    """The name and content of ``velero-backup.json``, to be written when all else is there: by it Velero takes the
    folder for a backup. Raises ``CatalogError`` for one that is none."""
    artifact = source.backup.artifact("velero-backup")
    if artifact is None:
        raise CatalogError(f"{source.backup.id} has no velero-backup.json, so it is no backup for Velero")
    with source.open("velero-backup") as chunks:
        meta = _parsed(_bounded(chunks, source.backup.id), source.backup.id)
    status = meta.get("status")
    if isinstance(status, dict) and _is_over(status.get("expiration"), now):
        del status["expiration"]
    return _name(artifact), json.dumps(meta, indent=2).encode()


def _name(artifact: Artifact) -> str:
    """``backups/<b>/<file>``: the folder of a backup is named in each of its files' keys."""
    *_, folder, file = artifact.key.split("/")
    return f"backups/{folder}/{file.removesuffix('.age')}"


def _bounded(chunks: Iterator[bytes], backup_id: str) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > META_LIMIT:
            raise CatalogError(f"{backup_id}: its velero-backup.json is larger than any can be")
    return bytes(data)


def _parsed(data: bytes, backup_id: str) -> dict[str, Any]:
    try:
        meta = json.loads(data)
    except ValueError:
        meta = None
    if not isinstance(meta, dict):
        raise CatalogError(f"{backup_id}: its velero-backup.json is not a JSON object")
    return meta


def _is_over(expiration: Any, now: datetime) -> bool:
    try:
        return parse_time(str(expiration)) <= now
    except ValueError:
        return False
