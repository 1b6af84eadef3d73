"""Restore: find, plan, then do exactly that under a lease and a journal; resume or roll back what a kill left.

``Place`` says where bytes are read from and where lease, journal and proof are kept: the store of the backup, or,
for a file at hand, its folder and a local state folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from backstay.catalog import journal as journals
from backstay.catalog import keys
from backstay.catalog.journal import JournalRecord, JournalState, RestoreJournal
from backstay.catalog.lease import Lease
from backstay.core.errors import BackstayError, RestoreError, StoreError, VerificationFailed
from backstay.core.model import Backup, Finding, Level, Outcome, Plan, Progress, Proof, Severity, State, Target
from backstay.core.units import format_duration, format_span, format_stamp, parse_stamp
from backstay.jobs import backup as backups
from backstay.jobs import verify
from backstay.jobs.context import Context
from backstay.jobs.transfer import StoreSource, source_of
from backstay.store.base import Store
from backstay.tiers.base import RestoreRequest

TAKE_THE_NAME = {"swap", "in_place"}  # Plan.details["mode"] of a restore that becomes what is live


@dataclass(frozen=True)
class Place:
    """Where a backup is read (``artifacts``) and where its restore keeps lease and journal (``state``)."""

    artifacts: Store
    state: Store


def place_of(context: Context, backup: Backup) -> Place:
    """Both in the store that holds the backup."""
    store = context.catalogs.holding(backup).store
    return Place(store, store)


def plan(context: Context, backup: Backup, options: dict[str, object], place: Place | None = None) -> Plan:
    """What the restore would do; ``options`` are the tier's own. Read-only. ``place``: not in the store that has it."""
    now = context.now()

    def source() -> StoreSource:
        return source_of(context, backup, (place or place_of(context, backup)).artifacts)

    request = RestoreRequest(stamp=format_stamp(now), now=now, options=options, source=source)
    made = context.tier(backup.target).plan_restore(backup, request)
    return replace(
        made,
        notes=(*made.notes, *([] if made.details.get("tables") else _time_expected(context, backup, now))),
        details={**made.details, "stamp": request.stamp},
    )


def run(context: Context, plan: Plan, backup: Backup, place: Place, progress: Progress) -> Outcome:
    """Do what the plan says. Raises ``LeaseHeld``, ``RestoreError`` and what the tier raises; the journal then says
    how far it came, and ``resume`` or ``rollback`` take it from there."""
    with context.lease(place.state, plan.target, "restore") as lease:
        lost = _refuse_unfinished(place, plan)
        plan = _secure_live(context, plan, backup, place, lease, progress)
        run, stamp = lease.record.holder.owner, _free_stamp(place.state, plan)
        steps = {journals.STOP: lost[0].steps[journals.STOP]} if lost else {}
        journal = journals.create(place.state, plan, stamp, backup.id, run=run, now=context.now, steps=steps)
        for record in lost:
            before = journals.resume(place.state, plan.target, record.stamp, run=run, now=context.now)
            before.close(JournalState.ROLLED_BACK, f"taken over by the restore {stamp}")
        return _finish(context, plan, backup, place, journal, progress)


def resume(context: Context, target: Target, place_for: Callable[[Plan, str], tuple[Backup, Place]], state: Store,
           progress: Progress) -> Outcome:  # fmt: skip
    """Go on with the newest unfinished restore of ``target``; ``place_for`` finds its backup again."""
    with context.lease(state, target, "restore") as lease:
        record = _newest_unfinished(state, target)
        backup, place = place_for(record.plan, record.backup_id)
        journal = journals.resume(state, target, record.stamp, run=lease.record.holder.owner, now=context.now)
        return _finish(context, record.plan, backup, place, journal, progress)


def rollback(context: Context, target: Target, state: Store, progress: Progress) -> Outcome:
    """Undo the newest unfinished restore of ``target``: live is again what it was before."""
    with context.lease(state, target, "restore") as lease:
        record = _newest_unfinished(state, target)
        journal = journals.resume(state, target, record.stamp, run=lease.record.holder.owner, now=context.now)
        outcome = context.tier(target).undo(record.plan, journal, progress)
        journal.close(JournalState.ROLLED_BACK, outcome.message)
        return outcome


def _time_expected(context: Context, backup: Backup, now: datetime) -> list[str]:
    """How long the newest drill of the target took to restore it."""
    if backup.state is State.FOREIGN or not backup.store:
        return []
    proofs = context.catalogs.holding(backup).proofs.read(backup.target)
    drills = [proof for proof in proofs if proof.kind == "drill" and proof.ok]
    if not drills:
        return ["Time: not known; `backstay drill` would measure it."]
    last = max(drills, key=lambda proof: proof.at)
    took, age = format_duration(last.duration_seconds), format_span(now - last.at)
    return [f"Time: about {took}, as measured in the drill {age} ago."]


