"""What a server or one of its programs said, as the error a person reads: the fact, what is safe, the next step."""

import re

from backstay.core.errors import DumpIncomplete, SourceError
from backstay.tiers.postgres.database import Database

_PREFIX = re.compile(r"(?:pg_dump: |psql:<stdin>:\d+: |(?:ERROR|FATAL):\s+)")
_STEPS = {
    "large object": "Before PostgreSQL 19 only their owner or a superuser can dump large objects: use one of them.",
    "row-level security": "Row level security hides rows from this role; use one with BYPASSRLS, or the owner.",
    "could not obtain lock": "Someone waits to change or drop a table that this backup reads, and would wait for it. "
    "Run it again when the change is through.",
    "lock timeout": "Another session holds a table exclusively; look in pg_locks, or raise postgres.lock_timeout.",
    "conflict with recovery": "The standby had to give up the snapshot to replay its primary; raise "
    "max_standby_streaming_delay there, or set hot_standby_feedback.",
    "terminating connection": "The server was told to end the connection, or is shutting down. Run it again.",
    "server closed the connection": "The server crashed or restarted; its log says why. Run it again.",
    "shared memory": "Raise max_locks_per_transaction on the server: a backup locks every table.",
    "no end marker": "It ended in the middle; run it again, or see docs/troubleshoot.md#ended-early.",
}


def hint(said: str, database: Database) -> str:
    """The next step, by what was said."""
    if "permission denied" in said and "large object" not in said:
        user = database.connection.user
        return f"Grant the role pg_read_all_data: GRANT pg_read_all_data TO {user}; or dump as the owner."
    return next((step for word, step in _STEPS.items() if word in said), "Nothing was stored.")


def plain(said: str) -> str:
    """Without the prefixes that programs put before what the server said."""
    return _PREFIX.sub("", said)


def not_dumped(database: Database, said: str) -> SourceError:
    """The source refused before it gave anything."""
    said = plain(said)
    return SourceError(
        f"{database.target} could not be dumped: {said}", hint=hint(said, database), target=database.name
    )


def cut_short(database: Database, said: str, after: str = "") -> DumpIncomplete:
    """The dump ended in the middle, ``after`` so much of a table where that is known."""
    return DumpIncomplete(
        f"the dump of {database.target} ended early: {f'{after}; ' if after else ''}{plain(said)}",
        hint=f"Nothing was stored; earlier backups are as they were. {hint(plain(said), database)}",
        target=database.name,
    )
