"""Cron arithmetic, above all where clocks are moved."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core import schedule
from backstay.core.errors import ConfigError
from backstay.core.schedule import check_cron, due_times, interval, next_run, overdue, previous_run

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: +1 to +2 on 29 March 02:00, back on 25 October 03:00
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_next_is_after_and_previous_is_at_or_before():
    at = utc(2026, 2, 11, 3, 0)
    assert next_run("0 3 * * *", UTC, at) == at + DAY
    assert next_run("0 3 * * *", UTC, at - timedelta(microseconds=1)) == at
    assert previous_run("0 3 * * *", UTC, at) == at
    assert previous_run("0 3 * * *", UTC, at - timedelta(microseconds=1)) == at - DAY
    assert previous_run("0 3 * * *", UTC, at + timedelta(microseconds=1)) == at


def test_the_zone_says_which_three_o_clock():
    assert next_run("0 3 * * *", BERLIN, utc(2026, 2, 11)) == utc(2026, 2, 11, 2, 0)
    assert next_run("0 3 * * *", BERLIN, utc(2026, 7, 11)) == utc(2026, 7, 11, 1, 0)


def test_every_time_is_in_utc():
    assert next_run("0 3 * * *", BERLIN, utc(2026, 2, 11)).tzinfo is UTC
    assert previous_run("0 3 * * *", BERLIN, utc(2026, 2, 11)).tzinfo is UTC
    assert all(due.tzinfo is UTC for due in due_times("0 3 * * *", BERLIN, utc(2026, 2, 1), utc(2026, 2, 5)))


def test_in_spring_a_run_in_the_hour_that_is_not_there_comes_at_its_end():
    found = list(due_times("30 2 * * *", BERLIN, utc(2026, 3, 28), utc(2026, 3, 31)))
    assert found == [utc(2026, 3, 28, 1, 30), utc(2026, 3, 29, 1, 0), utc(2026, 3, 30, 0, 30)]


def test_in_autumn_a_run_in_the_hour_that_is_there_twice_comes_once():
    found = list(due_times("30 2 * * *", BERLIN, utc(2026, 10, 24), utc(2026, 10, 27)))
    assert found == [utc(2026, 10, 24, 0, 30), utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]


def test_in_the_second_of_the_two_hours_the_first_has_gone_by():
    second = utc(2026, 10, 25, 1, 10)  # 02:10 for the second time
    assert previous_run("50 2 * * *", BERLIN, second) == utc(2026, 10, 25, 0, 50)
    assert next_run("50 2 * * *", BERLIN, second) == utc(2026, 10, 26, 1, 50)


def test_every_fifteen_minutes_goes_on_through_both_changes():
    for start in (utc(2026, 3, 28, 23, 0), utc(2026, 10, 24, 22, 0)):
        found = list(due_times("*/15 * * * *", BERLIN, start, start + 6 * HOUR))
        assert len(found) == 24
        assert {later - earlier for earlier, later in pairwise(found)} == {HOUR / 4}


@pytest.mark.parametrize(
    ("cron", "gap"),
    [
        ("*/5 * * * *", HOUR / 12),
        ("0 3 * * *", DAY),
        ("0 2 * * 1-5", 3 * DAY),
        ("0 4 * * 0", 7 * DAY),
        ("0 4 1 * *", 31 * DAY),
        ("0 */6 * * *", 6 * HOUR),
        ("0 0 1 1 *", 365 * DAY),
        ("0 0 29 2 *", 4 * 365 * DAY + DAY),
        ("@weekly", 7 * DAY),
        ("*/5 9-17 * * 1-5", 3 * DAY - 8 * HOUR - 55 * HOUR / 60),
    ],
)
def test_the_interval_is_the_longest_gap(cron, gap):
    assert interval(cron, UTC, utc(2026, 2, 11, 12, 0)) == gap


def test_the_interval_of_a_daily_run_counts_the_long_day_of_autumn():
    assert interval("0 3 * * *", BERLIN, utc(2026, 2, 11)) == 25 * HOUR


@pytest.mark.parametrize(
    ("cron", "gap"),
    [
        ("0 4 * * 0", 7 * DAY + HOUR),
        ("0 2 * * 1-5", 3 * DAY + HOUR),
        ("*/5 * * * *", HOUR / 12),
        ("0 */6 * * *", 7 * HOUR),
        ("0 4 1 * *", 31 * DAY + HOUR),
        ("0 4 * * 0#1", 35 * DAY),  # the first Sunday of a month
        ("0 4 * * 5L", 35 * DAY + HOUR),  # the last Friday
        ("0 3 1-28 * *", 4 * DAY),  # over the end of a month of 31 days
        ("0 0 1 1 *", 365 * DAY),
    ],
)
def test_the_interval_where_clocks_are_moved(cron, gap):
    assert interval(cron, BERLIN, utc(2026, 2, 11, 12, 0)) == gap


def test_overdue_is_the_first_run_missed_once_grace_has_passed():
    last, grace = utc(2026, 2, 10, 3, 0, 4), HOUR
    missed = utc(2026, 2, 11, 3, 0)
    assert overdue(last, "0 3 * * *", UTC, missed + grace, grace) is None
    assert overdue(last, "0 3 * * *", UTC, missed + grace + timedelta(seconds=1), grace) == missed
    assert overdue(last, "0 3 * * *", UTC, missed + 5 * DAY, grace) == missed


def test_a_run_by_a_clock_that_goes_ahead_is_the_run_that_was_due():
    last = utc(2026, 2, 11, 2, 59, 58)
    assert overdue(last, "0 3 * * *", UTC, utc(2026, 2, 11, 12), HOUR) is None


def test_a_backup_by_hand_before_does_not_stand_for_the_run_that_was_due():
    last = utc(2026, 2, 11, 2, 0)
    assert overdue(last, "0 3 * * *", UTC, utc(2026, 2, 11, 12), HOUR) == utc(2026, 2, 11, 3)


def test_never_backed_up_is_overdue_since_the_last_run():
    assert overdue(None, "0 3 * * *", UTC, utc(2026, 2, 11, 3, 30), HOUR) == utc(2026, 2, 10, 3)


def test_a_backup_from_the_future_is_not_overdue():
    assert overdue(utc(2030, 1, 1), "0 3 * * *", UTC, utc(2026, 2, 11), HOUR) is None


@pytest.mark.parametrize(
    "cron",
    ["", "every day", "0 3 * *", "0 3 * * * *", "60 3 * * *", "0 24 * * *", "0 3 31 2 *", "0 3 0 * *", "@every 1h"],
)
def test_what_is_no_schedule_is_a_configuration_error(cron):
    with pytest.raises(ConfigError) as raised:
        check_cron(cron)
    assert repr(cron) in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/5 9-17 * * MON-FRI", "@daily", "0 0 29 2 *"])
def test_what_is_a_schedule_passes_as_it_is(cron):
    assert check_cron(cron) == cron


def test_a_schedule_of_one_minute_is_cheap_to_follow():
    start = utc(2026, 2, 11)
    found = list(islice(due_times("* * * * *", BERLIN, start, start + 400 * DAY), 1000))
    assert found[-1] == start + timedelta(minutes=1000)


crons = st.sampled_from(
    ["0 3 * * *", "30 2 * * *", "*/7 * * * *", "15 1-3 * * *", "0 0 1 * *", "45 1 * * 0", "0 2,3 * * *", "@hourly"]
)
zones = st.sampled_from(
    [UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kathmandu")]
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
near_changes = st.sampled_from([utc(2026, 3, 29), utc(2026, 10, 25), utc(2026, 3, 8), utc(2026, 11, 1)]).flatmap(
    lambda day: st.timedeltas(-6 * HOUR, 12 * HOUR).map(lambda shift: day + shift)
)


@given(crons, zones, moments | near_changes)
def test_next_and_previous_are_neighbours(cron, tz, at):
    following = next_run(cron, tz, at)
    assert following > at
    last = previous_run(cron, tz, at)
    assert last <= at
    assert next_run(cron, tz, last) == following
    assert previous_run(cron, tz, following - timedelta(microseconds=1)) == last


@given(crons, zones, moments | near_changes)
def test_due_times_are_the_chain_of_next_runs(cron, tz, at):
    found = list(islice(due_times(cron, tz, at, at + 3 * DAY), 10))
    chain, last = [], at
    while len(chain) < 10 and (last := next_run(cron, tz, last)) <= at + 3 * DAY:
        chain.append(last)
    assert found == chain


SEVERAL = [
    "0 3 * * *",
    "30 2 * * *",
    "0 0,20 * * *",
    "45 1 * * 0",
    "0 2 * * 1-5",
    "0 */6 * * *",
    "15 1-3 * * *",
    "@daily",
]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SEVERAL), zones, moments | near_changes)
def test_the_interval_is_that_of_every_run_in_the_400_days(cron, tz, at):
    """One gap may begin before, or end after them."""

    def longest(start, end):
        return max(later - earlier for earlier, later in pairwise(due_times(cron, tz, start, end)))

    found = interval(cron, tz, at)
    assert longest(at, at + 400 * DAY) <= found <= longest(at - 15 * DAY, at + 415 * DAY)


def test_the_interval_of_a_daily_run_looks_at_few_of_them(monkeypatch):
    seen = []
    real = schedule._runs
    monkeypatch.setattr(
        schedule, "_runs", lambda *args, **more: (seen.append(due) or due for due in real(*args, **more))
    )
    assert interval("0 3 * * *", BERLIN, utc(2026, 2, 11)) == 25 * HOUR
    assert len(seen) < 40
