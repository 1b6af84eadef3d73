"""Retention: each rule, each protection, and what holds for any input."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import ConfigError
from backstay.core.model import Level
from backstay.core.retention import Candidate, KeepPolicy, decide, mass_deletion

NOW = datetime(2026, 2, 11, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NUMBERS = ("days", "count", "daily", "weekly", "monthly", "yearly")


def daily(count, *, level=Level.WRITTEN, complete=True):
    """One backup a day at 03:00, the newest nine hours ago; named by their age in days."""
    newest = NOW - timedelta(hours=9)
    return [Candidate(f"d{age}", newest - age * DAY, complete, level) for age in range(count)]


def kept(candidates, policy, now=NOW, tz=UTC):
    return {decision.candidate.id for decision in decide(candidates, policy, now, tz) if decision.keep}


def reasons(candidates, policy, candidate_id, tz=UTC):
    decisions = {decision.candidate.id: decision for decision in decide(candidates, policy, NOW, tz)}
    return decisions[candidate_id].reasons


def test_no_rule_keeps_everything_and_says_so():
    assert kept(daily(400), KeepPolicy()) == {f"d{age}" for age in range(400)}
    assert "no rule removes anything" in reasons(daily(3), KeepPolicy(), "d2")


def test_days_is_an_age_with_its_end_included():
    candidates = [
        Candidate("new", NOW, True, Level.WRITTEN),
        Candidate("edge", NOW - 7 * DAY, True, Level.WRITTEN),
        Candidate("old", NOW - 7 * DAY - timedelta(seconds=1), True, Level.WRITTEN),
    ]
    assert kept(candidates, KeepPolicy(days=7)) == {"new", "edge"}
    assert reasons(candidates, KeepPolicy(days=7), "edge") == ("within 7 days",)
    assert reasons(candidates, KeepPolicy(days=7), "old") == ("older than 7 days",)


def test_ttl_is_an_age_too():
    policy = KeepPolicy(ttl=timedelta(hours=72))
    assert kept(daily(10), policy) == {"d0", "d1", "d2"}
    assert reasons(daily(10), policy, "d9") == ("older than its time to live of 3 d",)


def test_count_numbers_the_newest_complete_ones():
    assert kept(daily(10), KeepPolicy(count=3)) == {"d0", "d1", "d2"}
    assert reasons(daily(10), KeepPolicy(count=3), "d2") == ("count 3 of 3",)
    assert reasons(daily(10), KeepPolicy(count=3), "d3") == ("not among count 3",)


def test_daily_keeps_the_newest_of_each_day_that_has_one():
    hours = [Candidate(f"h{hour}", NOW - timedelta(hours=hour), True, Level.WRITTEN) for hour in range(0, 96, 6)]
    # 12:00 and each six hours before; the newest of a day before is at 18:00
    assert kept(hours, KeepPolicy(daily=3)) == {"h0", "h18", "h42"}
    assert "daily 3 of 3" in reasons(hours, KeepPolicy(daily=3), "h42")


def test_a_day_without_a_backup_takes_no_place():
    candidates = [candidate for candidate in daily(10) if candidate.id not in {"d1", "d2", "d3"}]
    assert kept(candidates, KeepPolicy(daily=3)) == {"d0", "d4", "d5"}


def test_a_day_begins_where_the_zone_says():
    late, early = (
        Candidate("late", datetime(2026, 2, 10, 23, 30, tzinfo=UTC), True, Level.WRITTEN),
        Candidate("early", datetime(2026, 2, 10, 1, 0, tzinfo=UTC), True, Level.WRITTEN),
    )
    assert kept([late, early], KeepPolicy(daily=2)) == {"late"}
    assert kept([late, early], KeepPolicy(daily=2), tz=ZoneInfo("Europe/Berlin")) == {"late", "early"}


def test_weeks_months_and_years():
    candidates = daily(800)
    assert kept(candidates, KeepPolicy(weekly=3)) == {"d0", "d3", "d10"}  # Wednesday, then Sundays
    assert kept(candidates, KeepPolicy(monthly=3)) == {"d0", "d11", "d42"}  # 31 January, 31 December
    assert kept(candidates, KeepPolicy(yearly=3)) == {"d0", "d42", "d407"}


def test_a_week_that_spans_two_years_is_one_week():
    monday, thursday = datetime(2024, 12, 30, 3, tzinfo=UTC), datetime(2025, 1, 2, 3, tzinfo=UTC)
    candidates = [Candidate("mon", monday, True, Level.WRITTEN), Candidate("thu", thursday, True, Level.WRITTEN)]
    assert kept(candidates, KeepPolicy(weekly=2)) == {"thu"}


def test_any_rule_is_enough():
    assert kept(daily(60), KeepPolicy(days=2, monthly=2)) == {"d0", "d1", "d11"}
    assert reasons(daily(60), KeepPolicy(days=2, monthly=2), "d0") == (
        "within 2 days",
        "monthly 1 of 2",
        "the newest complete one",
    )


def test_the_newest_complete_one_stays_however_old():
    old = [Candidate("a", NOW - 400 * DAY, True, Level.WRITTEN), Candidate("b", NOW - 500 * DAY, True, Level.WRITTEN)]
    assert kept(old, KeepPolicy(days=7)) == {"a"}
    assert reasons(old, KeepPolicy(days=7), "a") == ("the newest complete one",)


def test_the_newest_restored_one_stays_and_a_readable_one_only_where_none_was_restored():
    candidates = daily(10)
    candidates[5] = replace(candidates[5], level=Level.READABLE)
    assert kept(candidates, KeepPolicy(count=1)) == {"d0", "d5"}
    candidates[8] = replace(candidates[8], level=Level.RESTORED)
    assert kept(candidates, KeepPolicy(count=1)) == {"d0", "d8"}
    assert reasons(candidates, KeepPolicy(count=1), "d8") == ("the newest proven one",)


def test_a_proven_partial_one_does_not_stand_for_a_proven_complete_one():
    candidates = [replace(one, level=Level.RESTORED) for one in daily(10)]
    candidates[3] = replace(candidates[3], complete=False)
    for unproven in (0, 1, 2):
        candidates[unproven] = replace(candidates[unproven], level=Level.WRITTEN)
    assert kept(candidates, KeepPolicy(count=1)) == {"d0", "d4"}


def test_the_future_is_kept_and_takes_no_place():
    ahead = Candidate("ahead", NOW + 30 * DAY, True, Level.RESTORED)
    candidates = [ahead, *daily(5)]
    assert kept(candidates, KeepPolicy(count=2)) == {"ahead", "d0", "d1"}
    assert reasons(candidates, KeepPolicy(count=2), "ahead") == ("in the future: a clock is wrong",)
    assert kept(candidates, KeepPolicy(days=1)) == {"ahead", "d0"}


def test_a_partial_one_takes_no_place_and_stays_while_nothing_complete_is_newer():
    candidates = daily(6)
    candidates[0] = replace(candidates[0], complete=False)
    candidates[3] = replace(candidates[3], complete=False)
    assert kept(candidates, KeepPolicy(count=3)) == {"d0", "d1", "d2", "d4"}
    assert reasons(candidates, KeepPolicy(count=3), "d0") == ("partial, and no complete one is newer",)
    assert reasons(candidates, KeepPolicy(count=3), "d3") == ("partial, and a complete one is newer",)
    assert "d3" in kept(candidates, KeepPolicy(days=7))


@pytest.mark.parametrize("rule", NUMBERS)
@pytest.mark.parametrize("value", [0, -1])
def test_a_rule_below_one_is_refused(rule, value):
    with pytest.raises(ConfigError, match=rule):
        KeepPolicy(**{rule: value})


def test_a_ttl_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="ttl"):
        KeepPolicy(ttl=timedelta(0))


@pytest.mark.parametrize(
    ("before", "keep", "mass"),
    [(10, 4, True), (10, 5, False), (10, 9, False), (3, 1, False), (4, 1, True), (0, 1, False)],
)
def test_a_mass_deletion_is_more_than_half_and_more_than_two(before, keep, mass):
    decisions = decide(daily(before), KeepPolicy(count=keep), NOW, UTC)
    said = mass_deletion(decisions)
    assert (said is not None) is mass
    if said:
        assert f"{before - keep} of {before}" in said


def test_partial_ones_are_no_part_of_a_mass_deletion():
    decisions = decide([*daily(2), *daily(20, complete=False)[3:]], KeepPolicy(count=2), NOW, UTC)
    assert sum(not decision.keep for decision in decisions) == 17
    assert mass_deletion(decisions) is None


numbers = st.none() | st.integers(1, 40)
policies = st.builds(
    KeepPolicy,
    days=numbers,
    count=numbers,
    ttl=st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=900)),
    daily=numbers,
    weekly=numbers,
    monthly=numbers,
    yearly=numbers,
)
times = st.datetimes(datetime(2023, 1, 1), datetime(2026, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001
some = st.lists(
    st.builds(Candidate, st.uuids().map(str), times, st.booleans(), st.sampled_from(Level)),
    max_size=40,
    unique_by=lambda candidate: candidate.id,
)
zones = st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/Lima")])


@given(some, policies, zones)
def test_each_one_is_decided_once_newest_first_with_a_reason(candidates, policy, tz):
    decisions = decide(candidates, policy, NOW, tz)
    assert [decision.candidate.at for decision in decisions] == sorted(
        (candidate.at for candidate in candidates), reverse=True
    )
    assert {decision.candidate for decision in decisions} == set(candidates)
    assert all(decision.reasons for decision in decisions)


@given(some, policies, zones)
def test_carrying_it_out_and_deciding_again_removes_nothing_more(candidates, policy, tz):
    left = [decision.candidate for decision in decide(candidates, policy, NOW, tz) if decision.keep]
    assert kept(left, policy, tz=tz) == {candidate.id for candidate in left}


@given(some, policies, st.sampled_from(NUMBERS), st.integers(1, 40), zones)
def test_a_more_generous_rule_never_removes_what_was_kept(candidates, policy, rule, more, tz):
    if policy.keeps_everything:
        return
    generous = replace(policy, **{rule: (getattr(policy, rule) or 0) + more})
    assert kept(candidates, policy, tz=tz) <= kept(candidates, generous, tz=tz)


@given(some, policies, zones)
def test_the_protections_hold_for_any_input(candidates, policy, tz):
    remaining = kept(candidates, policy, tz=tz)
    past = sorted((one for one in candidates if one.at <= NOW), key=lambda one: (one.at, one.id))
    complete = [one for one in past if one.complete]
    assert {one.id for one in candidates if one.at > NOW} <= remaining
    assert not complete or complete[-1].id in remaining
    for level in (Level.RESTORED, Level.READABLE):
        proven = [one for one in complete if one.level >= level]
        if proven:
            assert proven[-1].id in remaining
            break
    assert not candidates or remaining


@given(some, policies, zones)
def test_partial_ones_never_push_out_a_complete_one(candidates, policy, tz):
    complete = [one for one in candidates if one.complete]
    assert kept(complete, policy, tz=tz) <= kept(candidates, policy, tz=tz)
