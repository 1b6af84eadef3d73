"""Loading a dump: psql in restricted mode, fed by a reader that counts what goes in and refuses what must not.

psql runs the text it is given, and a dump comes from a store that someone else may write to. So it runs under
``\\restrict`` with a token of our own (no command of psql's, no shell), the dump's own pair of it is taken out, and
statements that would leave the new database (``\\connect``, ``DROP DATABASE``) stop the load.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from backstay.cluster.proc import Process
from backstay.core.errors import RestoreError, ToolError
from backstay.core.model import Progress
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.dumptext import Contents, DumpReader
from backstay.tiers.postgres.frozen import Frozen
from backstay.tiers.postgres.programs import find_psql
from backstay.tiers.postgres.selection import LEAVES, Selection, map_roles, outside

# Safe on a server that serves others: only this session, only durability of its own commits until they are checked.
SETTINGS = {
    "synchronous_commit": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "maintenance_work_mem": "256MB",
    "default_transaction_read_only": "off",
}


OPTIONS = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())  # the same, for libpq's PGOPTIONS
NEWER_SETTING = b"SET transaction_timeout = 0;\n"  # of every pg_dump since 17, for a server that may be older


@dataclass
class Rewrite:
    """What is changed of a dump on its way into psql. ``roles`` maps names in the dump to names on this server,
    ``large`` are the tables to load frozen, ``server_version`` is that of the server, 170011 for 17.11."""

    selection: Selection = field(default_factory=Selection)
    roles: Mapping[str, str] = field(default_factory=dict)
    large: frozenset[str] = frozenset()
    server_version: int = 170000

    def __post_init__(self) -> None:
        self._frozen = Frozen(self.large)
        self._keep_index = False

    def __call__(self, reader: DumpReader, piece: bytes) -> bytes:
        """One piece, as it should be loaded; see ``dumptext.DumpReader``."""
        return self._frozen.end(reader) + self._rewritten(reader, piece)

    def _rewritten(self, reader: DumpReader, piece: bytes) -> bytes:
        if self.selection and not self._wanted(reader, piece):
            return b""
        if reader.in_copy or not reader.at_statement:
            return piece
        if piece.startswith(b"\\"):
            return self._command(piece)
        if piece.startswith(LEAVES):
            raise outside(piece)
        if piece == NEWER_SETTING and self.server_version < 170000:
            return b"\n"  # a line all the same: errors keep their numbers
        return self._frozen.begin(map_roles(piece, self.roles))

    def _command(self, piece: bytes) -> bytes:
        if piece.startswith((b"\\restrict ", b"\\unrestrict ")):
            return b""
        raise outside(piece)

    def _wanted(self, reader: DumpReader, piece: bytes) -> bool:
        """Whether a piece belongs into a copy of the selected tables."""
        entry = reader.entry
        if entry is None:
            return True
        if entry.type != "INDEX":
            return self.selection.wants(entry.type, entry.name, entry.schema)
        if reader.at_statement and piece.startswith(b"CREATE "):
            self._keep_index = self.selection.wants_index(piece)
        return self._keep_index


def load(database: Database, dbname: str, chunks: Iterable[bytes], rewrite: Rewrite, progress: Progress) -> Contents:
    """Load a plain dump into ``dbname`` and return what was in it.

    Raises ``RestoreError`` with psql's own words when a statement fails, ``DumpIncomplete`` when the dump has no end,
    and what ``chunks`` raises; in each case psql is stopped, and the half-loaded database is the caller's to drop.
    """
    program = find_psql(database.bin)
    reader = DumpReader(rewrite)
    token = secrets.token_hex(16)
    argv = [program.path, "-X", "-q", "--no-password", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-"]
    with (
        database.connection.environment(dbname, PGOPTIONS=OPTIONS) as (env, handles),
        Process(argv, env=env, stdin=True, pass_fds=handles) as process,
    ):
        try:
            process.feed(_fenced(reader.through(_metered(chunks, progress)), token))
        except ToolError as error:
            raise RestoreError(
                f"{database.target}: the dump could not be loaded into {dbname}: {_first_error(process.tail)}",
                hint="The live database was not touched.",
                tail=process.tail,
            ) from error
    return reader.contents


def _fenced(chunks: Iterable[bytes], token: str) -> Iterator[bytes]:
    yield f"\\restrict {token}\n".encode()
    yield from chunks
    yield f"\n\\unrestrict {token}\n".encode()


def _metered(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        progress.advance(len(chunk))


def _first_error(tail: list[str]) -> str:
    """The first ERROR is the cause, later ones its consequences: ``psql:<stdin>:12: ERROR:  x``."""
    for line in tail:
        if match := re.match(r"psql:<stdin>:(\d+): (?:ERROR|FATAL|PANIC):\s+(.*)", line):
            return f"{match[2]} (line {int(match[1]) - 1} of the dump)"  # the first line is our own \\restrict
    return " / ".join(tail[-3:]) or "psql ended without a word"
