"""Prune: what it decides, what it refuses, and what a crash at any request leaves."""

import json
from datetime import timedelta

import pytest

from backstay.catalog import history, intent, keys
from backstay.catalog.lease import Holder, acquire
from backstay.core.errors import Declined, Incomplete, LeaseLost, Locked, NotFound, Unavailable
from backstay.core.model import Level, NoProgress, State
from backstay.core.retention import KeepPolicy
from backstay.core.units import format_stamp
from backstay.jobs import prune
from backstay.jobs.prune_plan import Fate
from backstay.jobs.refuted import refuted
from backstay.store.memory import MemoryStore
from tests.catalog.fakes import CARDBOARD, NOW, Clock, DictStore, Killed, make_backup
from tests.fixtures.stocked import DAY, HAM, Stocked, settings

THREE = NOW.replace(hour=3, minute=0, second=0)


def planned(stocked, *targets, **options):
    return prune.plan(stocked.context, targets or [one.target for one in stocked.targets], **options)


def pruned(stocked, plan=None, **options):
    return prune.run(stocked.context, plan or planned(stocked, **options), NoProgress())


def removals(plan):
    return [entry.stamp for one in plan.targets for entry in one.with_fate(Fate.REMOVE)]


def no_manifest_promises_what_is_gone(stocked):
    for name, store in stocked.stores.items():
        for backup in stocked.catalog(name).backups():
            missing = [artifact.key for artifact in backup.artifacts if artifact.key not in store.objects]
            assert not missing, f"{backup.id} promises {missing}"


# What it decides


def test_the_plan_says_why_each_stays_or_goes():
    stocked = Stocked()
    stocked.daily(9)
    (plan,) = planned(stocked).as_plans()
    assert plan.title == "Prune postgres/cardboard in store main (keep days 7): remove 2 of 9 backups, 4 B"
    lines = [(step.name, step.detail, step.note) for step in plan.steps]
    assert lines[0] == ("keep", "postgres/cardboard@20260211-030000, 2 B", "within 7 days; the newest complete one")
    assert lines[-1] == ("remove", "postgres/cardboard@20260203-030000, 2 B", "older than 7 days")
    assert len(lines) == 9


def test_the_plan_is_plain_json_and_its_sizes_add_up():
    stocked = Stocked()
    stocked.daily(9)
    plan = planned(stocked)
    told = json.loads(json.dumps(plan.as_json()))
    (target,) = told["targets"]
    assert told["freed_bytes"] == target["freed_bytes"] == 4
    assert [one["action"] for one in target["backups"]].count("remove") == 2
    assert target["keep"] == {"days": 7}
    assert plan.as_plans()[0].details == plan.targets[0].as_json()


def test_planning_writes_nothing():
    stocked = Stocked()
    stocked.daily(9)
    before = dict(stocked.store.objects)
    planned(stocked)
    assert stocked.store.objects == before


def test_running_removes_manifest_artifacts_and_proofs_of_what_was_planned_and_nothing_else():
    stocked = Stocked()
    made = stocked.daily(9)
    for age, backup in enumerate(made):
        stocked.prove(backup, Level.READABLE, at=NOW - timedelta(minutes=age))
    before = set(stocked.store.objects)
    (outcome,) = pruned(stocked)
    assert outcome.ok
    assert outcome.message == "removed 2 backups, 4 B"
    assert outcome.facts["removed"] == [made[0].id, made[1].id]
    gone = before - set(stocked.store.objects)
    assert len(gone) == 8  # of each its manifest, two artifacts and a proof
    assert all(any(one.stamp in key for one in made[:2]) or key.startswith(keys.DRILLS) for key in gone)
    assert {proof.backup_id for proof in stocked.catalog().proofs.read()} == {one.id for one in made[2:]}
    notes = {keys.retired_key(CARDBOARD, one.stamp, State.COMPLETE) for one in made[:2]}
    assert set(stocked.store.objects) - before == {keys.lease_key(CARDBOARD), *notes}
    assert outcome.facts["freed_bytes"] == 4


def test_nothing_to_do_takes_no_lease():
    stocked = Stocked()
    stocked.daily(3)
    (outcome,) = pruned(stocked)
    assert outcome.ok
    assert outcome.message == "nothing was removed"
    assert keys.lease_key(CARDBOARD) not in stocked.store.objects


