"""Dumps that other scripts left, and k3s's own snapshots: listed and found, with what is not known said."""

from datetime import UTC, datetime

import pytest

from backstay.catalog import keys
from backstay.catalog.foreign import Naming, SnapshotNaming
from backstay.core.errors import CatalogError, NoSuchBackup
from backstay.core.model import Artifact, State, Target, TierKind
from backstay.core.units import format_stamp
from tests.catalog.fakes import CARDBOARD, NOW, SHA, STAMP, DictStore, make_backup, make_catalog, run_backup

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
    ((key, dump),) = store.objects.items()
    store.objects.clear()
    run_backup(catalog, make_backup(stamp=OLD, artifacts=()))
    store.objects[key] = dump
    assert [backup.state for backup in catalog.backups(foreign=True)] == [State.COMPLETE]


def test_a_run_never_begins_in_the_second_of_a_dump_that_is_there(catalog, store):
    with pytest.raises(CatalogError, match="same second"):
        catalog.begin(CARDBOARD, OLD)
    assert len(store.objects) == 1


CONTROL_PLANE = Target(TierKind.ETCD, "control-plane")
UNIX = 1766000000
AT = format_stamp(datetime.fromtimestamp(UNIX, UTC))
AFTER = [format_stamp(datetime.fromtimestamp(UNIX + more, UTC)) for more in range(5)]
OTHERS = f"etcd-snapshots/etcd-snapshot-server-1-{UNIX}"


@pytest.fixture
def snapshots():
    return DictStore()


def catalog_of(store, prefix="etcd-snapshots", base="backstay"):
    return make_catalog(store, foreign={CONTROL_PLANE: SnapshotNaming(prefix, base)})


def own_backup(stamp, *names, prefix="etcd-snapshots"):
    artifacts = [Artifact(f"role-{number}", name, 1, SHA, 1, SHA, ("zip",)) for number, name in enumerate(names)]
    return make_backup(CONTROL_PLANE, stamp, artifacts=tuple(artifacts), contents={})


def listed(store, **where):
    """Stamp and key of each."""
    return [(backup.stamp, backup.artifacts[0].key) for backup in catalog_of(store, **where).foreign(CONTROL_PLANE)]


def stray(store, **where):
    return [info.key for info in catalog_of(store, **where).strays(CONTROL_PLANE)]


def test_of_a_snapshot_too_what_is_not_known_is_said(snapshots):
    snapshots.objects[f"{OTHERS}.zip"] = b"zipped"
    (found,) = catalog_of(snapshots).foreign(CONTROL_PLANE)
    assert (found.id, found.state) == (f"etcd/control-plane@{AT}", State.FOREIGN)
    assert (found.started_at.timestamp(), found.finished_at, found.point_in_time) == (UNIX, NOW, None)
    (artifact,) = found.artifacts
    assert (artifact.role, artifact.key, artifact.encoding) == ("snapshot", f"{OTHERS}.zip", ("zip",))
    assert (artifact.size_bytes, artifact.plain_size_bytes, artifact.sha256) == (6, -1, "")
    said = " ".join(found.warnings)
    assert all(word in said for word in ("no manifest", "Nothing was compared", "server token"))
    assert found.restore_by_hand == (
        f"Fetch memory://tests/{OTHERS}.zip",
        "k3s: stop k3s on every server; on one of them, with the token of that cluster in server/token:",
        f"k3s server --cluster-reset --cluster-reset-restore-path=$PWD/etcd-snapshot-server-1-{UNIX}.zip",
        f"unzip -p etcd-snapshot-server-1-{UNIX}.zip > etcd-snapshot-server-1-{UNIX}",
        f"etcd alone: etcdutl snapshot restore etcd-snapshot-server-1-{UNIX} --data-dir NEW_FOLDER",
    )


