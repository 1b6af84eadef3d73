"""Where a restore of k3s on SQLite fails, the live database is in its place again; what is set aside can be removed."""

import errno
import os
import subprocess
import sys

import pytest

from backstay.core.errors import RestoreError
from backstay.tiers.base import ScratchJournal
from backstay.tiers.etcd.kine import bootstrapfiles, swap
from backstay.tiers.etcd.kine.leftovers import leftovers, remove_leftover
from backstay.tiers.etcd.restore import copies
from tests.tiers.etcd.kine.machine import CHANGED, objects, plan_of, restoring
from tests.tiers.etcd.kine.test_restore import BEFORE, UNDONE, stored


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestFailures:
    def test_k3s_does_not_start_on_it(self, server, source, tmp_path):
        live, journal, plan = objects(server.database), ScratchJournal(), plan_of(server, source)
        server.tell(fail=True)
        with pytest.raises(RestoreError, match="the restored database is in place, but k3s is failed") as caught:
            restoring(server, source, journal, plan).run(source)
        assert "--rollback" in caught.value.hint
        assert objects(server.database) == stored(source, tmp_path)
        server.tell()
        assert restoring(server, source, journal, plan).undo().ok
        server.wait_healthy()
        assert objects(server.database) == live

    def test_it_is_gone_on_with(self, server, source, tmp_path):
        journal, plan = ScratchJournal(), plan_of(server, source)
        server.tell(fail=True)
        with pytest.raises(RestoreError):
            restoring(server, source, journal, plan).run(source)
        server.tell()
        assert restoring(server, source, journal, plan).run(source).ok
        server.wait_healthy()
        assert objects(server.database) == stored(source, tmp_path)

    @pytest.mark.parametrize("change", ["_link", "_rename"])
    def test_a_name_that_cannot_be_changed(self, server, source, monkeypatch, change):
        live = objects(server.database)

        def refusing(path, to):
            raise RestoreError(f"{path} could not take the name {to}: it is a test")

        monkeypatch.setattr(swap, change, refusing)
        with pytest.raises(RestoreError, match="it is a test") as caught:
            restoring(server, source).run(source)
        assert "is in its place and is being started again" in caught.value.hint
        monkeypatch.undo()
        server.wait_healthy()
        assert objects(server.database) == live
        assert (server.server / CHANGED).read_text() == "changed since the backup\n"

    def test_a_disk_that_is_full_before_the_stop(self, server, source, monkeypatch):
        live, names = objects(server.database), server.names()
        monkeypatch.setattr(copies, "keep", full)
        with pytest.raises(RestoreError, match="cannot write what it needs: No space left on device") as caught:
            restoring(server, source).run(source)
        assert "Nothing was stopped and nothing changed." in caught.value.hint
        assert server.is_active()
        assert objects(server.database) == live
        assert server.names() == names

    def test_a_disk_that_is_full_behind_the_stop(self, server, source, monkeypatch):
        live = objects(server.database)
        monkeypatch.setattr(bootstrapfiles, "set_times_back", full)
        with pytest.raises(RestoreError, match="cannot write what it needs: No space left on device") as caught:
            restoring(server, source).run(source)
        assert "is in its place and is being started again" in caught.value.hint
        monkeypatch.undo()
        server.wait_healthy()
        assert objects(server.database) == live

    def test_it_does_not_stop(self, server, source):
        live = objects(server.database)
        (server.root / "stop-fails").touch()
        with pytest.raises(RestoreError, match="systemctl stop k3s` failed") as caught:
            restoring(server, source).run(source)
        assert "is in its place" in caught.value.hint
        assert server.is_active()
        assert objects(server.database) == live

    def test_another_process_has_it_open(self, server, source):
        script = (
            "import sqlite3, sys; database = sqlite3.connect(sys.argv[1]); "
            "database.execute('SELECT count(*) FROM kine').fetchone(); print('open', flush=True); sys.stdin.read()"
        )
        words = [sys.executable, "-c", script, str(server.database)]
        server.patience = type(server.patience)(stop=1, start=20, poll=0.1)
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"open\n"
            with pytest.raises(RestoreError, match="still has .*state.db open after the stop"):
                restoring(server, source).run(source)
            process.stdin.close()
        server.wait_healthy()

    def test_a_file_system_without_second_names(self, server, source, monkeypatch, tmp_path):
        def refusing(*_):
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refusing)
        live, journal, plan = objects(server.database), ScratchJournal(), plan_of(server, source)
        assert restoring(server, source, journal, plan).run(source).ok
        assert objects(server.plane.db_dir / BEFORE) == live
        assert restoring(server, source, journal, plan).undo().ok
        assert objects(server.database) == live
        assert server.names() == ["state.db", UNDONE]

    def test_the_kept_one_was_moved_away(self, server, source):
        journal, plan = ScratchJournal(), plan_of(server, source)
        restoring(server, source, journal, plan).run(source)
        (server.plane.db_dir / BEFORE).rename(server.root / "elsewhere")
        with pytest.raises(RestoreError, match="the database that was live is not in") as caught:
            restoring(server, source, journal, plan).undo()
        assert "Move it to" in caught.value.hint
        copies.move(server.root / "elsewhere", server.plane.db_dir / BEFORE)
        assert restoring(server, source, journal, plan).undo().ok


class TestLeftovers:
    def test_listed_and_removed_with_their_logs(self, server, source):
        restoring(server, source).run(source)
        log = server.plane.db_dir / f"{BEFORE}-wal"
        log.write_bytes(b"x" * 9000)
        (server.plane.db_dir / f"{BEFORE}-wal-2").touch()
        (found,) = leftovers(server.plane)
        assert found.size_bytes > (server.plane.db_dir / BEFORE).stat().st_blocks * 512
        assert not remove_leftover(server.plane, "state.db")
        assert not remove_leftover(server.plane, "state.db-wal")
        log.unlink()
        assert remove_leftover(server.plane, BEFORE)
        (found,) = leftovers(server.plane)
        assert found.name == f"{BEFORE}-wal-2"  # now it is of nothing
        assert remove_leftover(server.plane, found.name)
        assert list(leftovers(server.plane)) == []
        assert server.database.exists()

    def test_not_one_that_is_open(self, server, source):
        restoring(server, source).run(source)
        path = server.plane.db_dir / BEFORE
        script = (
            "import sqlite3, sys; database = sqlite3.connect(sys.argv[1]); "
            "database.execute('SELECT count(*) FROM kine').fetchone(); print('open', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout.readline() == b"open\n"
            with pytest.raises(RestoreError, match="is open in a running process"):
                remove_leftover(server.plane, BEFORE)
            process.stdin.close()
        assert remove_leftover(server.plane, BEFORE)