def test_the_newest_proven_one_stays_among_hundreds():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(count=3))])
    made = stocked.daily(200)
    stocked.prove(made[20], Level.RESTORED)
    stocked.prove(made[150], Level.READABLE, at=NOW - timedelta(minutes=1))
    plan = planned(stocked, allow_mass_delete=True)
    pruned(stocked, plan)
    assert stocked.ids() == [made[20].stamp, *(one.stamp for one in made[-3:])]
    entry = next(one for one in plan.targets[0].entries if one.stamp == made[20].stamp)
    assert entry.reasons == ("the newest proven one",)


def test_one_that_a_check_found_bad_takes_no_place_and_protects_nothing():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(count=2))])
    made = stocked.daily(4)
    stocked.prove(made[3], Level.STORED, ok=False)
    plan = planned(stocked)
    assert removals(plan) == [made[0].stamp]
    assert plan.targets[0].entries[0].reasons[-1] == "its last check found it bad"
    stocked.prove(made[3], Level.READABLE, at=NOW + timedelta(minutes=1))  # it was the line, not the bytes
    assert removals(planned(stocked)) == [made[0].stamp, made[1].stamp]


def test_what_something_else_has_removed_protects_nothing_and_is_said():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=2))])
    made = stocked.daily(8)
    for number in (1, 4, 6):
        stocked.prove(made[number], Level.RESTORED, at=NOW - timedelta(minutes=number))
    for backup in made[2:]:
        stocked.store.objects.pop(backup.artifacts[0].key)
    plan = planned(stocked, allow_mass_delete=True)
    by_stamp = {entry.stamp: entry for entry in plan.targets[0].entries}
    assert by_stamp[made[1].stamp].reasons == ("the newest complete one", "the newest proven one")
    gone = by_stamp[made[6].stamp]
    assert not gone.sound
    assert "not in the store any more" in gone.reasons[-1]
    assert removals(plan) == [made[0].stamp]
    steps = [(step.name, step.detail) for step in plan.targets[0].as_plan().steps]
    assert ("record", f"{made[6].id} as found bad") in steps
    (outcome,) = pruned(stocked, plan)
    assert "recorded what is gone of 6 backups" in outcome.message
    assert stocked.ids() == [one.stamp for one in made[1:]]
    held = refuted(stocked.catalog().proofs.read(CARDBOARD))
    assert sorted(held) == [one.id for one in made[2:]]
    assert "something else removed them" in held[made[6].id].findings[0].message
    again = planned(stocked)
    assert again.targets[0].does_nothing
    assert again.targets[0].entries[1].reasons[-1] == "its last check found it bad"


@pytest.mark.parametrize(
    "later",
    [[], [(Level.RESTORED, False)], [(Level.STORED, False), (Level.STORED, True)]],
    ids=["alone", "and its drill", "and a shallow one that was cleared"],
)
def test_one_that_a_check_found_bad_takes_no_place_whatever_comes_after(later):
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(count=1))])
    good, bad = stocked.daily(2)
    for minutes, (level, ok) in enumerate([(Level.READABLE, False), *later]):
        stocked.prove(bad, level, ok=ok, at=NOW - timedelta(minutes=10 - minutes))
    pruned(stocked)
    assert good.stamp in stocked.ids()
    stocked.prove(bad, Level.READABLE, at=NOW)
    pruned(stocked)
    assert stocked.ids() == [bad.stamp]


def test_partial_ones_go_when_a_complete_one_is_newer():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(count=1))])
    stocked.backup(THREE - 3 * DAY, state=State.PARTIAL)
    stocked.backup(THREE - 2 * DAY)
    newest = stocked.backup(THREE - DAY, state=State.PARTIAL)
    pruned(stocked)
    assert stocked.ids() == [format_stamp(THREE - 2 * DAY), newest.stamp]


def test_dumps_of_other_tools_are_never_removed_and_strays_are_only_told():
    stocked = Stocked()
    stocked.daily(9)
    old = "postgres-backups/cardboard/cardboard-20250101-030000"
    theirs = [f"{old}.sql.gz", f"{old}.sql.gz.sha256", f"{old}.dump"]
    for key in theirs:
        stocked.store.put(key, (b"theirs",))
    assert planned(stocked).targets[0].strays == 0  # they may be part of something that is being written
    stocked.clock.pass_by(days=2)
    plan = planned(stocked)
    assert plan.targets[0].strays == 2
    assert "Left alone: 2 objects (12 B)" in plan.as_plans()[0].notes[0]
    pruned(stocked, plan)
    assert all(key in stocked.store.objects for key in theirs)


