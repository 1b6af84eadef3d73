"""The plan for etcd as a service and for kubeadm: a new data folder is made beside, then the two change places."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backstay.cluster.localetcd import programs
from backstay.core.errors import UsageError
from backstay.core.model import Backup, Plan, Step
from backstay.core.units import listed
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.restore import members, notes, preflight
from backstay.tiers.etcd.restore.kubeadm import ETCD, etcd_flags, manifests_folder, service_flags
from backstay.tiers.etcd.restore.leftovers import WORK, leftovers
from backstay.tiers.etcd.restore.machine import known_as
from backstay.tiers.etcd.restore.members import Live, Made, Other
from backstay.tiers.etcd.restore.modes import ASIDE, MANIFESTS, PATH_WORD, SWAP
from backstay.tiers.etcd.restore.options import Options
from backstay.tiers.etcd.restore.services import System
from backstay.tiers.etcd.restore.steps import bump_step, fetch_step, shown, title

ALONE = {"default": "http://localhost:2380"}  # etcdutl's own default


@dataclass(frozen=True)
class Place:
    """Folders: ``live`` is replaced by ``new`` and becomes ``before``; etcdutl writes to ``unpack_into``."""

    live: Path
    new: Path
    before: Path
    unpack_into: Path

    @classmethod
    def of(cls, etcd_dir: Path, stamp: str) -> "Place":
        """The data folder itself, or where that is a mount point, which cannot be renamed, the ``member`` in it."""
        etcd_dir = etcd_dir.resolve()  # beside what a link leads to, not beside the link
        if not os.path.ismount(etcd_dir):
            new = etcd_dir.with_name(f"{etcd_dir.name}-restore-{stamp}")
            return cls(etcd_dir, new, etcd_dir.with_name(f"{etcd_dir.name}-before-{stamp}"), new)
        into = etcd_dir / f"restore-{stamp}"
        return cls(etcd_dir / "member", into / "member", etcd_dir / f"member-before-{stamp}", into)

    def as_data(self) -> dict[str, str]:
        """For ``Plan.details``."""
        return {name: str(getattr(self, name)) for name in ("live", "new", "before", "unpack_into")}


@dataclass(frozen=True)
class Cluster:
    """The cluster to be: peer URLs by name, and which of them this machine is. The same on every member."""

    name: str
    urls: Mapping[str, str]
    token: str

    @property
    def initial(self) -> str:
        """For ``--initial-cluster``."""
        return ",".join(f"{name}={url}" for name, urls in self.urls.items() for url in urls.split(","))

    @property
    def made(self) -> Made:
        """What etcd will call it, and this machine's member in it."""
        return Made.of(self.urls, self.name, self.token)

    def command(self, etcdutl: str, name: str, data_dir: str) -> list[str]:
        """What makes the data folder of member ``name``."""
        return [
            etcdutl,
            "snapshot",
            "restore",
            PATH_WORD,
            f"--data-dir={data_dir}",
            f"--name={name}",
            f"--initial-cluster={self.initial}",
            f"--initial-cluster-token={self.token}",
            f"--initial-advertise-peer-urls={self.urls[name]}",
        ]


def plan_plain(plane: ControlPlane, backup: Backup, request: RestoreRequest, options: Options, system: System) -> Plan:
    """See ``plan_restore``."""
    etcdutl = programs.find("etcdutl", plane.bin)
    version = preflight.check_etcdutl_version(plane, backup, force=options.force_version)
    live = Live(None, why="it was not asked") if options.to else members.look(plane, system)
    flags = etcd_flags(system) if plane.flavor is Flavor.KUBEADM else service_flags(system)
    cluster = _cluster(plane, backup, options, live, flags)
    if options.to:
        return _plan_aside(plane, backup, request, options, system, cluster, str(etcdutl), version)
    if plane.flavor is Flavor.KUBEADM and not (manifests_folder(system) / ETCD).exists():
        raise UsageError(
            f"{manifests_folder(system) / ETCD} is not there: this machine runs no etcd of kubeadm's",
            hint="Run it on a control plane node, or set etcd.flavor. Nothing was changed.",
        )
    if plane.flavor is not Flavor.KUBEADM:
        preflight.check_service(plane, system)
    preflight.check_folders(plane, flags)
    place = Place.of(plane.etcd_dir, request.stamp)
    disk = preflight.check_space(system, backup, plane.etcd_dir, bumped=bool(options.bump_revision))
    others = _others(cluster, live, backup, plane)
    up = members.answering(others, plane, system, cluster.made)
    command = cluster.command(str(etcdutl), cluster.name, str(place.unpack_into))
    away = manifests_folder(system).with_name(f"backstay-manifests-{request.stamp}")
    details = {
        "mode": MANIFESTS if plane.flavor is Flavor.KUBEADM else SWAP,
        **_common(plane, request, options, system, command),
        **place.as_data(),
        "into": str(plane.etcd_dir),
        "initial_members": len(cluster.urls),
        "made": cluster.made.as_data(),
        "others": [other.as_data() for other in others],
        "live_revision": live.status.header.revision if live.status else None,
        "manifests": str(manifests_folder(system)),
        "manifests_away": str(away),
    }
    return Plan(
        action="restore",
        target=backup.target,
        title=title(plane, backup, request, f"{plane.etcd_dir}, member {cluster.name}"),
        steps=tuple(_steps(plane, backup, options, place, cluster, command, details)),
        notes=(
            notes.lost(backup, live, request.now),
            *notes.other_cluster(backup, live),
            *notes.up(up, notes.stop_command(plane)),
            notes.kept(plane, str(place.before)),
            *notes.copies_held(list(leftovers(plane)), plane),
            disk,
            version,
            notes.bump(options),
        ),
        details=details,
        confirm=str(backup.target),
    )


