"""Databases made, renamed and dropped on the destination server; every name is quoted, every swap is one transaction.

``ALTER DATABASE ... RENAME`` may run inside a transaction (unlike CREATE and DROP), so live and restored change places
at one instant, or not at all. New connections to the live database are refused from just before until just after.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from backstay.core.errors import RestoreError
from backstay.tiers.base import Leftover

if TYPE_CHECKING:
    from psycopg import Connection as Session

MAX_NAME_BYTES = 63  # NAMEDATALEN - 1
ATTEMPTS = 20
PAUSE_SECONDS = 0.25


def derived_name(dbname: str, word: str, stamp: str) -> str:
    """``cardboard__restore_20261123_071502``; a long name is cut so that the whole fits into 63 bytes."""
    end = f"__{word}_{stamp.replace('-', '_')}"
    room = MAX_NAME_BYTES - len(end.encode())
    return dbname.encode()[:room].decode("utf-8", "ignore") + end


def exists(session: "Session[tuple[Any, ...]]", name: str) -> bool:
    """The server has a database of this name."""
    return session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def drop(session: "Session[tuple[Any, ...]]", name: str) -> None:
    """Remove a database that Backstay made, and whoever is connected to it; one that is gone is no error."""
    from psycopg.sql import SQL, Identifier

    session.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def rename(
    session: "Session[tuple[Any, ...]]", pairs: list[tuple[str, str]], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Rename databases, all or none, pushing out whoever is connected.

    Raises ``RestoreError`` when sessions keep coming back, or the role may not rename; nothing has changed then.
    """
    import psycopg

    closed = [old for old, _ in pairs]
    try:
        for name in closed:
            _allow(session, name, allowed=False)
        for attempt in range(ATTEMPTS):
            for name in closed:
                session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            try:
                _rename_all(session, pairs)
                return
            except psycopg.errors.ObjectInUse:
                if attempt == ATTEMPTS - 1:
                    raise
                sleep(PAUSE_SECONDS)
    except psycopg.Error as error:
        raise RestoreError(
            f"the databases could not change places: {str(error).strip().splitlines()[0]}",
            hint="Nothing was renamed: live is what it was. `--resume` tries again, `--rollback` tidies up.",
        ) from error
    finally:
        for name in [*closed, *(new for _, new in pairs)]:
            reopen(session, name)


def reopen(session: "Session[tuple[Any, ...]]", name: str) -> None:
    """Let sessions into a database again that a rename had closed; one that is gone is no error."""
    if not session.closed and exists(session, name):
        _allow(session, name, allowed=True)


def leftovers(session: "Session[tuple[Any, ...]]", dbname: str) -> Iterator[Leftover]:
    """The databases that restores of ``dbname`` kept or left, with their sizes."""
    for word in ("before", "restore", "side", "drill"):
        pattern = derived_name(dbname, word, "").rstrip("_")
        query = "SELECT datname, pg_database_size(oid) FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
        for name, size in session.execute(query, (pattern,)).fetchall():
            yield Leftover(name=name, kind=word, size_bytes=size)


def _rename_all(session: "Session[tuple[Any, ...]]", pairs: list[tuple[str, str]]) -> None:
    from psycopg.sql import SQL, Identifier

    with session.transaction():
        for old, new in pairs:
            session.execute(SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(old), Identifier(new)))


def _allow(session: "Session[tuple[Any, ...]]", name: str, *, allowed: bool) -> None:
    from psycopg.sql import SQL, Identifier

    word = SQL("true" if allowed else "false")
    session.execute(SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(Identifier(name), word))
