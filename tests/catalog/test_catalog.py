"""The catalog of one store: listing, finding, removing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backstay.catalog import fetch, keys
from backstay.core.errors import CatalogError, ConfigError, FormatTooNew, NoSuchBackup
from backstay.core.model import State, Target, TierKind
from tests.catalog.fakes import (
    CARDBOARD,
    NOW,
    STAMP,
    WEAK,
    Clock,
    DictStore,
    artifact,
    make_backup,
    make_catalog,
    run_backup,
)

DND = Target(TierKind.POSTGRES, "dnd")
CARDS = Target(TierKind.POSTGRES, "cards")
SHORT, LONG = Target(TierKind.VOLUMES, "media"), Target(TierKind.VOLUMES, "media/config")
OLD, MIDDLE = "20260209-030000", "20260210-030000"


@pytest.fixture
def store():
    return DictStore()


@pytest.fixture
def catalog(store):
    return make_catalog(store)


@pytest.fixture
def filled(catalog):
    for target, stamp in [(CARDBOARD, OLD), (CARDBOARD, MIDDLE), (CARDBOARD, STAMP), (DND, MIDDLE), (LONG, OLD)]:
        run_backup(catalog, make_backup(target, stamp))
    return catalog


def ids(backups):
    return [backup.id for backup in backups]


def test_a_committed_backup_is_listed_as_it_was_with_the_name_of_its_store(catalog):
    backup = run_backup(catalog)
    (listed,) = catalog.backups()
    assert listed.store == "main"
    assert listed == make_backup(store="main")
    assert listed.id == backup.id


def test_by_target_oldest_first(filled):
    assert ids(filled.backups()) == [
        f"postgres/cardboard@{OLD}",
        f"postgres/cardboard@{MIDDLE}",
        f"postgres/cardboard@{STAMP}",
        f"postgres/dnd@{MIDDLE}",
        f"volumes/media/config@{OLD}",
    ]


def test_by_target_tier_and_time(filled):
    assert ids(filled.backups(DND)) == [f"postgres/dnd@{MIDDLE}"]
    assert ids(filled.backups(tier=TierKind.VOLUMES)) == [f"volumes/media/config@{OLD}"]
    middle = keys.moment_of(MIDDLE)
    assert ids(filled.backups(CARDBOARD, since=middle, until=middle)) == [f"postgres/cardboard@{MIDDLE}"]
    assert ids(filled.backups(CARDBOARD, since=middle + timedelta(seconds=1))) == [f"postgres/cardboard@{STAMP}"]
    assert ids(filled.backups(CARDBOARD, until=middle - timedelta(seconds=1))) == [f"postgres/cardboard@{OLD}"]


def test_what_is_filtered_by_key_is_not_read(filled, store):
    store.requests.clear()
    list(filled.backups(CARDBOARD, since=keys.moment_of(STAMP)))
    assert [verb for verb, _ in store.requests] == ["list", "get"]


def test_stamps_come_from_keys_alone(filled, store):
    store.requests.clear()
    assert list(filled.stamps(CARDBOARD)) == [OLD, MIDDLE, STAMP]
    assert [verb for verb, _ in store.requests] == ["list"]


def test_a_target_whose_name_begins_another_does_not_get_its_backups(filled):
    run_backup(filled, make_backup(SHORT, STAMP))
    assert ids(filled.backups(SHORT)) == [f"volumes/media@{STAMP}"]
    assert ids(filled.backups(LONG)) == [f"volumes/media/config@{OLD}"]


def test_more_backups_than_one_batch(catalog, monkeypatch):
    monkeypatch.setattr(fetch, "BATCH", 4)
    stamps = [f"202601{day:02d}-030000" for day in range(1, 12)]
    for stamp in stamps:
        run_backup(catalog, make_backup(stamp=stamp))
    assert [backup.stamp for backup in catalog.backups()] == stamps


def test_other_names_in_the_folder_are_passed_over(filled, store):
    store.objects["backstay/v1/backups/README"] = b"?"
    store.objects[f"backstay/v1/backups/postgres/cardboard/{STAMP}.json.sig"] = b"?"
    assert len(ids(filled.backups())) == 5


def test_a_damaged_manifest_is_an_error_or_told_and_left_out(filled, store):
    store.objects[keys.manifest_key(CARDBOARD, MIDDLE)] = b"{"
    with pytest.raises(CatalogError, match=MIDDLE):
        list(filled.backups())
    told = []
    assert len(ids(filled.backups(problem=told.append))) == 4
    assert [MIDDLE in error.message for error in told] == [True]


def test_a_backup_removed_while_the_list_is_read_is_left_out(filled, store):
    gone = keys.manifest_key(CARDBOARD, MIDDLE)

    def remove(verb, _key):
        if verb == "get":
            store.objects.pop(gone, None)

    store.before = remove
    assert len(ids(filled.backups())) == 4


def test_a_reader_may_stop_early(filled):
    backups = filled.backups()
    assert next(backups).stamp == OLD
    backups.close()
    assert len(ids(filled.backups())) == 5


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("postgres/cardboard", STAMP),
        ("postgres/cardboard@latest", STAMP),
        ("cardboard", STAMP),
        ("card", STAMP),
        ("postgres/card", STAMP),
        (f"postgres/cardboard@{OLD}", OLD),
        ("cardboard@20260210", MIDDLE),
        ("cardboard@2026021", None),
        ("  card@20260211 ", STAMP),
        ("@20260211-154344", STAMP),
        ("@20260211", STAMP),
    ],
)
def test_find_what_people_type(filled, text, stamp):
    if stamp is None:
        with pytest.raises(NoSuchBackup):
            filled.find(text)
    else:
        assert filled.find(text).id == f"postgres/cardboard@{stamp}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no backup was named"]),
        ("postgres/cardbord", ["postgres/cardboard"]),
        ("cardbord", ["Did you mean cardboard"]),
        ("nothing-like-it", ["There are backups of", "postgres/dnd"]),
        ("cardboard@2025", ["begins with 2025", f"The newest of 3 is postgres/cardboard@{STAMP}"]),
        ("postgres", ["any of 2", "postgres/cardboard, postgres/dnd"]),
        (f"@{MIDDLE}", ["any of 2", f"postgres/cardboard@{MIDDLE}", f"postgres/dnd@{MIDDLE}"]),
        ("cardboard@2026", ["any of 3", f"postgres/cardboard@{STAMP}"]),
        ("@1999", ["stamp that begins with 1999"]),
        ("@latest", ["any of 3"]),
        ("mysql/cardboard", ["no backup of mysql/cardboard"]),
    ],
)
def test_an_error_names_what_is_near_or_ambiguous(filled, text, words):
    with pytest.raises(NoSuchBackup) as raised:
        filled.find(text)
    said = f"{raised.value.message} | {raised.value.hint}"
    assert all(word in said for word in words), said


def test_an_ambiguous_error_names_five_at_most(catalog):
    for day in range(1, 10):
        run_backup(catalog, make_backup(stamp=f"2026010{day}-030000"))
    with pytest.raises(NoSuchBackup, match=r"any of 9: .* and 4 more") as raised:
        catalog.find("cardboard@2026")
    assert raised.value.message.count("@2026") == 6


def test_a_whole_name_is_meant_even_where_a_longer_one_begins_with_it(filled):
    for stamp in (OLD, STAMP):
        run_backup(filled, make_backup(Target(TierKind.POSTGRES, "card"), stamp))
    assert filled.find("card").id == f"postgres/card@{STAMP}"
    assert filled.find("postgres/card").id == f"postgres/card@{STAMP}"


def test_latest_is_the_newest_complete_one(filled):
    run_backup(filled, make_backup(stamp="20260212-030000", state=State.PARTIAL, omissions=("table x",)))
    assert filled.find("cardboard").stamp == STAMP
    assert filled.find("cardboard@20260212").state is State.PARTIAL


def test_latest_of_only_partial_ones_names_the_newest(catalog):
    run_backup(catalog, make_backup(state=State.PARTIAL, omissions=("table x",)))
    with pytest.raises(NoSuchBackup, match="no complete backup") as raised:
        catalog.find("cardboard")
    assert f"postgres/cardboard@{STAMP}" in raised.value.hint


def test_an_empty_store_says_how_to_begin(catalog):
    with pytest.raises(NoSuchBackup) as raised:
        catalog.find("cardboard")
    assert "backstay backup" in raised.value.hint


def test_a_whole_id_reads_one_short_list(filled, store):
    store.requests.clear()
    filled.find(f"postgres/cardboard@{OLD}")
    assert store.requests == [
        ("list", "backstay/v1/backups/postgres/cardboard/"),
        ("get", keys.manifest_key(CARDBOARD, OLD)),
    ]


def test_removing_takes_the_manifest_first_and_leaves_the_others(filled, store):
    backup = filled.find(f"cardboard@{MIDDLE}")
    store.requests.clear()
    filled.remove(backup)
    deleted = [key for verb, key in store.requests if verb == "delete"]
    assert deleted[0] == keys.manifest_key(CARDBOARD, MIDDLE)
    assert deleted[1:3] == [one.key for one in backup.artifacts]
    assert not [key for key in store.objects if MIDDLE in key and "cardboard" in key]
    assert len(ids(filled.backups())) == 4


@pytest.mark.parametrize("key", ["backstay/v1/format.json", "../other", ""])
def test_a_backup_that_claims_what_is_not_an_artifacts_removes_nothing(filled, store, key):
    backup = filled.find("cardboard")
    hostile = replace(backup, artifacts=(replace(backup.artifacts[0], key=key),))
    before = dict(store.objects)
    with pytest.raises(CatalogError, match="not an artifact"):
        filled.remove(hostile)
    assert store.objects == before


def test_a_backup_of_another_cluster_is_not_committed(store):
    catalog = make_catalog(store, cluster="other")
    intent = catalog.begin(CARDBOARD, STAMP)
    with pytest.raises(CatalogError, match="of cluster homelab, not other"):
        catalog.commit(make_backup(), intent)


@pytest.mark.parametrize("weak", [False, True])
def test_a_store_belongs_to_one_cluster(weak):
    store = DictStore(caps=WEAK) if weak else DictStore()
    make_catalog(store).ensure_format()
    make_catalog(store).ensure_format()
    with pytest.raises(ConfigError, match="holds the backups of cluster homelab, not of lab-2") as raised:
        make_catalog(store, cluster="lab-2").ensure_format()
    assert "prefix" in raised.value.hint


def test_looking_does_not_mark_a_store(store):
    make_catalog(store).ensure_format(create=False)
    assert store.objects == {}


def test_a_store_of_a_newer_format_is_refused(store):
    store.objects[keys.FORMAT] = b'{"format": "backstay/store", "version": 2, "cluster": "homelab"}'
    with pytest.raises(FormatTooNew):
        make_catalog(store).ensure_format()


def test_two_first_runs_at_once_agree(store):
    def other_first(verb, key):
        if (verb, key) == ("put", keys.FORMAT):
            store.before = lambda _verb, _key: None
            make_catalog(store, now=Clock(NOW + timedelta(seconds=1))).ensure_format()

    store.before = other_first
    make_catalog(store).ensure_format()
    assert b'"created_at": "2026-02-11T15:43:45Z"' in store.objects[keys.FORMAT]


def test_litter_is_known_by_target_also_of_one_no_longer_configured(catalog):
    catalog.begin(DND, STAMP)
    catalog.begin(LONG, STAMP)
    run_backup(catalog)
    assert catalog.littered() == [DND, LONG]
    catalog.clean(DND)
    catalog.clean(LONG)


def test_get_of_none_says_so(catalog):
    with pytest.raises(NoSuchBackup, match=f"no backup postgres/cardboard@{STAMP} in store main"):
        catalog.get(CARDBOARD, STAMP)


def test_an_artifact_is_where_the_helper_says():
    assert keys.is_artifact_key(artifact().key)
