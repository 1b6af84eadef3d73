"""Backups of k3s on SQLite: what is live, what the manifest says of it, and nothing stored where anything is wrong."""

import hashlib
import os
import resource
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.catalog.foreign import SnapshotNaming
from backstay.core.errors import SnapshotDamaged, SourceError
from backstay.core.model import NoProgress
from backstay.tiers.etcd.kine import backup as capture
from backstay.tiers.etcd.kine import online
from backstay.tiers.etcd.kine.datastore import is_of, is_used
from tests.tiers.etcd import bootstrap
from tests.tiers.etcd.kine.kine import Kine, state
from tests.tiers.etcd.kine.stored import MemorySink, fill, plane_of, take


@pytest.fixture
def plane(tmp_path):
    made = plane_of(tmp_path)
    kine = Kine(made.sqlite_file)
    fill(kine)
    yield made
    kine.close()


def refused(plane, kind, match):
    """A backup that must fail: nothing stored, nothing left in the spool, and the words say so."""
    sink = MemorySink()
    with pytest.raises(kind, match=match) as caught:
        capture.backup(plane, sink, NoProgress())
    assert "othing was stored" in caught.value.hint
    assert sink.held == {}
    assert list(plane.spool.iterdir()) == []
    return caught.value


class TestWhatIsInIt:
    def test_the_live_rows_with_their_revisions(self, plane, tmp_path):
        made = take(plane)
        copy = tmp_path / "copy.db"
        copy.write_bytes(made.held["sqlite"])
        assert state(copy) == state(plane.sqlite_file)
        assert len(state(copy)) > 50

    def test_it_is_one_file_without_a_log(self, plane, tmp_path):
        assert plane.sqlite_file.with_name("state.db-wal").stat().st_size > 0
        data = take(plane).held["sqlite"]
        assert data[18:20] == b"\x01\x01"  # not in WAL mode (sqlite.org/fileformat.html, 1.3.3)

    def test_what_the_manifest_says(self, plane):
        live, contents = state(plane.sqlite_file), take(plane).backup.contents
        resources = {}
        for name in live:
            parts = name.split("/")
            kind = (
                {"minions": "nodes", "example.com": "widgets.example.com"}.get(parts[2], parts[2])
                if len(parts) > 2
                else ""
            )
            kind = kind if name.startswith("/registry/") else "(other)"
            resources[kind] = resources.get(kind, 0) + 1
        assert contents["kind"] == "kine"
        assert contents["resources"] == resources
        assert contents["resources"]["configmaps"] == 54
        assert contents["keys"] == len(live)
        database = sqlite3.connect(plane.sqlite_file)
        assert contents["revision"] == database.execute("SELECT max(id) FROM kine").fetchone()[0]
        assert contents["rows"] == database.execute("SELECT count(*) FROM kine").fetchone()[0] > len(live)
        compacted = database.execute("SELECT prev_revision FROM kine WHERE name = 'compact_rev_key'").fetchone()[0]
        assert contents["compact_revision"] == compacted > 0
        database.close()

    def test_the_hash_is_what_its_words_say(self, plane):
        digest = hashlib.sha256()
        for name, (revision, value) in sorted(state(plane.sqlite_file).items(), key=lambda one: one[0].encode()):
            head = struct.pack(">I", len(name)) + name.encode() + struct.pack(">QI", revision, len(value))
            digest.update(head + value)
        assert take(plane).backup.contents["content_sha256"] == digest.hexdigest()

    @pytest.mark.parametrize("change", ["value", "revision", "name"])
    def test_any_change_shows_in_the_hash(self, plane, change):
        before = take(plane).backup.contents["content_sha256"]
        database = sqlite3.connect(plane.sqlite_file)
        statement = {
            "value": "UPDATE kine SET value = x'00' WHERE id = (SELECT max(id) FROM kine)",
            "revision": "UPDATE kine SET id = id + 1 WHERE id = (SELECT max(id) FROM kine)",
            "name": "UPDATE kine SET name = name || 'x' WHERE id = (SELECT max(id) FROM kine)",
        }[change]
        database.execute(statement)
        database.commit()
        database.close()
        assert take(plane).backup.contents["content_sha256"] != before

    def test_a_compaction_and_vacuum_do_not(self, plane):
        before = take(plane).backup.contents
        kine = Kine(plane.sqlite_file)
        kine.compact(kine.revision())
        kine.database.execute("VACUUM")
        kine.close()
        after = take(plane).backup.contents
        assert after["content_sha256"] == before["content_sha256"]
        assert after["rows"] < before["rows"]

    def test_of_which_cluster_it_is(self, plane):
        made = take(plane).backup
        assert made.source["kubernetes_version"] == "v1.31.4+k3s1"
        assert made.source["cluster_uid"] == "uid-of-the-cluster"
        assert made.source["servers"] == ["server-1"]
        assert made.source["journal_mode"] == "wal"
        (warning,) = made.warnings
        assert warning.startswith("the server token and files are not in this backup")
        assert is_of(made)

    def test_the_token(self, plane, tmp_path):
        contents = take(plane).backup.contents
        assert contents["token_hash"] == hashlib.sha256(bootstrap.PASSWORD.encode()).hexdigest()[:12]
        assert contents["token_opens"] is True
        assert contents["certificates_end"].startswith("2036-")
        wrong = plane_of(tmp_path, token=lambda: "another")
        made = take(wrong).backup
        assert made.contents["token_opens"] is False
        assert "does not open this backup" in made.warnings[0]

    def test_the_server_files_only_where_they_are_encrypted(self, plane, tmp_path):
        plane.token_file.write_text("K10::server:secret\n")
        assert "server" not in take(plane).held
        made = take(plane_of(tmp_path, encrypted=True))
        assert b"K10::server:secret" in made.held["server"]
        assert made.backup.contents["server_files"] is True
        assert [one.role for one in made.backup.artifacts] == ["sqlite", "server"]

    def test_a_stopped_k3s(self, tmp_path):
        """Its log is gone, and the file still says that it is in WAL mode."""
        plane = plane_of(tmp_path)
        kine = Kine(plane.sqlite_file)
        fill(kine)
        kine.close()
        assert not plane.sqlite_file.with_name("state.db-wal").exists()
        assert take(plane).backup.contents["keys"] == len(state(plane.sqlite_file))

    def test_a_killed_k3s_with_all_its_rows_in_the_log(self, tmp_path):
        plane = plane_of(tmp_path)
        script = (
            "import os, sys; from pathlib import Path; from tests.tiers.etcd.kine.kine import Kine\n"
            "kine = Kine(Path(sys.argv[1])); kine.database.execute('PRAGMA wal_autocheckpoint=0')\n"
            "for number in range(50): kine.put(f'/registry/pods/a/{number}', b'x' * 900)\n"
            "os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", script, plane.sqlite_file], cwd=Path(__file__).parents[4], timeout=30)
        log = plane.sqlite_file.with_name("state.db-wal")
        before = log.read_bytes()
        assert len(before) > 50_000
        assert take(plane).backup.contents["resources"]["pods"] == 50
        assert log.read_bytes() == before  # it was read, not put into the file

    def test_the_live_file_is_only_read(self, plane):
        before = plane.sqlite_file.read_bytes(), plane.sqlite_file.with_name("state.db-wal").read_bytes()
        take(plane)
        assert (plane.sqlite_file.read_bytes(), plane.sqlite_file.with_name("state.db-wal").read_bytes()) == before


