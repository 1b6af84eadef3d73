"""The strip: each rule of it, and what holds for any schedule, zone and runs."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import ConfigError
from backstay.core.model import State
from backstay.core.schedule import due_times
from backstay.report.strip import DAYS, Days, Run, strip

NOW = datetime(2026, 2, 11, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
DAILY = "0 3 * * *"
BOUNDED = settings(max_examples=50, deadline=None)
STATES = (State.COMPLETE, State.PARTIAL, State.FAILED)
CRONS = (None, DAILY, "50 23 * * *", "30 2 * * *", "0 */6 * * *", "0 4 * * 0", "0 5 1 * *", "*/30 * * * *")


def letters(*runs, cron=DAILY, tz=UTC, now=NOW, grace=HOUR, since=None, known=lambda _: True):
    return strip(runs, Days(cron, tz, now, grace), since=since, known=known)


def at(day, clock="03:00", month=2, tz=UTC):
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, month, day, hour, minute, tzinfo=tz).astimezone(UTC)


def done(*moments):
    return [Run(moment, State.COMPLETE) for moment in moments]


def daily(count=DAYS):
    return [at(11) - age * DAY for age in range(count)]


def test_each_letter():
    runs = [
        *done(*daily()[4:]),
        Run(at(8), State.PARTIAL),
        Run(at(9), State.FAILED),
        *done(at(11)),
    ]
    assert letters(*runs) == "#" * 26 + "~x" + ".#"
    weekly = letters(*done(at(8, "04:00"), at(1, "04:00")), cron="0 4 * * 0", since=at(1))
    assert weekly == " " * 19 + "#" + " " * 6 + "#" + " " * 3


def test_a_retry_that_succeeds_answers_for_the_day():
    runs = [Run(at(10), State.FAILED), *done(at(10, "09:30"), at(11))]
    assert letters(*runs, since=at(10))[-2:] == "##"


def test_a_run_by_hand_before_does_not_answer_for_what_was_due_after():
    assert letters(*done(at(10, "01:00"), at(11)), since=at(10))[-2:] == ".#"


def test_a_run_that_begins_late_in_the_night_counts_for_the_day_it_was_due():
    runs = done(at(9, "23:50"), at(11, "00:10"))  # the one of the 10th, twenty minutes late
    assert letters(*runs, cron="50 23 * * *", since=at(9))[-3:] == "## "


def test_a_run_by_hand_days_after_a_weekly_one_counts_for_its_own_day():
    runs = [Run(at(8, "04:00"), State.FAILED), *done(at(10, "15:00"))]
    assert letters(*runs, cron="0 4 * * 0", since=at(8))[-4:] == "x # "


def test_a_run_that_begins_seconds_early_by_another_clock_is_that_run():
    early = done(at(11) - timedelta(seconds=20))
    assert letters(*early, since=at(11))[-1] == "#"


@pytest.mark.parametrize(("minutes", "letter"), [(-1, " "), (0, " "), (59, " "), (60, " "), (61, "."), (300, ".")])
def test_what_is_due_today_is_missed_only_after_its_grace(minutes, letter):
    now = at(11) + timedelta(minutes=minutes)
    assert letters(*done(at(10)), now=now, since=at(10))[-2:] == f"#{letter}"


def test_of_several_due_times_the_worst_tells():
    six = [at(10, f"{hour:02}:00") for hour in (0, 6, 12, 18)]
    runs = done(*six[:3], at(11, "00:00"), at(11, "06:00"))
    assert letters(*runs, cron="0 */6 * * *", since=at(10))[-2:] == ".#"
    runs.append(Run(six[3], State.FAILED))
    assert letters(*runs, cron="0 */6 * * *", since=at(10))[-2:] == "x#"


def test_without_a_schedule_the_best_run_of_a_day_tells_and_nothing_is_missed():
    runs = [Run(at(9), State.FAILED), Run(at(10), State.FAILED), Run(at(10, "05:00"), State.PARTIAL)]
    assert letters(*runs, cron=None)[-4:] == " x~ "


def test_nothing_is_missed_before_the_first_backup():
    assert letters(*done(at(10), at(11)), since=at(10)) == " " * 28 + "##"


def test_what_retention_would_have_removed_is_not_missed_and_not_failed():
    runs = [Run(at(2), State.FAILED), *done(at(10), at(11))]
    week = letters(*runs, known=lambda moment: moment >= at(5))
    assert week == " " * 23 + "....." + "##"


def test_a_day_of_which_retention_keeps_the_last_is_done():
    """Hourly runs of which one a day is kept: the other hours are not missed."""
    runs = done(*(at(11, "11:00") - age * DAY + (12 * HOUR if age else 0 * HOUR) for age in range(5)))
    newest = {run.began_at.date(): run.began_at for run in runs}

    def kept(moment):
        return moment >= newest.get(moment.date(), moment + DAY) and moment.date() >= date(2026, 2, 7)

    assert letters(*runs, cron="0 * * * *", known=kept)[-6:] == " #####"


@pytest.mark.parametrize(
    ("cron", "now"),
    [
        ("30 2 * * *", datetime(2026, 4, 2, 12, tzinfo=UTC)),  # 29 March lacks 02:30
        ("30 2 * * *", datetime(2026, 10, 30, 12, tzinfo=UTC)),  # 25 October has it twice
        ("50 23 * * *", datetime(2026, 4, 2, 22, 30, tzinfo=UTC)),
        ("0 0 * * *", datetime(2026, 10, 30, 12, tzinfo=UTC)),
    ],
)
def test_days_are_those_of_the_zone_when_clocks_are_moved(cron, now):
    due = list(due_times(cron, BERLIN, now - 31 * DAY, now))
    runs = done(*(moment + timedelta(seconds=5) for moment in due))
    full = letters(*runs, cron=cron, tz=BERLIN, now=now)
    assert full in {"#" * 30, "#" * 29 + " "}
    moved = next(
        moment for moment in due if moment.astimezone(BERLIN).date() in {date(2026, 3, 29), date(2026, 10, 25)}
    )
    ago = (now.astimezone(BERLIN).date() - moved.astimezone(BERLIN).date()).days
    without = [run for run in runs if run.began_at != moved + timedelta(seconds=5)]
    assert letters(*without, cron=cron, tz=BERLIN, now=now) == full[: DAYS - 1 - ago] + "." + full[DAYS - ago :]


def test_a_schedule_that_is_none_is_an_error():
    with pytest.raises(ConfigError):
        letters(cron="every day")


moments = st.timedeltas(min_value=-HOUR, max_value=33 * DAY).map(lambda age: NOW - age)
runs_of_any_kind = st.lists(st.builds(Run, moments, st.sampled_from(STATES)), max_size=80)
worlds = st.tuples(st.sampled_from(CRONS), st.sampled_from((UTC, BERLIN, ZoneInfo("Asia/Kolkata"))))


@BOUNDED
@given(runs_of_any_kind, worlds, st.randoms(use_true_random=False))
def test_it_has_thirty_letters_whatever_the_order_of_the_runs(runs, world, random):
    cron, tz = world
    told = letters(*runs, cron=cron, tz=tz)
    assert len(told) == DAYS
    assert set(told) <= set("#~x. ")
    random.shuffle(runs)
    assert letters(*runs, cron=cron, tz=tz) == told


@BOUNDED
@given(worlds.filter(lambda world: world[0] is not None), runs_of_any_kind)
def test_a_day_whose_every_due_time_was_answered_is_done(world, more):
    cron, tz = world
    due = list(due_times(cron, tz, NOW - 33 * DAY, NOW))
    told = letters(*done(*due), *more, cron=cron, tz=tz)
    today = NOW.astimezone(tz).date()
    for moment in due:
        ago = (today - moment.astimezone(tz).date()).days
        if ago < DAYS:
            assert told[DAYS - 1 - ago] == "#"


@BOUNDED
@given(st.lists(st.tuples(st.sampled_from(("#", "~", "x", ".")), st.integers(0, 20 * 60)), min_size=30, max_size=30))
def test_a_daily_schedule_reads_as_it_went(days):
    """Against an oracle: one run a day, so many minutes late, on days that are over."""
    now = at(12, "02:00")
    state = {"#": State.COMPLETE, "~": State.PARTIAL, "x": State.FAILED}
    runs = [
        Run(at(11) - (29 - index) * DAY + timedelta(minutes=late), state[letter])
        for index, (letter, late) in enumerate(days)
        if letter in state
    ]
    told = letters(*runs, now=now)
    assert told == "".join(letter for letter, _ in days[1:]) + " "


@BOUNDED
@given(runs_of_any_kind, worlds, moments)
def test_one_more_good_run_makes_no_day_worse(runs, world, moment):
    cron, tz = world
    order = "x.~#"
    before = letters(*runs, cron=cron, tz=tz)
    after = letters(*runs, Run(moment, State.COMPLETE), cron=cron, tz=tz)
    for old, new in zip(before, after, strict=True):
        assert old == " " or order.index(new) >= order.index(old)


@BOUNDED
@given(runs_of_any_kind, worlds)
def test_where_retention_holds_nothing_nothing_is_said_to_be_missed(runs, world):
    cron, tz = world
    told = letters(*runs, cron=cron, tz=tz, known=lambda _: False)
    assert "." not in told
