"""The etcd tier: the verbs of a tier, each in a module of its own; for k3s on SQLite, those below ``kine``."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any

from backstay.core.errors import RestoreError, SourceError, UsageError
from backstay.core.model import Backup, Finding, Level, Outcome, Plan, Progress, Target, TierKind
from backstay.tiers.base import Captured, Journal, Leftover, RestoreRequest, Sink, Source
from backstay.tiers.etcd import backup as capture
from backstay.tiers.etcd import drill, elsewhere, lookup, verify
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.elsewhere import OwnSnapshot
from backstay.tiers.etcd.kine import backup as kine_capture
from backstay.tiers.etcd.kine import drill as kine_drill
from backstay.tiers.etcd.kine import leftovers as kine_leftovers
from backstay.tiers.etcd.kine import lookup as kine_lookup
from backstay.tiers.etcd.kine import restore as kine_restore
from backstay.tiers.etcd.kine import restoreplan
from backstay.tiers.etcd.kine import verify as kine_verify
from backstay.tiers.etcd.kine.datastore import is_of, is_used
from backstay.tiers.etcd.restore import leftovers, rejoin
from backstay.tiers.etcd.restore import plan as planning
from backstay.tiers.etcd.restore.run import Restore
from backstay.tiers.etcd.restore.services import System


class EtcdTier:
    """``tiers.base.Tier`` over one control plane. Below ``scratch_root`` drills have servers of their own."""

    kind = TierKind.ETCD

    def __init__(self, plane: ControlPlane, system: System, scratch_root: Path) -> None:
        self.plane = plane
        self._system = system
        self._scratch_root = scratch_root

    def discover(self) -> Iterator[Target]:
        """See ``Tier.discover``."""
        return iter((self.plane.target,))

    def preview(self, target: Target) -> Mapping[str, Any]:
        """See ``Tier.preview``."""
        plane = self._of(target)
        return kine_capture.preview(plane) if is_used(plane) else capture.preview(plane)

    def backup(self, target: Target, sink: Sink, progress: Progress) -> Captured:
        """See ``Tier.backup``."""
        plane = self._of(target)
        if is_used(plane):
            return kine_capture.backup(plane, sink, progress)
        return capture.backup(plane, sink, progress)

    def verify(self, backup: Backup, source: Source, depth: Level, progress: Progress) -> Iterator[Finding]:
        """See ``Tier.verify``; ``STORED`` needs nothing of a tier, so this is always ``READABLE``."""
        if depth >= Level.READABLE:
            read = kine_verify.verify if is_of(backup) else verify.readable
            yield from read(self._of(backup.target), backup, source, progress)
            yield from verify.server_files(backup, source)

    def plan_restore(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_restore``."""
        plane = self._of(backup.target)
        if is_of(backup):
            return restoreplan.plan(plane, backup, request, self._system)
        return planning.plan_restore(plane, backup, request, self._system)

    def restore(self, plan: Plan, source: Source, journal: Journal, progress: Progress) -> Outcome:
        """See ``Tier.restore``."""
        return self._restore(plan, journal, progress).run(source)

    def undo(self, plan: Plan, journal: Journal, progress: Progress) -> Outcome:
        """See ``Tier.undo``."""
        return self._restore(plan, journal, progress).undo()

    def plan_drill(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_drill``."""
        plane = self._of(backup.target)
        return kine_drill.plan(plane, backup, request) if is_of(backup) else drill.plan(plane, backup, request)

    def drill(self, plan: Plan, source: Source, progress: Progress) -> Outcome:
        """See ``Tier.drill``."""
        made = kine_drill.Drill if is_of(source.backup) else drill.Drill
        return made(self._of(plan.target), plan, self._scratch_root, progress).run(source)

    def look_into(self, source: Source, progress: Progress, at: int | None) -> AbstractContextManager[lookup.Snapshot]:
        """A backup fetched for the length of a block, to be looked into; ``at`` an earlier revision that it has."""
        fetched = kine_lookup.fetched if is_of(source.backup) else lookup.fetched
        return fetched(self.plane, source, progress, at)

    def takes_snapshots(self) -> bool:
        """Whether this machine is a server that takes snapshots by itself: of k3s or RKE2, with etcd."""
        try:
            return self.plane.is_rancher and self.plane.db_dir.is_dir() and not is_used(self.plane)
        except (OSError, SourceError):  # closed to this account: what comes next says so
            return False

    def own_snapshots(self) -> tuple[list[OwnSnapshot], list[str]]:
        """Snapshots that k3s took by itself, newest first, and what could not be looked at."""
        return elsewhere.own_snapshots(self.plane)

    def plan_rejoin(self, stamp: str) -> Plan:
        """What joining a restored cluster again would do on this server. Raises ``UsageError``, ``RestoreError``."""
        return rejoin.plan_rejoin(self.plane, self._system, stamp)

    def unfinished_rejoin(self) -> Plan:
        """That of a run on this server which was cut short. Raises ``RestoreError`` when there is none."""
        plan = rejoin.unfinished(self.plane)
        if plan is None:
            raise RestoreError("there is no unfinished `backstay etcd rejoin` here", hint="Nothing was changed.")
        return plan

    def rejoin(self, plan: Plan, progress: Progress, *, back: bool = False) -> Outcome:
        """Do what ``plan`` says, or with ``back`` undo it."""
        run = rejoin.Rejoin(self.plane, plan, self._system, progress)
        return run.undo() if back else run.run()

    def leftovers(self, target: Target) -> Iterator[Leftover]:
        """See ``Tier.leftovers``."""
        return chain(leftovers.leftovers(self._of(target)), kine_leftovers.leftovers(self._of(target)))

    def remove_leftover(self, target: Target, name: str) -> None:
        """See ``Tier.remove_leftover``."""
        if not kine_leftovers.remove_leftover(self._of(target), name):
            leftovers.remove_leftover(self._of(target), name)

    def _restore(self, plan: Plan, journal: Journal, progress: Progress) -> "Restore | kine_restore.Restore":
        made = kine_restore.Restore if plan.details["mode"] == restoreplan.MODE else Restore
        return made(self._of(plan.target), plan, self._system, journal, progress)

    def _of(self, target: Target) -> ControlPlane:
        if target != self.plane.target:
            raise UsageError(
                f"{target} is not in the configuration", hint=f"The control plane is called {self.plane.target}."
            )
        return self.plane