class TestNames:
    @pytest.mark.parametrize("end", ["", ".zip", ".age", ".zip.age"])
    def test_it_is_backstays_own_and_no_snapshot(self, plane, end):
        sink = MemorySink()
        capture.backup(plane, sink, NoProgress())
        assert sink.names["sqlite"] == "backstay-server-1-{unix}.sqlite"
        name = sink.names["sqlite"].replace("{unix}", "1764108000") + end
        found = SnapshotNaming("etcd-snapshots", "backstay").parse(f"etcd-snapshots/{name}")
        assert found is not None
        assert found.own
        assert not found.is_backup
        assert found.stamp == "20251125-220000"
        # k3s: the text behind the last dash, without .zip, must be a number to be a snapshot's time.
        assert not name.removesuffix(".zip").rpartition("-")[2].isdigit()

    def test_foreign_ones_are_not_taken_for_snapshots(self):
        assert not SnapshotNaming("etcd-snapshots", "backstay").parse("etcd-snapshots/x-1764108000.sqlite").is_backup


class TestIsUsed:
    def test_by_the_files(self, plane):
        assert is_used(plane)
        (plane.etcd_dir / "member").mkdir(parents=True)
        assert not is_used(plane)

    def test_not_without_the_file(self, tmp_path):
        assert not is_used(plane_of(tmp_path))


class TestPreview:
    def test_what_is_there(self, plane):
        found = capture.preview(plane)
        assert found["title"] == f"etcd/control-plane  k3s on SQLite at {plane.sqlite_file}"
        assert found["server"] == "sqlite"
        contents = take(plane).backup.contents
        assert {name: found[name] for name in ("keys", "revision", "size_bytes")} == {
            name: contents[name] for name in ("keys", "revision", "size_bytes")
        }

    def test_no_room(self, plane, monkeypatch):
        monkeypatch.setattr(os, "statvfs", lambda _: _Disk(1000, 4096))
        with pytest.raises(SourceError, match="cannot be written"):
            capture.preview(plane)


