"""Databases made, renamed and dropped on the destination server; every name is quoted, every swap is one transaction.

``ALTER DATABASE ... RENAME`` may run inside a transaction (unlike CREATE and DROP), so live and restored change places
at one instant, or not at all. New connections to the live database are refused from just before until just after.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from backstay.core.errors import BackstayError, RestoreError
from backstay.tiers.base import Leftover

if TYPE_CHECKING:
    from psycopg import Connection as Session

MAX_NAME_BYTES = 63  # NAMEDATALEN - 1
DIGEST_DIGITS = 8
ATTEMPTS = 20
PAUSE_SECONDS = 0.25
_END = re.compile(r"__(?P<word>before|restore|side|drill)_(?P<stamp>[0-9]{8}_[0-9]{6})\Z")


def derived_name(dbname: str, word: str, stamp: str) -> str:
    """``cardboard__restore_20261123_071502``. A name that would not fit into 63 bytes is cut and has a digest of all of
    it after the cut, so that databases whose names begin alike share none."""
    end = f"__{word}_{stamp.replace('-', '_')}"
    room = MAX_NAME_BYTES - len(end)
    whole = dbname.encode()
    if len(whole) <= room:
        return dbname + end
    digest = f"_{sha256(whole).hexdigest()[:DIGEST_DIGITS]}"
    return whole[: room - len(digest)].decode("utf-8", "ignore") + digest + end


def exists(session: "Session[tuple[Any, ...]]", name: str) -> bool:
    """The server has a database of this name."""
    return session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def drop(session: "Session[tuple[Any, ...]]", name: str) -> None:
    """Remove a database that Backstay made, and whoever is connected to it; one that is gone is no error."""
    from psycopg.sql import SQL, Identifier

    session.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def rename(
    opened: Callable[[], AbstractContextManager["Session[tuple[Any, ...]]"]],
    pairs: list[tuple[str, str]],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Rename databases, all or none, pushing out whoever is connected. ``opened`` makes the session that does it, and
    another one that lets everybody in again, also where the first was lost.

    Raises ``RestoreError`` when sessions keep coming back, or the role may not rename, and nothing has changed then; or
    when the server has gone, and what has changed is not known.
    """
    failed = None
    try:
        with opened() as session:
            _change_places(session, pairs, sleep)
    except BackstayError as error:  # what a session makes of the server's errors
        failed = error
    finally:
        changed = _let_in(opened, pairs)
    if failed and not changed:
        raise RestoreError(
            f"the databases could not change places: {failed.message}",
            hint="Nothing was renamed: live is what it was. `--resume` tries again, `--rollback` tidies up.",
        ) from failed


def reopen(session: "Session[tuple[Any, ...]]", name: str) -> None:
    """Let sessions into a database again that a rename had closed; one that is gone is no error."""
    if exists(session, name):
        _allow(session, name, allowed=True)


def oid_of(session: "Session[tuple[Any, ...]]", name: str) -> int:
    """What tells a database from another that has its name later; 0 where there is none."""
    row = session.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return int(row[0]) if row else 0


def leftovers(session: "Session[tuple[Any, ...]]", dbname: str) -> Iterator[Leftover]:
    """The databases that restores of ``dbname`` kept or left, with their sizes: those whose name ``derived_name`` made
    of it, and none that only begins like that."""
    names = [row[0] for row in session.execute("SELECT datname FROM pg_database")]
    ours = {
        name: end["word"]
        for name in names
        if (end := _END.search(name)) and name == derived_name(dbname, end["word"], end["stamp"])
    }
    query = "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datname = ANY(%s) ORDER BY 1"
    for name, size in session.execute(query, (list(ours),)).fetchall():
        yield Leftover(name=name, kind=ours[name], size_bytes=size)


def _change_places(
    session: "Session[tuple[Any, ...]]", pairs: list[tuple[str, str]], sleep: Callable[[float], None]
) -> None:
    import psycopg

    closed = [old for old, _ in pairs]
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


def _let_in(
    opened: Callable[[], AbstractContextManager["Session[tuple[Any, ...]]"]], pairs: list[tuple[str, str]]
) -> bool:
    """Reopen whatever has one of the names; whether they have changed, which a lost connection leaves open."""
    old, new = pairs[-1]
    try:
        with opened() as session:
            for name in {name for pair in pairs for name in pair}:
                reopen(session, name)
            return exists(session, new) and not exists(session, old)
    except BackstayError as error:
        raise RestoreError(
            f"whether the databases have changed places is not known: {error.message}",
            hint="They change all at once or not at all, but may be closed to sessions. `--resume` finds out and goes "
            "on, `--rollback` puts back what was live; both open it again.",
        ) from error


def _rename_all(session: "Session[tuple[Any, ...]]", pairs: list[tuple[str, str]]) -> None:
    from psycopg.sql import SQL, Identifier

    with session.transaction():
        for old, new in pairs:
            session.execute(SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(old), Identifier(new)))


def _allow(session: "Session[tuple[Any, ...]]", name: str, *, allowed: bool) -> None:
    from psycopg.sql import SQL, Identifier

    word = SQL("true" if allowed else "false")
    session.execute(SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(Identifier(name), word))
