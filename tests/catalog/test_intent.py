"""The fence of a commit: killed at every request, stalled at every request, and the same seen from inside."""

from contextlib import suppress
from datetime import timedelta

import pytest

from backstay.catalog import keys
from backstay.catalog.intent import IntentState, read
from backstay.catalog.sweep import Swept
from backstay.core.errors import BackstayError, CatalogError, LeaseLost, Locked, Unavailable
from tests.catalog.fakes import (
    CARDBOARD,
    FULL,
    NOW,
    STAMP,
    WEAK,
    Clock,
    DictStore,
    Killed,
    artifact,
    make_backup,
    make_catalog,
    run_backup,
)

OLD = "20260210-030000"
NEW = "20260211-154400"
MOST_REQUESTS = 60


def artifacts_in(store):
    return {key for key in store.objects if not key.startswith(keys.OWN)}


def intents_in(store):
    return [keys.parse_record(keys.INTENTS, key) for key in store.objects if key.startswith(keys.INTENTS)]


def check_promises_kept(store):
    """Whatever is listed is whole. Returns the ids."""
    listed = list(make_catalog(store).backups())
    for backup in listed:
        assert {one.key for one in backup.artifacts} <= artifacts_in(store)
    return {backup.id for backup in listed}


def check_no_litter(store):
    """Every artifact belongs to a listed backup, and what intents there are only remember a cleaning."""
    claimed = {one.key for backup in make_catalog(store).backups() for one in backup.artifacts}
    assert artifacts_in(store) == claimed
    for target, stamp in intents_in(store):
        assert read(store, target, stamp)[0].state is IntentState.ABANDONED


class KillAt:
    """Ends the process at its n-th request, before or after the store has done it."""

    def __init__(self, store, number, *, done):
        self.left = number
        setattr(store, "after" if done else "before", self)

    def __call__(self, _verb, _key):
        self.left -= 1
        if self.left <= 0:
            raise Killed


def revive(store):
    store.before = store.after = lambda _verb, _key: None