class TestRefused:
    def test_damaged_pages(self, plane):
        size = plane.sqlite_file.stat().st_size
        kine = Kine(plane.sqlite_file)
        kine.compact(0)  # all of it in the file
        kine.close()
        with plane.sqlite_file.open("r+b") as file:
            for page in range(3, size // 4096, 4):
                file.seek(page * 4096)
                file.write(b"\xa5" * 4096)
        error = refused(plane, SnapshotDamaged, "damaged|not a whole database")
        assert error.exit_code == 13

    def test_a_row_that_its_index_does_not_know(self, plane):
        """Both are sound in themselves; only integrity_check compares them."""
        database = sqlite3.connect(plane.sqlite_file, isolation_level=None)
        root = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'kine_name_index'").fetchone()[0]
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("PRAGMA writable_schema=ON")
        database.execute("DELETE FROM sqlite_master WHERE name = 'kine_name_index'")
        database.execute("PRAGMA writable_schema=RESET")
        database.execute("INSERT INTO kine(name, deleted, prev_revision, value) VALUES ('/registry/pods/x', 0, 0, x'')")
        database.execute("PRAGMA writable_schema=ON")
        sql = "CREATE INDEX kine_name_index ON kine (name)"
        database.execute("INSERT INTO sqlite_master VALUES ('index', 'kine_name_index', 'kine', ?, ?)", (root, sql))
        database.close()
        refused(plane, SnapshotDamaged, "integrity_check says")

    def test_cut_short(self, tmp_path):
        plane = plane_of(tmp_path)
        kine = Kine(plane.sqlite_file)
        fill(kine)
        kine.close()
        os.truncate(plane.sqlite_file, plane.sqlite_file.stat().st_size // 2)
        refused(plane, SnapshotDamaged, "state.db is (damaged|not a whole database of kine)")

    @pytest.mark.parametrize("content", [b"", b"this is no database\n" * 500])
    def test_no_database(self, tmp_path, content):
        plane = plane_of(tmp_path)
        plane.sqlite_file.write_bytes(content)
        refused(plane, SnapshotDamaged, "not a whole database of kine")

    def test_a_database_of_something_else(self, tmp_path):
        plane = plane_of(tmp_path)
        database = sqlite3.connect(plane.sqlite_file)
        database.execute("CREATE TABLE kine_of_cattle (id INTEGER)")
        database.close()
        refused(plane, SnapshotDamaged, "no such table: kine")

    def test_no_file(self, tmp_path):
        refused(plane_of(tmp_path), SourceError, "unable to open database file")

    def test_no_room(self, plane, monkeypatch):
        needed = plane.sqlite_file.stat().st_size
        monkeypatch.setattr(os, "statvfs", lambda _: _Disk(needed, 1))
        error = refused(plane, SourceError, "cannot be written to .*: .* are free")
        assert error.context["needed_bytes"] >= needed

    def test_a_disk_that_fills_while_it_is_copied(self, plane):
        """The limit of a file's size stands in for it, in a process of its own."""
        script = (
            "import resource, signal, sys; from pathlib import Path\n"
            "from backstay.core.errors import SourceError; from backstay.core.model import NoProgress\n"
            "from backstay.tiers.etcd.kine import backup\n"
            "from tests.tiers.etcd.kine.stored import MemorySink, plane_of\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
            "sink = MemorySink()\n"
            "try: backup.backup(plane_of(Path(sys.argv[1])), sink, NoProgress())\n"
            "except SourceError as error: print(error.message, error.hint, len(sink.held), sep='|')\n"
        )
        words = [sys.executable, "-c", script, plane.data_dir.parent]
        said = subprocess.run(
            words, cwd=Path(__file__).parents[4], capture_output=True, text=True, timeout=60, check=True
        )
        message, hint, stored = said.stdout.strip().split("|")
        assert "cannot be written to" in message
        assert "Nothing was stored" in hint or "nothing was stored" in hint
        assert stored == "0"
        assert list(plane.spool.iterdir()) == []
        assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 65536

    def test_sqlites_own_word_for_a_full_disk(self, tmp_path):
        database = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        database.execute("PRAGMA max_page_count=3")
        full = pytest.raises(SourceError, match=r"cannot be written to .*: database or disk is full")
        with full, online._writing(tmp_path / "x.db", 1000):
            database.execute("CREATE TABLE t AS SELECT zeroblob(100000)")
        database.close()


class _Disk:
    """What ``os.statvfs`` says, as far as it matters."""

    def __init__(self, blocks, size):
        self.f_bavail, self.f_frsize = blocks, size
