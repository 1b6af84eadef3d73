"""The other servers of k3s or RKE2 after a restore: their old database aside, then into the restored cluster again.

The guide says ``rm -rf server/db`` (k3s-io/docs, "Backup and Restore"), which removes the local snapshots too. Here the
folder is moved, and the snapshots are put into the new one. No store is needed: the steps are in a file beside.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from backstay.catalog.journal import plan_fields, plan_from
from backstay.catalog.records import Fields
from backstay.core.errors import BackstayError, RestoreError, UsageError
from backstay.core.model import Finding, Outcome, Plan, Progress, Severity, Step
from backstay.core.units import counted, format_duration, listed
from backstay.tiers.etcd.access import entries, looking
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine.datastore import is_used
from backstay.tiers.etcd.restore import copies, members, notes, preflight
from backstay.tiers.etcd.restore.fetch import make_folder
from backstay.tiers.etcd.restore.leaving import leave
from backstay.tiers.etcd.restore.ledger import StepsFile
from backstay.tiers.etcd.restore.leftovers import leftovers
from backstay.tiers.etcd.restore.rancher import stop_pods
from backstay.tiers.etcd.restore.services import Service, System, alone
from backstay.tiers.etcd.restore.settings import Setting, config_folder, read_settings
from backstay.tiers.etcd.restore.work import READY, healthy

WORK, WHAT = "backstay-rejoin-", "`backstay etcd rejoin`"
PLAN, STEPS = "plan.json", "steps.json"
SNAPSHOTS = ("snapshots", ".metadata")  # of server/db: what k3s took by itself
CONNECT_SECONDS = 10.0


def plan_rejoin(plane: ControlPlane, system: System, stamp: str) -> Plan:
    """What joining again would do. Raises ``UsageError`` where this server is not one to do it, ``RestoreError``."""
    if not plane.is_rancher:
        raise UsageError(
            f"servers of {plane.flavor.value} do not join by themselves",
            hint="Restore the same snapshot on each member instead. Nothing was changed.",
        )
    preflight.check_root(system)
    _check_datastore(plane)
    preflight.check_service(plane, system)
    if unfinished(plane) is not None:
        with alone(plane.db_dir.parent, WHAT):  # else it goes on
            raise RestoreError(
                f"an earlier {WHAT} on this machine was cut short",
                hint="`--resume` goes on with it, `--rollback` puts the old database back.",
            )
    live = members.look(plane, system)
    target = _target(plane, system, live)
    before = plane.db_dir.with_name(f"{plane.db_dir.name}-before-{stamp}")
    warning = []
    if live.status and len(live.members) > 1:
        names = listed([members.node_of(member.name) or "one that never started" for member in live.members])
        warning = [
            f"This server is a member of a cluster of {names}. If that is the restored one, there is nothing to do."
        ]
    return Plan(
        action="rejoin",
        target=plane.target,
        title=f"Join {plane.node} to the cluster at {target.value} again",
        steps=(
            Step("stop", f"systemctl stop {plane.service}", "this server is down"),
            Step("move aside", f"{plane.db_dir} -> {before}"),
            Step("start", f"systemctl start {plane.service}", f"it joins {target.value}, set in {target.where}"),
            Step("wait", "until etcd here is a voting member of that cluster"),
            Step("give back", f"the local snapshots, from {before}"),
        ),
        notes=(
            *warning,
            f"Kept: the database of now, in {before}, until `backstay restore cleanup {plane.target}`.",
            *notes.copies_held(list(leftovers(plane)), plane),
        ),
        details={"stamp": stamp, "server": target.value, "before": str(before), "service": plane.service},
        confirm=str(plane.target),
    )


def unfinished(plane: ControlPlane) -> Plan | None:
    """The plan of a run on this machine that was killed or failed; the newest of several. Raises ``CatalogError``,
    ``SourceError`` where this account may not look."""
    with looking(plane.db_dir.parent):
        for folder in reversed([path for path in entries(plane.db_dir.parent) if path.name.startswith(WORK)]):
            with suppress(FileNotFoundError, ValueError):
                return plan_from(Fields(json.loads((folder / PLAN).read_text()), str(folder / PLAN)))
    return None


class Rejoin:
    """One run of a plan; of the same plan as an earlier one it goes on where that stopped."""

    def __init__(self, plane: ControlPlane, plan: Plan, system: System, progress: Progress) -> None:
        self._plane, self._plan, self._system, self._progress = plane, plan, system, progress
        self._folder = plane.db_dir.with_name(f"{WORK}{plan.details['stamp']}")
        self._before = Path(plan.details["before"])
        self._service = Service(plane.service, system)
        self._phases: dict[str, float] = {}

    def run(self) -> Outcome:
        """Do the steps. Raises ``RestoreError`` that says where the old database is."""
        self._plane.db_dir.parent.mkdir(parents=True, exist_ok=True)
        with alone(self._plane.db_dir.parent, WHAT):
            return self._run()

    def undo(self) -> Outcome:
        """The old database back in its place, with the service as it was. What was joined goes aside, once the restored
        cluster goes on without it. Raises ``RestoreError``."""
        with alone(self._plane.db_dir.parent, WHAT):
            return self._undo()

    def _run(self) -> Outcome:
        self._open()
        if not self._is_moved():
            try:
                with self._phase("stop"):
                    self._stop()
                with self._phase("move"):
                    copies.move(self._plane.db_dir, self._before)
            except BackstayError as error:
                self._restart(error)
                raise
        with self._phase("start"):
            self._service.start()
        with self._phase("wait"):
            names = self._wait()
        with self._phase("give back"):
            findings = [self._give_back()]
        shutil.rmtree(self._folder)
        cluster = f"{self._plane.node} is a member again, of a cluster of {listed(names)}"
        message = f"{cluster}; its old database is in {self._before}"
        facts = {"members": names, "kept": str(self._before)}
        return Outcome(
            self._plan.target, True, message, sum(self._phases.values()), tuple(findings), self._phases, facts
        )

    def _undo(self) -> Outcome:
        started, db = self._system.clock(), self._plane.db_dir
        facts = self._steps.done.get(READY, {})
        live = copies.mark_from(facts.get("live"))
        if facts and copies.mark_of(db) != live:
            leave(self._plane, self._system, self._before)
            self._stop()
            old = self._there(live) if live else None
            if db.exists():
                copies.aside(db, "undone", str(self._plan.details["stamp"]))
            if old:
                copies.move(old, db)
        if facts.get("was_running"):
            self._service.start()
        shutil.rmtree(self._folder, ignore_errors=True)
        message = (
            f"{self._plane.node} has the database again that it had before; it is not that of the restored cluster"
        )
        return Outcome(self._plan.target, ok=True, message=message, duration_seconds=self._system.clock() - started)

    @property
    def _steps(self) -> StepsFile:
        return StepsFile(self._folder / STEPS)

    def _open(self) -> None:
        """Note the plan, what the old database is known by, and whether the service ran; once."""
        make_folder(self._folder)
        if not (self._folder / PLAN).exists():
            part = self._folder / f"{PLAN}.part"
            part.write_text(json.dumps(plan_fields(self._plan)))
            part.replace(self._folder / PLAN)
        if READY not in self._steps.done:
            mark = copies.mark_of(self._plane.db_dir)
            self._steps.record(READY, live=mark.as_data() if mark else None, was_running=self._service.runs)

    def _is_moved(self) -> bool:
        """Whether the old database is not in its place any more; where there was none, nothing is to be moved."""
        live = copies.mark_from(self._steps.done[READY]["live"])
        return live is None or copies.mark_of(self._plane.db_dir) != live

    def _there(self, live: copies.Mark) -> Path:
        """Where the old database is. Raises ``RestoreError``."""
        found = copies.find(live, self._plane.db_dir.parent)
        if found is None:
            raise RestoreError(
                f"the old database of {self._plane.node} is not beside {self._plane.db_dir} any more",
                hint=f"It was moved to {self._before}. Nothing was changed by this run.",
            )
        return found

    def _stop(self) -> None:
        self._service.stop()
        stop_pods(self._plane, self._system)

    def _restart(self, error: BackstayError) -> None:
        """After a failure before the move: as it was."""
        if self._steps.done[READY].get("was_running") and not self._is_moved():
            with suppress(BackstayError):
                self._service.start()
        error.hint = (
            f"{error.hint} The database is in its place. `--resume` tries again, `--rollback` gives up.".strip()
        )

    def _wait(self) -> list[str]:
        """The names of the members, once this one votes."""
        found: list[list[str]] = []

        def joined() -> bool:
            names = self._membership()
            found.extend([names] if names else [])
            return bool(names)

        started = self._system.clock()
        if not self._system.wait_until(joined, self._system.patience.start):
            took = format_duration(self._system.clock() - started)
            raise RestoreError(
                f"{self._plane.node} has not become a voting member within {took} ({self._service.name} is "
                f"{self._service.state})",
                hint=f"Look at `journalctl -u {self._service.name}`. The old database is in {self._before}. `--resume` "
                "waits again, `--rollback` puts it back.",
            )
        return found[-1]

    def _membership(self) -> list[str]:
        status = healthy(self._plane, self._system) if self._service.state == "active" else None
        if status is None:
            return []
        try:
            with EtcdClient(members.own_endpoints(self._plane)[0], self._plane.tls) as client:
                known = client.members(seconds=self._system.patience.answer)
        except BackstayError:
            return []
        here = any(member.id == status.member_id and not member.is_learner for member in known)
        return [members.node_of(member.name) for member in known] if here and len(known) > 1 else []

    def _give_back(self) -> Finding:
        """The local snapshots into the new folder, as second names of the same files: they take no more space."""
        given = 0
        for name in SNAPSHOTS:
            old, new = self._before / name, self._plane.db_dir / name
            for path in sorted(old.iterdir()) if old.is_dir() else []:
                new.mkdir(mode=0o700, exist_ok=True)
                if path.is_file() and not (new / path.name).exists():
                    _link(path, new / path.name)
                    given += name == SNAPSHOTS[0]
        words = (
            f"{counted(given, 'local snapshot')} of this server given back"
            if given
            else "there were no local snapshots"
        )
        return Finding(Severity.OK, words, "etcd.snapshots")

    @contextmanager
    def _phase(self, step: str) -> Iterator[None]:
        started = self._system.clock()
        self._progress.phase(step)
        yield
        self._phases[step] = self._system.clock() - started
        self._steps.record(step, seconds=round(self._phases[step], 3))


def _check_datastore(plane: ControlPlane) -> None:
    """This server's state is in an etcd of its own. Raises ``UsageError``."""
    if is_used(plane):
        raise UsageError(
            f"{plane.node} keeps its state in SQLite ({plane.sqlite_file}): it has no etcd to join with",
            hint=f"Rejoining is for the other servers of an etcd cluster; a restore of {plane.flavor.value} on SQLite "
            "is done once it has ended. Nothing was changed.",
        )