def test_failed_runs_are_forgotten_when_old_and_followed_by_a_good_one():
    stocked = Stocked([settings(CARDBOARD), settings(HAM)])
    for target in (CARDBOARD, HAM):
        stocked.fail(NOW - 40 * DAY, target)
        stocked.fail(NOW - 3 * DAY, target)
    stocked.backup(THREE - DAY)
    outcomes = pruned(stocked)
    assert [outcome.facts["failures_forgotten"] for outcome in outcomes] == [1, 0]  # ham never had a good one
    left = {key for key in stocked.store.objects if key.startswith(keys.FAILURES)}
    assert left == {
        keys.failure_key(CARDBOARD, format_stamp(NOW - 3 * DAY)),
        keys.failure_key(HAM, format_stamp(NOW - 3 * DAY)),
        keys.failure_key(HAM, format_stamp(NOW - 40 * DAY)),
    }


def test_what_is_removed_leaves_a_note_for_as_long_as_status_looks_back():
    stocked = Stocked()
    stocked.backup(NOW - 36 * DAY)
    partial = stocked.partial(NOW - 10 * DAY)
    stocked.daily(9)
    pruned(stocked)
    noted = [(one.stamp, one.state) for one in history.retired(stocked.store, CARDBOARD)]
    assert noted == [
        (partial.stamp, State.PARTIAL),
        ("20260203-030000", State.COMPLETE),
        ("20260204-030000", State.COMPLETE),
    ]
    stocked.clock.pass_by(days=26)
    (one,) = planned(stocked, allow_mass_delete=True).targets
    assert one.retired == 1
    assert "1 note of removed backups begun before" in one.as_plan().steps[-1].detail
    (outcome,) = pruned(stocked, allow_mass_delete=True)
    assert "dropped 1 note of earlier removals" in outcome.message
    assert outcome.facts["notes_forgotten"] == 1
    assert partial.stamp not in [one.stamp for one in history.retired(stocked.store, CARDBOARD)]


def test_a_note_that_is_too_old_is_reason_enough_to_run():
    stocked = Stocked()
    stocked.daily(3)
    history.retire(stocked.store, make_backup(stamp=format_stamp(NOW - 36 * DAY)), NOW)
    assert not planned(stocked).targets[0].does_nothing
    (outcome,) = pruned(stocked)
    assert outcome.message == "dropped 1 note of earlier removals"
    assert planned(stocked).targets[0].does_nothing


def test_the_note_is_there_before_the_backup_is_gone():
    stocked = Stocked()
    made = stocked.daily(8)

    def killed_at_the_manifest(verb, key):
        if (verb, key) == ("delete", keys.manifest_key(CARDBOARD, made[0].stamp)):
            raise Killed

    stocked.store.before = killed_at_the_manifest
    with pytest.raises(Killed):
        pruned(stocked)
    assert keys.retired_key(CARDBOARD, made[0].stamp, State.COMPLETE) in stocked.store.objects


# Litter


def begun(stocked, at, *, committing=False):
    """A run killed after its first artifact, or after it had decided to commit."""
    backup = make_backup(stamp=format_stamp(at))
    run = stocked.catalog().begin(CARDBOARD, backup.stamp)
    run.promise(*(artifact.key for artifact in backup.artifacts))
    for artifact in backup.artifacts if committing else backup.artifacts[:1]:
        stocked.store.put(artifact.key, (b"x",))
    if committing:
        stocked.store.before = lambda verb, key: kill_on(verb, key, keys.manifest_key(CARDBOARD, backup.stamp))
        with pytest.raises(Killed):
            run.commit(backup)
        stocked.store.before = lambda _verb, _key: None
    return backup


def kill_on(verb, key, fatal):
    if (verb, key) == ("put", fatal):
        raise Killed


def test_what_a_killed_run_left_goes_after_a_day_and_not_before():
    stocked = Stocked()
    stocked.daily(3)
    killed = begun(stocked, NOW)
    stocked.clock.pass_by(hours=23)
    assert planned(stocked).targets[0].does_nothing
    stocked.clock.pass_by(hours=2)
    plan = planned(stocked)
    assert [(one.stamp, one.keys, one.size_bytes) for one in plan.targets[0].litter] == [
        (killed.stamp, (killed.artifacts[0].key,), 1)
    ]
    (outcome,) = pruned(stocked, plan)
    assert outcome.message == "cleaned up after 1 run, 1 B"
    assert killed.artifacts[0].key not in stocked.store.objects
    assert planned(stocked).targets[0].does_nothing  # the tombstone stays for its day, and is not told again
    stocked.clock.pass_by(hours=25)
    pruned(stocked)
    assert not [key for key in stocked.store.objects if key.startswith(keys.INTENTS)]