@pytest.mark.parametrize("caps", [FULL, WEAK], ids=["conditional puts", "none"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_request_of_a_backup(caps, done):
    finished = False
    outcomes = set()
    for number in range(1, MOST_REQUESTS):
        store = DictStore(caps=caps)
        run_backup(make_catalog(store), make_backup(stamp=OLD))
        KillAt(store, number, done=done)
        with suppress(Killed):
            run_backup(make_catalog(store))
            finished = True
        revive(store)

        listed = check_promises_kept(store)
        assert f"postgres/cardboard@{OLD}" in listed
        make_catalog(store).clean(CARDBOARD)
        after_cleaning = check_promises_kept(store)
        assert after_cleaning >= listed
        check_no_litter(store)
        outcomes.add(len(after_cleaning))

        clock = Clock(NOW + timedelta(days=1, seconds=1))
        make_catalog(store, now=clock).clean(CARDBOARD)
        assert intents_in(store) == []
        assert check_promises_kept(store) == after_cleaning
        if finished:
            break
    assert finished
    assert outcomes == {1, 2}  # some runs were undone, some finished


@pytest.mark.parametrize("caps", [FULL, WEAK], ids=["conditional puts", "none"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_request_of_the_cleaning_itself(caps, done):
    for stage in range(1, 16):
        for number in range(1, MOST_REQUESTS):
            store = DictStore(caps=caps)
            run_backup(make_catalog(store), make_backup(stamp=OLD))
            KillAt(store, stage, done=True)
            with suppress(Killed):
                run_backup(make_catalog(store))
            revive(store)
            KillAt(store, number, done=done)
            finished = False
            with suppress(Killed):
                make_catalog(store).clean(CARDBOARD)
                finished = True
            revive(store)
            check_promises_kept(store)
            make_catalog(store).clean(CARDBOARD)
            assert f"postgres/cardboard@{OLD}" in check_promises_kept(store)
            check_no_litter(store)
            if finished:
                break
        else:
            pytest.fail("the cleaning never ended")


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_request_of_a_removal(done):
    for number in range(1, MOST_REQUESTS):
        store = DictStore()
        run_backup(make_catalog(store), make_backup(stamp=OLD))
        doomed = run_backup(make_catalog(store))
        KillAt(store, number, done=done)
        finished = False
        with suppress(Killed):
            make_catalog(store).remove(doomed)
            finished = True
        revive(store)
        check_promises_kept(store)
        make_catalog(store).clean(CARDBOARD)
        check_no_litter(store)
        assert f"postgres/cardboard@{OLD}" in check_promises_kept(store)
        if finished:
            assert check_promises_kept(store) == {f"postgres/cardboard@{OLD}"}
            return
    pytest.fail("the removal never ended")


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_a_store_that_fails_at_any_request_and_a_run_that_then_gives_up(done, lasting):
    """Whether the request was done is not known to the run; what it withdraws must not be promised."""
    for number in range(1, MOST_REQUESTS):
        store = DictStore()
        catalog = make_catalog(store)
        run_backup(catalog, make_backup(stamp=OLD))
        left = [number]

        def fail(_verb, _key, left=left):
            left[0] -= 1
            if left[0] == 0 or (lasting and left[0] < 0):
                raise Unavailable("no answer")

        setattr(store, "after" if done else "before", fail)
        backup = make_backup()
        intent = None
        try:
            intent = catalog.begin(CARDBOARD, STAMP)
            for one in backup.artifacts:
                intent.promise(one.key)
                store.put(one.key, (b"x",))
            catalog.commit(backup, intent)
        except Unavailable:
            with suppress(BackstayError):
                if intent is not None:
                    intent.withdraw()
        revive(store)
        check_promises_kept(store)
        make_catalog(store).clean(CARDBOARD)
        check_no_litter(store)
        assert f"postgres/cardboard@{OLD}" in check_promises_kept(store)
        if left[0] > 0:
            return
    pytest.fail("the run never ended")


def interleave(store, number, other, *, done):
    """Let ``other`` do all of its work at the n-th request of the run that goes on."""
    left = [number]

    def hook(_verb, _key):
        left[0] -= 1
        if left[0] == 0:
            other()

    setattr(store, "after" if done else "before", hook)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("pruned", [False, True], ids=["kept", "pruned"])
def test_a_run_that_stalls_at_any_request_while_another_cleans_up(pruned, done):
    """Exactly one of the two wins, and neither a promise is broken nor litter left."""
    lost = won = 0
    for number in range(1, MOST_REQUESTS):
        store = DictStore()
        other = make_catalog(store)
        run_backup(other, make_backup(stamp=OLD))

        def clean(store=store, other=other):
            revive(store)
            other.clean(CARDBOARD)
            if pruned:
                for backup in [one for one in other.backups() if one.stamp == STAMP]:
                    other.remove(backup)

        interleave(store, number, clean, done=done)
        try:
            run_backup(make_catalog(store))
            won += 1
        except LeaseLost:
            lost += 1
            assert check_promises_kept(store) == {f"postgres/cardboard@{OLD}"}
        revive(store)
        check_promises_kept(store)
        make_catalog(store).clean(CARDBOARD)
        check_no_litter(store)
        assert f"postgres/cardboard@{OLD}" in check_promises_kept(store)
    assert lost >= 5
    assert won >= 5


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_cleaning_that_stalls_at_any_request_while_the_run_commits(done):
    """The cleaner has read the intent as open; the run it takes for dead goes on."""
    won = 0
    for number in range(1, 12):
        store = DictStore()
        catalog = make_catalog(store)
        backup = make_backup()
        intent = catalog.begin(CARDBOARD, STAMP)
        intent.promise(*(one.key for one in backup.artifacts))
        for one in backup.artifacts:
            store.put(one.key, (b"x",))

        def commit(store=store, catalog=catalog, backup=backup, intent=intent):
            revive(store)
            with suppress(LeaseLost):
                catalog.commit(backup, intent)

        interleave(store, number, commit, done=done)
        make_catalog(store).clean(CARDBOARD)
        revive(store)
        won += len(check_promises_kept(store))
        make_catalog(store).clean(CARDBOARD)
        check_no_litter(store)
    assert 0 < won < 11


def test_an_upload_that_ends_after_the_cleaning_is_swept_by_a_later_run():
    store = DictStore()
    intent = make_catalog(store).begin(CARDBOARD, STAMP)
    intent.promise(artifact().key)
    make_catalog(store).clean(CARDBOARD)
    store.put(artifact().key, (b"x",))  # the stalled upload
    with pytest.raises(LeaseLost):
        intent.promise("postgres-backups/cardboard/more")
    assert make_catalog(store).clean(CARDBOARD) == []
    assert artifacts_in(store) == set()


def test_a_key_is_recorded_before_it_may_be_written():
    store = DictStore()
    intent = make_catalog(store).begin(CARDBOARD, STAMP)
    intent.promise("a/one", "a/two", "a/one")
    intent.promise("a/two")
    assert read(store, CARDBOARD, STAMP)[0].keys == ("a/one", "a/two")
    assert intent.keys == ("a/one", "a/two")


@pytest.mark.parametrize(
    "key",
    [
        *("backstay/v1/format.json", "Backstay/x", "../etc/passwd", "/a", "a//b", "", "a\nb"),
        pytest.param("a\ud800", id="no text"),
    ],
)
def test_a_key_that_no_artifact_may_have_is_not_promised(key):
    store = DictStore()
    intent = make_catalog(store).begin(CARDBOARD, STAMP)
    with pytest.raises(CatalogError, match="cannot be the key"):
        intent.promise(key)


def test_an_intent_that_names_our_own_records_deletes_nothing():
    store = DictStore()
    catalog = make_catalog(store)
    run_backup(catalog, make_backup(stamp=OLD))
    manifest = keys.manifest_key(CARDBOARD, OLD)
    intent = catalog.begin(CARDBOARD, STAMP)
    intent.promise("a/one")
    hostile = store.objects[keys.intent_key(CARDBOARD, STAMP)].replace(b"a/one", manifest.encode())
    store.objects[keys.intent_key(CARDBOARD, STAMP)] = hostile
    (swept,) = catalog.clean(CARDBOARD)
    assert swept.result is Swept.REFUSED
    assert "no artifact may have" in swept.problem
    assert manifest in store.objects


def test_what_the_store_has_locked_is_reported_and_tried_again():
    store = DictStore()
    catalog = make_catalog(store)
    catalog.begin(CARDBOARD, STAMP).promise("a/one")

    def lock(verb, key):
        if (verb, key) == ("delete", "a/one"):
            raise Locked("a/one is locked until 2027")

    store.before = lock
    (swept,) = catalog.clean(CARDBOARD)
    assert swept.result is Swept.REFUSED
    assert swept.message.endswith("could not be cleaned up: a/one is locked until 2027")
    revive(store)
    store.objects["a/one"] = b"x"
    catalog.clean(CARDBOARD)
    assert artifacts_in(store) == set()


def test_a_backup_whose_intent_cannot_be_removed_is_a_backup_all_the_same():
    store = DictStore()

    def fail(verb, _key):
        if verb == "delete":
            raise Unavailable("no answer")

    store.before = fail
    backup = run_backup(make_catalog(store))
    revive(store)
    assert check_promises_kept(store) == {backup.id}
    assert [swept.result for swept in make_catalog(store).clean(CARDBOARD)] == [Swept.CLOSED]
    assert intents_in(store) == []


def test_a_commit_never_replaces_another_backup():
    store = DictStore()
    catalog = make_catalog(store)
    intent = catalog.begin(CARDBOARD, STAMP)
    backup = make_backup(artifacts=())
    store.objects[keys.manifest_key(CARDBOARD, STAMP)] = b"another"
    with pytest.raises(CatalogError, match="another backup"):
        catalog.commit(backup, intent)
    assert store.objects[keys.manifest_key(CARDBOARD, STAMP)] == b"another"


@pytest.mark.parametrize("body", [b"{", b"another id"], ids=["cut", "moved"])
def test_a_damaged_intent_is_reported_and_left(body):
    store = DictStore()
    if body != b"{":
        make_catalog(store).begin(CARDBOARD, NEW)
        body = store.objects.pop(keys.intent_key(CARDBOARD, NEW))
    store.objects[keys.intent_key(CARDBOARD, STAMP)] = body
    (swept,) = make_catalog(store).clean(CARDBOARD)
    assert (swept.stamp, swept.result) == (STAMP, Swept.REFUSED)
    assert keys.intent_key(CARDBOARD, STAMP) in store.objects


def test_cleaning_tells_what_it_did():
    store = DictStore()
    catalog = make_catalog(store)
    catalog.begin(CARDBOARD, STAMP).promise("a/one")
    (swept,) = catalog.clean(CARDBOARD)
    assert (swept.result, swept.keys) == (Swept.REMOVED, ("a/one",))
    assert swept.message == f"cleaned up after the run of postgres/cardboard@{STAMP} that was cut short (1 object)"


def test_cleaning_by_age_leaves_what_is_younger():
    store = DictStore()
    clock = Clock()
    catalog = make_catalog(store, now=clock)
    catalog.begin(CARDBOARD, STAMP).promise("a/one")
    clock.pass_by(hours=23)
    assert catalog.clean(CARDBOARD, older_than=timedelta(days=1)) == []
    clock.pass_by(hours=1)
    assert [swept.result for swept in catalog.clean(CARDBOARD, older_than=timedelta(days=1))] == [Swept.REMOVED]


def test_a_run_that_fails_withdraws_what_it_wrote():
    store = DictStore()
    catalog = make_catalog(store)
    intent = catalog.begin(CARDBOARD, STAMP)
    intent.promise(artifact().key)
    store.put(artifact().key, (b"x",))
    intent.withdraw()
    assert store.objects == {}


def test_nothing_is_committed_that_was_not_promised():
    store = DictStore()
    catalog = make_catalog(store)
    intent = catalog.begin(CARDBOARD, STAMP)
    intent.promise(artifact().key)
    with pytest.raises(CatalogError, match="not what the intent"):
        catalog.commit(make_backup(), intent)
    assert list(catalog.backups()) == []


def test_a_second_run_of_the_same_second_is_refused():
    store = DictStore()
    catalog = make_catalog(store)
    catalog.begin(CARDBOARD, STAMP)
    with pytest.raises(CatalogError, match="same second"):
        catalog.begin(CARDBOARD, STAMP)
    run_backup(catalog, make_backup(stamp=NEW))
    with pytest.raises(CatalogError, match="same second"):
        catalog.begin(CARDBOARD, NEW)


@pytest.mark.parametrize("number", range(1, 9))
def test_a_put_that_was_done_but_not_answered_and_sent_again_is_no_conflict(number):
    """As a retry sees it: the first try did it, the answer was lost, the second finds its own work."""
    store = DictStore()
    plain_put = store.put
    left = [number]

    def put(key, chunks, **conditions):
        left[0] -= 1
        if left[0] == 0:
            plain_put(key, chunks, **conditions)
        return plain_put(key, chunks, **conditions)

    store.put = put
    backup = run_backup(make_catalog(store))
    assert check_promises_kept(store) == {backup.id}
    assert intents_in(store) == []


def test_a_commit_whose_answer_is_lost_for_good_is_finished_by_the_next_run():
    store = DictStore()

    def lose(verb, key):
        if verb == "put" and key.startswith(keys.INTENTS) and b'"committing"' in store.objects[key]:
            raise Unavailable("no answer")

    store.after = lose
    with pytest.raises(Unavailable):
        run_backup(make_catalog(store))
    revive(store)
    assert check_promises_kept(store) == set()
    (swept,) = make_catalog(store).clean(CARDBOARD)
    assert swept.result is Swept.FINISHED
    assert check_promises_kept(store) == {f"postgres/cardboard@{STAMP}"}
    check_no_litter(store)
