"""Back up one target: lease, clean up after killed runs, intent, capture, commit; the manifest is written last."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from backstay.catalog import history
from backstay.catalog.catalog import Catalog
from backstay.catalog.intent import Intent
from backstay.catalog.lease import Lease
from backstay.catalog.sweep import Sweep
from backstay.core.errors import BackstayError, CatalogError, Interrupted, LeaseHeld, VerificationFailed
from backstay.core.model import Backup, Level, Plan, Progress, Proof, Severity, State, Step, Target
from backstay.core.units import format_stamp
from backstay.jobs import verify
from backstay.jobs.byhand import by_hand, guide_text
from backstay.jobs.context import Context, TargetSettings
from backstay.jobs.transfer import StoreSink, StoreSource
from backstay.tiers.base import Captured


def plan(context: Context, target: Target) -> Plan:
    """What a backup of ``target`` would do; asks the source, so that what cannot work is known now."""
    settings = context.of(target)
    catalog = context.catalog(target)
    found = context.tier(target).preview(target)
    where = catalog.store.describe() + (f"{settings.prefix}/" if settings.prefix else "")
    encoding = ", ".join(settings.encoding.names) or "as they are"
    return Plan(
        action="backup",
        target=target,
        title=str(found["title"]),
        steps=(
            Step("lease", f"become the one writer of {target}"),
            Step("capture", f"stream into {where}", encoding),
            Step("commit", f"write the manifest of {target}@<now>, last"),
        ),
        details={key: value for key, value in found.items() if key != "title"},
    )


def run(
    context: Context,
    target: Target,
    progress: Progress,
    announce: Callable[[Plan], None] = lambda _: None,
    cleaned: Callable[[Sweep], None] = lambda _: None,
) -> Backup:
    """Take a backup of ``target`` and return it, committed; ``announce`` is told the plan once the source answered,
    ``cleaned`` what was done about each run that was cut short.

    Raises ``LeaseHeld``, and whatever the tier and the store raise; then nothing of it is left but a note of the
    failure for ``status``.
    """
    catalog = context.catalog(target)
    catalog.ensure_format()
    with context.lease(catalog.store, target, "backup") as lease:
        return run_held(context, target, lease, progress, announce, cleaned)


def run_held(
    context: Context,
    target: Target,
    lease: Lease,
    progress: Progress,
    announce: Callable[[Plan], None] = lambda _: None,
    cleaned: Callable[[Sweep], None] = lambda _: None,
) -> Backup:
    """As ``run``, for a caller that holds the lease of the target already."""
    catalog = context.catalog(target)
    for swept in catalog.clean(target):
        cleaned(swept)
    attempt = _Attempt(context, catalog, context.of(target), lease, context.now())
    try:
        announce(plan(context, target))
        return attempt.run(progress)
    except BaseException as error:
        attempt.give_up(error)
        raise


@dataclass
class _Attempt:
    """One run under the lease, from intent to manifest."""

    context: Context
    catalog: Catalog
    settings: TargetSettings
    lease: Lease
    started_at: datetime
    intent: Intent | None = None

    def run(self, progress: Progress) -> Backup:
        target = self.settings.target
        self.intent = self._begin(target)
        sink = StoreSink(self.catalog.store, self.settings, self.intent, self.started_at)
        captured = self.context.tier(target).backup(target, sink, progress)
        backup = self._manifest(captured)
        proof = self._read_back(backup, progress) if captured.read_back else None
        self.lease.check()
        if captured.last is not None:
            file, data = captured.last
            backup = replace(backup, artifacts=(*backup.artifacts, sink.write(file, [data])))
        if captured.guide is not None:
            guide = sink.write(captured.guide, [guide_text(backup).encode()])
            backup = replace(backup, artifacts=(*backup.artifacts, guide))
        self.catalog.commit(backup, self.intent)
        if proof is not None:
            verify.keep_proof(self.context, self.catalog, backup, proof)
        return backup

    def _read_back(self, backup: Backup, progress: Progress) -> Proof:
        """What is in the store, held against what was captured: as ``verify`` does, or by its sha256 alone where it is
        encrypted and there is no identity here (as there should be none). Raises ``VerificationFailed``."""
        started, level = self.context.clock(), Level.READABLE
        if any("age" in artifact.encoding for artifact in backup.artifacts):
            level = Level.STORED
            findings = [verify.stored(self.catalog, artifact, progress) for artifact in backup.artifacts]
        else:
            source = StoreSource(self.catalog.store, backup, ())
            findings = list(self.context.tier(backup.target).verify(backup, source, level, progress))
        wrong = [finding.message for finding in findings if finding.severity is Severity.ERROR]
        if wrong:
            raise VerificationFailed(
                f"{backup.id}: what is in the store is not what was captured: {wrong[0]}",
                hint="Nothing was committed. Run `backstay store check`.",
                findings=wrong,
            )
        return Proof(backup.id, level, True, self.context.now(), self.context.clock() - started, tuple(findings))

    def _begin(self, target: Target) -> Intent:
        """Announce the run; under the lease, a stamp is taken only by a run of this very second, now over."""
        try:
            return self.catalog.begin(target, format_stamp(self.started_at))
        except CatalogError:
            self.context.sleep(1.0)
            self.started_at = self.context.now()
            return self.catalog.begin(target, format_stamp(self.started_at))

    def give_up(self, error: BaseException) -> None:
        """Take back what was written and note why; what cannot be taken back now, the next run does."""
        known = error if isinstance(error, BackstayError) else Interrupted("the run was interrupted")
        with contextlib.suppress(BackstayError):
            if self.intent is not None:
                self.intent.withdraw()
        if isinstance(known, LeaseHeld):
            return
        with contextlib.suppress(BackstayError):
            stamp = format_stamp(self.started_at)
            history.record_failure(self.catalog.store, self.settings.target, stamp, known, self.context.now())

    def _manifest(self, captured: Captured) -> Backup:
        return Backup(
            target=self.settings.target,
            stamp=format_stamp(self.started_at),
            cluster=self.context.cluster,
            state=State.PARTIAL if captured.omissions else State.COMPLETE,
            started_at=self.started_at,
            finished_at=self.context.now(),
            point_in_time=captured.point_in_time or self.started_at,
            artifacts=captured.artifacts,
            tools={"backstay": self.context.version, **captured.tools},
            source=captured.source,
            contents=captured.contents,
            omissions=captured.omissions,
            warnings=captured.warnings,
            restore_by_hand=by_hand(captured.restore_by_hand, captured.artifacts, self.catalog.store.describe()),
            store=self.catalog.name,
        )
