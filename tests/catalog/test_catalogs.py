"""Several stores as one catalog."""

import pytest

from backstay.catalog.catalogs import Catalogs
from backstay.core.errors import ConfigError, NoSuchBackup, Unavailable
from backstay.core.model import Level, Proof, Target, TierKind
from tests.catalog.fakes import CARDBOARD, NOW, STAMP, DictStore, make_backup, make_catalog, run_backup

DND = Target(TierKind.POSTGRES, "dnd")
OLD = "20260210-030000"


@pytest.fixture
def stores():
    return {"main": DictStore(), "second": DictStore()}


@pytest.fixture
def catalogs(stores):
    named = {name: make_catalog(store, name=name) for name, store in stores.items()}
    run_backup(named["main"], make_backup(CARDBOARD, OLD))
    run_backup(named["second"], make_backup(CARDBOARD, OLD))
    run_backup(named["second"], make_backup(CARDBOARD, STAMP))
    run_backup(named["second"], make_backup(DND, STAMP))
    return Catalogs(named, {DND: "second"}, default="main")


def break_store(store):
    def fail(_verb, _key):
        raise Unavailable("no answer", hint="is it running?")

    store.before = fail


def test_backups_of_all_stores_each_with_its_name(catalogs):
    assert [(backup.store, backup.id) for backup in catalogs.backups()] == [
        ("main", f"postgres/cardboard@{OLD}"),
        ("second", f"postgres/cardboard@{OLD}"),
        ("second", f"postgres/cardboard@{STAMP}"),
        ("second", f"postgres/dnd@{STAMP}"),
    ]
    assert [backup.store for backup in catalogs.backups(DND)] == ["second"]


def test_new_backups_go_where_the_target_is_assigned(catalogs):
    assert catalogs.of(DND).name == "second"
    assert catalogs.of(CARDBOARD).name == "main"
    with pytest.raises(ConfigError, match="no store 'third'"):
        catalogs.named("third")


def test_find_looks_in_every_store_and_prefers_the_targets_own(catalogs):
    assert catalogs.find(f"cardboard@{OLD}").store == "main"
    latest = catalogs.find("cardboard")
    assert (latest.stamp, latest.store) == (STAMP, "second")
    assert catalogs.holding(latest).name == "second"
    assert catalogs.find("dnd").store == "second"
    with pytest.raises(NoSuchBackup, match="may be any of 2"):
        catalogs.find("@20260211")


def test_a_store_that_cannot_be_reached_is_an_error_that_names_it(catalogs, stores):
    break_store(stores["main"])
    for look in (lambda: list(catalogs.backups()), lambda: catalogs.find("dnd"), lambda: list(catalogs.proofs())):
        with pytest.raises(Unavailable, match="store main cannot be reached: no answer") as raised:
            look()
        assert raised.value.hint == "is it running?"


def test_or_is_told_and_the_others_are_still_read(catalogs, stores):
    break_store(stores["main"])
    told = []
    assert {backup.store for backup in catalogs.backups(unreachable=told.append)} == {"second"}
    assert catalogs.find(f"cardboard@{OLD}", unreachable=told.append).store == "second"
    assert list(catalogs.proofs(unreachable=told.append)) == [("second", [])]
    assert [finding.message for finding in told] == ["store main cannot be reached: no answer"] * 3


def test_proofs_say_in_which_store(catalogs):
    proof = Proof(f"postgres/dnd@{STAMP}", Level.RESTORED, True, NOW, 6.0, kind="drill")
    catalogs.named("second").proofs.write(proof, DND, STAMP)
    assert dict(catalogs.proofs()) == {"main": [], "second": [proof]}
