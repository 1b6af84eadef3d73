"""Large tables are loaded frozen: their pages are written once, and not again by whoever reads them first.

Rows of an ordinary COPY are marked as committed by the first statement that reads them, which writes every page and,
with checksums on, logs it whole. ``COPY ... WITH (FREEZE)`` writes them in their final state and spares a later vacuum;
it asks that the table was truncated in the same transaction (PostgreSQL documentation, COPY). Truncating is safe for a
table that this very dump has created: it is empty, and its constraints and triggers come later.
"""

import re
from collections.abc import Mapping
from typing import Any

from backstay.tiers.postgres.dumptext import COPY, IDENTIFIER, DumpReader, qualified, unquote

# A transaction that truncates waits for the disk when it commits, so that a small table would lose by it.
LARGE_BYTES = 16 << 20
_CREATE = re.compile(rb"^CREATE (?:UNLOGGED )?TABLE (" + IDENTIFIER + rb")\.(" + IDENTIFIER + rb") ")
_FROM_STDIN = b" FROM stdin;\n"


def large_tables(contents: Mapping[str, Any]) -> frozenset[str]:
    """The tables for which it pays, by the ``contents`` of a manifest; none where there are no sizes."""
    return frozenset(
        name
        for name, entry in contents.get("tables", {}).items()
        if entry.get("kind") == "table" and entry.get("size_bytes", 0) >= LARGE_BYTES
    )


class Frozen:
    """What is changed of a dump so that ``tables`` are loaded frozen. No line is added: errors keep their numbers."""

    def __init__(self, tables: frozenset[str]) -> None:
        self._tables = tables
        self._created: set[str] = set()
        self._open = False  # a transaction of ours

    def begin(self, piece: bytes) -> bytes:
        """One line of SQL outside quotes: as it is, or with what a large table needs before its rows."""
        if self._tables and piece.startswith(b"CREATE ") and (created := _CREATE.match(piece)):
            self._created.add(qualified(unquote(created[1]), unquote(created[2])))
        if not (self._created and piece.startswith(b"COPY ") and (copy := COPY.match(piece))):
            return piece
        name = qualified(unquote(copy[1]), unquote(copy[2]))
        if name not in self._tables & self._created or not piece.endswith(_FROM_STDIN):
            return piece
        self._open = True
        start = b"BEGIN; TRUNCATE TABLE ONLY " + copy[1] + b"." + copy[2] + b"; "
        return start + piece.removesuffix(_FROM_STDIN) + b" FROM stdin WITH (FREEZE);\n"

    def end(self, reader: DumpReader) -> bytes:
        """What goes before a piece: the end of our transaction, once the rows are through."""
        if not self._open or reader.in_copy:
            return b""
        self._open = False
        return b"COMMIT; "