def _finish(context: Context, plan: Plan, backup: Backup, place: Place, journal: RestoreJournal,
            progress: Progress) -> Outcome:  # fmt: skip
    try:
        source = source_of(context, backup, place.artifacts)
        outcome = context.tier(plan.target).restore(plan, source, journal, progress)
    except BaseException as error:
        _close_failed(journal, error)
        raise
    try:
        journal.close(JournalState.DONE, outcome.message)
        _prove(context, plan, backup, outcome)
    except StoreError as error:  # which the cluster that was restored may serve itself
        words = (
            f"what was restored stays, but that it was could not be recorded: {error.message}. Once the store answers, "
            "`backstay status` says whether `--resume` has to"
        )
        return replace(outcome, findings=(*outcome.findings, Finding(Severity.WARNING, words, "restore.unrecorded")))
    return outcome


def _close_failed(journal: RestoreJournal, error: BaseException) -> None:
    """Record that it failed; whatever comes of that, ``error`` is the one to tell. Where it was only asked for on the
    wrong machine (``context["elsewhere"]``) the restore is as unfinished as before."""
    if isinstance(error, BackstayError) and error.context.get("elsewhere"):
        return
    try:
        journal.close(JournalState.FAILED, str(error) or type(error).__name__)
    except BackstayError as unrecorded:
        if isinstance(error, BackstayError):
            error.hint = f"{error.hint} That it failed could not be recorded: {unrecorded.message}.".strip()


def _prove(context: Context, plan: Plan, backup: Backup, outcome: Outcome) -> None:
    """Keep a proof that the backup was restored, where all of it was."""
    compared = outcome.ok or outcome.facts.get("compared")  # all came back, and what uses it is not ready
    whole = compared and not plan.details.get("partly") and not plan.details.get("tables")
    if backup.state is not State.FOREIGN and backup.store and whole:
        catalog = context.catalogs.holding(backup)
        at, seconds = context.now(), outcome.duration_seconds
        proof = Proof(backup.id, Level.RESTORED, True, at, seconds, outcome.findings, outcome.phases, "restore")
        verify.keep_proof(context, catalog, backup, proof)


def _free_stamp(state: Store, plan: Plan) -> str:
    """The plan's own stamp, or the next second that no other restore of the target has."""
    taken = {stamp for _, _, stamp in keys.list_records(state, keys.RESTORES, plan.target)}
    at = parse_stamp(str(plan.details["stamp"]))
    while format_stamp(at) in taken:
        at += timedelta(seconds=1)
    return format_stamp(at)


def _secure_live(context: Context, plan: Plan, backup: Backup, place: Place, lease: Lease, progress: Progress) -> Plan:
    """Before an in-place restore drops what is live, its replacement and a fresh backup of it are read to the end."""
    if plan.details.get("mode") != "in_place" or not plan.details.get("live_exists"):
        return plan
    source = source_of(context, backup, place.artifacts)
    _require_readable(backup, list(context.tier(plan.target).verify(backup, source, Level.READABLE, progress)))
    fresh = backups.run_held(context, plan.target, lease, progress, cleaned=lambda swept: progress.note(swept.message))
    _require_readable(fresh, verify.run(context, fresh, Level.READABLE, progress).findings)
    return replace(plan, details={**plan.details, "fresh_backup": fresh.id})


def _require_readable(backup: Backup, findings: Sequence[Finding]) -> None:
    if wrong := [finding.message for finding in findings if finding.severity is Severity.ERROR]:
        raise VerificationFailed(
            f"{backup.id} did not verify, so the live data was not dropped",
            hint="Run `backstay store check`, or try another backup. Nothing live was changed.",
            findings=wrong,
        )


def _refuse_unfinished(place: Place, plan: Plan) -> list[JournalRecord]:
    """A restore that was cut short is finished or undone before another begins; those that cannot be undone, since what
    was live is only in a backup, are left to the one that now brings something back."""
    lost = []
    for record in journals.unfinished(place.state, plan.target):
        if record.needs_a_person and journals.DROP in record.steps:
            lost.append(record)
        elif record.needs_a_person:
            raise RestoreError(
                f"a restore of {plan.target} begun {record.stamp} was cut short",
                hint=f"`backstay restore {plan.target} --resume` goes on with it, `--rollback` puts everything back.",
            )
    return lost if plan.details.get("mode") in TAKE_THE_NAME else []


def _newest_unfinished(state: Store, target: Target) -> JournalRecord:
    record = journals.pending(state, target)
    if record is None or not record.resumable:
        raise RestoreError(f"there is no unfinished restore of {target}", hint="Nothing was changed.")
    return record