def test_a_snapshot_that_is_not_packed_needs_no_unpacking(snapshots):
    snapshots.objects[OTHERS] = b"raw"
    (found,) = catalog_of(snapshots).foreign(CONTROL_PLANE)
    assert found.artifacts[0].encoding == ()
    assert not [line for line in found.restore_by_hand if "unzip" in line]


@pytest.mark.parametrize(
    "name",
    [
        f"etcd-snapshot-server-1-{UNIX}",
        f"etcd-snapshot-server-1.example.org-{UNIX}.zip",
        f"on-demand-server-1-{UNIX}.zip",
        f"mine-{UNIX}",
        f"backstay-{UNIX}",
        f"backstayed-server-1-{UNIX}.zip",
    ],
)
def test_names_of_snapshots_that_others_took(snapshots, name):
    snapshots.objects[f"etcd-snapshots/{name}"] = b"x"
    assert listed(snapshots) == [(AT, f"etcd-snapshots/{name}")]
    assert stray(snapshots) == []


def test_of_two_servers_in_one_second_each_has_a_stamp_of_its_own(snapshots):
    names = [f"etcd-snapshots/etcd-snapshot-server-{number}-{UNIX}.zip" for number in (1, 2, 3)]
    later = f"etcd-snapshots/etcd-snapshot-server-1-{UNIX + 1}.zip"
    snapshots.objects |= dict.fromkeys([*reversed(names), later], b"x")
    assert listed(snapshots) == list(zip(AFTER[:4], [*names, later], strict=True))
    catalog = catalog_of(snapshots)
    for stamp, name in zip(AFTER, names, strict=False):
        found = catalog.find(f"etcd/control-plane@{stamp}")
        assert (found.stamp, found.artifacts[0].key) == (stamp, name)


def test_a_stamp_of_ours_is_not_given_to_another(snapshots):
    """Both took one in the same second: k3s's is another one than Backstay's."""
    own = f"etcd-snapshots/backstay-server-1-{UNIX}.zip"
    snapshots.objects[f"{OTHERS}.zip"] = b"k3s's"
    run_backup(catalog_of(snapshots), own_backup(AT, own))
    assert listed(snapshots) == [(AFTER[1], f"{OTHERS}.zip")]
    found = [(one.stamp, one.state) for one in catalog_of(snapshots).backups(CONTROL_PLANE, foreign=True)]
    assert sorted(found) == [(AFTER[0], State.COMPLETE), (AFTER[1], State.FOREIGN)]


OWN = [
    f"etcd-snapshots/backstay-server-1-{UNIX}.zip",
    f"etcd-snapshots/.metadata/backstay-server-1-{UNIX}.zip",
    f"etcd-snapshots-server/backstay-server-1-{UNIX}.server.tar.zip.age",
]


def test_what_a_run_of_ours_wrote_is_neither_foreign_nor_stray(snapshots):
    catalog = catalog_of(snapshots)
    run_backup(catalog, own_backup(AT, *OWN))
    intent = catalog.begin(CONTROL_PLANE, AFTER[2])
    begun = [name.replace(str(UNIX), str(UNIX + 2)) for name in OWN]
    intent.promise(*begun)
    snapshots.objects |= dict.fromkeys(begun, b"half")
    assert (listed(snapshots), stray(snapshots)) == ([], [])


@pytest.mark.parametrize(
    "name",
    [*OWN, OWN[0].removesuffix(".zip"), f"{OWN[0]}.age", f"{OWN[0]}.tmp", OWN[0].replace("server-1", "other-9")],
)
def test_what_is_named_as_ours_without_a_run_is_a_stray(snapshots, name):
    run_backup(catalog_of(snapshots), own_backup(AFTER[4]))
    snapshots.objects[name] = b"x"
    assert (listed(snapshots), stray(snapshots)) == ([], [name])


