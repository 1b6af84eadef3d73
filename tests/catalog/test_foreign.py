"""Dumps that other scripts left: listed and found, with what is not known said."""

import pytest

from backstay.catalog.foreign import Naming
from backstay.core.errors import NoSuchBackup
from backstay.core.model import State, Target, TierKind
from tests.catalog.fakes import CARDBOARD, NOW, STAMP, DictStore, make_backup, make_catalog, run_backup

OLD = "20250101-030000"
NAMING = Naming("postgres-backups/cardboard", "cardboard")
OPENCLAW = Target(TierKind.POSTGRES, "openclaw-memory-db")


@pytest.fixture
def store():
    store = DictStore()
    store.objects[f"postgres-backups/cardboard/cardboard-{OLD}.sql.gz"] = b"old dump"
    return store


@pytest.fixture
def catalog(store):
    return make_catalog(store, foreign={CARDBOARD: NAMING, OPENCLAW: Naming("", "openclaw-memory-db")})


def test_what_cannot_be_known_is_said_and_not_guessed(catalog):
    (dump,) = catalog.foreign(CARDBOARD)
    assert (dump.id, dump.state) == (f"postgres/cardboard@{OLD}", State.FOREIGN)
    assert (dump.artifacts[0].size_bytes, dump.artifacts[0].plain_size_bytes) == (8, -1)
    assert (dump.artifacts[0].sha256, dump.artifacts[0].encoding) == ("", ("gzip",))
    assert (dump.point_in_time, dump.finished_at) == (None, NOW)
    said = " ".join(dump.warnings)
    assert all(word in said for word in ("no manifest", "checksum", "UTC", "Roles"))
    assert dump.store == "main"
    assert dump.restore_by_hand[0] == f"Fetch memory://tests/postgres-backups/cardboard/cardboard-{OLD}.sql.gz"


def test_listed_only_when_asked_for(catalog):
    run_backup(catalog)
    assert [backup.stamp for backup in catalog.backups()] == [STAMP]
    assert [backup.stamp for backup in catalog.backups(foreign=True)] == [STAMP, OLD]
    assert [backup.stamp for backup in catalog.backups(foreign=True, until=NOW.replace(year=2025))] == [OLD]
    assert list(catalog.backups(OPENCLAW, foreign=True)) == []
    assert [backup.stamp for backup in catalog.backups(tier=TierKind.ETCD, foreign=True)] == []


def test_found_by_its_stamp_but_never_the_latest(catalog):
    assert catalog.find(f"cardboard@{OLD}").state is State.FOREIGN
    assert catalog.find("@2025").state is State.FOREIGN
    with pytest.raises(NoSuchBackup, match="no complete backup"):
        catalog.find("cardboard")
    run_backup(catalog)
    assert catalog.find("cardboard").stamp == STAMP


def test_no_other_tools_dumps_are_looked_for_where_none_can_be_meant(catalog, store):
    run_backup(catalog)
    store.requests.clear()
    assert catalog.find("card").stamp == STAMP
    assert catalog.find("@20260211").stamp == STAMP
    assert {key for verb, key in store.requests if verb == "list"} == {"backstay/v1/backups/"}


def test_a_configured_target_without_any_backup_says_how_to_make_one(catalog):
    for text in ("openclaw", "postgres/openclaw-memory-db", "openclaw@latest", "openclaw@2026"):
        with pytest.raises(NoSuchBackup, match="no backup of postgres/openclaw-memory-db") as raised:
            catalog.find(text)
        assert "backstay backup postgres/openclaw-memory-db" in raised.value.hint


def test_what_a_run_wrote_is_not_foreign_committed_or_not(catalog):
    run_backup(catalog)
    intent = catalog.begin(CARDBOARD, "20260212-030000")
    key = "postgres-backups/cardboard/cardboard-20260212-030000.sql.gz"
    intent.promise(key)
    catalog.store.put(key, (b"half a run",))
    assert [dump.stamp for dump in catalog.foreign(CARDBOARD)] == [OLD]
    catalog.clean(CARDBOARD)
    assert [dump.stamp for dump in catalog.foreign(CARDBOARD)] == [OLD]


def test_in_the_root_of_a_store(catalog, store):
    store.objects[f"openclaw-memory-db-{OLD}.sql.gz"] = b"x"
    store.objects[f"openclaw-memory-db-2-{OLD}.sql.gz"] = b"of another database"
    assert [dump.artifacts[0].key for dump in catalog.foreign(OPENCLAW)] == [f"openclaw-memory-db-{OLD}.sql.gz"]


@pytest.mark.parametrize(
    "name",
    [
        "cardboard-20250230-030000.sql.gz",
        "cardboard-latest.sql.gz",
        f"cardboard-{OLD}.sql",
        f"cardboard-{OLD}.sql.gz.age",
        f"cardboard-{OLD}.sql.gz.tmp",
        f"cardboard-{OLD}/../../x.sql.gz",
        f"other-{OLD}.sql.gz",
    ],
)
def test_other_names_are_not_dumps(catalog, store, name):
    store.objects.clear()
    store.objects[f"postgres-backups/cardboard/{name}"] = b"x"
    assert list(catalog.foreign(CARDBOARD)) == []


def test_parts_without_a_run_are_strays(catalog, store):
    run_backup(catalog)
    stray = "postgres-backups/cardboard/cardboard-20250103-030000-globals.sql.gz"
    store.objects[stray] = b"x"
    assert [info.key for info in catalog.strays(CARDBOARD)] == [stray]
    assert list(catalog.strays(Target(TierKind.POSTGRES, "other"))) == []


def test_a_foreign_dump_can_be_removed(catalog, store):
    (dump,) = catalog.foreign(CARDBOARD)
    catalog.remove(dump)
    assert store.objects == {}


def test_a_dump_beside_a_manifest_of_the_same_second_does_not_take_its_id(catalog, store):
    run_backup(catalog, make_backup(stamp=OLD, artifacts=()))
    assert [backup.state for backup in catalog.backups(foreign=True)] == [State.COMPLETE]