def test_a_commit_that_was_decided_is_finished():
    stocked = Stocked()
    killed = begun(stocked, NOW, committing=True)
    stocked.clock.pass_by(hours=25)
    plan = planned(stocked)
    assert plan.as_plans()[0].steps[-1].detail.endswith("finish the commit it had decided")
    pruned(stocked, plan)
    assert stocked.ids() == [killed.stamp]
    no_manifest_promises_what_is_gone(stocked)


def test_an_intent_that_cannot_be_read_is_told_and_left():
    stocked = Stocked()
    key = keys.intent_key(CARDBOARD, format_stamp(NOW - 3 * DAY))
    stocked.store.put(key, (b"no json",))
    (one,) = planned(stocked).targets
    assert "is not JSON" in one.findings[0].message
    assert one.does_nothing
    assert key in stocked.store.objects


# What it refuses


def test_a_mass_deletion_is_refused_before_anything_is_removed():
    stocked = Stocked([settings(CARDBOARD), settings(HAM)])
    stocked.daily(30)
    stocked.daily(9, HAM)
    before = dict(stocked.store.objects)
    plan = planned(stocked)
    with pytest.raises(Declined) as caught:
        pruned(stocked, plan)
    assert stocked.store.objects == before
    assert caught.value.message == (
        "this prune would be a mass deletion (postgres/cardboard: "
        "23 of 30 complete backups would be removed, which is more than half)"
    )
    assert "now say: keep days 7. Its backups reach back 29 d" in caught.value.hint
    assert "--allow-mass-delete" in caught.value.hint
    assert plan.as_json()["refused"]["exit_code"] == 4
    assert "A mass deletion" in plan.as_plans()[0].notes[0]


def test_a_mass_deletion_runs_when_it_is_allowed():
    stocked = Stocked()
    stocked.daily(30)
    (outcome,) = pruned(stocked, allow_mass_delete=True)
    assert outcome.ok
    assert len(stocked.ids()) == 7


def test_a_target_that_another_run_works_on_is_skipped_and_said():
    stocked = Stocked([settings(CARDBOARD), settings(HAM)])
    stocked.daily(9)
    stocked.daily(9, HAM)
    holder = Holder("other", "node1", 7, "backup")
    with acquire(stocked.store, CARDBOARD, holder, now=stocked.clock, sleep=lambda _: None):
        cardboard, ham = pruned(stocked)
    assert not cardboard.ok
    assert cardboard.message.startswith("skipped: backup on node1 (pid 7) is working on postgres/cardboard")
    assert cardboard.facts["error"]["exit_code"] == 11
    assert ham.ok
    assert (len(stocked.ids()), len(stocked.ids(HAM))) == (9, 7)


def test_a_proof_since_the_plan_that_protects_one_of_it_stops_the_target():
    stocked = Stocked()
    made = stocked.daily(9)
    plan = planned(stocked)
    stocked.prove(made[0], Level.RESTORED)
    (outcome,) = pruned(stocked, plan)
    assert not outcome.ok
    assert outcome.facts["error"]["code"] == "incomplete"
    assert "is to stay now (the newest proven one)" in outcome.message
    assert len(stocked.ids()) == 9


def test_the_newest_good_one_found_bad_since_the_plan_stops_the_target():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(count=1))])
    made = stocked.daily(2)
    plan = planned(stocked)
    assert removals(plan) == [made[0].stamp]
    stocked.prove(made[1], Level.STORED, ok=False)
    (outcome,) = pruned(stocked, plan)
    assert not outcome.ok
    assert stocked.ids() == [one.stamp for one in made]


def test_a_backup_since_the_plan_does_not_add_to_what_is_removed():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(count=3))])
    made = stocked.daily(4)
    plan = planned(stocked)
    new = stocked.backup(NOW)
    pruned(stocked, plan)
    assert stocked.ids() == [*(one.stamp for one in made[1:]), new.stamp]


def test_the_last_look_does_not_trust_the_rules():
    stocked = Stocked()
    made = stocked.daily(3)
    stocked.prove(made[0], Level.READABLE)
    (one,) = planned(stocked).targets
    for entry, why in ((one.entries[0], "the newest complete one"), (one.entries[2], "the newest proven one")):
        wrong = [type(other)(**{**vars(other), "fate": Fate.REMOVE}) for other in one.entries]
        fresh = type(one)(**{**vars(one), "entries": tuple(wrong)})
        with pytest.raises(Incomplete, match=why):
            prune.check_still_right([entry], fresh)
    prune.check_still_right([one.entries[1]], fresh)


