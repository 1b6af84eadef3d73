"""What a restore would do, found out by reading only: steps, what would be lost, what is kept, whether it fits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backstay.cluster.apps import Apps
from backstay.core.errors import UsageError
from backstay.core.model import Backup, NoProgress, Plan, State, Step
from backstay.core.units import counted, format_count, format_size, format_span
from backstay.tiers.base import RestoreRequest
from backstay.tiers.postgres import compare, preflight, swap
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.programs import find_psql

if TYPE_CHECKING:
    from psycopg import Connection as Session

LOSS_TIMEOUT_SECONDS = 10  # counting what would be lost must not delay a restore
_LIKE_LIVE = """
SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = %s
"""
SWAP, NEW, SIDE, IN_PLACE = "swap", "new", "side", "in_place"


@dataclass(frozen=True)
class Options:
    """What only this tier understands of a restore request."""

    to: str | None = None
    in_place: bool = False
    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    map_roles: Mapping[str, str] = field(default_factory=dict)
    fresh_backup: str = ""  # the id of the fresh backup that in_place was given

    @property
    def mode(self) -> str:
        """swap, new, side or in_place."""
        if self.tables or self.schemas:
            return SIDE
        if self.to:
            return NEW
        return IN_PLACE if self.in_place else SWAP


def plan_restore(database: Database, backup: Backup, request: RestoreRequest, apps: Apps) -> Plan:
    """The plan for restoring ``backup`` into the server of ``database``.

    Raises ``UsageError`` for options that exclude each other, ``SourceError`` when the server cannot take it,
    ``RestoreError`` when the disk cannot hold both copies, and what ``apps`` raises when they cannot be stopped.
    """
    options = Options(**request.options)
    if options.in_place and (options.to or options.tables or options.schemas):
        raise UsageError("--in-place replaces the live database; it goes with none of --to, --table, --schema")
    find_psql(database.bin)
    with database.connection.session(database.maintenance) as session:
        preflight.check_server(session, database, backup)
        preflight.check_extensions(session, backup)
        preflight.check_roles(session, backup, options.map_roles)
        details = _details(session, database, backup, options, request.stamp, scratch=request.scratch)
        steps = _steps(backup, details, apps.steps(database.namespace, details["apps"]))
        notes = _notes(session, database, backup, details)
    into = f" as {details['into']}" if options.mode in {NEW, SIDE} else ""
    age = f"{format_span(request.now - backup.finished_at)} old" if backup.state is not State.FOREIGN else "foreign"
    return Plan(
        action="restore",
        target=backup.target,
        title=f"Restore {backup.id} ({age}) into {database.connection.where}{into}",
        steps=steps,
        notes=notes,
        details=details,
        confirm=str(backup.target) if details["mode"] in {SWAP, IN_PLACE} and details["live_exists"] else "",
    )


def _details(
    session: "Session[tuple[Any, ...]]",
    database: Database,
    backup: Backup,
    options: Options,
    stamp: str,
    *,
    scratch: bool = False,
) -> dict[str, Any]:
    """The facts that running needs, as plain data that a journal can keep."""
    mode, live = options.mode, database.dbname
    into = {
        SWAP: swap.derived_name(live, "restore", stamp),
        NEW: options.to,
        SIDE: options.to or swap.derived_name(live, "side", stamp),
        IN_PLACE: swap.derived_name(live, "restore", stamp),  # by its own name until all of it is there
    }[mode]
    if mode in {NEW, SIDE} and swap.exists(session, str(into)):
        raise UsageError(
            f"database {into} exists at {database.connection.where}",
            hint="Give another name with --to, or drop it first.",
        )
    listed = backup.contents.get("tables", {})
    needed = [role for role in backup.contents.get("roles", ()) if role.get("user_made")]
    present = {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}
    return {
        "mode": mode,
        "live": live,
        "live_exists": swap.exists(session, live),
        "live_oid": swap.oid_of(session, live),
        "into": into,
        "database": _recorded(session, backup, live, options.map_roles),
        "kept": swap.derived_name(live, "before", stamp) if mode in {SWAP, IN_PLACE} else "",
        "where": database.connection.where,
        "tables": _selected(options.tables, options.schemas, listed),
        "schemas": list(options.schemas),
        "create_roles": [r["name"] for r in needed if r["name"] not in present and r["name"] not in options.map_roles],
        "map_roles": dict(options.map_roles),
        "apps": list(database.apps) if mode in {SWAP, IN_PLACE} else [],
        "fresh_backup": options.fresh_backup,
        "scratch": scratch,
    }


def _recorded(
    session: "Session[tuple[Any, ...]]", backup: Backup, live: str, map_roles: Mapping[str, str]
) -> dict[str, Any]:
    """How the database is to be made: as the manifest says; for a foreign dump, like the live one."""
    if "database" in backup.contents:
        return mapped_database(backup.contents["database"], map_roles)
    row = session.execute(_LIKE_LIVE, (live,)).fetchone()
    return dict(zip(("owner", "encoding", "collate", "ctype"), row, strict=True)) if row else {}


def mapped_database(database: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The recorded database with its roles renamed as the user asked."""
    mapped = dict(database)
    if database.get("owner") in names:
        mapped["owner"] = names[database["owner"]]
    for key in ("settings", "grants"):
        mapped[key] = [{**entry, "role": names.get(entry["role"], entry["role"])} for entry in database.get(key, ())]
    return mapped


