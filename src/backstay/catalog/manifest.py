"""The manifest, format version 1: what a backup promises, as JSON (docs/format.md, "Manifest").

A manifest is written once and never changed. Fields that a reader does not know are passed over: a version
gains fields, it never changes or loses one.
"""

import re
from typing import Any

from backstay.catalog import keys, records
from backstay.core.errors import CatalogError
from backstay.core.model import Artifact, Backup, State
from backstay.core.units import exact_time

KIND = "backup"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WORD = re.compile(r"[a-z0-9]{1,32}", re.ASCII)
_ROLE_LIMIT = 300
_PROMISED = (State.COMPLETE.value, State.PARTIAL.value)


def encode(backup: Backup) -> bytes:
    """The manifest of ``backup``, in the order of docs/format.md; what comes out can be decoded again.

    Raises ``CatalogError`` when the backup holds something that a manifest cannot.
    """
    body = records.encode(KIND, fields(backup))
    decode(body, keys.manifest_key(backup.target, backup.stamp))
    return body


def fields(backup: Backup) -> dict[str, Any]:
    """The fields of the manifest after ``format`` and ``version``, as plain data."""
    point = backup.point_in_time
    return {
        "id": backup.id,
        "cluster": backup.cluster,
        "state": backup.state.value,
        "started_at": exact_time(backup.started_at),
        "finished_at": exact_time(backup.finished_at),
        "point_in_time": exact_time(point) if point else None,
        "tools": backup.tools,
        "source": backup.source,
        "artifacts": [_artifact_fields(artifact) for artifact in backup.artifacts],
        "contents": backup.contents,
        "omissions": backup.omissions,
        "warnings": backup.warnings,
        "restore_by_hand": backup.restore_by_hand,
    }


def decode(data: bytes, key: str, *, store: str = "") -> Backup:
    """The backup that the manifest at ``key`` promises; ``store`` is the name of the store it was read from.

    Raises ``CatalogError`` naming the key for anything that is not format version 1, ``FormatTooNew`` for a
    newer one.
    """
    if len(data) > records.RECORD_LIMIT:
        raise CatalogError(f"{key} is larger than {records.RECORD_LIMIT:,} bytes", key=key)
    return from_fields(records.decode(KIND, data, key), store=store)


def from_fields(found: records.Fields, *, store: str = "") -> Backup:
    """The backup in the fields of a manifest, also of one still carried by an intent."""
    place = keys.parse_record(keys.BACKUPS, found.key)
    if place is None or found.text("id") != f"{place[0]}@{place[1]}":
        found.fail("id", "is not what the key says")
    tools = found.mapping("tools")
    if not all(isinstance(version, str) for version in tools.values()):
        found.fail("tools", "has a version that is not a text")
    return Backup(
        target=place[0],
        stamp=place[1],
        cluster=found.text("cluster", empty=True),
        state=State(found.choice("state", _PROMISED)),
        started_at=found.time("started_at"),
        finished_at=found.time("finished_at"),
        point_in_time=found.time_or_none("point_in_time"),
        artifacts=_artifacts(found),
        tools=tools,
        source=found.mapping("source"),
        contents=found.mapping("contents"),
        omissions=found.texts("omissions"),
        warnings=found.texts("warnings"),
        restore_by_hand=found.texts("restore_by_hand"),
        store=store,
    )


def _artifact_fields(artifact: Artifact) -> dict[str, Any]:
    return {
        "role": artifact.role,
        "key": artifact.key,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "plain_size_bytes": artifact.plain_size_bytes,
        "plain_sha256": artifact.plain_sha256,
        "encoding": artifact.encoding,
    }


def _artifacts(found: records.Fields) -> tuple[Artifact, ...]:
    artifacts = tuple(_artifact(child) for child in found.children("artifacts"))
    for what in ("role", "key"):
        if len({getattr(artifact, what) for artifact in artifacts}) != len(artifacts):
            found.fail("artifacts", f"has the same {what} twice")
    return artifacts


def _artifact(found: records.Fields) -> Artifact:
    key = found.text("key")
    if not keys.is_artifact_key(key):
        found.fail("key", "cannot be the key of an artifact")
    encoding = found.texts("encoding")
    if not all(_WORD.fullmatch(word) for word in encoding):
        found.fail("encoding", "is not a list of words such as gzip")
    return Artifact(
        role=found.text("role", limit=_ROLE_LIMIT),
        key=key,
        size_bytes=found.integer("size_bytes"),
        sha256=_sha256(found, "sha256"),
        plain_size_bytes=found.integer("plain_size_bytes"),
        plain_sha256=_sha256(found, "plain_sha256"),
        encoding=encoding,
    )


def _sha256(found: records.Fields, name: str) -> str:
    value = found.data.get(name)
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        found.fail(name, "is not a sha256 in lower case hexadecimal")
    return value