@pytest.mark.parametrize(
    "name",
    [
        f"etcd-snapshots/.metadata/etcd-snapshot-server-1-{UNIX}.zip",  # of k3s, which looks after it
        f"etcd-snapshots/.metadata/backstay-{UNIX}",
        f"etcd-snapshots-server/etcd-snapshot-server-1-{UNIX}.zip",
        f"etcd-snapshots-other/backstay-server-1-{UNIX}.zip",
        f"etcd-snapshots/deeper/etcd-snapshot-server-1-{UNIX}.zip",
        f"etcd-snapshots/.metadata/deeper/backstay-server-1-{UNIX}.zip",
        f"etcd-snapshot-server-1-{UNIX}.zip",
        f"other/etcd-snapshots/etcd-snapshot-server-1-{UNIX}.zip",
        "etcd-snapshots/etcd-snapshot-server-1.zip",
        "etcd-snapshots/etcd-snapshot-server-1-17660000.zip",
        "etcd-snapshots/etcd-snapshot-server-1-176600000000.zip",
        "etcd-snapshots/etcd-snapshot-server-1-١٧٦٦٠٠٠٠٠٠.zip",
        f"etcd-snapshots/-{UNIX}",
        f"etcd-snapshots/etcd-snapshot-server-1-{UNIX}.zip.tmp",
        f"etcd-snapshots/etcd-snapshot-server-1-{UNIX}.zip.age",
        f"etcd-snapshots/etcd-snapshot-server-1-{UNIX}.gz",
        f"etcd-snapshots/etcd\n-server-1-{UNIX}.zip",
        f"etcd-snapshots/../etcd-snapshots/etcd-snapshot-server-1-{UNIX}.zip",
        f"etcd-snapshots//etcd-snapshot-server-1-{UNIX}.zip",
        f"etcd-snapshots/cardboard-{OLD}.sql.gz",
    ],
)
def test_other_names_are_no_snapshots(snapshots, name):
    snapshots.objects[name] = b"x"
    assert (listed(snapshots), stray(snapshots)) == ([], [])


@pytest.mark.parametrize("number", ["000000000", "99999999999"])
def test_any_time_that_a_name_may_say(snapshots, number):
    snapshots.objects[f"etcd-snapshots/x-{number}"] = b"x"
    ((stamp, _),) = listed(snapshots)
    assert keys.moment_of(stamp).timestamp() == int(number)


def test_a_name_goes_into_a_command_as_one_word(snapshots):
    snapshots.objects[f"etcd-snapshots/a $(reboot)'-{UNIX}.zip"] = b"x"
    (found,) = catalog_of(snapshots).foreign(CONTROL_PLANE)
    word = f"'a $(reboot)'\"'\"'-{UNIX}"
    assert found.restore_by_hand[2].endswith(f"=$PWD/{word}.zip'")
    assert found.restore_by_hand[3] == f"unzip -p {word}.zip' > {word}'"


@pytest.mark.parametrize(
    ("prefix", "folders"),
    [
        ("", ("", ".metadata/", "server/")),
        ("-x", ("-x/", "-x/.metadata/", "-x-server/")),
        ("a/b", ("a/b/", "a/b/.metadata/", "a/b-server/")),
    ],
)
def test_wherever_the_folder_is(snapshots, prefix, folders):
    own = [f"{folder}backstay-server-1-{UNIX}" for folder in folders]
    other = f"{folders[0]}etcd-snapshot-server-1-{UNIX}"
    snapshots.objects |= dict.fromkeys([*own, other, f"elsewhere/backstay-server-1-{UNIX}"], b"x")
    assert listed(snapshots, prefix=prefix) == [(AT, other)]
    assert sorted(stray(snapshots, prefix=prefix)) == sorted(own)


def test_a_snapshot_of_others_can_be_removed_and_is_never_the_latest(snapshots):
    snapshots.objects[OTHERS] = b"x"
    catalog = catalog_of(snapshots)
    with pytest.raises(NoSuchBackup, match="no complete backup"):
        catalog.find("etcd/control-plane")
    catalog.remove(catalog.find(f"etcd/control-plane@{AT}"))
    assert snapshots.objects == {}
