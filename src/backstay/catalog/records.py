"""Small JSON records in a store: how they are read without trust, and how they change under a condition.

Everything in a store may be damaged or hostile, so each record is read up to a limit and each field by type.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from backstay.catalog.keys import YEARS
from backstay.core.errors import AlreadyExists, CatalogError, FormatTooNew, NotFound
from backstay.core.units import parse_time
from backstay.store.base import Store

VERSION = 1
RECORD_LIMIT = 16 * 1024 * 1024  # bytes; a manifest, or an intent that carries one
TEXT_LIMIT = 64 * 1024  # characters of one text field


@dataclass(frozen=True)
class Record:
    """One record as read; ``etag`` is that of these bytes or of older ones, never of newer ones."""

    fields: "Fields"
    etag: str


class Fields:
    """The fields of one JSON object, taken out by type; every method raises ``CatalogError`` with the key."""

    def __init__(self, data: Mapping[str, Any], key: str, where: str = "") -> None:
        self.data = data
        self.key = key
        self.where = where

    def fail(self, name: str, what: str) -> NoReturn:
        """Raise the error for one field."""
        raise CatalogError(
            f"{self.key}: {self.where}{name} {what}",
            hint="The record is damaged or was not written by Backstay. Nothing was changed.",
            key=self.key,
        )

    def text(self, name: str, *, empty: bool = False, limit: int = TEXT_LIMIT) -> str:
        """A text, not empty unless said."""
        value = self.data.get(name)
        if not isinstance(value, str) or len(value) > limit or not (value or empty):
            self.fail(name, f"is not a text of 1 to {limit:,} characters")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self.data.get(name)
        if value not in choices:
            self.fail(name, f"is not one of: {', '.join(choices)}")
        return str(value)

    def integer(self, name: str, *, least: int = 0) -> int:
        """A whole number that fits in 63 bits."""
        value = self.data.get(name)
        if type(value) is not int or not least <= value < 2**63:
            self.fail(name, f"is not a whole number from {least}")
        return value

    def number(self, name: str) -> float:
        """A number that is not negative."""
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
            self.fail(name, "is not a number from 0")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.data.get(name)
        if not isinstance(value, bool):
            self.fail(name, "is neither true nor false")
        return value

    def time(self, name: str) -> datetime:
        """A time in UTC, written as RFC 3339."""
        value = self.data.get(name)
        moment = _time(value) if isinstance(value, str) else None
        if moment is None or moment.year not in YEARS:
            self.fail(name, "is not a time such as 2026-02-11T15:43:44Z")
        return moment

    def time_or_none(self, name: str) -> datetime | None:
        """A time in UTC, or null or absent."""
        return None if self.data.get(name) is None else self.time(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; absent means none."""
        value = self.data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail(name, "is not a list of texts")
        return tuple(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object; absent means empty."""
        value = self.data.get(name, {})
        if not isinstance(value, dict):
            self.fail(name, "is not a JSON object")
        return value

    def children(self, name: str) -> "list[Fields]":
        """A list of JSON objects; absent means none."""
        value = self.data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail(name, "is not a list of JSON objects")
        return [Fields(item, self.key, f"{self.where}{name}[{at}].") for at, item in enumerate(value)]


def encode(kind: str, fields: Mapping[str, Any]) -> bytes:
    """One record as it is stored: UTF-8 JSON in the order given, ``format`` first, a newline at the end.

    Raises ``CatalogError`` when something in it is no JSON, or it is too large.
    """
    document = {"format": f"backstay/{kind}", "version": VERSION, **fields}
    try:
        body = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1, default=_plain)
        data = body.encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise CatalogError(f"a {kind} cannot be written as JSON: {error}") from error
    if len(data) > RECORD_LIMIT:
        raise CatalogError(f"a {kind} of {len(data):,} bytes is over the limit of {RECORD_LIMIT:,}")
    return data


def decode(kind: str, data: bytes, key: str) -> Fields:
    """The fields of a record. Raises ``CatalogError`` with the key, ``FormatTooNew`` for a newer version."""
    try:
        document = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CatalogError(
            f"{key} is not JSON: {error}",
            hint="The record is damaged or was not written by Backstay. Nothing was changed.",
            key=key,
        ) from error
    if not isinstance(document, dict):
        raise CatalogError(f"{key} is not a JSON object", key=key)
    fields = Fields(document, key)
    fields.choice("format", (f"backstay/{kind}",))
    version = fields.integer("version", least=1)
    if version > VERSION:
        raise FormatTooNew(
            f"{key} has format version {version}; this Backstay reads up to {VERSION}",
            hint="Use the Backstay that wrote it, or a newer one. Nothing was changed.",
            key=key,
        )
    return fields


def read_bytes(store: Store, key: str) -> bytes:
    """A whole object. Raises ``NotFound``, and ``CatalogError`` when it is over ``RECORD_LIMIT`` bytes."""
    found = bytearray()
    with store.get(key) as chunks:
        for chunk in chunks:
            found += chunk
            if len(found) > RECORD_LIMIT:
                raise CatalogError(f"{key} is larger than {RECORD_LIMIT:,} bytes", key=key)
    return bytes(found)


def read(store: Store, kind: str, key: str) -> Record:
    """A record with the etag to change it under. Raises ``NotFound`` and what ``decode`` does."""
    etag = store.head(key).etag  # before the bytes, so that a change in between makes a later match fail
    return Record(decode(kind, read_bytes(store, key), key), etag)


def put(store: Store, key: str, body: bytes, *, create: bool = False, match: str | None = None) -> str:
    """Put a record under a condition and return its etag. Raises ``AlreadyExists`` when the condition fails.

    On a store without conditional put the condition is looked at just before, and a writer in between is not
    seen.
    """
    caps = store.caps
    if (create and not caps.conditional_create) or (match is not None and not caps.conditional_match):
        _check_by_head(store, key, match)
        return store.put(key, (body,)).etag
    return store.put(key, (body,), create=create, match=match).etag


def write(store: Store, key: str, body: bytes, *, create: bool = False, match: str | None = None) -> str:
    """The same as ``put``, but well too when ``body`` is there already.

    So a put that was done, whose answer was lost and which was sent again, is no conflict. ``body`` must say
    who wrote it.
    """
    try:
        return put(store, key, body, create=create, match=match)
    except AlreadyExists:
        etag = holds(store, key, body)
        if etag is None:
            raise
        return etag


def exists(store: Store, key: str) -> bool:
    """Whether there is an object with this key."""
    try:
        store.head(key)
    except NotFound:
        return False
    return True


def holds(store: Store, key: str, body: bytes) -> str | None:
    """The etag of the object if its bytes are ``body``."""
    try:
        etag = store.head(key).etag
        return etag if read_bytes(store, key) == body else None
    except (NotFound, CatalogError):
        return None


def _check_by_head(store: Store, key: str, match: str | None) -> None:
    try:
        etag = store.head(key).etag
    except NotFound:
        etag = None
    if etag != match:
        raise AlreadyExists(f"{key} is not as it was last seen")


def _time(text: str) -> datetime | None:
    try:
        return parse_time(text)
    except ValueError:
        return None


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
