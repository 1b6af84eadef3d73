"""The etcd tier: the verbs of a tier, each in a module of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backstay.core.errors import RestoreError, UsageError
from backstay.core.model import Backup, Finding, Level, Outcome, Plan, Progress, Target, TierKind
from backstay.tiers.base import Captured, Journal, Leftover, RestoreRequest, Sink, Source
from backstay.tiers.etcd import backup as capture
from backstay.tiers.etcd import drill, elsewhere, verify
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.elsewhere import OwnSnapshot
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
        return capture.preview(self._of(target))

    def backup(self, target: Target, sink: Sink, progress: Progress) -> Captured:
        """See ``Tier.backup``."""
        return capture.backup(self._of(target), sink, progress)

    def verify(self, backup: Backup, source: Source, depth: Level, progress: Progress) -> Iterator[Finding]:
        """See ``Tier.verify``; ``STORED`` needs nothing of a tier, so this is always ``READABLE``."""
        if depth >= Level.READABLE:
            yield from verify.readable(self._of(backup.target), backup, source, progress)

    def plan_restore(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_restore``."""
        return planning.plan_restore(self._of(backup.target), backup, request, self._system)

    def restore(self, plan: Plan, source: Source, journal: Journal, progress: Progress) -> Outcome:
        """See ``Tier.restore``."""
        return Restore(self._of(plan.target), plan, self._system, journal, progress).run(source)

    def undo(self, plan: Plan, journal: Journal, progress: Progress) -> Outcome:
        """See ``Tier.undo``."""
        return Restore(self._of(plan.target), plan, self._system, journal, progress).undo()

    def plan_drill(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_drill``."""
        return drill.plan(self._of(backup.target), backup, request)

    def drill(self, plan: Plan, source: Source, progress: Progress) -> Outcome:
        """See ``Tier.drill``."""
        return drill.Drill(self._of(plan.target), plan, self._scratch_root, progress).run(source)

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
        return iter(leftovers.leftovers(self._of(target)))

    def remove_leftover(self, target: Target, name: str) -> None:
        """See ``Tier.remove_leftover``."""
        leftovers.remove_leftover(self._of(target), name)

    def _of(self, target: Target) -> ControlPlane:
        if target != self.plane.target:
            raise UsageError(
                f"{target} is not in the configuration", hint=f"The control plane is called {self.plane.target}."
            )
        return self.plane
