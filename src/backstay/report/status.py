"""How everything stands: one truth for the screen, for ``--json`` and for ``--check``.

Worst wins, and what could not be looked at is never green: a store that does not answer leaves its targets unknown.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from backstay.catalog import keys
from backstay.catalog.proofs import standing
from backstay.core import retention
from backstay.core.model import Finding, Level, Proof, Severity, State, Target
from backstay.core.retention import Candidate
from backstay.core.schedule import interval, next_run, overdue
from backstay.jobs.context import Context, TargetSettings
from backstay.jobs.refuted import refuted
from backstay.report.gather import Facts, Stores
from backstay.report.strip import DAYS, MISSED, NONE_DUE, Days, Run, strip
from backstay.report.values import (
    Brief,
    CutShort,
    FailedRun,
    FoundBad,
    Proven,
    StatusReport,
    TargetStatus,
    Verdict,
    Working,
)
from backstay.report.words import attention, headline

GRACE = timedelta(hours=1)
SKEW = timedelta(minutes=5)  # what the clocks of two machines may differ by
BREACHES = {Verdict.PARTIAL, Verdict.FAILED, Verdict.LATE, Verdict.NONE, Verdict.UNKNOWN}


@dataclass(frozen=True)
class Rules:
    """What a target is judged by. ``max_age`` is how long a proof counts; ``None`` is no such objective."""

    now: datetime
    grace: timedelta
    max_age: timedelta | None


def build(
    context: Context, *, now: datetime, max_age: timedelta | None = None, grace: timedelta = GRACE
) -> StatusReport:
    """The report on every configured target as of ``now``.

    A backup is late once ``grace`` has passed after it was due. An unproven target is a breach only with ``max_age``.
    Asks stores only, and never raises for one that does not answer.
    """
    rules = Rules(now, grace, max_age)
    stores = Stores(context.catalogs, now)
    facts = stores.look(context.settings)
    judged = [_judge(context.settings[target], facts[target], stores, rules) for target in sorted(facts)]
    restores = tuple(one for target in sorted(facts) for one in _cut_short(target, facts[target], stores))
    # Last, since a store may stop answering on the way.
    targets = tuple(_unknown(one) if one.store in stores.problems else one for one in judged)
    problems = tuple(stores.problems.values())
    return StatusReport(
        cluster=context.cluster,
        at=now,
        headline=headline(context.cluster, targets, problems),
        attention=attention(now, max_age, targets, problems, restores, stores.findings),
        targets=targets,
        stores=problems,
        restores=restores,
        findings=tuple(stores.findings),
    )


def _judge(settings: TargetSettings, facts: Facts, stores: Stores, rules: Rules) -> TargetStatus:
    target, now, tz = settings.target, rules.now, ZoneInfo(settings.timezone)
    facts.briefs = _without_future(facts, stores, now)
    if _newest(facts, State.COMPLETE) is None:
        facts.briefs += stores.older(target)
    good = _newest(facts, State.COMPLETE)
    partial = _newest(facts, State.PARTIAL)
    newer_partial = partial if partial and (good is None or partial.stamp > good.stamp) else None
    shown = good or partial
    seen = TargetStatus(
        target=target,
        store=settings.store,
        verdict=Verdict.OK,
        breach=False,
        last_good=good,
        age=now - good.finished_at if good else None,
        newer_partial=newer_partial,
        rpo=settings.rpo or (interval(settings.schedule, tz, now) if settings.schedule else None),
        missed_at=_missed(settings, good or newer_partial, tz, rules),
        size_bytes=shown.size_bytes if shown else None,
        strip=_strip(settings, facts, stores, Days(settings.schedule, tz, now, rules.grace)),
        proven=_proven(facts, now),
        found_bad=_found_bad(facts, good),
        last_failure=_last_failure(target, facts, good, stores),
        foreign=stores.foreign(target) if shown is None else None,
        next_run=next_run(settings.schedule, tz, now) if settings.schedule else None,
    )
    verdict = _verdict(seen, settings, rules)
    breach = verdict in BREACHES or (verdict is Verdict.UNPROVEN and rules.max_age is not None)
    working = _working(stores, settings) if verdict in {Verdict.NONE, Verdict.LATE, Verdict.FAILED} else None
    return replace(seen, verdict=verdict, breach=breach, working=working)


def _verdict(seen: TargetStatus, settings: TargetSettings, rules: Rules) -> Verdict:
    """The worst that applies."""
    newest = seen.newer_partial or seen.last_good
    failed_last = (
        seen.last_failure is not None and newest is not None and seen.last_failure.began_at > newest.started_at
    )
    checks = {
        Verdict.NONE: newest is None,
        Verdict.LATE: seen.missed_at is not None or _beyond_rpo(seen.last_good, settings, rules),
        Verdict.FAILED: seen.found_bad is not None or failed_last,
        Verdict.PARTIAL: seen.newer_partial is not None,
        Verdict.UNPROVEN: not _counts(seen.proven, rules),
    }
    return next((verdict for verdict, applies in checks.items() if applies), Verdict.OK)


def _beyond_rpo(good: Brief | None, settings: TargetSettings, rules: Rules) -> bool:
    """Whether more may be lost than is allowed; counted from the start of the backup, since it shows that moment."""
    return settings.rpo is not None and good is not None and rules.now - good.started_at > settings.rpo + rules.grace


def _counts(proven: Proven | None, rules: Rules) -> bool:
    restored = proven is not None and proven.level is Level.RESTORED
    return restored and (rules.max_age is None or (proven is not None and proven.age <= rules.max_age))


def _missed(settings: TargetSettings, last: Brief | None, tz: ZoneInfo, rules: Rules) -> datetime | None:
    if settings.schedule is None:
        return None
    return overdue(last.started_at if last else None, settings.schedule, tz, rules.now, rules.grace)


def _without_future(facts: Facts, stores: Stores, now: datetime) -> list[Brief]:
    """A backup from the future would hide for as long that none is made."""
    future = [brief for brief in facts.briefs if brief.started_at > now + SKEW]
    for brief in future:
        stores.findings.append(Finding(Severity.WARNING, f"{brief.id} is from the future: a clock is wrong", "future"))
    return [brief for brief in facts.briefs if brief not in future]


def _newest(facts: Facts, state: State) -> Brief | None:
    return max((one for one in facts.briefs if one.state is state), key=lambda one: one.stamp, default=None)


def _proven(facts: Facts, now: datetime) -> Proven | None:
    best = max(standing(facts.proofs).values(), key=lambda proof: (proof.level, proof.at), default=None)
    if best is None:
        return None
    return Proven(best.level, best.backup_id, best.at, now - best.at, best.duration_seconds, best.kind)


def _found_bad(facts: Facts, good: Brief | None) -> FoundBad | None:
    proof: Proof | None = refuted(facts.proofs).get(good.id) if good else None
    if proof is None:
        return None
    message = proof.findings[0].message if proof.findings else f"it is not {proof.level.word}"
    return FoundBad(proof.backup_id, proof.level, proof.at, message)


def _last_failure(target: Target, facts: Facts, good: Brief | None, stores: Stores) -> FailedRun | None:
    stamp, store = max(facts.failed, default=("", ""))
    if not stamp or (good is not None and stamp <= good.stamp):
        return None
    began_at, found = keys.moment_of(stamp), stores.failure(target, stamp, store)
    if found is None:
        return FailedRun(began_at, began_at, "", "what it said cannot be read", "")
    return FailedRun(began_at, found.failed_at, found.code, found.message, found.hint)


def _strip(settings: TargetSettings, facts: Facts, stores: Stores, days: Days) -> str:
    runs = [Run(brief.started_at, brief.state) for brief in facts.briefs]
    runs += [Run(keys.moment_of(one.stamp), one.state) for one in facts.retired]
    runs += [Run(keys.moment_of(stamp), State.FAILED) for stamp, _ in facts.failed]
    if not runs:
        return NONE_DUE * DAYS
    known = _known(settings, facts, days)
    letters = strip(runs, days, since=None, known=known)
    if letters.lstrip(NONE_DUE).startswith(MISSED):  # missed, or before its first backup
        seen = [*(stamp for stamp, _ in facts.failed), *(one.stamp for one in facts.retired)]
        first = min(*seen, stores.oldest(settings.target) or "~", "~")
        letters = strip(runs, days, since=keys.moment_of(first) if first != "~" else days.now, known=known)
    return letters


def _known(settings: TargetSettings, facts: Facts, days: Days) -> Callable[[datetime], bool]:
    """Whether a backup begun at some time would be known, had there been one: from the day after the first note that
    prune left, what is removed is noted; before that the rules of retention would still have to hold it."""
    first_noted = days.of(min((one.noted_at for one in facts.retired), default=days.now))
    present = [Candidate(one.id, one.started_at, one.state is State.COMPLETE, Level.WRITTEN) for one in facts.briefs]

    def known(moment: datetime) -> bool:
        if days.of(moment) < first_noted:
            return True
        probe = Candidate("", moment, complete=True, level=Level.WRITTEN)
        decisions = retention.decide([*present, probe], settings.keep, days.now, days.tz)
        return any(decision.keep for decision in decisions if decision.candidate is probe)

    return known


def _working(stores: Stores, settings: TargetSettings) -> Working | None:
    held = stores.lease(settings.target, settings.store)
    return Working(held.holder.purpose, held.acquired_at, held.holder.host) if held else None


def _cut_short(target: Target, facts: Facts, stores: Stores) -> list[CutShort]:
    found = []
    for store in facts.restored_in:
        for record in stores.unfinished(target, store):
            if record.needs_a_person:
                held = stores.lease(target, store)
                running = held is not None and held.holder.owner == record.run
                node = str(record.plan.details.get("node", ""))
                found.append(
                    CutShort(target, record.stamp, record.backup_id, record.begun_at, record.message, running, node)
                )
    return found


def _unknown(one: TargetStatus) -> TargetStatus:
    return replace(one, verdict=Verdict.UNKNOWN, breach=True, strip="")
