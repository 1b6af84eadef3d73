"""The objects tier: the verbs of a tier, each in a module of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from backstay.core.errors import RestoreError, UsageError
from backstay.core.model import Backup, Finding, Level, Outcome, Plan, Progress, Target, TierKind
from backstay.tiers.base import Captured, Journal, Leftover, RestoreRequest, Sink, Source
from backstay.tiers.objects import backup as capture
from backstay.tiers.objects import difference, drill, verify, view
from backstay.tiers.objects.archive.spooled import Spooled, spooled
from backstay.tiers.objects.difference import Difference
from backstay.tiers.objects.engine import backup as driven
from backstay.tiers.objects.engine.api import schedule_trouble
from backstay.tiers.objects.restore import plan as planning
from backstay.tiers.objects.restore.run import Restore
from backstay.tiers.objects.settings import Schedule, World


class ObjectsTier:
    """``tiers.base.Tier`` over the schedules of one cluster."""

    kind = TierKind.OBJECTS

    def __init__(self, schedules: Mapping[str, Schedule], world: World) -> None:
        self._schedules = schedules
        self._world = world

    def discover(self) -> Iterator[Target]:
        """See ``Tier.discover``."""
        return iter(schedule.target for schedule in self._schedules.values())

    def preview(self, target: Target) -> Mapping[str, Any]:
        """See ``Tier.preview``."""
        schedule, world = self._of(target), self._world
        by = world.by_velero
        found = driven.preview(schedule, world, by) if by else capture.preview(schedule, world)
        found["trouble"] += schedule_trouble(world.cluster(), world.velero_namespace, schedule.name)
        return found

    def backup(self, target: Target, sink: Sink, progress: Progress) -> Captured:
        """See ``Tier.backup``."""
        schedule, world = self._of(target), self._world
        if world.by_velero:
            return driven.backup(schedule, world, world.by_velero, sink, progress)
        return capture.backup(schedule, world, sink, progress)

    def verify(self, backup: Backup, source: Source, depth: Level, progress: Progress) -> Iterator[Finding]:
        """See ``Tier.verify``; ``STORED`` needs nothing of a tier, so this is always ``READABLE``."""
        if depth >= Level.READABLE:
            yield from verify.readable(backup, source, progress, self._world.spool)

    def plan_restore(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_restore``."""
        schedule = self._of(backup.target)
        return planning.plan_restore(schedule, self._world, backup, request, self._opened(request))

    def restore(self, plan: Plan, source: Source, journal: Journal, progress: Progress) -> Outcome:
        """See ``Tier.restore``."""
        self._of(plan.target)
        return Restore(self._world, plan, journal, progress).run(source)

    def undo(self, plan: Plan, journal: Journal, progress: Progress) -> Outcome:  # noqa: ARG002 - see below
        """Nothing: objects that were put into a cluster are in use at once, and what was changed is not kept."""
        raise RestoreError(
            f"a restore of {plan.target} cannot be taken back",
            hint="`--resume` finishes it. `backstay diff` shows what it changed; what it made can be deleted by hand.",
        )

    def plan_drill(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_drill``."""
        return drill.plan(self._of(backup.target), self._world, backup, request)

    def drill(self, plan: Plan, source: Source, progress: Progress) -> Outcome:
        """See ``Tier.drill``."""
        return drill.run(self._of(plan.target), self._world, plan, source, progress)

    @contextmanager
    def changes(self, older: Source, newer: Source | None) -> Iterator[Iterator[Difference]]:
        """What changed since a backup: in the cluster, or up to another backup."""
        schedule = self._of(older.backup.target)
        with self._spooled(older) as before:
            if newer is None:
                yield difference.against_cluster(schedule, self._world, before)
                return
            with self._spooled(newer) as after:
                yield difference.between(before, after)

    def velero_view(self, source: Source) -> tuple[Iterator[view.ViewFile], tuple[str, bytes]]:
        """What Velero reads of a backup: its files, and the one to be written last. Raises ``CatalogError``."""
        self._of(source.backup.target)
        return view.files(source), view.last(source, self._world.now())

    def leftovers(self, target: Target) -> Iterator[Leftover]:
        """See ``Tier.leftovers``: a restore of objects sets nothing aside."""
        self._of(target)
        return iter(())

    def remove_leftover(self, target: Target, name: str) -> None:
        """See ``Tier.remove_leftover``."""
        raise UsageError(f"{target} has no leftover {name}")

    def _opened(self, request: RestoreRequest) -> Callable[[], AbstractContextManager[Spooled]]:
        def opened() -> AbstractContextManager[Spooled]:
            if request.source is None:
                raise RestoreError("a restore of objects is planned from what is in the backup")
            return self._spooled(request.source())

        return opened

    @contextmanager
    def _spooled(self, source: Source) -> Iterator[Spooled]:
        self._world.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        with source.open("objects") as chunks, spooled(chunks, self._world.spool) as archive:
            yield archive

    def _of(self, target: Target) -> Schedule:
        schedule = self._schedules.get(target.name) if target.tier is TierKind.OBJECTS else None
        if schedule is None:
            raise UsageError(
                f"{target} is not in the configuration", hint=f"Schedules of objects: {', '.join(self._schedules)}."
            )
        return schedule
