"""Which backups stay and which may go, each with its reasons. Pure arithmetic: no store, no clock.

A backup is kept when *any* rule keeps it; with no rule at all everything is kept. Beyond the rules these
always stay:

* the newest complete one, and the newest proven one: restored in a drill, or read through while none was
restored;
* one whose time is in the future, since a clock is wrong somewhere;
* a partial one newer than every complete one: it may hold what nothing else does.

A partial backup takes no place in ``count``, ``daily`` and the like, so it never pushes out a complete
one; it stays for ``days`` and ``ttl`` as any other. Nor does one from the future take a place.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, tzinfo

from backstay.core.errors import ConfigError
from backstay.core.model import Level
from backstay.core.units import counted, format_duration

MASS_DELETION_MORE_THAN = 2


@dataclass(frozen=True)
class KeepPolicy:
    """The rules of one target: ``days`` and ``ttl`` are ages, the others numbers; ``None`` is no rule.

    ``daily`` keeps the newest complete backup of each of the last so many days that have one; likewise by ISO
    week, month and year. Raises ``ConfigError`` for a rule below 1.
    """

    days: int | None = None
    count: int | None = None
    ttl: timedelta | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None

    def __post_init__(self) -> None:
        for rule in fields(self):
            value = getattr(self, rule.name)
            too_small = value <= timedelta(0) if isinstance(value, timedelta) else value is not None and value < 1
            if too_small:
                raise ConfigError(
                    f"keep: {rule.name} is {value}", hint="Give 1 or more, or leave the rule out to do without it."
                )

    @property
    def keeps_everything(self) -> bool:
        """Whether there is no rule."""
        return all(getattr(self, rule.name) is None for rule in fields(self))


@dataclass(frozen=True)
class Candidate:
    """A backup as retention sees it. ``at`` is what its age is counted from; ``level`` how far it is proven."""

    id: str
    at: datetime
    complete: bool
    level: Level


@dataclass(frozen=True)
class Decision:
    """What becomes of one backup, and why: what keeps it, or why no rule does."""

    candidate: Candidate
    keep: bool
    reasons: tuple[str, ...]


def decide(candidates: Iterable[Candidate], policy: KeepPolicy, now: datetime, tz: tzinfo) -> list[Decision]:
    """Decide over all backups of one target, newest first. ``tz`` says when a day begins."""
    ordered = sorted(candidates, key=lambda candidate: (candidate.at, candidate.id), reverse=True)
    past = [candidate for candidate in ordered if candidate.at <= now]
    complete = [candidate for candidate in past if candidate.complete]
    reasons: dict[str, list[str]] = {candidate.id: [] for candidate in ordered}
    for rule in (
        _ages(past, policy, now),
        _numbers(complete, policy, tz),
        _protected(ordered, complete, now),
    ):
        for candidate_id, reason in rule:
            reasons[candidate_id].append(reason)
    if policy.keeps_everything:
        return [Decision(one, True, (*reasons[one.id], "no rule removes anything")) for one in ordered]
    return [Decision(one, bool(reasons[one.id]), tuple(reasons[one.id]) or _why_not(one, policy)) for one in ordered]


def mass_deletion(decisions: Iterable[Decision]) -> str | None:
    """Why carrying this out would be a mass deletion, if it would.

    It is one when more than half of a target's complete backups would go, and more than two of them. That is
    what a rule made tighter by mistake looks like; the daily round removes one or two.
    """
    complete = [decision for decision in decisions if decision.candidate.complete]
    gone = sum(not decision.keep for decision in complete)
    if gone <= MASS_DELETION_MORE_THAN or gone * 2 <= len(complete):
        return None
    return f"{gone:,} of {len(complete):,} complete backups would be removed, which is more than half"


Reason = tuple[str, str]  # id of a candidate, and what keeps it


def _ages(past: Sequence[Candidate], policy: KeepPolicy, now: datetime) -> Iterable[Reason]:
    limits = (
        (timedelta(days=policy.days) if policy.days else None, f"within {counted(policy.days or 0, 'day')}"),
        (policy.ttl, f"within its time to live of {format_duration(policy.ttl or 0)}"),
    )
    for limit, words in limits:
        if limit is not None:
            yield from ((one.id, words) for one in past if now - one.at <= limit)


def _numbers(complete: Sequence[Candidate], policy: KeepPolicy, tz: tzinfo) -> Iterable[Reason]:
    """The rules that count; ``complete`` is newest first, so the first of a period is its newest."""
    periods: tuple[tuple[str, int | None, Callable[[Candidate], object]], ...] = (
        ("count", policy.count, lambda one: one.id),
        ("daily", policy.daily, lambda one: one.at.astimezone(tz).date()),
        ("weekly", policy.weekly, lambda one: one.at.astimezone(tz).isocalendar()[:2]),
        ("monthly", policy.monthly, lambda one: one.at.astimezone(tz).timetuple()[:2]),
        ("yearly", policy.yearly, lambda one: one.at.astimezone(tz).year),
    )
    for name, number, period in periods:
        seen: set[object] = set()
        for one in complete if number else ():
            if len(seen) < (number or 0) and period(one) not in seen:
                seen.add(period(one))
                yield one.id, f"{name} {len(seen)} of {number}"


def _protected(ordered: Sequence[Candidate], complete: Sequence[Candidate], now: datetime) -> Iterable[Reason]:
    yield from ((one.id, "in the future: a clock is wrong") for one in ordered if one.at > now)
    if complete:
        yield complete[0].id, "the newest complete one"
    proven = _newest_proven(complete) or _newest_proven([one for one in ordered if one.at <= now])
    if proven:
        yield proven.id, "the newest proven one"
    for one in ordered:
        if one.at <= now and not one.complete and not (complete and complete[0].at >= one.at):
            yield one.id, "partial, and no complete one is newer"


def _newest_proven(newest_first: Sequence[Candidate]) -> Candidate | None:
    for level in (Level.RESTORED, Level.READABLE):
        for one in newest_first:
            if one.level >= level:
                return one
    return None


def _why_not(candidate: Candidate, policy: KeepPolicy) -> tuple[str, ...]:
    reasons = []
    if policy.days:
        reasons.append(f"older than {counted(policy.days, 'day')}")
    if policy.ttl:
        reasons.append(f"older than its time to live of {format_duration(policy.ttl)}")
    numbers = [name for name in ("count", "daily", "weekly", "monthly", "yearly") if getattr(policy, name)]
    if numbers and candidate.complete:
        reasons.append("not among " + ", ".join(f"{name} {getattr(policy, name)}" for name in numbers))
    if not candidate.complete:
        reasons.append("partial, and a complete one is newer")
    return tuple(reasons)
