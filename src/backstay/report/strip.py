"""The last 30 days of a target as 30 letters, oldest first; pure.

A run answers the due time it began at or after, until the next one, within the same day or ``grace``; what answers
none counts for the day it began. A day is as bad as the worst of its due times, and a due time as good as the best
run that answers it. Where a backup would not be known any more, that there is none says nothing: such a day is blank,
as is one before the target was first backed up, and a due time whose grace still runs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import pairwise

from backstay.core.model import State
from backstay.core.schedule import EARLY, due_times

DAYS = 30
DONE, PARTIAL, FAILED, MISSED, NONE_DUE = "#~x. "
BEST_FIRST = DONE + PARTIAL + MISSED + FAILED
DAY = timedelta(days=1)
LETTERS = {State.COMPLETE: DONE, State.PARTIAL: PARTIAL, State.FAILED: FAILED}


@dataclass(frozen=True, order=True)
class Run:
    """A run: when it began, and how it ended (complete, partial or failed)."""

    began_at: datetime
    state: State


@dataclass(frozen=True)
class Days:
    """What days are counted by: the target's schedule and its time zone, the present, and the grace of a due time."""

    cron: str | None
    tz: tzinfo
    now: datetime
    grace: timedelta

    @cached_property
    def today(self) -> date:
        """The local day it is."""
        return self.now.astimezone(self.tz).date()

    def midnight(self, days_ago: int) -> datetime:
        """When the local day began that many days ago; with -1 when this one ends."""
        return datetime.combine(self.today - timedelta(days=days_ago), time.min, self.tz).astimezone(UTC)

    def of(self, moment: datetime) -> int:
        """How many days ago the local day of ``moment`` was."""
        return (self.today - moment.astimezone(self.tz).date()).days


@dataclass(frozen=True)
class _Slot:
    """A due time and the letter of what answered it."""

    due: datetime
    letter: str


def strip(runs: Iterable[Run], days: Days, *, since: datetime | None, known: Callable[[datetime], bool]) -> str:
    """The letters. Nothing is missed before ``since``; ``known`` says whether a backup that began then would be known,
    though retention may have removed it. Raises ``ConfigError`` for a schedule that is none."""
    ordered = sorted(run for run in runs if run.began_at <= days.now)
    slots, rest = _slots(ordered, days)
    by_day: dict[int, list[_Slot]] = {}
    for slot in slots:
        if slot.letter != MISSED or since is None or slot.due >= since:
            by_day.setdefault(days.of(slot.due), []).append(slot)
    extra: dict[int, list[str]] = {}
    for run in rest:
        extra.setdefault(days.of(run.began_at), []).append(LETTERS[run.state])
    return "".join(_day(by_day.get(ago, []), extra.get(ago, []), known) for ago in range(DAYS - 1, -1, -1))


def _day(slots: Sequence[_Slot], extra: Sequence[str], known: Callable[[datetime], bool]) -> str:
    """``known`` is asked for the latest lack alone: what is known of a day, is known of the day's end first."""
    lacks = [slot.due for slot in slots if slot.letter in {FAILED, MISSED}]
    if lacks and not known(max(lacks)):
        slots = [slot for slot in slots if slot.due not in lacks]
    if slots:
        return max((slot.letter for slot in slots), key=BEST_FIRST.index)
    return min(extra, key=BEST_FIRST.index, default=NONE_DUE)


def _slots(runs: Sequence[Run], days: Days) -> tuple[list[_Slot], list[Run]]:
    """The due times that have an answer or lack one for good, and the runs that answer none."""
    slots: list[_Slot] = []
    rest: list[Run] = []
    position = 0
    for due, end in _windows(days):
        while position < len(runs) and runs[position].began_at < due - EARLY:
            rest.append(runs[position])
            position += 1
        letters = []
        while position < len(runs) and runs[position].began_at < end:
            letters.append(LETTERS[runs[position].state])
            position += 1
        if letters:
            slots.append(_Slot(due, min(letters, key=BEST_FIRST.index)))
        elif due + days.grace < days.now:
            slots.append(_Slot(due, MISSED))
    return slots, [*rest, *runs[position:]]


def _windows(days: Days) -> Iterator[tuple[datetime, datetime]]:
    """Each due time with the end of the time in which a run answers it, from a day before the strip begins."""
    if days.cron is None:
        return
    due = [*due_times(days.cron, days.tz, days.midnight(DAYS), days.now + EARLY)]
    ahead = due_times(days.cron, days.tz, days.now + EARLY, days.now + DAY)
    for this, following in pairwise([*due, next(ahead, days.now + DAY)]):
        midnight = days.midnight(days.of(this) - 1)
        yield this, min(following - EARLY, max(midnight, this + days.grace))
