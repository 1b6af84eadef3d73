"""The journal of a restore: what a killed run did is what the next one finds."""

import pytest

from backstay.catalog import journal, keys
from backstay.catalog.journal import JournalState
from backstay.core.errors import CatalogError, FormatTooNew, RestoreError
from backstay.core.model import Plan, Step, Target, TierKind
from tests.catalog.fakes import CARDBOARD, STAMP, Clock, DictStore

PLAN = Plan(
    "restore",
    CARDBOARD,
    "Restore postgres/cardboard@20260211-030000",
    (Step("fetch", "38.2 MB"), Step("load", "23 tables", "about 6 s")),
    notes=("Kept: cardboard__before_20260211_154344",),
    details={"database": "cardboard", "roles": {"app": None}, "tables": ["a", "ü"]},
    confirm="postgres/cardboard",
)
BACKUP = "postgres/cardboard@20260211-030000"


def create(store, clock=None, stamp=STAMP, run="r1"):
    return journal.create(store, PLAN, stamp, BACKUP, run=run, now=clock or Clock())


def resume(store, run="r2"):
    return journal.resume(store, CARDBOARD, STAMP, run=run, now=Clock())


def test_the_plan_and_each_step_are_found_by_a_later_run():
    store, clock = DictStore(), Clock()
    opened = create(store, clock)
    clock.pass_by(seconds=3)
    opened.record("fetch", size_bytes=38_200_000)
    opened.record("load", tables=23, rows={"public.orders": 118})
    (found,) = journal.unfinished(store, CARDBOARD)
    assert found.plan == PLAN
    assert (found.backup_id, found.state) == (BACKUP, JournalState.OPEN)
    assert found.changed_at == clock.at
    resumed = resume(store)
    assert dict(resumed.done) == {
        "fetch": {"size_bytes": 38_200_000},
        "load": {"tables": 23, "rows": {"public.orders": 118}},
    }
    assert resumed.written.plan == PLAN


def test_a_step_is_in_the_store_when_record_returns():
    store = DictStore()
    opened = create(store)
    opened.record("fetch")
    assert b'"name": "fetch"' in store.objects[keys.journal_key(CARDBOARD, STAMP)]


@pytest.mark.parametrize(
    ("state", "steps", "needs"),
    [
        (JournalState.OPEN, ["create"], True),
        (JournalState.OPEN, ["create", "stop"], True),
        (JournalState.FAILED, ["create", "load"], False),
        (JournalState.FAILED, ["create", "load", "stop"], True),
        (JournalState.DONE, ["create", "load", "stop"], False),
        (JournalState.ROLLED_BACK, ["create", "load", "stop"], False),
    ],
)
def test_a_restore_needs_a_person_unless_it_ended_or_failed_before_it_stopped_the_apps(state, steps, needs):
    store = DictStore()
    opened = create(store)
    for step in steps:
        opened.record(step)
    opened.close(state)
    (found,) = journal.journals(store, CARDBOARD)
    assert found.needs_a_person is needs


@pytest.mark.parametrize("state", [JournalState.DONE, JournalState.ROLLED_BACK])
def test_a_finished_one_is_not_found_unfinished_and_not_resumed(state):
    store = DictStore()
    create(store).close(state)
    assert list(journal.unfinished(store, CARDBOARD)) == []
    assert [one.state for one in journal.journals(store, CARDBOARD)] == [state]
    with pytest.raises(RestoreError, match="is finished"):
        resume(store)


def test_a_failed_one_says_why_and_can_be_resumed():
    store = DictStore()
    create(store).close(JournalState.FAILED, "disk full")
    (found,) = journal.unfinished(store, CARDBOARD)
    assert found.message == "disk full"
    assert resume(store).written.state is JournalState.OPEN
    assert next(journal.unfinished(store, CARDBOARD)).message == ""


def test_a_run_that_was_taken_over_stops_at_its_next_step():
    store = DictStore()
    stalled = create(store)
    stalled.record("fetch")
    taken = resume(store)
    with pytest.raises(RestoreError, match="another run"):
        stalled.record("swap")
    taken.record("load")
    assert list(next(journal.journals(store, CARDBOARD)).steps) == ["fetch", "load"]


def test_two_restores_of_one_second_do_not_share_a_journal():
    store = DictStore()
    create(store)
    with pytest.raises(RestoreError):
        create(store, run="r2")


def test_newest_first_and_only_those_of_the_target():
    store = DictStore()
    for stamp in (STAMP, "20260212-000000"):
        create(store, stamp=stamp)
    assert [one.stamp for one in journal.journals(store, CARDBOARD)] == ["20260212-000000", STAMP]
    assert list(journal.journals(store, Target(TierKind.POSTGRES, "dnd"))) == []


def test_there_is_none_to_resume():
    with pytest.raises(RestoreError, match=f"no journal of a restore postgres/cardboard@{STAMP}"):
        resume(DictStore())


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b'"version": 1', b'"version": 2', FormatTooNew),
        (b'"state": "open"', b'"state": "half"', CatalogError),
        (b'"target": "cardboard"', b'"target": "dnd"', CatalogError),
        (b'"steps"', b'"step"', None),
        (b'"done": []', b'"done": [1]', CatalogError),
        (b'"tier": "postgres"', b'"tier": "disk"', CatalogError),
    ],
)
def test_a_damaged_journal_is_never_executed(old, new, error):
    store = DictStore()
    create(store)
    key = keys.journal_key(CARDBOARD, STAMP)
    assert old in store.objects[key]
    store.objects[key] = store.objects[key].replace(old, new, 1)
    if error is None:
        assert resume(store).written.plan.steps == ()
    else:
        with pytest.raises(error, match=STAMP):
            resume(store)


LATER = "20260211-164344"


def test_one_that_failed_early_is_history_once_another_restore_ended():
    store = DictStore()
    create(store).close(JournalState.FAILED, "no identity")
    found = journal.pending(store, CARDBOARD)
    assert found is not None
    assert found.resumable
    create(store, stamp=LATER).close(JournalState.DONE)
    found = journal.pending(store, CARDBOARD)
    assert found is not None
    assert (found.stamp, found.resumable) == (LATER, False)


def test_one_that_needs_a_person_comes_before_newer_ones():
    store = DictStore()
    create(store).record("stop")
    create(store, stamp=LATER).close(JournalState.FAILED, "refused")
    found = journal.pending(store, CARDBOARD)
    assert found is not None
    assert (found.stamp, found.needs_a_person) == (STAMP, True)


def test_without_a_restore_nothing_is_pending():
    assert journal.pending(DictStore(), CARDBOARD) is None
