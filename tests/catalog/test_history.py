"""The configuration as it ran, and the runs that failed."""

from datetime import timedelta

import pytest

from backstay.catalog import history, keys
from backstay.catalog.history import Retired
from backstay.core.errors import AlreadyExists, CatalogError, SourceError, UsageError
from backstay.core.model import State, Target, TierKind
from tests.catalog.fakes import CARDBOARD, NOW, STAMP, DictStore, make_backup

DND = Target(TierKind.POSTGRES, "dnd")


def configs(store):
    return [key for key in sorted(store.objects) if key.startswith(keys.CONFIG)]


def test_the_configuration_is_kept_when_it_changes_and_only_then():
    store = DictStore()
    assert history.record_config(store, "cluster: a\n", NOW) == f"backstay/v1/config/{STAMP}.yaml"
    assert history.record_config(store, "cluster: a\n", NOW + timedelta(days=1)) is None
    assert history.record_config(store, "cluster: ä\n", NOW + timedelta(days=2)) is not None
    assert history.record_config(store, "cluster: a\n", NOW + timedelta(days=3)) is not None
    assert len(configs(store)) == 3
    assert store.objects[configs(store)[1]].decode() == "cluster: ä\n"


def test_two_runs_of_one_second_with_the_same_configuration_agree():
    store = DictStore()
    kept = history.record_config(store, "cluster: a\n", NOW)
    del store.objects[kept]

    def other_run(verb, key):
        if verb == "put":
            store.objects[key] = b"cluster: a\n"

    store.before = other_run
    assert history.record_config(store, "cluster: a\n", NOW) == kept


def test_two_runs_of_one_second_with_different_ones_do_not_replace_each_other():
    store = DictStore()
    history.record_config(store, "cluster: a\n", NOW)
    with pytest.raises(AlreadyExists):
        history.record_config(store, "cluster: b\n", NOW)


def test_a_failure_is_kept_with_its_own_words():
    store = DictStore()
    error = SourceError("connection refused", hint="start the server", password="not kept")
    written = history.record_failure(store, CARDBOARD, STAMP, error, NOW)
    (found,) = history.failures(store, CARDBOARD)
    assert found == written
    assert (found.code, found.message, found.hint) == ("source.failed", "connection refused", "start the server")
    assert b"not kept" not in store.objects[keys.failure_key(CARDBOARD, STAMP)]
    assert list(history.failures(store, DND)) == []


def test_a_long_message_is_shortened():
    store = DictStore()
    history.record_failure(store, CARDBOARD, STAMP, SourceError("x" * 1_000_000), NOW)
    (found,) = history.failures(store, CARDBOARD)
    assert len(found.message) == history.MESSAGE_LIMIT


def test_since_and_forgotten():
    store = DictStore()
    for day in range(1, 6):
        stamp = f"2026020{day}-030000"
        history.record_failure(store, CARDBOARD, stamp, SourceError("x"), keys.moment_of(stamp))
    third = keys.moment_of("20260203-030000")
    assert [one.stamp[:8] for one in history.failures(store, CARDBOARD, third)] == ["20260203", "20260204", "20260205"]
    assert history.forget_failures(store, CARDBOARD, third) == 2
    assert len(list(history.failures(store, CARDBOARD))) == 3


def test_a_damaged_failure_is_an_error_that_names_it():
    store = DictStore()
    store.objects[keys.failure_key(CARDBOARD, STAMP)] = b"[]"
    with pytest.raises(CatalogError, match=STAMP):
        list(history.failures(store, CARDBOARD))


def test_removed_backups_are_known_by_their_keys_alone():
    store = DictStore()
    history.retire(store, make_backup(DND), NOW)
    history.retire(store, make_backup(), NOW)
    history.retire(store, make_backup(stamp="20260210-030000", state=State.PARTIAL), NOW)
    store.objects[f"{keys.RETIRED}postgres/cardboard/notes.txt"] = b""
    store.objects[f"{keys.RETIRED}postgres/cardboard/{STAMP}-foreign.json"] = b""
    store.requests.clear()
    mine = [Retired(CARDBOARD, "20260210-030000", State.PARTIAL, NOW), Retired(CARDBOARD, STAMP, State.COMPLETE, NOW)]
    assert list(history.retired(store, CARDBOARD)) == mine
    assert list(history.retired(store)) == [*mine, Retired(DND, STAMP, State.COMPLETE, NOW)]
    assert {verb for verb, _ in store.requests} == {"list"}


def test_noted_twice_is_noted_once():
    store = DictStore()
    history.retire(store, make_backup(), NOW)
    history.retire(store, make_backup(), NOW + timedelta(hours=1))
    assert len(list(history.retired(store))) == 1


def test_notes_begun_before_are_forgotten():
    store = DictStore()
    for target in (CARDBOARD, DND):
        for day in range(1, 6):
            history.retire(store, make_backup(target, f"2026020{day}-030000"), NOW)
    assert history.forget_retired(store, CARDBOARD, keys.moment_of("20260203-030000")) == 2
    assert [one.stamp[:8] for one in history.retired(store, CARDBOARD)] == ["20260203", "20260204", "20260205"]
    assert len(list(history.retired(store, DND))) == 5


def test_a_foreign_dump_leaves_no_note():
    with pytest.raises(UsageError, match="foreign"):
        history.retire(DictStore(), make_backup(state=State.FOREIGN), NOW)
