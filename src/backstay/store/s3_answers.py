"""What an S3 server's answers hold, read with distrust: object facts, times, and how many bytes must follow."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from backstay.core.errors import Corrupt
from backstay.store.base import ObjectInfo

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def object_info(key: str, answer: Mapping[str, Any], size_bytes: int, modified_at: datetime) -> ObjectInfo:
    """The facts of one object from the answer to a head, a list or a put; the ETag without its quotes."""
    return ObjectInfo(
        key=key,
        size_bytes=size_bytes,
        modified_at=modified_at.astimezone(UTC),
        etag=str(answer.get("ETag", "")).strip('"'),
        storage_class=answer.get("StorageClass") or "STANDARD",
    )


def server_time(answer: Mapping[str, Any], fallback: datetime) -> datetime:
    """When the server answered, by its own clock (the ``Date`` header)."""
    try:
        told = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return fallback
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def expected_bytes(what: str, answer: Mapping[str, Any], start: int, length: int | None) -> int:
    """How many bytes the body must have. Raises ``Corrupt`` when the answer is not the range that was asked for."""
    told = answer.get("ContentLength")
    if start == 0 and length is None:
        expected = told
    else:
        found = CONTENT_RANGE.fullmatch(str(answer.get("ContentRange", "")))
        if found is None or int(found[1]) != start:
            raise Corrupt(f"cannot read {what}: the store did not send the range that was asked for")
        total = int(found[3])
        expected = (total if length is None else min(start + length, total)) - start
    if expected is None or expected != told:
        raise Corrupt(f"cannot read {what}: the store sends {told} bytes where {expected} are due")
    return int(expected)
