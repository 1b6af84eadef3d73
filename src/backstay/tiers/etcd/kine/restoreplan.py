"""What a restore of k3s on SQLite would do, found out by reading only."""

from collections.abc import Iterator

from backstay.core.errors import BackstayError, UsageError
from backstay.core.model import Backup, Plan, Step
from backstay.core.units import counted, format_count, format_size, format_span
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine import leftovers
from backstay.tiers.etcd.kine.database import bytes_beside, revision_of
from backstay.tiers.etcd.kine.datastore import number
from backstay.tiers.etcd.kine.swap import Swap
from backstay.tiers.etcd.restore import notes, preflight
from backstay.tiers.etcd.restore.leftovers import WORK
from backstay.tiers.etcd.restore.machine import known_as
from backstay.tiers.etcd.restore.options import FLAGS
from backstay.tiers.etcd.restore.plan import servers
from backstay.tiers.etcd.restore.services import System
from backstay.tiers.etcd.restore.settings import UNIT_FOLDERS, ServerSettings, read_settings
from backstay.tiers.etcd.restore.steps import title

MODE = "sqlite"  # Plan.details["mode"]
FORCE = "force_version"  # go on with a k3s older than the one that wrote the backup
AGENTS = (
    "Agents hold newer versions of objects than the restored database has, and may miss changes until it has passed "
    "them (Kubernetes issue 118501): restart k3s-agent on every other node."
)
_REFUSED = {
    "datastore-endpoint": "k3s keeps its state in another database",
    "cluster-init": "k3s would move the restored database into an etcd of its own at its next start",
    "server": "k3s would join another server rather than read this database",
    "cluster-reset": "k3s would reset a cluster at every start",
    "cluster-reset-restore-path": "k3s would restore a snapshot of etcd at every start",
}
_SWITCHES = {"cluster-init", "cluster-reset"}


def plan(plane: ControlPlane, backup: Backup, request: RestoreRequest, system: System) -> Plan:
    """The plan for restoring ``backup`` on this machine. Stops and changes nothing.

    Raises ``UsageError`` for what was asked or configured wrongly, ``RestoreError`` where it cannot succeed (disk,
    token), ``ToolError`` for a k3s that is missing or too old.
    """
    force_version = _options(request)
    preflight.check_root(system)
    settings = read_settings(plane, system)
    _check_datastore(plane, settings)
    preflight.check_service(plane, system)
    _check_unit(plane, system)
    version = preflight.check_server_version(plane, system, backup, force=force_version)
    token = preflight.check_token(plane, settings, backup)
    disk = preflight.check_space(system, backup, plane.db_dir, bumped=False)
    swap = Swap(plane.sqlite_file, request.stamp)
    return Plan(
        action="restore",
        target=backup.target,
        title=title(plane, backup, request, "k3s on SQLite"),
        steps=tuple(_steps(plane, backup, swap, write_token=token.missing_on_disk)),
        notes=(
            _lost(plane, backup, request),
            *notes.other_machine(plane, servers(backup)),
            notes.kept(plane, str(swap.before)),
            *notes.copies_held(list(leftovers.leftovers(plane)), plane),
            disk,
            version,
            f"Token: {token.says}",
            AGENTS,
            f"Ready means: systemd calls {plane.service} active, and it has the restored database open.",
        ),
        details={
            "mode": MODE,
            "stamp": request.stamp,
            "flavor": plane.flavor.value,
            "node": plane.node,
            "machine": known_as(system),
            "service": plane.service,
            "work": str(plane.db_dir / f"{WORK}{request.stamp}"),
            "into": str(plane.sqlite_file),
            "write_token": token.missing_on_disk,
            "others": [],
        },
        confirm=str(backup.target),
    )


def _options(request: RestoreRequest) -> bool:
    """The one option there is, ``force_version``. Raises ``UsageError`` for those of etcd."""
    if request.scratch:
        raise UsageError("a drill does not restore into the control plane", hint=preflight.NOTHING)
    others = sorted(name for name, value in request.options.items() if value and name != FORCE)
    if others:
        raise UsageError(
            f"{', '.join(FLAGS.get(name, name) for name in others)}: not for a backup of k3s on SQLite",
            hint=f"It has {FLAGS[FORCE]}. {preflight.NOTHING}",
        )
    return bool(request.options.get(FORCE))


def _check_datastore(plane: ControlPlane, settings: ServerSettings) -> None:
    """k3s would read the restored file. Raises ``UsageError``."""
    if (plane.etcd_dir / "member").exists():
        raise UsageError(
            f"this server keeps its state in etcd ({plane.etcd_dir}), and would not look at {plane.sqlite_file}",
            hint=f"Restore a snapshot of etcd, or move that folder away first if it is of no use. {preflight.NOTHING}",
        )
    for name, why in _REFUSED.items():
        found = settings.get(name)
        if found is None or (name in _SWITCHES and not found.is_on):
            continue
        if name == "datastore-endpoint" and found.value.removesuffix("://") == "sqlite":
            continue
        raise UsageError(
            f"`{name}` is set in {found.where}: {why}",
            hint=f"Take it out of {found.where}, or restore on another server. {preflight.NOTHING}",
        )


def _check_unit(plane: ControlPlane, system: System) -> None:
    if not any((system.root / folder / f"{plane.service}.service").exists() for folder in UNIT_FOLDERS):
        raise UsageError(
            f"there is no unit {plane.service}.service on this machine to stop and start",
            hint=f"Install k3s first, or set etcd.service to what it is called here. {preflight.NOTHING}",
        )


def _lost(plane: ControlPlane, backup: Backup, request: RestoreRequest) -> str:
    """What the live database has that the backup has not."""
    at = backup.point_in_time
    words = "Lost by this: everything written after the backup"
    if at:
        words += f", {at:%Y-%m-%d %H:%M:%S} UTC, {format_span(request.now - at)} ago"
    if not plane.sqlite_file.exists():
        return f"There is no {plane.sqlite_file} now: nothing is lost by this."
    try:
        here = revision_of(plane.sqlite_file)
    except BackstayError as error:
        return f"{words}. The live database cannot be read, so how much that is cannot be told ({error.message})."
    there = number(backup.contents, "revision") or 0
    both = f"it is at {format_count(here)}, the backup at {format_count(there)}"
    if here < there:
        return f"{words}. The live database is another one, or was restored since: {both}."
    return f"{words}: {counted(here - there, 'revision')} ({both})."


def _steps(plane: ControlPlane, backup: Backup, swap: Swap, *, write_token: bool) -> Iterator[Step]:
    file, unit = plane.sqlite_file, plane.service
    size = format_size(backup.size_bytes)
    log = bytes_beside(file)
    yield Step(
        "fetch and check",
        f"{size}: integrity_check, revision, keys and content as recorded, opened with the token",
        "nothing is stopped yet",
    )
    yield Step("stop", f"systemctl stop {unit}", "downtime starts")
    if write_token:
        yield Step("write the token", f"{plane.token_file}, where there is none")
    yield Step(
        "replace",
        f"{file} -> {swap.before}, the restored one -> {file}",
        f"with the {format_size(log)} of its -wal" if log else "",
    )
    yield Step(
        "certificates",
        f"set the times of the CAs and keys in {plane.data_dir / 'server'} back",
        "so that k3s writes those of the backup over what differs",
    )
    yield Step("start", f"systemctl start {unit}")
    yield Step("wait", f"until {unit} is active and has the database open", "downtime ends")
    yield Step("compare", "keys of each resource with the backup")
