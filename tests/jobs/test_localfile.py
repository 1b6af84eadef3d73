"""A restore from a file at hand: what is known of it, and where its lease and journal are."""

import json
import os
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from backstay.catalog import journal as journals
from backstay.catalog import manifest
from backstay.catalog.journal import JournalState
from backstay.core.errors import CatalogError, Corrupt, RestoreError, UsageError
from backstay.core.model import Artifact, Plan, State, Target, TierKind
from backstay.jobs import localfile
from backstay.jobs.transfer import StoreSource
from backstay.store.directory import DirectoryStore
from tests.catalog.fakes import CARDBOARD, SHA, make_backup

CONTROL_PLANE = Target(TierKind.ETCD, "control-plane")
SNAPSHOT = "etcd-snapshot-server-1-1766000000.zip"
HAM = Target(TierKind.POSTGRES, "ham")
NAME = "cardboard-20260211-154344.sql.gz"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(b"x" * 100)
    os.utime(path, (1_770_000_000, 1_770_000_000))
    return path


@pytest.fixture
def manifest_file(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_bytes(manifest.encode(make_backup()))
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.sql", ()),
        ("a.sql.gz", ("gzip",)),
        ("a.sql.zst", ("zstd",)),
        ("a.sql.gz.age", ("gzip", "age")),
        ("a.sql.age", ("age",)),
        ("etcd-snapshot-server-1-1766000000", ()),
        ("etcd-snapshot-server-1.example.org-1766000000", ()),
        ("etcd-snapshot-server-1-1766000000.zip", ("zip",)),
        ("backstay-server-1-1766000000.zip.age", ("zip", "age")),
        ("a.gz.sql", ()),
        ("gz", ()),
    ],
)
def test_the_suffixes_say_how_it_is_encoded(name, expected):
    assert localfile.encodings(name) == expected


def test_without_a_manifest_it_is_a_foreign_dump_of_the_time_in_its_name(file):
    backup = localfile.backup_of(localfile.local_file(file), CARDBOARD)
    assert (backup.id, backup.state, backup.point_in_time) == (
        "postgres/cardboard@20260211-154344", State.FOREIGN, None,
    )  # fmt: skip
    assert backup.finished_at == datetime.fromtimestamp(1_770_000_000, UTC)
    [dump] = backup.artifacts
    assert (dump.role, dump.key, dump.size_bytes, dump.sha256, dump.encoding) == ("dump", NAME, 100, "", ("gzip",))


def test_a_name_without_a_time_takes_that_of_the_file(file):
    other = file.rename(file.with_name("dump.sql"))
    assert localfile.backup_of(localfile.local_file(other), HAM).stamp == "20260202-024000"


def test_with_its_manifest_everything_is_known_and_read_from_the_file(file, manifest_file):
    renamed = file.rename(file.with_name("downloaded.sql.gz"))
    backup = localfile.backup_of(localfile.local_file(renamed, manifest_file), CARDBOARD)
    assert backup.state is State.COMPLETE
    assert backup.contents == make_backup().contents
    [dump] = backup.artifacts
    assert (dump.key, dump.sha256) == ("downloaded.sql.gz", make_backup().artifacts[0].sha256)


def test_a_manifest_of_another_target_is_refused(file, manifest_file):
    with pytest.raises(UsageError, match="is the manifest of a backup of postgres/cardboard, not of postgres/ham"):
        localfile.backup_of(localfile.local_file(file, manifest_file), HAM)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "postgres/cardboard@nonsense"}', "\x00", '{"id": 7}'])
def test_what_is_no_manifest(file, manifest_file, text):
    manifest_file.write_text(text)
    with pytest.raises(CatalogError, match="is not a manifest"):
        localfile.backup_of(localfile.local_file(file, manifest_file), CARDBOARD)


def test_a_damaged_manifest_is_told_by_field(file, manifest_file):
    fields = json.loads(manifest_file.read_text())
    fields["state"] = "splendid"
    manifest_file.write_text(json.dumps(fields))
    with pytest.raises(CatalogError, match="state is not one of"):
        localfile.backup_of(localfile.local_file(file, manifest_file), CARDBOARD)


def test_the_globals_are_not_a_dump(file, manifest_file):
    other = file.rename(file.with_name(make_backup().artifacts[1].key.rpartition("/")[2]))
    with pytest.raises(UsageError, match="is not the file that"):
        localfile.backup_of(localfile.local_file(other, manifest_file), CARDBOARD)


def test_a_file_that_is_not_there(tmp_path, file):
    with pytest.raises(UsageError, match="there is no file .*nothing"):
        localfile.local_file(tmp_path / "nothing")
    with pytest.raises(UsageError, match="there is no file .*nothing"):
        localfile.local_file(file, tmp_path / "nothing")


def test_a_plan_leads_back_to_the_file(file, manifest_file, monkeypatch):
    monkeypatch.chdir(file.parent)
    found = localfile.local_file(Path(file.name), Path(manifest_file.name))
    plan = Plan("restore", CARDBOARD, "", (), details=found.details)
    monkeypatch.chdir("/")
    assert localfile.of_plan(plan) == found
    assert localfile.of_plan(Plan("restore", CARDBOARD, "", ())) is None


