"""Drill: prove a backup by restoring it into scratch, keep the proof, hold the time it took against the objective."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backstay.core.errors import Corrupt, NoSuchBackup, NotFound, UsageError
from backstay.core.model import EMPTY, Backup, Finding, Level, Outcome, Plan, Progress, Proof, Severity, State
from backstay.core.units import format_duration, format_stamp
from backstay.jobs import verify
from backstay.jobs.context import Context
from backstay.jobs.transfer import StoreSource, source_of
from backstay.tiers.base import RestoreRequest

OVER_OBJECTIVE = "drill.rto"


def plan(context: Context, backup: Backup, options: Mapping[str, Any] = EMPTY) -> Plan:
    """What a drill of ``backup`` would do; raises what says that it cannot be done. ``options`` are the tier's own."""
    if backup.state is State.FOREIGN:
        raise UsageError(
            f"{backup.id} was not written by Backstay: nothing says what it should hold, so nothing can be proven",
            hint=f"`backstay verify {backup.id}` reads it to its end and says what is in it.",
        )
    now = context.now()

    def source() -> StoreSource:
        return source_of(context, backup, context.catalogs.holding(backup).store)

    request = RestoreRequest(format_stamp(now), now, scratch=True, options=options, source=source)
    return context.tier(backup.target).plan_drill(backup, request)


def level_of(outcome: Outcome) -> Level:
    """What a drill has proven, or taken back: that it restores, unless its tier says that it came less far."""
    return Level[str(outcome.facts.get("level", Level.RESTORED.word)).upper()]


def run(context: Context, plan: Plan, backup: Backup, progress: Progress) -> Outcome:
    """Do it, and keep what came of it as a proof, good or bad. The outcome is not ok when the backup is not.

    Raises what prevented the drill: nothing was learned of the backup then, and no proof is kept.
    """
    catalog = context.catalogs.holding(backup)
    source = source_of(context, backup, catalog.store)
    _must_decrypt(source)
    outcome = context.tier(backup.target).drill(plan, source, progress)
    if not outcome.ok and backup.stamp not in catalog.stamps(backup.target):
        raise NoSuchBackup(f"{backup.id} was removed while it was drilled", hint="Drill the newest one.")
    outcome = _against_objective(context, outcome)
    proof = Proof(
        backup_id=backup.id,
        level=level_of(outcome),
        ok=outcome.ok,
        at=context.now(),
        duration_seconds=float(outcome.facts["restore_seconds"]),
        findings=outcome.findings,
        phases=outcome.phases,
        kind="drill",
    )
    verify.keep_proof(context, catalog, backup, proof)
    return outcome


def _must_decrypt(source: StoreSource) -> None:
    """Open the smallest artifact, before anything is started for the others. Raises ``CannotDecrypt``."""
    encrypted = [artifact for artifact in source.backup.artifacts if "age" in artifact.encoding]
    smallest = min(encrypted, key=lambda artifact: artifact.size_bytes, default=None)
    if smallest is None:
        return
    with contextlib.suppress(Corrupt, NotFound), source.open(smallest.role) as chunks:  # the drill will say it better
        next(chunks, b"")


def is_over_objective(outcome: Outcome) -> bool:
    """Whether a restore would take longer than was promised."""
    return any(finding.code == OVER_OBJECTIVE for finding in outcome.findings)


def _against_objective(context: Context, outcome: Outcome) -> Outcome:
    settings = context.settings.get(outcome.target)
    if settings is None or settings.rto is None or not outcome.ok:
        return outcome
    seconds, objective = float(outcome.facts["restore_seconds"]), settings.rto.total_seconds()
    facts = {**outcome.facts, "objective_seconds": objective}
    if seconds <= objective:
        return replace(outcome, facts=facts)
    words = f"restoring took {format_duration(seconds)}, longer than the objective of {format_duration(objective)}"
    late = Finding(Severity.WARNING, words, OVER_OBJECTIVE)
    return replace(outcome, facts=facts, findings=(*outcome.findings, late))
