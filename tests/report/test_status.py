"""Status: how each target is judged, what is said of it, and what the stores do not tell."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from backstay.catalog import history, journal, keys
from backstay.catalog.journal import JournalState
from backstay.catalog.lease import Holder, acquire
from backstay.core.errors import SecretError, SourceError, StoreMissing, Unavailable
from backstay.core.model import Level, NoProgress, Plan, State
from backstay.core.retention import KeepPolicy
from backstay.core.units import format_stamp
from backstay.jobs import prune
from backstay.report.plain import as_json
from backstay.report.status import build
from backstay.report.values import Verdict
from backstay.store.memory import MemoryStore
from tests.catalog.fakes import CARDBOARD, NOW, Clock, DictStore, make_backup
from tests.fixtures.stocked import DAY, HAM, Stocked, settings

THREE = NOW.replace(hour=3, minute=0, second=0)
HOUR = timedelta(hours=1)


def report(stocked, **options):
    return build(stocked.context, now=stocked.clock(), **options)


def only(stocked, **options):
    (target,) = report(stocked, **options).targets
    return target


def said(stocked, **options):
    return [(one.text, one.command) for one in report(stocked, **options).attention]


def proven(count=35, **changes):
    """One target, backed up each day, of which the last but one was restored."""
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=60), **changes)])
    made = stocked.daily(count)
    stocked.prove(made[-2], Level.RESTORED, at=NOW - 2 * DAY)
    return stocked, made


def test_all_is_well():
    stocked, made = proven()
    found = report(stocked)
    (target,) = found.targets
    assert found.headline == "homelab: 1 of 1 target proven."
    assert (found.verdict, found.breach, found.attention) == (Verdict.OK, False, ())
    assert target.last_good.id == made[-1].id
    assert target.age == NOW - made[-1].finished_at
    assert target.size_bytes == 2
    assert target.rpo == DAY
    assert target.strip == "#" * 30
    assert target.next_run == THREE + DAY
    assert (target.proven.level, target.proven.age, target.proven.duration_seconds) == (Level.RESTORED, 2 * DAY, 6.0)
    assert target.missed_at is None
    assert target.working is None


def test_several_are_counted_by_how_they_stand_and_told_worst_first():
    names = [HAM, *(type(HAM)(HAM.tier, name) for name in ("dnd", "wiki"))]
    stocked = Stocked([settings(target, keep=KeepPolicy()) for target in (CARDBOARD, *names)])
    for target in (CARDBOARD, HAM, names[1]):
        made = stocked.daily(3, target, first=THREE - (2 * DAY if target == names[1] else 0 * DAY))
        if target != HAM:
            stocked.prove(made[-1], Level.RESTORED, at=NOW - HOUR)
    found = report(stocked)
    assert found.headline == "homelab: 1 of 4 targets proven, 1 never backed up, 1 late, 1 unproven."
    assert [one.subject for one in found.attention] == ["postgres/wiki", "postgres/dnd", "postgres/ham"]
    assert found.verdict is Verdict.NONE
    assert found.breach


def test_all_of_several_proven():
    stocked = Stocked([settings(CARDBOARD), settings(HAM)])
    for target in (CARDBOARD, HAM):
        stocked.prove(stocked.backup(THREE, target), Level.RESTORED)
    assert report(stocked).headline == "homelab: all 2 targets proven."


def test_no_targets_are_not_called_proven():
    assert report(Stocked([])).headline == "homelab: no targets are configured."


# Never backed up, late


def test_never_backed_up():
    stocked = Stocked()
    target = only(stocked)
    assert (target.verdict, target.breach) == (Verdict.NONE, True)
    assert (target.last_good, target.proven, target.strip) == (None, None, " " * 30)
    assert said(stocked) == [
        (
            "postgres/cardboard has never been backed up. Its next run is due in 11 h.",
            "backstay backup postgres/cardboard",
        )
    ]


def test_dumps_of_other_tools_are_no_backup_but_are_told():
    stocked = Stocked()
    for day in ("09", "10"):
        key = f"postgres-backups/cardboard/cardboard-202602{day}-030000.sql.gz"
        stocked.store.put(key, (b"theirs",))
    target = only(stocked)
    assert (target.verdict, target.breach) == (Verdict.NONE, True)
    assert (target.foreign.count, target.foreign.newest_at) == (2, THREE - DAY)
    assert "There are 2 dumps of another tool, the newest 36 h old." in said(stocked)[0][0]


@pytest.mark.parametrize(("seconds", "verdict"), [(0, Verdict.UNPROVEN), (1, Verdict.LATE)])
def test_late_only_after_the_grace(seconds, verdict):
    stocked = Stocked()
    stocked.backup(THREE - DAY)
    stocked.clock.at = THREE + HOUR + timedelta(seconds=seconds)
    assert only(stocked).verdict is verdict
    assert only(stocked, grace=timedelta(0)).verdict is Verdict.LATE
    assert only(stocked, grace=2 * HOUR).verdict is Verdict.UNPROVEN


def test_late_says_since_when_and_what_went_wrong():
    stocked, _ = proven()
    stocked.clock.at = NOW + DAY
    stocked.fail(THREE + DAY, error=SourceError("connection refused"))
    target = only(stocked)
    assert (target.verdict, target.breach) == (Verdict.LATE, True)
    assert target.missed_at == THREE + DAY
    assert said(stocked) == [
        (
            "postgres/cardboard is late: last good 36 h ago, due every 24 h. Last try failed: connection refused.",
            "backstay backup postgres/cardboard",
        )
    ]


def test_a_run_that_is_at_work_on_a_late_target_is_told():
    stocked, _ = proven()
    stocked.clock.at = NOW + DAY
    holder = Holder("o", "node1", 1, "backup")
    with acquire(stocked.store, CARDBOARD, holder, now=lambda: stocked.clock() - timedelta(minutes=2), sleep=print):
        (line,) = said(stocked)
    assert line[0].endswith("A backup is at work on it since 2 m.")


def test_a_day_whose_clock_is_moved_is_not_late():
    """02:30 does not exist on 29 March 2026 in Berlin: the run is due at 03:00 summer time, 01:00 UTC."""
    stocked = Stocked([settings(CARDBOARD, schedule="30 2 * * *", timezone="Europe/Berlin")])
    stocked.backup(datetime(2026, 3, 28, 1, 30, tzinfo=UTC))
    stocked.clock.at = datetime(2026, 3, 29, 2, 0, tzinfo=UTC)
    target = only(stocked)
    assert target.verdict is Verdict.UNPROVEN
    assert target.next_run == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    stocked.clock.pass_by(seconds=1)
    target = only(stocked)
    assert target.verdict is Verdict.LATE
    assert target.missed_at == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert target.strip[-2:] == "#."


def test_the_configured_rpo_counts_beside_the_schedule():
    stocked, _ = proven(rpo=11 * HOUR)
    target = only(stocked)
    assert (target.verdict, target.rpo, target.missed_at) == (Verdict.LATE, 11 * HOUR, None)
    assert "due every 11 h" in said(stocked)[0][0]


def test_without_a_schedule_nothing_is_late():
    stocked, _ = proven(schedule=None)
    stocked.clock.pass_by(days=20)
    target = only(stocked)
    assert (target.verdict, target.rpo, target.next_run) == (Verdict.OK, None, None)


# Failed, partial


def test_a_failure_after_the_last_good_one_is_a_failure_though_not_late():
    stocked, _ = proven()
    stocked.fail(NOW - HOUR)
    target = only(stocked)
    assert (target.verdict, target.breach) == (Verdict.FAILED, True)
    assert (target.last_failure.message, target.last_failure.hint) == ("connection refused", "Is it up?")
    assert target.last_failure.began_at == NOW - HOUR
    assert said(stocked)[0][0] == "postgres/cardboard failed 1 h ago: connection refused. Last good 12 h ago."


def test_a_failure_before_the_last_good_one_is_history():
    stocked, _ = proven()
    stocked.fail(THREE - HOUR)
    target = only(stocked)
    assert (target.verdict, target.last_failure) == (Verdict.OK, None)


def test_what_a_failure_said_is_one_short_line():
    stocked, _ = proven()
    stocked.fail(NOW - HOUR, error=SourceError("first\n  second " + "x" * 500))
    text = said(stocked)[0][0]
    assert "failed 1 h ago: first second xxx" in text
    assert len(text) < 300


def test_a_failure_that_cannot_be_read_is_still_a_failure():
    stocked, _ = proven()
    stocked.store.put(keys.failure_key(CARDBOARD, format_stamp(NOW - HOUR)), (b"{}",))
    found = report(stocked)
    assert found.targets[0].verdict is Verdict.FAILED
    assert found.findings


def test_the_last_good_one_found_bad_is_a_failure():
    stocked, made = proven()
    stocked.prove(made[-1], Level.STORED, ok=False, at=NOW - HOUR)
    target = only(stocked)
    assert (target.verdict, target.breach) == (Verdict.FAILED, True)
    assert said(stocked)[0][0] == (
        f"{made[-1].id}, the last good backup, did not pass its check 1 h ago: dump: sha256 differs."
    )
    stocked.prove(made[-1], Level.READABLE, at=NOW)
    assert only(stocked).verdict is Verdict.OK


def test_a_late_one_that_was_found_bad_says_both():
    stocked, made = proven()
    stocked.prove(made[-1], Level.STORED, ok=False, at=NOW - HOUR)
    stocked.clock.at = NOW + DAY
    assert said(stocked)[0][0] == (
        "postgres/cardboard is late: last good 36 h ago, which did not pass its check, due every 24 h."
    )


def test_the_newest_is_partial():
    stocked, made = proven()
    partial = stocked.partial(NOW - HOUR)
    target = only(stocked)
    assert (target.verdict, target.breach) == (Verdict.PARTIAL, True)
    assert (target.last_good.id, target.newer_partial.id) == (made[-1].id, partial.id)
    assert said(stocked) == [
        (
            "The newest backup of postgres/cardboard is partial: it leaves out the globals.",
            f"backstay show {partial.id}",
        )
    ]


def test_a_partial_one_does_not_make_up_for_a_missing_good_one():
    stocked, _ = proven()
    stocked.clock.at = NOW + DAY
    stocked.partial(THREE + DAY)
    assert only(stocked).verdict is Verdict.LATE


def test_a_good_one_before_the_last_month_is_found_behind_newer_partial_ones():
    stocked = Stocked()
    old = stocked.backup(THREE - 50 * DAY)
    partial = stocked.partial(THREE)
    target = only(stocked)
    assert (target.last_good.id, target.newer_partial.id) == (old.id, partial.id)
    assert target.verdict is Verdict.LATE


def test_nothing_but_partial_ones():
    stocked = Stocked()
    stocked.partial(THREE)
    target = only(stocked)
    assert (target.verdict, target.last_good, target.age, target.size_bytes) == (Verdict.PARTIAL, None, None, 2)
    stocked.clock.pass_by(days=1)
    assert only(stocked).verdict is Verdict.LATE
    assert "there is no complete backup of it" in said(stocked)[0][0]


def test_litter_of_a_killed_run_is_no_backup():
    stocked, made = proven()
    backup = make_backup(stamp=format_stamp(NOW))
    run = stocked.catalog().begin(CARDBOARD, backup.stamp)
    run.promise(backup.artifacts[0].key)
    stocked.store.put(backup.artifacts[0].key, (b"x",))
    assert only(stocked).last_good.id == made[-1].id


# Proven


def test_unproven_is_a_breach_only_when_there_is_an_objective():
    stocked = Stocked()
    stocked.backup(THREE)
    found = report(stocked)
    assert (found.verdict, found.breach) == (Verdict.UNPROVEN, False)
    assert report(stocked, max_age=30 * DAY).breach
    assert said(stocked) == [
        (
            "postgres/cardboard has never been restored, nor checked.",
            "backstay drill postgres/cardboard",
        )
    ]


def test_a_check_that_reads_is_not_a_restore():
    stocked = Stocked()
    backup = stocked.backup(THREE)
    stocked.prove(backup, Level.READABLE, at=NOW - 3 * HOUR)
    target = only(stocked)
    assert (target.verdict, target.proven.level) == (Verdict.UNPROVEN, Level.READABLE)
    assert said(stocked)[0][0] == "postgres/cardboard has never been restored; it was found readable 3 h ago."


def test_the_proof_of_an_older_backup_counts_for_the_target_until_it_is_too_old():
    stocked, made = proven()
    assert only(stocked).proven.backup_id == made[-2].id
    assert only(stocked, max_age=2 * DAY).verdict is Verdict.OK
    stocked.clock.pass_by(seconds=1)
    target = only(stocked, max_age=2 * DAY)
    assert (target.verdict, target.breach) == (Verdict.UNPROVEN, True)
    assert said(stocked, max_age=2 * DAY)[0][0] == (
        "postgres/cardboard was last restored 2 d ago; a proof counts for 2 d."
    )
    assert only(stocked).verdict is Verdict.OK


def test_the_highest_level_counts_and_of_it_the_newest():
    stocked, made = proven()
    stocked.prove(made[-3], Level.RESTORED, at=NOW - 5 * DAY)
    stocked.prove(made[-1], Level.READABLE, at=NOW - HOUR)
    assert only(stocked).proven.backup_id == made[-2].id


# The strip, as the stores tell it


def test_a_strip_of_what_happened():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=60))])
    for backup in range(8, 2, -1):
        stocked.backup(THREE - backup * DAY)
    stocked.partial(THREE - 2 * DAY)
    stocked.fail(THREE - DAY)
    assert only(stocked).strip == " " * 21 + "######~x."


def test_days_beyond_retention_are_blank_not_missed():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=7))])
    stocked.backup(THREE - 40 * DAY)
    stocked.daily(3)
    assert only(stocked).strip == " " * 23 + "....###"


def retire(stocked, *ages, state=State.COMPLETE):
    for age in ages:
        history.retire(stocked.store, make_backup(stamp=format_stamp(THREE - age * DAY), state=state), stocked.clock())


def test_backups_that_retention_has_removed_are_in_the_strip_by_their_notes():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=7))])
    retire(stocked, 34, 25, 24)
    retire(stocked, 23, state=State.PARTIAL)
    stocked.daily(8)
    stocked.store.requests.clear()
    assert only(stocked).strip == "    ##~" + " " * 15 + "#" * 8  # between notes and retention nothing is known
    assert not [key for verb, key in stocked.store.requests if verb == "get" and key.startswith(keys.RETIRED)]


def test_from_the_first_note_on_a_day_without_backup_is_missed():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=7))])
    retire(stocked, 20, 19, 12)
    stocked.daily(5)
    stocked.fail(THREE - 10 * DAY)
    stocked.store.modified_at = NOW - 15 * DAY  # when the notes were written
    assert only(stocked).strip == " " * 9 + "##" + " " * 4 + "..#.x.....#####"


def test_a_retry_that_retention_has_removed_still_answers_for_its_day():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=7))])
    stocked.fail(THREE - 9 * DAY)
    history.retire(stocked.store, make_backup(stamp=format_stamp(THREE - 9 * DAY + HOUR)), NOW)
    stocked.daily(8)
    assert only(stocked).strip == " " * 20 + "# " + "#" * 8


def test_notes_of_all_stores_count():
    stocked = Stocked([settings(CARDBOARD)], {"main": DictStore(), "away": DictStore()})
    history.retire(stocked.stores["away"], make_backup(stamp=format_stamp(THREE - 20 * DAY)), NOW)
    stocked.daily(8)
    assert only(stocked).strip == " " * 9 + "#" + " " * 12 + "#" * 8


def test_prune_and_status_together_tell_a_month():
    clock = Clock()
    stocked = Stocked([settings(CARDBOARD)], {"main": MemoryStore(now=clock)}, clock)
    for day in range(40):
        clock.pass_by(days=1)
        if day != 20:
            stocked.backup(THREE + (day + 1) * DAY)
        assert all(
            outcome.ok for outcome in prune.run(stocked.context, prune.plan(stocked.context, [CARDBOARD]), NoProgress())
        )
    assert len(stocked.ids()) == 7
    assert only(stocked).strip == "#" * 10 + "." + "#" * 19


def test_a_gap_before_the_first_backup_of_the_month_is_missed_when_there_are_older_ones():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy())])
    stocked.backup(THREE - 40 * DAY)
    stocked.daily(3)
    assert only(stocked).strip == "." * 27 + "###"


def test_the_last_good_one_may_be_older_than_the_strip():
    stocked = Stocked()
    old = stocked.backup(THREE - 50 * DAY)
    stocked.partial(THREE - 45 * DAY)
    target = only(stocked)
    assert (target.verdict, target.last_good.id) == (Verdict.LATE, old.id)
    assert target.newer_partial is not None


# Stores


def down(_verb, _key):
    raise Unavailable("no answer", hint="Is the network up?")


def two_stores():
    stores = {"main": DictStore(), "away": DictStore()}
    stocked = Stocked([settings(CARDBOARD), settings(HAM, store="away")], stores)
    for target, store in ((CARDBOARD, "main"), (HAM, "away")):
        backup = stocked.backup(THREE, target, store=store)
        stocked.prove(backup, Level.RESTORED, store=store)
    return stocked


def test_a_store_that_does_not_answer_is_a_breach_and_the_others_are_shown():
    stocked = two_stores()
    assert not report(stocked).breach
    stocked.stores["away"].before = down
    found = report(stocked)
    assert [one.verdict for one in found.targets] == [Verdict.OK, Verdict.UNKNOWN]
    assert found.targets[1].strip == ""
    assert (found.verdict, found.breach) == (Verdict.UNKNOWN, True)
    assert found.headline == "homelab: 1 of 2 targets proven, 1 not known. Store away cannot be asked."
    assert [(one.text, one.command) for one in found.attention] == [
        (
            "Store away cannot be asked: no answer. Nothing is known of 1 target kept there.",
            "backstay store check away",
        )
    ]
    assert found.stores[0].hint == "Is the network up?"


def test_a_store_that_keeps_no_target_is_a_breach_too_when_it_does_not_answer():
    stocked, _ = proven()
    stocked.stores["spare"] = DictStore(before=down)
    found = report(stocked)
    assert found.targets[0].verdict is Verdict.OK
    assert found.breach
    assert "Store spare cannot be asked." in found.headline


@pytest.mark.parametrize("error", [StoreMissing("no such bucket"), SecretError("no secret"), Unavailable("late")])
def test_a_store_that_stops_answering_at_any_request_leaves_its_targets_unknown(error):
    def stocked_and_told():
        stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy())])
        stocked.backup(THREE - 40 * DAY)
        stocked.fail(THREE)
        cut_short(stocked)
        return stocked

    total = counted(stocked_and_told())
    assert total > 12
    for fatal in range(total):
        stocked = stocked_and_told()
        left = iter(range(fatal))

        def hook(_verb, _key, left=left):
            if next(left, None) is None:
                raise error

        stocked.store.before = hook
        found = report(stocked)
        assert [one.verdict for one in found.targets] == [Verdict.UNKNOWN]
        assert found.breach
        assert [one.code for one in found.stores] == [error.code]


def counted(stocked):
    stocked.store.requests.clear()
    report(stocked)
    return len(stocked.store.requests)


def test_a_store_of_another_cluster_is_not_taken_for_ours():
    stocked, _ = proven()
    stocked.catalog(cluster="office").ensure_format()
    found = report(stocked)
    assert found.targets[0].verdict is Verdict.UNKNOWN
    assert "cluster office" in found.stores[0].message


def test_a_store_of_a_newer_format_is_not_called_empty():
    stocked = Stocked()
    stocked.store.put(keys.FORMAT, (b'{"format": "backstay/store", "version": 2, "cluster": "homelab"}',))
    found = report(stocked)
    assert found.targets[0].verdict is Verdict.UNKNOWN
    assert found.stores[0].code == "catalog.too_new"


def test_a_damaged_manifest_is_a_breach_and_the_others_are_read():
    stocked, made = proven()
    stocked.store.objects[keys.manifest_key(CARDBOARD, made[-5].stamp)] = b"{}"
    found = report(stocked)
    assert found.targets[0].verdict is Verdict.OK
    assert found.breach
    assert made[-5].stamp in found.attention[-1].text


def test_a_damaged_old_manifest_is_passed_over_for_the_one_before():
    stocked = Stocked()
    good = stocked.backup(THREE - 50 * DAY)
    bad = stocked.backup(THREE - 45 * DAY)
    stocked.store.objects[keys.manifest_key(CARDBOARD, bad.stamp)] = b"{}"
    found = report(stocked)
    assert found.targets[0].last_good.id == good.id
    assert found.breach


def test_a_backup_from_the_future_does_not_hide_that_none_is_made():
    stocked, made = proven()
    stocked.backup(NOW + 300 * DAY)
    target = only(stocked)
    assert target.last_good.id == made[-1].id
    assert "is from the future" in said(stocked)[0][0]
    stocked.clock.at = NOW + DAY
    assert only(stocked).verdict is Verdict.LATE


def test_a_backup_from_the_future_does_not_hide_the_old_good_one():
    stocked = Stocked()
    old = stocked.backup(THREE - 50 * DAY)
    stocked.backup(NOW + 300 * DAY)
    assert only(stocked).last_good.id == old.id


def test_a_target_that_has_moved_is_known_by_what_both_stores_hold():
    stocked = Stocked([settings(CARDBOARD, store="new", keep=KeepPolicy())], {"main": DictStore(), "new": DictStore()})
    stocked.daily(29, first=THREE - DAY)
    last = stocked.backup(THREE, store="new")
    target = only(stocked)
    assert (target.last_good.id, target.last_good.store, target.store) == (last.id, "new", "new")
    assert target.strip == "#" * 30


# Restores


def cut_short(stocked, *steps, state=None, run="r9"):
    plan = Plan("restore", CARDBOARD, "Restore", ())
    stamp = format_stamp(NOW - HOUR)
    opened = journal.create(stocked.store, plan, stamp, "postgres/cardboard@x", run=run, now=stocked.clock)
    for step in steps:
        opened.record(step)
    if state:
        opened.close(state)


def test_a_restore_that_was_cut_short_comes_first():
    stocked, _ = proven()
    cut_short(stocked, "stop")
    found = report(stocked)
    assert found.restores[0].running is False
    assert [one.command for one in found.attention] == ["backstay restore postgres/cardboard --resume"]
    assert "was cut short" in found.attention[0].text
    assert found.breach


@pytest.mark.parametrize(
    ("steps", "state", "told"),
    [
        ((), JournalState.FAILED, False),  # tidied up after itself
        (("stop",), JournalState.FAILED, True),
        (("stop",), JournalState.DONE, False),
        (("stop",), JournalState.ROLLED_BACK, False),
    ],
)
def test_only_restores_that_left_something_need_a_person(steps, state, told):
    stocked, _ = proven()
    cut_short(stocked, *steps, state=state)
    assert bool(report(stocked).restores) is told


def test_a_restore_that_runs_needs_nobody():
    stocked, _ = proven()
    cut_short(stocked, run="o")
    with acquire(stocked.store, CARDBOARD, Holder("o", "h", 1, "restore"), now=stocked.clock, sleep=print):
        found = report(stocked)
    assert [one.running for one in found.restores] == [True]
    assert found.attention == ()
    assert not found.breach


# JSON


def test_the_json_says_what_the_report_says():
    stocked, made = proven()
    stocked.fail(NOW - HOUR)
    cut_short(stocked)
    told = json.loads(json.dumps(as_json(report(stocked))))
    (target,) = told["targets"]
    assert (told["cluster"], told["at"], told["verdict"], told["breach"]) == (
        "homelab", "2026-02-11T15:43:44Z", "failed", True,
    )  # fmt: skip
    assert target["last_good"]["backup"] == made[-1].id
    assert target["last_good_age_seconds"] == (NOW - made[-1].finished_at).total_seconds()
    assert target["rpo_seconds"] == 86_400
    assert target["last_30_days"] == "#" * 30
    assert target["proven"]["level"] == "restored"
    assert target["last_failure"]["hint"] == "Is it up?"
    assert told["restores"][0]["running"] is False
    assert len(told["attention"]) == 2