def test_the_place_reads_the_file_and_keeps_state_for_this_user_alone(file, tmp_path):
    state = tmp_path / "state" / "backstay"
    with localfile.place_of(localfile.local_file(file), state, DirectoryStore) as place:
        with place.artifacts.get(NAME) as chunks:
            assert b"".join(chunks) == b"x" * 100
        place.state.put("a/b", (b"journal",))
    assert state.stat().st_mode & 0o777 == 0o700
    with closing(DirectoryStore(state)) as store:
        assert [info.key for info in store.list("")] == ["a/b"]
    assert sorted(path.name for path in file.parent.iterdir()) == [NAME, "state"]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """As k3s leaves it, compressed."""
    path = tmp_path / SNAPSHOT
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SNAPSHOT.removesuffix(".zip"), b"a snapshot " * 1000)
    os.utime(path, (1_770_000_000, 1_770_000_000))
    return path


def content(file, backup, state):
    """Its plain bytes, as a restore reads them."""
    with (
        localfile.place_of(file, state, DirectoryStore) as place,
        StoreSource(place.artifacts, backup, ()).open("snapshot") as chunks,
    ):
        return b"".join(chunks)


def test_a_snapshot_of_k3s_is_a_foreign_one(snapshot, tmp_path):
    file = localfile.local_file(snapshot)
    backup = localfile.backup_of(file, CONTROL_PLANE)
    assert (backup.target, backup.state, backup.point_in_time) == (CONTROL_PLANE, State.FOREIGN, None)
    assert backup.finished_at == datetime.fromtimestamp(1_770_000_000, UTC)
    [artifact] = backup.artifacts
    assert (artifact.role, artifact.key, artifact.encoding) == ("snapshot", SNAPSHOT, ("zip",))
    assert (artifact.size_bytes, artifact.plain_size_bytes) == (snapshot.stat().st_size, -1)
    assert content(file, backup, tmp_path / "state") == b"a snapshot " * 1000


def test_a_raw_snapshot_is_read_as_it_is(snapshot, tmp_path):
    raw = snapshot.with_name(SNAPSHOT.removesuffix(".zip"))
    raw.write_bytes(b"raw")
    file = localfile.local_file(raw)
    assert content(file, localfile.backup_of(file, CONTROL_PLANE), tmp_path / "state") == b"raw"


def test_a_cut_archive_is_damaged(snapshot, tmp_path):
    snapshot.write_bytes(snapshot.read_bytes()[:-30])
    file = localfile.local_file(snapshot)
    with pytest.raises(Corrupt, match=f"{SNAPSHOT} is not a whole zip archive"):
        content(file, localfile.backup_of(file, CONTROL_PLANE), tmp_path / "state")


def test_a_snapshot_with_its_manifest(snapshot, manifest_file):
    key = f"etcd-snapshots/{SNAPSHOT}"
    server = Artifact("server", "etcd-snapshots-server/x.server.tar.zip", 1, SHA, 1, SHA, ("zip",))
    mine = make_backup(CONTROL_PLANE, artifacts=(Artifact("snapshot", key, 1, SHA, 1, SHA, ("zip",)), server))
    manifest_file.write_bytes(manifest.encode(mine))
    backup = localfile.backup_of(localfile.local_file(snapshot, manifest_file), CONTROL_PLANE)
    assert backup.state is State.COMPLETE
    assert [(one.role, one.key, one.sha256) for one in backup.artifacts] == [("snapshot", SNAPSHOT, SHA)]
    other = snapshot.rename(snapshot.with_name("x.server.tar.zip"))
    with pytest.raises(UsageError, match="x.server.tar.zip is not the file that"):
        localfile.backup_of(localfile.local_file(other, manifest_file), CONTROL_PLANE)


def _journal(store, stamp, state):
    plan = Plan("restore", CARDBOARD, "Restore", ())
    made = journals.create(store, plan, stamp, "postgres/cardboard@x", run="r", now=lambda: datetime.now(UTC))
    if state is not JournalState.OPEN:
        made.close(state)


def _found(tmp_path, local, stored):
    """Where the pending restore is, with these journals in the local folder and in the store."""
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "store").mkdir()
    folder, store = DirectoryStore(tmp_path / "state"), DirectoryStore(tmp_path / "store")
    for place, journals_there in ((folder, local), (store, stored)):
        for stamp, state in journals_there:
            _journal(place, stamp, state)
    context = SimpleNamespace(catalogs=[SimpleNamespace(name="main", store=store)])
    with localfile.state_of_unfinished(context, CARDBOARD, tmp_path / "state", DirectoryStore) as found:
        return Path(found.describe().removeprefix("file://")).name


OLD, NEW = "20260211-154344", "20260211-164344"


@pytest.mark.parametrize(
    ("local", "stored", "where"),
    [
        ([(OLD, JournalState.FAILED)], [(NEW, JournalState.OPEN)], "store"),
        ([(NEW, JournalState.FAILED)], [(OLD, JournalState.DONE)], "state"),
        ([(OLD, JournalState.OPEN)], [(NEW, JournalState.FAILED)], "state"),
        ([], [(OLD, JournalState.FAILED)], "store"),
    ],
)
def test_the_restore_that_is_pending_is_found_wherever_it_is(tmp_path, local, stored, where):
    assert _found(tmp_path, local, stored) == where


def test_a_restore_that_failed_before_another_one_ended_is_not_gone_on_with(tmp_path):
    with pytest.raises(RestoreError, match="no unfinished restore"):
        _found(tmp_path, [(OLD, JournalState.FAILED)], [(NEW, JournalState.DONE)])