def test_a_damaged_manifest_is_told_and_left_while_the_rest_goes():
    stocked = Stocked()
    made = stocked.daily(9)
    key = keys.manifest_key(CARDBOARD, made[0].stamp)
    stocked.store.objects[key] = b"{}"
    stocked.prove(made[0], Level.STORED)
    (outcome,) = pruned(stocked)
    assert outcome.ok
    assert key in outcome.findings[0].message
    assert key in stocked.store.objects
    assert len(stocked.ids()) == 8
    assert len(list(stocked.catalog().proofs.read())) == 1  # a manifest that cannot be read is not gone


def test_a_damaged_proof_blocks_its_target_alone():
    stocked = Stocked([settings(CARDBOARD), settings(HAM)])
    stocked.daily(9)
    stocked.daily(9, HAM)
    stocked.store.put(keys.proof_key(CARDBOARD, format_stamp(NOW), "restore"), (b"{}",))
    cardboard, ham = pruned(stocked)
    assert not cardboard.ok
    assert len(stocked.ids()) == 9
    assert ham.ok


def test_a_store_of_another_cluster_is_left_alone():
    stocked = Stocked()
    stocked.daily(9)
    stocked.catalog(cluster="office").ensure_format()
    (outcome,) = pruned(stocked)
    assert not outcome.ok
    assert "holds the backups of cluster office" in outcome.message
    assert len(stocked.ids()) == 9


def down(_verb, _key):
    raise Unavailable("no answer")


def test_a_store_that_does_not_answer_blocks_its_own_targets_alone():
    stocked = Stocked([settings(CARDBOARD), settings(HAM, store="away")], {"main": DictStore(), "away": DictStore()})
    stocked.daily(9)
    stocked.daily(9, HAM, store="away")
    stocked.stores["away"].before = down
    cardboard, ham = pruned(stocked)
    assert (cardboard.ok, ham.ok) == (True, False)
    assert ham.facts["error"]["code"] == "store.unavailable"
    assert len(stocked.ids()) == 7


def test_each_store_is_decided_by_itself():
    stocked = Stocked([settings(CARDBOARD, store="new")], {"main": DictStore(), "new": DictStore()})
    stocked.daily(3, first=THREE - 60 * DAY)
    stocked.daily(3, store="new")
    plan = planned(stocked)
    assert [(one.store, len(one.with_fate(Fate.REMOVE))) for one in plan.targets] == [("main", 2), ("new", 0)]
    pruned(stocked, plan)
    assert stocked.ids() == [format_stamp(THREE - 60 * DAY)]  # the last one there is not taken
    assert len(stocked.ids(store="new")) == 3


def test_an_artifact_that_a_kept_backup_promises_too_is_not_removed():
    stocked = Stocked()
    made = stocked.daily(9)
    stocked.backup(THREE + timedelta(hours=1), artifacts=made[0].artifacts)
    pruned(stocked)
    assert made[0].stamp in stocked.ids()
    no_manifest_promises_what_is_gone(stocked)


# Object lock


def test_what_is_known_to_be_locked_waits_and_its_date_is_said():
    stocked = Stocked([settings(CARDBOARD, lock_for=7 * DAY + timedelta(hours=13))])
    made = stocked.daily(10)
    plan = planned(stocked)
    step = next(step for step in plan.as_plans()[0].steps if step.name == "locked")
    assert step.note == "older than 7 days; but locked until 2026-02-11 16:00 UTC"
    (outcome,) = pruned(stocked, plan)
    assert outcome.ok
    assert outcome.message == "removed 2 backups, 4 B; 1 backup locked for now"
    assert outcome.facts["removed"] == [made[0].id, made[1].id]
    assert outcome.facts["locked"] == {made[2].id: "2026-02-11T16:00:00Z"}
    stocked.clock.pass_by(hours=1)
    assert removals(planned(stocked)) == [made[2].stamp]