def _selected(tables: tuple[str, ...], schemas: tuple[str, ...], listed: Mapping[str, Any]) -> list[str]:
    """The chosen tables with all their partitions; a name without a schema means public. Raises ``UsageError``."""
    chosen = {name if "." in name else f"public.{name}" for name in tables}
    if listed and (unknown := sorted(chosen - set(listed))):
        raise UsageError(
            f"the backup has no table {', '.join(unknown)}",
            hint="`backstay show` lists the tables; write schema.table.",
        )
    if schemas and listed and not any(name.startswith(f"{schema}.") for schema in schemas for name in listed):
        raise UsageError(f"the backup has no table in schema {', '.join(schemas)}")
    chosen |= {name for name in listed for schema in schemas if name.startswith(f"{schema}.")}
    while more := {n for n, entry in listed.items() if entry.get("partition_of") in chosen} - chosen:
        chosen |= more
    return sorted(chosen)


def _steps(backup: Backup, details: Mapping[str, Any], around: tuple[str, str]) -> tuple[Step, ...]:
    """``around``: what is stopped, and what is started."""
    into, mode = details["into"], details["mode"]
    size = format_size(backup.size_bytes)
    owner = details["database"].get("owner", "the connecting role")
    rows = sum(
        entry.get("rows", 0)
        for name, entry in backup.contents.get("tables", {}).items()
        if not details["tables"] or name in details["tables"]
    )
    what = f"{format_count(rows)} rows, {size}" if backup.contents.get("tables") else f"{size}, contents unknown"
    stop = Step("stop", around[0], "downtime starts")
    start = Step("start and wait", around[1], "downtime ends")
    build = [
        *([Step("create roles", ", ".join(details["create_roles"]))] if details["create_roles"] else []),
        Step("create beside", f"database {into}, owner {owner}"),
        Step("fetch and load", what, _checks(backup)),
        Step("compare", _compared(backup, mode)),
    ]
    if mode in {NEW, SIDE}:
        return tuple(build)
    renames = f"{details['live']} -> {details['kept']}, " if mode == SWAP and details["live_exists"] else ""
    swapped = Step("swap", f"{renames}{into} -> {details['live']}")
    if mode == SWAP or not details["live_exists"]:
        return (*build, stop, swapped, start)
    fresh = Step("back up what is there", f"a fresh backup of {details['live']}, read back like the one to restore")
    drop = Step("drop", f"database {details['live']}", "from here on the data is only in the store")
    return (fresh, stop, drop, *build, swapped, start)


def _checks(backup: Backup) -> str:
    """What is checked of the stored bytes as they are loaded."""
    if backup.state is State.FOREIGN:
        return "no checksum is known; the end marker is required"
    encrypted = any("age" in artifact.encoding for artifact in backup.artifacts)
    return "size and sha256 checked" + (", decrypted" if encrypted else "") + " on the way"


def _compared(backup: Backup, mode: str) -> str:
    if mode == SIDE:
        return "rows of the chosen tables, indexes"
    if backup.state is State.FOREIGN:
        return "rows per table with what the dump held, indexes"
    return "rows per table, owner, objects, extensions, sequences, indexes"


def _notes(
    session: "Session[tuple[Any, ...]]", database: Database, backup: Backup, details: Mapping[str, Any]
) -> tuple[str, ...]:
    notes = []
    if details["mode"] in {SWAP, IN_PLACE}:
        notes.append(_lost(database, backup, details))
    if details["mode"] == SWAP and details["live_exists"]:
        notes.append(f"Kept: {details['kept']}, until `backstay restore cleanup {backup.target}`.")
    if details["mode"] == SIDE:
        notes.append("A copy to look at and copy from: all tables are defined, only the chosen ones have rows; "
                     "no foreign keys, triggers or policies.")  # fmt: skip
    if details["create_roles"]:
        notes.append("Roles made new have no password: set one before their programs log in.")
    if backup.state is State.FOREIGN:
        notes.append("Foreign dump: nothing is known of what it should hold; what was loaded is counted, not compared.")
    in_place, scratch = details["mode"] == IN_PLACE, bool(details["scratch"])
    notes.append(preflight.disk(session, database, backup, in_place=in_place, scratch=scratch))
    return tuple(notes)


def _lost(database: Database, backup: Backup, details: Mapping[str, Any]) -> str:
    """What the live database has that the backup has not, in rows, when that can be counted in time."""
    at = f"{backup.point_in_time:%Y-%m-%d %H:%M:%S} UTC" if backup.point_in_time else "the dump"
    words = f"Lost by this: everything written after {at}"
    if not details["live_exists"]:
        return f"{words}. There is no live database {details['live']} now."
    expected = compare.rows_by_table(backup.contents)
    if not expected:
        return f"{words}; how much that is cannot be told without a manifest."
    try:
        with database.connection.session(details["live"]) as live:
            live.execute(f"SET statement_timeout = {LOSS_TIMEOUT_SECONDS * 1000}")
            found = compare.count_rows(live, list(expected), NoProgress())
    except Exception as error:  # noqa: BLE001 - a damaged live database is a reason to restore, not to refuse
        return f"{words} (the live database could not be counted: {str(error).strip().splitlines()[0]})."
    changed = {name: found[name] - expected[name] for name in found if found[name] != expected[name]}
    if not changed:
        return f"{words} (the live database has as many rows in every table; contents may differ)."
    more, fewer = sum(d for d in changed.values() if d > 0), -sum(d for d in changed.values() if d < 0)
    parts = [f"{counted(n, 'row')} {word}" for n, word in ((more, "more"), (fewer, "fewer")) if n]
    return f"{words} (the live database has {' and '.join(parts)} in {counted(len(changed), 'table')})."