def _target(plane: ControlPlane, system: System, live: members.Live) -> Setting:
    """The server to join. Raises ``UsageError`` where this is the restored one, or nothing is to be joined."""
    settings = read_settings(plane, system)
    alone = live.status is not None and len(live.members) == 1
    if (plane.db_dir / "reset-flag").exists() or alone:
        raise UsageError(
            f"{plane.node} is the server that was restored: it is "
            + ("the only member of its cluster" if alone else "reset, and was not started since"),
            hint="Run this on the other servers, one after the other. Nothing was changed.",
        )
    target = settings.get("server")
    if target is None:
        raise UsageError(
            f"{plane.node} has no server to join: `server` is not set",
            hint=f"Write `server: https://<the restored server>:6443` into {config_folder(plane, system)}/config.yaml. "
            "Without it an empty new cluster would be made. Nothing was changed.",
        )
    if os.path.ismount(plane.db_dir):
        raise UsageError(
            f"{plane.db_dir} is a mount point and cannot be moved aside",
            hint="Stop the service, move what is in it to a folder beside, start it again. Nothing was changed.",
        )
    url = urlsplit(target.value)
    try:
        socket.create_connection((url.hostname or "", url.port or 443), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise RestoreError(
            f"nothing answers at {target.value}, the server to join (set in {target.where}): {error}",
            hint="Restore and start that one first. Nothing was changed.",
        ) from error
    return target


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # another file system, or one without links
        shutil.copy2(path, to)