def test_a_lock_nobody_told_of_is_reported_and_the_rest_goes_on():
    stocked = Stocked()
    made = stocked.daily(9)
    fatal = made[0].artifacts[0].key

    def locked(verb, key):
        if (verb, key) == ("delete", fatal):
            raise Locked(f"{key} is locked until 2026-03-01 00:00 UTC")

    stocked.store.before = locked
    (outcome,) = pruned(stocked)
    assert not outcome.ok
    assert "locked until 2026-03-01" in outcome.findings[-1].message
    assert outcome.facts["removed"] == [made[1].id]
    no_manifest_promises_what_is_gone(stocked)
    (again,) = pruned(stocked)
    assert not again.ok  # what is left of it is tried again, and said again
    stocked.store.before = lambda _verb, _key: None
    (last,) = pruned(stocked)
    assert last.ok
    assert fatal not in stocked.store.objects


def test_a_store_that_locks_for_longer_than_it_was_told_keeps_its_bytes():
    clock = Clock()
    stocked = Stocked(stores={"main": MemoryStore(now=clock)}, clock=clock)
    made = stocked.daily(9)
    dump = made[0].artifacts[0].key
    stocked.store.put(dump, (b"x",), lock_until=NOW + 30 * DAY)
    (outcome,) = pruned(stocked)
    assert not outcome.ok
    assert "is locked until 2026-03-13" in outcome.findings[-1].message
    assert outcome.facts["removed"] == [made[1].id]
    assert stocked.store.head(dump).size_bytes == 1
    clock.pass_by(days=31)
    assert all(outcome.ok for outcome in pruned(stocked, allow_mass_delete=True))
    with pytest.raises(NotFound):
        stocked.store.head(dump)


# Crashes


def stock_for_crash():
    stocked = Stocked()
    made = stocked.daily(9)
    stocked.prove(made[0], Level.STORED, at=NOW - timedelta(minutes=2))
    stocked.prove(made[3], Level.RESTORED, at=NOW - timedelta(minutes=1))
    begun(stocked, THREE - 2 * DAY - timedelta(hours=1))
    stocked.fail(NOW - 50 * DAY)
    return stocked, made


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_request_it_harms_nothing_and_the_next_run_finishes(when):
    killed_at = 0
    while killed_after(killed_at, when):
        killed_at += 1
    assert killed_at > 40


def killed_after(requests, when):
    """Whether a run that would be killed at its request of this number came that far; look at what it left."""
    stocked, made = stock_for_crash()
    left = iter(range(requests))

    def hook(_verb, _key):
        if next(left, None) is None:
            raise Killed

    setattr(stocked.store, when, hook)
    try:
        pruned(stocked)
        return False
    except Killed:
        setattr(stocked.store, when, lambda _verb, _key: None)
    no_manifest_promises_what_is_gone(stocked)
    assert {one.stamp for one in made[2:]} <= set(stocked.ids())
    converges(stocked, made)
    return True


def converges(stocked, made):
    stocked.clock.pass_by(minutes=6)  # the lease of the killed run ends
    assert all(outcome.ok for outcome in pruned(stocked))
    assert stocked.ids() == [one.stamp for one in made[2:]]
    assert {proof.backup_id for proof in stocked.catalog().proofs.read()} == {made[3].id}
    no_manifest_promises_what_is_gone(stocked)
    assert planned(stocked).targets[0].does_nothing
    stocked.clock.pass_by(hours=25)  # tombstones have had their day; the next backup is a day older too
    pruned(stocked)
    kept = {one.stamp for one in stocked.catalog().backups(CARDBOARD)}
    assert all(key.rpartition("-2026")[2].startswith(tuple(s[4:] for s in kept)) for key in artifacts(stocked))
    assert not [key for key in stocked.store.objects if key.startswith(keys.INTENTS)]


def artifacts(stocked):
    return [key for key in stocked.store.objects if key.startswith("postgres-backups/")]


def test_a_lease_lost_on_the_way_stops_the_target():
    stocked = Stocked([settings(CARDBOARD, keep=KeepPolicy(days=5))])
    stocked.daily(9)

    def stall(verb, key):
        if verb == "delete" and key.startswith(keys.INTENTS):
            stocked.clock.pass_by(minutes=6)

    plan = planned(stocked)
    stocked.store.after = stall
    (outcome,) = pruned(stocked, plan)
    assert outcome.facts["error"]["code"] == LeaseLost.code
    assert len(outcome.facts["removed"]) == 1
    assert len(stocked.ids()) == 8


def test_an_intent_in_use_is_not_read_as_litter():
    stocked = Stocked()
    killed = begun(stocked, NOW - timedelta(hours=1))
    assert planned(stocked).targets[0].litter == ()
    assert intent.read(stocked.store, CARDBOARD, killed.stamp)[0].stamp == killed.stamp
