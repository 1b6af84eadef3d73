"""What a restore would do, found out by reading only: the exact commands, what would be lost, who must be stopped."""

from pathlib import Path

from backstay.core.errors import UsageError
from backstay.core.model import Backup, Plan, Step
from backstay.core.units import format_count, listed
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.controlplane import CONFIG_DIRS, DATA_DIRS, ControlPlane, Flavor
from backstay.tiers.etcd.restore import members, notes, preflight
from backstay.tiers.etcd.restore.leftovers import WORK, leftovers
from backstay.tiers.etcd.restore.machine import known_as
from backstay.tiers.etcd.restore.members import Other
from backstay.tiers.etcd.restore.modes import PATH_WORD, RESET
from backstay.tiers.etcd.restore.options import Options, options_of
from backstay.tiers.etcd.restore.planplain import plan_plain
from backstay.tiers.etcd.restore.services import System
from backstay.tiers.etcd.restore.settings import ServerSettings, read_settings
from backstay.tiers.etcd.restore.steps import bump_step, fetch_step, shown, title


def plan_restore(plane: ControlPlane, backup: Backup, request: RestoreRequest, system: System) -> Plan:
    """The plan for restoring ``backup`` on this machine. Stops and changes nothing.

    Raises ``UsageError`` for what was asked or configured wrongly, ``RestoreError`` where it cannot succeed (disk,
    token), ``ToolError`` for programs that are missing or too old.
    """
    options = options_of(request.options, plane)
    if request.scratch:
        raise UsageError("a drill of etcd does not restore into the control plane", hint="Nothing was changed.")
    preflight.check_root(system)
    if not plane.is_rancher:
        return plan_plain(plane, backup, request, options, system)
    return _plan_reset(plane, backup, request, options, system)


def _plan_reset(plane: ControlPlane, backup: Backup, request: RestoreRequest, options: Options, system: System) -> Plan:
    """k3s and RKE2."""
    settings = read_settings(plane, system)
    preflight.check_settings(plane, settings)
    preflight.check_service(plane, system)
    version = preflight.check_server_version(plane, system, backup, force=options.force_version)
    token = preflight.check_token(plane, settings, backup)
    disk = preflight.check_space(system, backup, plane.db_dir, bumped=bool(options.bump_revision))
    live = members.look(plane, system)
    others = members.known_others(live, backup, plane)
    up = members.answering(others, plane, system)
    command = reset_command(plane, settings, system)
    work = plane.db_dir / f"{WORK}{request.stamp}"
    details = {
        "mode": RESET,
        "stamp": request.stamp,
        "flavor": plane.flavor.value,
        "node": plane.node,
        "machine": known_as(system),
        "service": plane.service,
        "work": str(work),
        "into": str(plane.etcd_dir),
        "reset_command": command,
        "write_token": token.missing_on_disk,
        "bump_revision": options.bump_revision,
        "others": [other.as_data() for other in others],
        "stop_others": notes.stop_command(plane),
        "live_revision": live.status.header.revision if live.status else None,
    }
    return Plan(
        action="restore",
        target=backup.target,
        title=title(plane, backup, request, plane.flavor.value),
        steps=tuple(_steps(plane, backup, options, others, command, work, write_token=token.missing_on_disk)),
        notes=(
            notes.lost(backup, live, request.now),
            *notes.other_cluster(backup, live),
            *notes.up(up, notes.stop_command(plane)),
            *notes.other_machine(plane, servers(backup)),
            *preflight.node_notes(plane, settings, backup, system),
            notes.kept(plane, f"{plane.db_dir}/etcd-old-<seconds>"),
            *notes.copies_held(list(leftovers(plane)), plane),
            disk,
            version,
            f"Token: {token.says}",
            *_about_s3(settings),
            *preflight.reset_flag_note(plane),
            notes.bump(options),
            notes.ready(plane),
        ),
        details=details,
        confirm=str(backup.target),
    )


def servers(backup: Backup) -> list[str]:
    """The machines that were servers of the cluster, as far as the manifest says."""
    named = [str(name) for name in backup.source.get("servers", ())]
    known = backup.source.get("members", ())
    return named or [
        members.node_of(str(entry["name"])) for entry in known if isinstance(entry, dict) and "name" in entry
    ]


def reset_command(plane: ControlPlane, settings: ServerSettings, system: System) -> list[str]:
    """What is run, with ``PATH_WORD`` for the snapshot: the documented two flags, and what the unit would have said.

    A reset that did not get the unit's ``--node-ip`` makes a member with another address, which does not start. What
    the unit says of the token is not in it, but in the environment that the command is given.
    """
    name = "rke2" if plane.flavor is Flavor.RKE2 else "k3s"
    command = [
        str(system.find(name, plane.bin)),
        "server",
        "--cluster-reset",
        f"--cluster-reset-restore-path={PATH_WORD}",
    ]
    if settings.is_on("etcd-s3"):
        command.append("--etcd-s3=false")
    if plane.data_dir != Path(DATA_DIRS[plane.flavor]):
        command.append(f"--data-dir={plane.data_dir}")
    if settings.config != Path(CONFIG_DIRS[plane.flavor], "config.yaml") and settings.config.exists():
        command.append(f"--config={settings.config}")
    return [*command, *settings.unit_flags]


def _steps(
    plane: ControlPlane,
    backup: Backup,
    options: Options,
    others: tuple[Other, ...],
    command: list[str],
    work: Path,
    *,
    write_token: bool,
) -> list[Step]:
    nodes, service = [other.node for other in others], plane.service
    revision = backup.contents.get("revision")
    stop = f"systemctl stop {service}" + (
        ", then rke2-killall.sh while etcd runs on" if plane.flavor is Flavor.RKE2 else ""
    )
    steps = [
        *(
            [Step("stop the others", f"etcd on {listed(nodes)}: {notes.stop_command(plane)}", "by hand, first")]
            if nodes
            else []
        ),
        fetch_step(backup, opened=True),
        *bump_step(options),
        Step("stop", stop, "downtime starts"),
        *([Step("write the token", f"{plane.token_file}, where there is none")] if write_token else []),
        Step("restore", shown(command, work, options), "moves the database of now to etcd-old-<seconds>"),
        Step("start", f"systemctl start {service}"),
        Step(
            "wait",
            f"until {service} is active and etcd answers"
            + (
                f" at revision {format_count(revision + (options.bump_revision or 0))} or later"
                if isinstance(revision, int)
                else ""
            ),
            "downtime ends",
        ),
        Step("compare", "keys of each resource with the snapshot"),
    ]
    if nodes:
        steps.append(
            Step("join again", f"on {listed(nodes)}, one after the other: backstay etcd rejoin", "by hand, afterwards")
        )
    return steps


def _about_s3(settings: ServerSettings) -> list[str]:
    if not settings.is_on("etcd-s3"):
        return []
    found = settings.get("etcd-s3")
    where = found.where if found else "the configuration"
    words = f"etcd-s3 is on in {where}: with it k3s would look for the snapshot in its bucket, so for this one command"
    return [f"{words} it is told --etcd-s3=false."]
