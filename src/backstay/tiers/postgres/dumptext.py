"""A streaming reader of what ``pg_dump --format=plain`` writes: counts rows, finds the end, never holds the data.

The text is SQL with COPY blocks in it. Outside COPY, quoting is followed (``'...'``, ``"..."``, ``$tag$...$tag$``,
``--``), so that a function body or a comment that merely looks like a COPY line, an end marker or a psql command is
taken for what it is. Inside COPY, a line of ``\\.`` ends the block and every other newline ends one row (PostgreSQL
documentation, COPY, text format: data newlines are written ``\\n``).

A complete dump ends with ``-- PostgreSQL database dump complete`` at the top level, and since the minor releases of
August 2025 with a ``\\unrestrict`` line after it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from backstay.core.errors import DumpIncomplete

END_MARKER = b"-- PostgreSQL database dump complete"
NEWLINE = ord("\n")
MAX_LINE_BYTES = 64 << 20  # of SQL, not of COPY data: far above any statement pg_dump writes on one line
_QUOTE = re.compile(rb"""'|"|--|\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$""")
_HEADER = re.compile(rb"^-- (Data for )?Name: (.*); Type: (.*); Schema: (.*); Owner: (.*?)(?:; Tablespace: .*)?$")
IDENTIFIER = rb'(?:"(?:[^"]|"")*"|[^\s".(]+)'
COPY = re.compile(rb"^COPY (" + IDENTIFIER + rb")\.(" + IDENTIFIER + rb")\s*(\(.*\))?\s*FROM stdin;\s*$", re.DOTALL)
SETVAL = re.compile(rb"^SELECT pg_catalog\.setval\('((?:[^']|'')*)', (-?\d+), (true|false)\);")
_LO_CREATE = re.compile(rb"^SELECT pg_catalog\.lo_create\('(\d+)'\);")


@dataclass(frozen=True)
class Entry:
    """The comment above each object of a dump: ``-- Name: flights; Type: TABLE; Schema: public; Owner: flights``."""

    name: str
    type: str
    schema: str
    owner: str


@dataclass
class Contents:
    """What a dump was seen to hold."""

    tables: dict[str, int] = field(default_factory=dict)  # rows by qualified name
    sequences: dict[str, tuple[int, bool]] = field(default_factory=dict)  # (value, is_called) by name as written
    large_objects: int = 0
    complete: bool = False

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(self.tables.values())


# Called for each line of SQL and for each block of COPY rows; returns what to pass on.
Rewrite = Callable[["DumpReader", bytes], bytes]


