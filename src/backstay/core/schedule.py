"""When a backup is due: cron arithmetic with a time zone.

Expressions have the five fields of cron(5), or are ``@daily`` and the like. In a zone with daylight
saving a run at a fixed time happens once on each day: at the end of the hour that a day in spring lacks,
at the first of the two hours that a day in autumn has twice (as Debian's cron does). Every time that
comes out of here is in UTC.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import chain, islice, pairwise

from cronsim import CronSim, CronSimError

from backstay.core.errors import ConfigError

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = 5
SHIFT = timedelta(hours=3)  # more than any zone's clock is moved for daylight saving
EARLY = timedelta(minutes=1)  # a run that began so little before its time, by another clock, is that run
HORIZON = timedelta(days=400)  # more than a year: every month, and every time that clocks are moved
MOST_RUNS = 2000
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def check_cron(cron: str) -> str:
    """Return ``cron`` if it is a cron expression that comes due. Raises ``ConfigError``."""
    next_run(cron, UTC, datetime(2026, 1, 1, tzinfo=UTC))
    return cron


def next_run(cron: str, tz: tzinfo, after: datetime) -> datetime:
    """The first due time after ``after``. Raises ``ConfigError``, also when none comes in 50 years."""
    for due in _runs(cron, tz, after - SHIFT):
        if due > after:
            return due
    raise _never(cron)


def previous_run(cron: str, tz: tzinfo, at: datetime) -> datetime:
    """The last due time at or before ``at``. Raises ``ConfigError``, also when none was in 50 years."""
    for due in _runs(cron, tz, at + SHIFT, reverse=True):
        if due <= at:
            return due
    raise _never(cron)


def due_times(cron: str, tz: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Every due time after ``start`` and not after ``end``. Raises ``ConfigError``."""
    last = start
    for due in _runs(cron, tz, start - SHIFT):
        if due > end:
            return
        if due > last:
            last = due
            yield due


def interval(cron: str, tz: tzinfo, at: datetime) -> timedelta:
    """The longest gap between two runs in the 400 days from ``at``; of days of the month, within 2,000 runs.

    ``0 2 * * 1-5`` runs every day but not at weekends: three days, and an hour where clocks are moved in autumn.
    Raises ``ConfigError``.
    """
    period = _period(cron)
    if period is None:
        first = next_run(cron, tz, at)
        second = next_run(cron, tz, first)  # also of a cron that comes due once in many years
        return _longest(chain((first, second), islice(due_times(cron, tz, second, at + HORIZON), MOST_RUNS)))
    first = next_run(cron, UTC, at)  # as the clock on the wall shows it, while nobody moves it
    longest = _longest(chain((first,), due_times(cron, UTC, first, first + period)))
    for moved in _clock_changes(tz, at, at + HORIZON):
        before, after = previous_run(cron, tz, moved - SHIFT), next_run(cron, tz, moved + SHIFT)
        longest = max(longest, _longest(chain((before,), due_times(cron, tz, before, after))))
    return longest


def overdue(last_good: datetime | None, cron: str, tz: tzinfo, now: datetime, grace: timedelta) -> datetime | None:
    """The due time that has been missed: the first after ``last_good``, once ``grace`` has passed since.

    With no good backup at all it is the last due time that ``grace`` has passed since. ``None``: not overdue.
    Raises ``ConfigError``.
    """
    if last_good is None:
        return previous_run(cron, tz, now - grace)
    due = next_run(cron, tz, last_good + EARLY)
    return due if due + grace < now else None


def _period(cron: str) -> timedelta | None:
    """After how long the runs repeat: a day or a week. ``None`` where days of the month or months have a say."""
    fields = MACROS.get(cron.strip().lower(), cron).lower().split()
    if len(fields) != FIELDS or fields[2:4] != ["*", "*"] or set("#l") & set(fields[4]):  # 1#2 and 5L are of a month
        return None
    return DAY if fields[4] == "*" else 7 * DAY


def _longest(moments: Iterable[datetime]) -> timedelta:
    return max(later - earlier for earlier, later in pairwise(moments))


def _clock_changes(tz: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """When clocks are moved, to the hour."""
    while start < end:
        low, high = start, start + DAY
        if _offset(tz, low) != _offset(tz, high):
            while high - low > HOUR:
                middle = low + (high - low) / 2
                low, high = (low, middle) if _offset(tz, low) != _offset(tz, middle) else (middle, high)
            yield high
        start += DAY


def _offset(tz: tzinfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(tz).utcoffset()


def _runs(cron: str, tz: tzinfo, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    expression = MACROS.get(cron.strip().lower(), cron)
    if len(expression.split()) != FIELDS:
        raise _bad(cron, "it does not have five fields")
    try:
        # Compared in UTC: two times of one zone compare by their wall clock, which is wrong where it is moved.
        for due in CronSim(expression, start.astimezone(tz), reverse=reverse):
            yield due.astimezone(UTC)
    except CronSimError as error:
        raise _bad(cron, str(error)) from error


def _bad(cron: str, why: str) -> ConfigError:
    return ConfigError(
        f"{cron!r} is not a cron expression: {why}",
        hint="It has five fields: minute, hour, day of the month, month, day of the week. `0 3 * * *` is daily at 3.",
    )


def _never(cron: str) -> ConfigError:
    return ConfigError(f"{cron!r} never comes due", hint="No such day exists in 50 years.")
