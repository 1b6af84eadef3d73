"""The PostgreSQL tier: the five verbs, each in a module of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backstay.cluster.apps import Apps
from backstay.core.errors import UsageError
from backstay.core.model import Backup, Finding, Level, Outcome, Plan, Progress, Target, TierKind
from backstay.tiers.base import Captured, Journal, Leftover, RestoreRequest, Sink, Source
from backstay.tiers.postgres import backup as capture
from backstay.tiers.postgres import drill, swap, verify
from backstay.tiers.postgres import plan as planning
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.restore import Restore


class PostgresTier:
    """``tiers.base.Tier`` over the configured databases, by name. ``apps`` stops and starts their workloads;
    below ``scratch_root`` drills have servers of their own."""

    kind = TierKind.POSTGRES

    def __init__(self, databases: Mapping[str, Database], apps: Apps, scratch_root: Path) -> None:
        self._databases = dict(databases)
        self._apps = apps
        self._scratch_root = scratch_root

    def discover(self) -> Iterator[Target]:
        """See ``Tier.discover``."""
        return (self._databases[name].target for name in sorted(self._databases))

    def preview(self, target: Target) -> Mapping[str, Any]:
        """See ``Tier.preview``."""
        found = capture.preview(self._database(target))
        return {"title": capture.describe(target, found), **found}

    def backup(self, target: Target, sink: Sink, progress: Progress) -> Captured:
        """See ``Tier.backup``."""
        return capture.backup(self._database(target), sink, progress)

    def verify(self, backup: Backup, source: Source, depth: Level, progress: Progress) -> Iterator[Finding]:
        """See ``Tier.verify``; ``STORED`` needs nothing of a tier, so this is always ``READABLE``."""
        if depth >= Level.READABLE:
            yield from verify.readable(backup, source, progress)

    def plan_restore(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_restore``; ``request.options`` are the fields of ``plan.Options``."""
        return planning.plan_restore(self._database(backup.target), backup, request, self._apps)

    def restore(self, plan: Plan, source: Source, journal: Journal, progress: Progress) -> Outcome:
        """See ``Tier.restore``."""
        return Restore(self._checked(plan), plan, self._apps, journal, progress).run(source)

    def undo(self, plan: Plan, journal: Journal, progress: Progress) -> Outcome:
        """See ``Tier.undo``."""
        return Restore(self._checked(plan), plan, self._apps, journal, progress).undo()

    def plan_drill(self, backup: Backup, request: RestoreRequest) -> Plan:
        """See ``Tier.plan_drill``."""
        return drill.plan(self._database(backup.target), backup, request)

    def drill(self, plan: Plan, source: Source, progress: Progress) -> Outcome:
        """See ``Tier.drill``."""
        return drill.Drill(self._database(plan.target), plan, self._scratch_root, progress).run(source)

    def leftovers(self, target: Target) -> Iterator[Leftover]:
        """See ``Tier.leftovers``."""
        database = self._database(target)
        with database.connection.session(database.maintenance) as session:
            yield from list(swap.leftovers(session, database.dbname))

    def remove_leftover(self, target: Target, name: str) -> None:
        """See ``Tier.remove_leftover``."""
        database = self._database(target)
        if name not in {leftover.name for leftover in self.leftovers(target)}:
            raise UsageError(f"{name} is not something a restore of {target} left behind")
        with database.connection.session(database.maintenance) as session:
            swap.drop(session, name)

    def _database(self, target: Target) -> Database:
        if target.name not in self._databases:
            raise UsageError(
                f"{target} is not in the configuration",
                hint="Add it under postgres.databases, or see `backstay config show` for what is there.",
            )
        return self._databases[target.name]

    def _checked(self, plan: Plan) -> Database:
        """A plan runs only against the server it was made for."""
        database = self._database(plan.target)
        if plan.details["where"] != database.connection.where:
            raise UsageError(
                f"this restore was planned for {plan.details['where']}, not {database.connection.where}",
                hint="Give the same --server as before.",
            )
        return database