class DumpReader:
    """Feed it chunks; ask ``contents`` afterwards. ``finish`` raises unless the dump was whole.

    ``rewrite`` may change or drop pieces on the way (a restore uses it); the counts are of what came in. It is given
    every piece with the reader, whose ``entry``, ``in_copy`` and ``at_statement`` tell where the piece stands.
    """

    def __init__(self, rewrite: Rewrite | None = None) -> None:
        self.contents = Contents()
        self.entry: Entry | None = None
        self.table: str | None = None  # the table whose COPY block is open
        self.at_statement = True  # the line begins outside any quotes
        self._rewrite = rewrite
        self._quote: bytes | None = None
        self._held = b""
        self._copy_line = b""  # a COPY statement whose name has a newline in it, so far
        self._row_start = True

    @property
    def in_copy(self) -> bool:
        """The piece at hand is rows, not SQL."""
        return self.table is not None

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, read on the way; as they are, or as ``rewrite`` makes them. Ends with ``finish``."""
        for chunk in chunks:
            out = self.feed(chunk)
            yield chunk if self._rewrite is None else out
        self.finish()

    def feed(self, chunk: bytes) -> bytes:
        """Read one chunk; what ``rewrite`` made of the pieces completed by it, or nothing without one."""
        data, at, out = self._held + chunk, 0, list[bytes]()
        while at < len(data):
            taken = self._copy_rows(data, at, out) if self.in_copy else self._sql_line(data, at, out)
            if taken == 0:
                break
            at += taken
        self._held = data[at:]
        if len(self._held) > MAX_LINE_BYTES:
            raise DumpIncomplete(f"the dump has a line of SQL longer than {MAX_LINE_BYTES >> 20} MiB: not pg_dump's")
        return b"".join(out)

    def finish(self) -> None:
        """Raise ``DumpIncomplete`` unless the end marker was the last thing and every COPY block was closed."""
        if self.in_copy:
            rows = self.contents.tables.get(self.table or "", 0) + self._held.count(b"\n")
            raise DumpIncomplete(
                f"the dump ended early: in the middle of {self.table}, after {rows:,} of its rows, no end marker",
                tables=len(self.contents.tables),
            )
        if not self.contents.complete or self._quote is not None or self._held.strip():
            raise DumpIncomplete(
                f"the dump ended early: no end marker after {len(self.contents.tables):,} tables and "
                f"{self.contents.rows:,} rows",
                tables=len(self.contents.tables),
            )

    def _copy_rows(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Take rows up to the end of the block, or all but a possible piece of the terminator. Returns bytes taken."""
        if self._row_start and data.startswith(b"\\.\n", at):
            return self._end_copy(out)
        if self._row_start and b"\\.\n".startswith(data[at : at + 3]):
            return 0
        end = data.find(b"\n\\.\n", at)
        stop = end + 1 if end >= 0 else _before_terminator(data, at)
        if stop > at:
            self.contents.tables[self.table or ""] += data.count(b"\n", at, stop)
            self._row_start = data[stop - 1] == NEWLINE
            if self._rewrite is not None:
                out.append(self._rewrite(self, data[at:stop]))
        return stop - at

    def _end_copy(self, out: list[bytes]) -> int:
        line = b"\\.\n"
        if self._rewrite is not None:
            out.append(self._rewrite(self, line))
        self.table = None
        return len(line)

    def _sql_line(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Take one line of SQL. Returns bytes taken, 0 while the line is not whole."""
        newline = data.find(b"\n", at)
        if newline < 0:
            return 0
        line = data[at : newline + 1]
        self.at_statement = self._quote is None and not self._copy_line
        if self.at_statement:
            self._note(line)
        self._follow_quotes(line)
        started = self._starts_copy(line)
        if self._rewrite is not None:
            out.append(self._rewrite(self, line))
        if started:
            self._row_start = True
            self.table = started
            self.contents.tables.setdefault(started, 0)
        return len(line)

    def _note(self, line: bytes) -> None:
        """Remember what a line says that begins outside quotes."""
        if line.startswith(b"--"):
            if header := _HEADER.match(line.rstrip(b"\n")):
                self.entry = Entry(*(part.decode("utf-8", "replace") for part in header.groups()[1:]))
            if line.rstrip() == END_MARKER:
                self.contents.complete = True
        elif line.startswith(b"SELECT pg_catalog."):
            if match := SETVAL.match(line):
                self.contents.sequences[unescape(match[1])] = (int(match[2]), match[3] == b"true")
            elif _LO_CREATE.match(line):
                self.contents.large_objects += 1
        elif line.strip() and not line.startswith(b"\\"):
            self.contents.complete = False  # something follows the marker: it was not the end

    def _follow_quotes(self, line: bytes) -> None:
        position = 0
        while True:
            if self._quote is not None:
                found = line.find(self._quote, position)
                if found < 0:
                    return
                position = found + len(self._quote)
                self._quote = None
            match = _QUOTE.search(line, position)
            if match is None or match[0] == b"--" or (self.at_statement and line.startswith(b"\\")):
                return
            self._quote, position = match[0], match.end()

    def _starts_copy(self, line: bytes) -> str | None:
        """The table, when this line completes a ``COPY ... FROM stdin;`` statement."""
        if not self._copy_line and not (self.at_statement and line.startswith(b"COPY ")):
            return None
        self._copy_line += line
        if self._quote is not None:
            return None
        statement, self._copy_line = self._copy_line, b""
        match = COPY.match(statement)
        return qualified(unquote(match[1]), unquote(match[2])) if match else None


def qualified(schema: str, name: str) -> str:
    """The name of a table as everything here spells it: ``public.flights``, ``public."Odd Name"``."""
    return f"{quote(schema)}.{quote(name)}"


def quote(name: str) -> str:
    """The identifier, in quotes unless it is all lower-case letters, digits and underscores."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quote_always(name)


def quote_always(name: str) -> str:
    """The identifier in quotes, so that it is nothing else: no word of SQL, no pattern."""
    return '"' + name.replace('"', '""') + '"'


def unquote(identifier: bytes) -> str:
    """The name that an identifier as pg_dump writes it stands for."""
    text = identifier.decode("utf-8", "replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def unescape(literal: bytes) -> str:
    """The text that stands between the quotes of a literal as pg_dump writes it."""
    return literal.replace(b"''", b"'").decode("utf-8", "replace")


def _before_terminator(data: bytes, at: int) -> int:
    """Where the rows end for certain: before what may begin a terminator that the next chunk completes."""
    for size in (3, 2, 1):
        if len(data) - size >= at and data.endswith(b"\n\\.\n"[:size]):
            return len(data) - size
    return len(data)