def _plan_aside(
    plane: ControlPlane,
    backup: Backup,
    request: RestoreRequest,
    options: Options,
    system: System,
    cluster: Cluster,
    etcdutl: str,
    version: str,
) -> Plan:
    """Only into the folder ``to``."""
    to = Path(str(options.to)).absolute()
    if to.exists():
        raise UsageError(f"{to} exists", hint="Give a folder that is not there yet. Nothing was changed.")
    into = to.with_name(f"{to.name}-restore-{request.stamp}")
    command = cluster.command(etcdutl, cluster.name, str(into))
    details = {
        "mode": ASIDE,
        **_common(plane, request, options, system, command),
        "live": str(to),
        "new": str(into),
        "before": "",
        "unpack_into": str(into),
        "into": str(to),
        "others": [],
    }
    return Plan(
        action="restore",
        target=backup.target,
        title=title(plane, backup, request, str(to)),
        steps=(
            fetch_step(backup, opened=False),
            *bump_step(options),
            Step("restore", shown(command, Path(str(details["work"])), options), f"then named {to}"),
        ),
        notes=(
            "Nothing is stopped and nothing live is changed.",
            preflight.check_space(system, backup, to.parent, bumped=bool(options.bump_revision)),
            version,
        ),
        details=details,
    )


def _common(
    plane: ControlPlane, request: RestoreRequest, options: Options, system: System, command: list[str]
) -> dict[str, object]:
    return {
        "stamp": request.stamp,
        "flavor": plane.flavor.value,
        "node": plane.node,
        "machine": known_as(system),
        "service": plane.service,
        "work": str(plane.spool / f"{WORK}{request.stamp}"),
        "restore_command": command,
        "bump_revision": options.bump_revision,
        "stop_others": notes.stop_command(plane),
    }


def _cluster(plane: ControlPlane, backup: Backup, options: Options, live: Live, flags: Mapping[str, str]) -> Cluster:
    """Who is to be in it: as asked, else as is, else as was, else as etcd is configured. Raises ``UsageError``."""
    now = {m.name: ",".join(m.peer_urls) for m in live.members if m.name}
    listed_then = backup.source.get("members", ())
    then = {
        str(m["name"]): ",".join(m.get("peer_urls", ()))
        for m in listed_then
        if isinstance(m, Mapping) and m.get("name")
    }
    configured = (
        {flags["name"]: flags["initial-advertise-peer-urls"]}
        if {"name", "initial-advertise-peer-urls"} <= set(flags)
        else {}
    )
    alone = ALONE if options.to else {}  # nobody else is to join what is only looked at
    recorded = {n: u for n, u in then.items() if u}
    urls = next((found for found in (options.urls(), now, recorded, configured, alone) if found), {})
    own = live.own.name if live.own else ""
    names = [name for name in (options.name, own, flags.get("name"), plane.node) if name in urls]
    only = list(urls) if len(urls) == 1 and not options.name else []
    name = next(iter([*names, *only]), None) if options.name in {None, *urls} else None
    if name is None:
        known = f"; known are {listed(list(urls))}" if urls else ""
        raise UsageError(
            f"which member of etcd this machine is, is not known{known}",
            hint="Give --member-name, and --member NAME=https://IP:2380 for each member. Nothing was changed.",
        )
    return Cluster(name, dict(sorted(urls.items())), f"backstay-{backup.stamp}")


def _others(cluster: Cluster, live: Live, backup: Backup, plane: ControlPlane) -> tuple[Other, ...]:
    """The other members to be, with what is known of those that are there by now."""
    known = {other.name: other for other in (*members.recorded(backup, plane), *live.others)}
    wanted = {
        name: Other(name, (), tuple(urls.split(","))) for name, urls in cluster.urls.items() if name != cluster.name
    }
    running = {other.name: other for other in live.others}
    return tuple({**wanted, **{n: o for n, o in known.items() if n in wanted}, **running}.values())


def _steps(
    plane: ControlPlane,
    backup: Backup,
    options: Options,
    place: Place,
    cluster: Cluster,
    command: list[str],
    details: Mapping[str, object],
) -> list[Step]:
    kubeadm = plane.flavor is Flavor.KUBEADM
    others = [name for name in cluster.urls if name != cluster.name]
    stop = (
        f"move the control plane's manifests to {details['manifests_away']}"
        if kubeadm
        else f"systemctl stop {plane.service}"
    )
    start = f"move the manifests back to {details['manifests']}" if kubeadm else f"systemctl start {plane.service}"
    steps = [
        *(
            [
                Step(
                    "stop the others",
                    f"etcd on {listed(others)}: {notes.stop_command(plane)}",
                    "by hand, first, but for those restored from this backup already",
                )
            ]
            if others
            else []
        ),
        fetch_step(backup, opened=False),
        *bump_step(options),
        Step(
            "make a data folder",
            shown(command, Path(str(details["work"])), options),
            "beside, with the owner of the present one",
        ),
        Step("stop", stop, "downtime starts"),
        Step("swap", f"{place.live} -> {place.before}, {place.new} -> {place.live}"),
        Step("start", start),
        Step(
            "wait",
            "until etcd answers" if not others else "for a majority; the other members may not be restored yet",
            "downtime ends",
        ),
        Step("compare", "keys of each resource with the snapshot"),
    ]
    for name in others:
        words = shown(cluster.command("etcdutl", name, "NEW-DATA-DIR"), None, options)
        steps.append(
            Step(f"restore {name}", words, "there, from the same snapshot: this restore with its name, or by hand")
        )
    return steps
