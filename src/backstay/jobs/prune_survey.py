"""Look at one target in one store and decide what prune would do there. Reads only.

Done for the plan, and again under the lease just before anything is removed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from os.path import commonprefix
from zoneinfo import ZoneInfo

from backstay.catalog import history, intent, keys, sweep
from backstay.catalog.catalog import Catalog
from backstay.catalog.intent import IntentRecord, IntentState
from backstay.catalog.proofs import standing
from backstay.catalog.sweep import TOMBSTONE_AGE, Swept
from backstay.core import retention
from backstay.core.errors import CatalogError, NotFound
from backstay.core.model import Backup, Finding, Level, Proof, Severity, State
from backstay.core.retention import Candidate, Decision
from backstay.core.units import counted, format_stamp, format_time
from backstay.jobs.context import TargetSettings
from backstay.jobs.prune_plan import Entry, Fate, Litter, TargetPlan, precious
from backstay.jobs.refuted import refuted
from backstay.store.base import Store

LITTER_AGE = timedelta(days=1)  # older than any run that may still go on
STRAY_AGE = timedelta(days=1)
HISTORY_KEPT = timedelta(days=35)  # status looks back over 30 days


@dataclass(frozen=True)
class Survey:
    """What is there and what becomes of it; ``backups`` are the committed ones by stamp, without their contents."""

    plan: TargetPlan
    backups: Mapping[str, Backup]


def survey(catalog: Catalog, settings: TargetSettings, now: datetime) -> Survey:
    """Look and decide as of ``now``. Raises what the store raises, and ``CatalogError`` for a proof that is damaged:
    it may be the one that makes a backup the newest proven one."""
    target = settings.target
    findings: list[Finding] = []
    proofs = list(catalog.proofs.read(target))  # before the manifests: of what is listed here the backup exists
    listed = catalog.backups(target, problem=lambda error: findings.append(_damaged(error)))
    backups = {backup.stamp: _slim(backup) for backup in listed}
    decisions, entries = _looked_at(catalog.store, backups, proofs, settings, now)
    strays = [info for info in catalog.strays(target) if now - info.modified_at >= STRAY_AGE]
    failures_before = _failures_before(entries, now)
    plan = TargetPlan(
        target=target,
        store=catalog.name,
        made_at=now,
        keep=settings.keep,
        entries=entries,
        litter=tuple(_litter(catalog, settings, backups, now, findings)),
        orphan_proofs=_orphans(catalog, settings, proofs, backups),
        failures=_count_failures(catalog.store, settings, failures_before),
        failures_before=failures_before,
        retired=sum(one.stamp < format_stamp(now - HISTORY_KEPT) for one in history.retired(catalog.store, target)),
        retired_before=now - HISTORY_KEPT,
        strays=len(strays),
        strays_size_bytes=sum(info.size_bytes for info in strays),
        mass_deletion=retention.mass_deletion(decisions) or "",
        findings=tuple(findings),
    )
    return Survey(plan, backups)


def _looked_at(
    store: Store,
    backups: Mapping[str, Backup],
    proofs: list[Proof],
    settings: TargetSettings,
    now: datetime,
) -> tuple[list[Decision], tuple[Entry, ...]]:
    """What becomes of each, once those that must never go are known to be there: another program may have removed
    their files, as Velero does when it is told to, and then they stand for nothing."""
    bad = dict.fromkeys(_found_bad(proofs), "its last check found it bad")
    gone: dict[str, str] = {}
    seen: set[str] = set()
    while True:
        decisions = _decide(backups, proofs, bad | gone, settings, now)
        entries = tuple(
            replace(_entry(decision, backups, settings, now), gone=gone.get(decision.candidate.id, ""))
            for decision in decisions
        )
        unseen = precious(entries, now).keys() - seen
        if not unseen:
            return decisions, _unshared(entries, backups)
        seen |= unseen
        gone |= {backups[stamp].id: words for stamp in unseen if (words := _gone_of(store, backups[stamp]))}


def _gone_of(store: Store, backup: Backup) -> str:
    """What of a backup's files is not in the store; empty where all are. A dump may have hundreds, so each folder is
    listed; only what no list has is asked for by itself."""
    keys = sorted(artifact.key for artifact in backup.artifacts)
    unseen = set(keys)
    for _, these in groupby(keys, key=lambda key: key.rpartition("/")[0]):
        prefix = commonprefix(list(these))  # noqa: RUF071 - a list takes any prefix
        unseen.difference_update(info.key for info in store.list(prefix))
    gone = [key for key in sorted(unseen) if _size(store, key) is None]
    files = counted(len(keys), "file")
    return f"{len(gone):,} of {files} not in the store any more: something else removed them" if gone else ""


def _decide(
    backups: Mapping[str, Backup], proofs: list[Proof], bad: Mapping[str, str], settings: TargetSettings, now: datetime
) -> list[Decision]:
    """``bad`` says of backups what is wrong with them. Such a one counts as incomplete: it takes no place of a good one
    and protects nothing."""
    levels = standing(proofs)
    candidates = [
        Candidate(
            id=backup.id,
            at=backup.started_at,
            complete=backup.state is State.COMPLETE and backup.id not in bad,
            level=levels[backup.id].level if backup.id in levels else Level.WRITTEN,
        )
        for backup in backups.values()
    ]
    decisions = retention.decide(candidates, settings.keep, now, ZoneInfo(settings.timezone))
    return [
        replace(one, reasons=(*one.reasons, bad[one.candidate.id])) if one.candidate.id in bad else one
        for one in decisions
    ]


def _found_bad(proofs: list[Proof]) -> set[str]:
    """A drill may fail for reasons of its own; what a check of the bytes says is about the backup."""
    return {backup_id for backup_id, proof in refuted(proofs).items() if proof.level <= Level.READABLE}


def _entry(decision: Decision, backups: Mapping[str, Backup], settings: TargetSettings, now: datetime) -> Entry:
    candidate = decision.candidate
    backup = backups[candidate.id.partition("@")[2]]
    locked_until = backup.started_at + settings.lock_for if settings.lock_for else None
    entry = Entry(
        backup_id=backup.id,
        stamp=backup.stamp,
        at=backup.started_at,
        size_bytes=backup.size_bytes,
        sound=candidate.complete,
        level=candidate.level,
        fate=Fate.KEEP if decision.keep else Fate.REMOVE,
        reasons=decision.reasons,
    )
    if decision.keep or locked_until is None or locked_until <= now:
        return entry
    reasons = (*decision.reasons, f"but locked until {format_time(locked_until)}")
    return replace(entry, fate=Fate.LOCKED, reasons=reasons, locked_until=locked_until)


def _unshared(entries: tuple[Entry, ...], backups: Mapping[str, Backup]) -> tuple[Entry, ...]:
    """Keep what holds an artifact that another one, which is kept, promises as well; no run writes such manifests."""

    def keys_of(entry: Entry) -> set[str]:
        return {artifact.key for artifact in backups[entry.stamp].artifacts}

    needed = {key for entry in entries if entry.fate is not Fate.REMOVE for key in keys_of(entry)}
    return tuple(
        replace(entry, fate=Fate.KEEP, reasons=(*entry.reasons, "but one that is kept has the same artifact"))
        if entry.fate is Fate.REMOVE and keys_of(entry) & needed
        else entry
        for entry in entries
    )


def _litter(
    catalog: Catalog, settings: TargetSettings, backups: Mapping[str, Backup], now: datetime, findings: list[Finding]
) -> Iterator[Litter]:
    limit = format_stamp(now - LITTER_AGE)
    for stamp in sweep.stamps(catalog.store, settings.target):
        if stamp > limit:
            continue
        try:
            record, _ = intent.read(catalog.store, settings.target, stamp)
        except NotFound:
            continue
        except CatalogError as error:
            findings.append(_damaged(error))
            continue
        found = _left_by(catalog.store, record, committed=stamp in backups, now=now)
        if found is not None:
            yield found


def _left_by(store: Store, record: IntentRecord, *, committed: bool, now: datetime) -> Litter | None:
    """What is left of one run; ``None`` for a tombstone that has nothing below it and is to stay for its day."""
    if record.state is IntentState.COMMITTING:
        return Litter(record.stamp, Swept.FINISHED)
    if committed:
        return Litter(record.stamp, Swept.CLOSED)
    sizes = {key: size for key in record.keys if (size := _size(store, key)) is not None}
    if record.state is IntentState.ABANDONED and not sizes and now - record.changed_at < TOMBSTONE_AGE:
        return None
    return Litter(record.stamp, Swept.REMOVED, tuple(sizes), sum(sizes.values()))


def _size(store: Store, key: str) -> int | None:
    try:
        return store.head(key).size_bytes
    except NotFound:
        return None


def _orphans(
    catalog: Catalog, settings: TargetSettings, proofs: list[Proof], backups: Mapping[str, Backup]
) -> tuple[str, ...]:
    """Stamps of backups that are gone and whose proofs are not; a manifest that cannot be read is not gone."""
    absent = {proof.backup_id.partition("@")[2] for proof in proofs} - set(backups)
    return tuple(sorted(absent - set(catalog.stamps(settings.target)))) if absent else ()


def _failures_before(entries: tuple[Entry, ...], now: datetime) -> datetime | None:
    """A failure is forgotten when it is old and a sound backup has come after it, else never."""
    newest = max((entry.at for entry in entries if entry.sound), default=None)
    return min(newest, now - HISTORY_KEPT) if newest else None


def _count_failures(store: Store, settings: TargetSettings, before: datetime | None) -> int:
    if before is None:
        return 0
    listed = keys.list_records(store, keys.FAILURES, settings.target)
    return sum(stamp < format_stamp(before) for _, _, stamp in listed)


def forget_failures(store: Store, plan: TargetPlan) -> int:
    """Remove the records of failed runs that ``plan`` names; returns how many."""
    if not plan.failures or plan.failures_before is None:
        return 0
    return history.forget_failures(store, plan.target, plan.failures_before)


def _damaged(error: CatalogError) -> Finding:
    return Finding(Severity.WARNING, f"{error.message}. It was left as it is.", error.code)


def _slim(backup: Backup) -> Backup:
    """Without what only a restore needs, so that many of them fit in memory."""
    return replace(backup, contents={}, source={}, tools={}, warnings=(), omissions=(), restore_by_hand=())
