"""Whether a server can take a restore at all, asked by reading only: version, extensions, rights, disk."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.core.errors import DrillFailed, RestoreError, SourceError, UsageError
from backstay.core.model import Backup
from backstay.core.units import format_size
from backstay.tiers.postgres import timescale
from backstay.tiers.postgres.database import Database

if TYPE_CHECKING:
    from psycopg import Connection as Session

LOG_BYTES = 2 << 30  # a scratch server keeps up to so much of its log
HEADROOM = 1.15  # indexes are built with temporary files beside them


def check_server(session: "Session[tuple[Any, ...]]", database: Database, backup: Backup) -> None:
    """A dump loads into its own major version or a newer one."""
    recorded = str(backup.source.get("server_version", ""))
    major = session.info.server_version // 10000
    wanted = recorded.partition(".")[0]
    if wanted.isdigit() and int(wanted) > major:
        raise SourceError(
            f"{backup.id} comes from PostgreSQL {recorded}, and {database.connection.where} runs {major}",
            hint=f"Restore into PostgreSQL {wanted} or newer. Nothing was changed.",
        )


def check_extensions(session: "Session[tuple[Any, ...]]", backup: Backup) -> None:
    available = {row[0] for row in session.execute("SELECT name FROM pg_available_extensions")}
    missing = [f"{n} {v}" for n, v in sorted(backup.contents.get("extensions", {}).items()) if n not in available]
    if missing:
        raise SourceError(
            f"the server lacks extensions that {backup.id} needs: {', '.join(missing)}",
            hint="Install their packages on the server (CREATE EXTENSION is done for you). Nothing was changed.",
        )
    if recorded := backup.contents.get("timescale"):
        timescale.check_available(session, backup.id, str(recorded["version"]))


def check_roles(session: "Session[tuple[Any, ...]]", backup: Backup, map_roles: Mapping[str, str]) -> None:
    """The connecting role may make databases for the owner, and every role that is mapped to exists."""
    present = {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}
    if missing := sorted(set(map_roles.values()) - present):
        raise UsageError(f"--map-role: the server has no role {', '.join(missing)}", hint="Create it first.")
    rights = "SELECT current_user, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    row = session.execute(rights).fetchone()
    if row is None or row[1]:
        return
    owner = backup.contents.get("database", {}).get("owner", row[0])
    owner = map_roles.get(owner, owner)
    member = (
        session.execute("SELECT pg_has_role(%s::name, 'MEMBER')", (owner,)).fetchone() if owner in present else (False,)
    )
    if not row[2] or not (member and member[0]):
        raise SourceError(
            f"role {row[0]} cannot make a database owned by {owner} on this server",
            hint=f"It needs CREATEDB and membership in {owner}, or to be a superuser; or use "
            f"--map-role {owner}:{row[0]}. Nothing was changed.",
        )


def disk(
    session: "Session[tuple[Any, ...]]", database: Database, backup: Backup, *, in_place: bool, scratch: bool = False
) -> str:
    """Whether the disk holds the new copy; known only for a server on this machine. Raises ``RestoreError``."""
    size = backup.contents.get("database", {}).get("size_bytes")
    log = min(size, LOG_BYTES) if scratch and isinstance(size, int) else 0
    needed = int(size * HEADROOM) + log if isinstance(size, int) else None
    need = f"needs about {format_size(needed)}" if needed else "needs an unknown amount"
    free = _free_bytes(session, database)
    if free is None:
        return f"Disk: {need}; free space on {database.connection.where} cannot be seen from here."
    if needed and scratch and free < needed:
        raise DrillFailed(
            f"the disk is too small for a drill: it {need}, {format_size(free)} free",
            hint="Make room, set XDG_STATE_HOME to a folder on a larger disk, or give another server with --server. "
            "Nothing has been changed.",
        )
    if needed and not in_place and free < needed:
        raise RestoreError(
            f"the disk of {database.connection.where} cannot hold both copies: {need}, {format_size(free)} free",
            hint="Make room, restore to another server (--server), or replace the live database with --in-place, "
            "which takes and proves a fresh backup of it first. Nothing has been changed.",
        )
    return f"Disk: {need}, {format_size(free)} free."


def _free_bytes(session: "Session[tuple[Any, ...]]", database: Database) -> int | None:
    """Free bytes below the server's data directory, when the server runs on this machine and the role may know."""
    import psycopg

    local = database.connection.host in {"127.0.0.1", "::1", "localhost"} or database.connection.host.startswith("/")
    try:
        row = session.execute("SHOW data_directory").fetchone()
        folder = Path(row[0]) if row else None
        if not local or folder is None or not os.access(folder.parent, os.X_OK):
            return None
        return shutil.disk_usage(folder).free
    except (psycopg.errors.InsufficientPrivilege, OSError):
        return None
