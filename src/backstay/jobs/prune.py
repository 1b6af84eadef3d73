"""Remove the backups that no rule keeps, and what killed runs left behind (docs/prune.md).

``plan`` decides and shows; ``run`` does exactly that. Under the lease of each target it looks again first: what the
plan removes must still be removable, or the target is left alone. Each store is decided by itself, so a copy in one
never counts for another. Dumps of other tools are never removed. Cut short at any point, the next run finishes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from backstay.catalog import history, sweep
from backstay.catalog.catalog import Catalog
from backstay.catalog.lease import Lease
from backstay.catalog.sweep import Swept
from backstay.core.errors import BackstayError, CatalogError, Incomplete, LeaseHeld, Locked
from backstay.core.model import Backup, Finding, Level, Outcome, Progress, Proof, Severity, Target
from backstay.core.units import counted, exact_time, format_size, format_stamp, listed
from backstay.jobs.context import Context
from backstay.jobs.prune_plan import Entry, Fate, PrunePlan, TargetPlan, precious
from backstay.jobs.prune_survey import Survey, forget_failures, survey
from backstay.jobs.prune_uploads import drop_uploads, with_uploads
from backstay.jobs.verify import keep_proof


def plan(context: Context, targets: Iterable[Target], *, allow_mass_delete: bool = False) -> PrunePlan:
    """What a prune of ``targets`` would do, in every store that holds backups of them. Reads only.

    A target that cannot be decided on, for instance since its store does not answer, is ``blocked``: the others are
    still planned. Raises ``UsageError`` for a target that is not configured.
    """
    now = context.now()
    wanted = [context.of(target).target for target in targets]
    found: list[TargetPlan] = []
    for catalog in context.catalogs:
        unusable = _unusable(catalog)
        for target in wanted:
            home = context.of(target).store == catalog.name
            if unusable is not None:
                found += [_blocked(context, catalog, target, now, unusable)] if home else []
            else:
                found += _planned(context, catalog, target, now, home=home)
    found.sort(key=lambda one: (one.target, one.store))
    return PrunePlan(tuple(with_uploads(context, found)), allow_mass_delete)


def run(context: Context, plan: PrunePlan, progress: Progress) -> list[Outcome]:
    """Do what the plan says, target after target, and say how each ended; one that fails does not stop the others.

    An outcome that is not ok has the error under ``error`` in its facts: ``LeaseHeld`` when another run works on the
    target. Raises ``Declined``, before anything is removed, when it would be a mass deletion that was not allowed.
    """
    if plan.refusal is not None:
        raise plan.refusal
    return [_run_one(context, one, progress) for one in plan.targets]


def _planned(context: Context, catalog: Catalog, target: Target, now: datetime, *, home: bool) -> list[TargetPlan]:
    try:
        if not home and not any(True for _ in catalog.stamps(target)):
            return []
        return [survey(catalog, context.of(target), now).plan]
    except BackstayError as error:
        return [_blocked(context, catalog, target, now, error)]


def _unusable(catalog: Catalog) -> BackstayError | None:
    """Why nothing may be removed from a store: it does not answer, or is that of another cluster."""
    try:
        catalog.ensure_format(create=False)
    except BackstayError as error:
        return error
    return None


def _blocked(context: Context, catalog: Catalog, target: Target, now: datetime, error: BackstayError) -> TargetPlan:
    return TargetPlan(target, catalog.name, now, context.of(target).keep, blocked=error)


def _run_one(context: Context, plan: TargetPlan, progress: Progress) -> Outcome:
    started = context.clock()
    doing = _Pruning(context, plan, context.catalogs.named(plan.store), progress)
    error = plan.blocked
    if error is None and not plan.does_nothing:
        try:
            with context.lease(doing.catalog.store, plan.target, "prune") as lease:
                doing.run(lease)
        except BackstayError as caught:
            error = caught
    return doing.outcome(error, context.clock() - started)


@dataclass
class _Pruning:
    """One target in one store, under its lease."""

    context: Context
    plan: TargetPlan
    catalog: Catalog
    progress: Progress
    removed: list[Entry] = field(default_factory=list)
    freed_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    swept: int = 0
    failures: int = 0
    notes: int = 0
    uploads: int = 0
    gone: int = 0

    def run(self, lease: Lease) -> None:
        planned = self.plan.with_fate(Fate.REMOVE)
        self.progress.phase(f"pruning {self.plan.target}", total_bytes=self.plan.freed_bytes or None)
        fresh = survey(self.catalog, self.context.of(self.plan.target), self.plan.made_at)
        check_still_right(planned, fresh.plan)
        for entry in planned:
            if entry.stamp in fresh.backups:
                lease.check()
                self._remove(entry, fresh.backups[entry.stamp])
        for one in self.plan.litter:
            lease.check()
            self._sweep(one.stamp, one.size_bytes)
        lease.check()
        self._record_gone(fresh)
        self._forget_proofs(fresh)
        self.failures = forget_failures(self.catalog.store, self.plan)
        if self.plan.retired and self.plan.retired_before:
            self.notes = history.forget_retired(self.catalog.store, self.plan.target, self.plan.retired_before)
        for uploads in self.plan.uploads:
            lease.check()
            self.uploads += drop_uploads(self.catalog.store, uploads)

    def outcome(self, error: BackstayError | None, seconds: float) -> Outcome:
        """How it ended; ``error`` is what stopped it."""
        target = self.plan.target
        done = self._in_words()
        if error is not None:
            self.findings.append(Finding(Severity.ERROR, error.message, error.code))
            skipped = isinstance(error, LeaseHeld)
            done = f"skipped: {error.message}" if skipped else f"stopped: {error.message} ({done})"
        facts = {
            "store": self.plan.store,
            "removed": [entry.backup_id for entry in self.removed],
            "freed_bytes": self.freed_bytes,
            "locked": {entry.backup_id: _until(entry) for entry in self.plan.with_fate(Fate.LOCKED)},
            "swept": self.swept,
            "uploads_dropped": self.uploads,
            "failures_forgotten": self.failures,
            "notes_forgotten": self.notes,
            "error": error.as_json() if error else None,
        }
        ok = all(finding.severity is not Severity.ERROR for finding in self.findings)
        return Outcome(target, ok, done, seconds, (*self.plan.findings, *self.findings), facts=facts)

    def _remove(self, entry: Entry, backup: Backup) -> None:
        self.progress.note(entry.backup_id)
        try:
            self._note(backup)
            self.catalog.remove(backup)
        except (Locked, CatalogError) as error:
            self.findings.append(Finding(Severity.ERROR, f"{entry.backup_id}: {error.message}", error.code))
            return
        self.removed.append(entry)
        self.freed_bytes += entry.size_bytes
        self.progress.advance(entry.size_bytes)

    def _note(self, backup: Backup) -> None:
        """Leave a note of what is removed, as long as status looks back that far."""
        limit = self.plan.retired_before
        if limit is not None and backup.stamp >= format_stamp(limit):
            history.retire(self.catalog.store, backup, self.context.now())

    def _sweep(self, stamp: str, size_bytes: int) -> None:
        done = sweep.sweep(self.catalog.store, self.plan.target, stamp, self.context.now())
        if done is not None and done.result is Swept.REFUSED:
            self.findings.append(Finding(Severity.ERROR, f"the run of {stamp} was left: {done.problem}", "litter"))
            return
        self.swept += 1
        self.freed_bytes += size_bytes
        self.progress.advance(size_bytes)

    def _record_gone(self, fresh: Survey) -> None:
        """Say by a proof what the plan has found gone and is so still, for everybody who asks how it stands."""
        planned = {entry.stamp for entry in self.plan.gone}
        for entry in fresh.plan.gone:
            if entry.stamp in planned:
                said = (Finding(Severity.ERROR, entry.gone, "gone"),)
                proof = Proof(
                    entry.backup_id, Level.STORED, ok=False, at=self.context.now(), duration_seconds=0.0, findings=said
                )
                keep_proof(self.context, self.catalog, fresh.backups[entry.stamp], proof)
                self.gone += 1

    def _forget_proofs(self, fresh: Survey) -> None:
        """Those of what was removed now, and of what an earlier run removed before it was cut short."""
        planned = {*self.plan.orphan_proofs, *(entry.stamp for entry in self.plan.with_fate(Fate.REMOVE))}
        gone = {entry.stamp for entry in self.removed} | (planned & set(fresh.plan.orphan_proofs))
        if gone:
            self.catalog.proofs.forget(self.plan.target, gone)

    def _in_words(self) -> str:
        locked = len(self.plan.with_fate(Fate.LOCKED))
        words = [f"removed {counted(len(self.removed), 'backup')}"] if self.removed else []
        words += [f"cleaned up after {counted(self.swept, 'run')}"] if self.swept else []
        words += [f"dropped {counted(self.uploads, 'unfinished upload')}"] if self.uploads else []
        words += [f"forgot {counted(self.failures, 'failed run')}"] if self.failures else []
        words += [f"dropped {counted(self.notes, 'note')} of earlier removals"] if self.notes else []
        words += [f"recorded what is gone of {counted(self.gone, 'backup')}"] if self.gone else []
        said = listed(words) or "nothing was removed"
        size = f", {format_size(self.freed_bytes)}" if self.freed_bytes else ""
        return said + size + (f"; {counted(locked, 'backup')} locked for now" if locked else "")


def check_still_right(planned: Sequence[Entry], fresh: TargetPlan) -> None:
    """Raise ``Incomplete`` unless all of ``planned`` may still be removed, by the rules and by what is looked at here.

    The second look is on purpose independent of retention: not the newest sound backup, not the newest proven one.
    """
    now = {entry.stamp: entry for entry in fresh.entries}
    guarded = precious(fresh.entries, fresh.made_at)
    for entry in planned:
        found = now.get(entry.stamp)
        if found is not None and (found.fate is not Fate.REMOVE or entry.stamp in guarded):
            why = "; ".join(found.reasons) if found.fate is not Fate.REMOVE else guarded[entry.stamp]
            raise Incomplete(
                f"{fresh.target} is not as it was planned: {entry.backup_id} is to stay now ({why})",
                hint="Nothing of it was removed. Run prune again: it plans anew.",
            )


def _until(entry: Entry) -> str:
    return exact_time(entry.locked_until) if entry.locked_until else ""
