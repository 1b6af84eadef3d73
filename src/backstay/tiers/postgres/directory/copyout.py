"""Rows out of a server: psql, kept in a transaction on the exported snapshot, giving one COPY after another.

psql and not a driver, because a driver hands over one row at a time, and so spends more on each row than the server.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from backstay.cluster.proc import CHUNK_BYTES, Process
from backstay.tiers.postgres.connection import SESSION
from backstay.tiers.postgres.database import Database

LOCK_LIMIT = ("lock_timeout", 0)
TO_STDOUT = r"\g /dev/stdout"  # where psql writes of itself, it forgets how many rows there were
END_BYTES = len(f"{'':32} {2**64} ")  # the line that follows the rows, at most: a token, their count, a newline

# How values are written must not depend on the settings of a role or a database (pg_dump.c, setup_connection).
SETTINGS = (
    "SET datestyle = ISO",
    "SET intervalstyle = postgres",
    "SET extra_float_digits = 3",
    "SET bytea_output = hex",
    "SET xmloption = content",
    "SET synchronize_seqscans = off",
    "SET row_security = off",
    "SET search_path = ''",
)


class CopyReader:
    """One session. A context manager; ``stop`` may be called from another thread, and makes ``rows`` fail.

    ``count`` is how many rows the last ``rows`` had, as the server says: so what was lost on the way from it is missed.
    """

    def __init__(
        self, database: Database, psql: str, snapshot: str, settings: Sequence[str], server_version: int
    ) -> None:
        self._database = database
        self._psql = psql
        self._limits = [f"SET {name} = 0" for name, since in (*SESSION, LOCK_LIMIT) if server_version >= since]
        self._start = [*SETTINGS, *settings]
        self._snapshot = snapshot
        self._stopped = False
        self._stack = ExitStack()
        self._process: Process | None = None
        self._in_rows = False
        self.count = 0

    def rows(self, table: str, copy: str) -> Iterator[bytes]:
        """What ``copy``, a ``COPY ... TO STDOUT`` of ``table``, gives, in large blocks; ``count`` is then how many rows
        that were. May be left before its end, and asked again: it is all one snapshot.

        Raises ``ToolError`` with the server's words when it fails or the session ends; a lock on the table that
        would make it wait is such an error, since whoever waits for that lock waits for this backup.
        """
        token = secrets.token_hex(16)
        if self._in_rows:  # the reader of the last ones went away: what it left is in the way
            self._close()
        process = self._open()
        self._in_rows = True
        lock = f"LOCK TABLE ONLY {table} IN ACCESS SHARE MODE NOWAIT;"
        process.write(f"{lock}\n{copy} {TO_STDOUT}\n\\echo {token} :ROW_COUNT\n".encode())
        buffer, size = memoryview(bytearray(CHUNK_BYTES)), 0
        while True:
            got = process.read_into(buffer[size:])
            if not got:
                process.check()
                raise process.failure("ended in the middle of a table")
            size += got
            last = bytes(buffer[max(0, size - END_BYTES) : size])
            if last.endswith(b"\n") and (end := last.rfind(token.encode())) >= 0:
                self._in_rows = False
                self.count = int(last[end + len(token) :])
                if size := size - len(last) + end:
                    yield bytes(buffer[:size])
                return
            if size == CHUNK_BYTES:
                yield bytes(buffer[:-END_BYTES])
                buffer[:END_BYTES], size = last, END_BYTES

    def number(self, table: str, query: str, settings: Mapping[str, str]) -> int:
        """The one whole number that ``query`` gives, asked with other settings than rows are. Raises ``ToolError``."""
        process = self._open()
        process.write("".join(f"SET {name} = '{value}';\n" for name, value in settings.items()).encode())
        found = int(b"".join(self.rows(table, f"COPY ({query}) TO STDOUT")))
        process.write("".join(f"RESET {name};\n" for name in settings).encode())
        process.write("".join(f"{line};\n" for line in self._start).encode())
        return found

    def stop(self) -> None:
        """End the session at once, also one that is just being begun."""
        self._stopped = True
        if self._process is not None:
            self._process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._process, self._in_rows = None, False
        self._stack.close()

    def _open(self) -> Process:
        """The session, begun when it is first needed."""
        if self._process is None:
            argv = [self._psql, "-X", "-q", "-A", "-t", "--no-password", "-v", "ON_ERROR_STOP=1", "-f", "-"]
            env, handles = self._stack.enter_context(self._database.connection.environment(self._database.dbname))
            process = Process(argv, env=env, stdin=True, stdout=True, pass_fds=handles)
            self._process = self._stack.enter_context(process)
            if self._stopped:
                self._process.stop()
            begin = (
                *self._limits,  # before the transaction, which one of them would end
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                f"SET TRANSACTION SNAPSHOT '{self._snapshot}'",
            )
            process.write("".join(f"{line};\n" for line in (*begin, *self._start)).encode())
        return self._process
