"""A restore of k3s on SQLite brings the backup back, keeps what was live with its log, and can be taken back."""

import shutil
import subprocess

import pytest

from backstay.core.errors import RestoreError
from backstay.core.model import Severity
from backstay.tiers.base import ScratchJournal
from backstay.tiers.etcd.kine import bootstrapfiles
from backstay.tiers.etcd.kine.database import revision_of
from backstay.tiers.etcd.kine.leftovers import leftovers
from tests.tiers.etcd.kine.kine import state
from tests.tiers.etcd.kine.machine import (
    CHANGED,
    ONLY_IN_THE_LOG,
    TOKEN,
    backed_up,
    installed,
    objects,
    plan_of,
    restoring,
)
from tests.tiers.etcd.restore.machine import STAMP, stopping

BEFORE = f"state.db-before-{STAMP}"
UNDONE = f"state.db-undone-{STAMP}"


def stored(source, folder):
    """The objects of a backup."""
    path = folder / "stored.db"
    path.write_bytes(source.held["sqlite"])
    return objects(path)


def test_the_plan(server, source):
    plan = plan_of(server, source)
    assert plan.title == "Restore etcd/control-plane@20261125-220000 (5 h old) into k3s on SQLite on server-1"
    assert [step.name for step in plan.steps] == [
        "fetch and check", "stop", "replace", "certificates", "start", "wait", "compare",
    ]  # fmt: skip
    assert plan.confirm == "etcd/control-plane"
    words = "\n".join(plan.notes)
    assert "Lost by this: everything written after the backup, 2026-11-25 22:00:00 UTC, 5 h ago: " in words
    assert f"Kept: the database of now, as {server.plane.db_dir / BEFORE}" in words
    assert server.asked() == ["start k3s"]  # of the fixture


def test_it_comes_back(server, source, tmp_path):
    live, was = objects(server.database), server.database.stat()
    at = state(server.database)["/registry/leases/kube-node-lease/server-1"][0]
    outcome = restoring(server, source).run(source)
    assert outcome.ok
    assert [finding.severity for finding in outcome.findings] == [Severity.OK]
    assert list(outcome.phases) == ["fetch", "check", "ready", "stop", "replace", "start", "wait", "compare"]
    server.wait_healthy()
    assert objects(server.database) == stored(source, tmp_path)
    assert server.names() == ["state.db", BEFORE]
    assert outcome.facts["kept"] == str(server.plane.db_dir / BEFORE)
    assert objects(server.plane.db_dir / BEFORE) == live
    assert state(server.plane.db_dir / BEFORE)["/registry/leases/kube-node-lease/server-1"][0] >= at
    assert server.asked()[-2:] == ["stop k3s", "start k3s"]
    mode = server.database.stat()
    assert (mode.st_mode & 0o7777, mode.st_uid, mode.st_gid) == (0o600, was.st_uid, was.st_gid)


def test_it_goes_on_with_revisions_of_its_own(server, source):
    restoring(server, source).run(source)
    server.wait_healthy()
    assert revision_of(server.database) > source.backup.contents["revision"]


def test_undo(server, source, tmp_path):
    live, journal = objects(server.database), ScratchJournal()
    plan = plan_of(server, source)
    restoring(server, source, journal, plan).run(source)
    server.wait_healthy()
    outcome = restoring(server, source, journal, plan).undo()
    assert outcome.ok
    assert "k3s is active" in outcome.message
    server.wait_healthy()
    assert objects(server.database) == live
    assert server.names() == ["state.db", UNDONE]
    assert objects(server.plane.db_dir / UNDONE) == stored(source, tmp_path)


class TestAKilledK3s:
    """Its newest rows are in the log alone; they stay with the database they belong to."""

    def test_they_are_in_the_log_alone(self, dirty, tmp_path):
        shutil.copy(dirty.database, tmp_path / "alone.db")
        assert ONLY_IN_THE_LOG in objects(dirty.database)
        assert ONLY_IN_THE_LOG not in objects(tmp_path / "alone.db")

    def test_kept_with_its_log(self, dirty, source, tmp_path):
        live = objects(dirty.database)
        assert restoring(dirty, source).run(source).ok
        assert dirty.names() == ["state.db", BEFORE, f"{BEFORE}-shm", f"{BEFORE}-wal"]
        assert objects(dirty.plane.db_dir / BEFORE) == live
        assert objects(dirty.database) == stored(source, tmp_path)
        (found,) = leftovers(dirty.plane)
        assert (found.name, found.kind) == (BEFORE, "before")

    def test_undone_with_its_log(self, dirty, source, tmp_path):
        live, journal, plan = objects(dirty.database), ScratchJournal(), plan_of(dirty, source)
        restoring(dirty, source, journal, plan).run(source)
        restoring(dirty, source, journal, plan).undo()
        dirty.wait_healthy()
        assert objects(dirty.database) == live
        assert [name for name in dirty.names() if name.startswith("state.db-before")] == []
        assert objects(dirty.plane.db_dir / UNDONE) == stored(source, tmp_path)

    def test_a_log_of_another_run_is_not_put_beside_it(self, dirty, source):
        """Somebody started k3s on what was live, between two runs of an undoing that was cut short."""
        journal, plan = ScratchJournal(), plan_of(dirty, source)
        restoring(dirty, source, journal, plan).run(source)
        dirty.systemctl("stop", "k3s")
        folder = dirty.plane.db_dir
        for end in ("", "-wal", "-shm"):
            (folder / f"state.db{end}").rename(folder / f"elsewhere{end}")
        (folder / BEFORE).rename(folder / "state.db")
        dirty.started()
        later = objects(dirty.database)
        restoring(dirty, source, journal, plan).undo()
        dirty.wait_healthy()
        assert objects(dirty.database) == later
        assert f"{BEFORE}-wal" in dirty.names()


class TestFilesThatAreInTheDatabaseToo:
    def test_those_of_the_backup_come_back(self, server, source):
        assert (server.server / CHANGED).read_text() == "changed since the backup\n"
        same = server.server / "tls/server-ca.crt"
        content = same.read_bytes()
        restoring(server, source).run(source)
        server.wait_healthy()
        assert (server.server / CHANGED).read_text().startswith("cred/passwd ")
        assert same.read_bytes() == content

    def test_without_that_k3s_would_not_start(self, server, source, monkeypatch):
        """What the times are set back for."""
        monkeypatch.setattr(bootstrapfiles, "set_times_back", lambda _: 0)
        with pytest.raises(RestoreError, match="is in place, but k3s is failed"):
            restoring(server, source).run(source)
        assert "newer than datastore" in server.words()

    def test_undo_gives_back_what_was_on_the_disk(self, server, source):
        path, journal, plan = server.server / CHANGED, ScratchJournal(), plan_of(server, source)
        before = path.stat().st_mtime_ns
        server.tell(fail=True)
        with pytest.raises(RestoreError):
            restoring(server, source, journal, plan).run(source)
        assert path.stat().st_mtime_ns == 0
        server.tell()
        restoring(server, source, journal, plan).undo()
        assert path.read_text() == "changed since the backup\n"
        assert path.stat().st_mtime_ns == before

    def test_also_when_the_restore_had_come_to_its_end(self, server, source):
        path, journal, plan = server.server / CHANGED, ScratchJournal(), plan_of(server, source)
        restoring(server, source, journal, plan).run(source)
        server.wait_healthy()
        assert path.read_text().startswith("cred/passwd ")
        restoring(server, source, journal, plan).undo()
        server.wait_healthy()
        assert path.read_text() == "changed since the backup\n"

    def test_only_those_are_touched(self, tmp_path):
        (tmp_path / "tls").mkdir()
        for name in ("tls/server-ca.crt", "tls/client-admin.crt"):
            (tmp_path / name).write_text("x")
        assert bootstrapfiles.set_times_back(tmp_path) == 1
        assert (tmp_path / "tls/server-ca.crt").stat().st_mtime == 0
        assert (tmp_path / "tls/client-admin.crt").stat().st_mtime > 0


class TestANewMachine:
    @pytest.fixture
    def fresh(self, server, source, tmp_path):
        server.systemctl("stop", "k3s")
        machine = installed(tmp_path / "server-2")
        with stopping(machine):
            yield machine

    def test_it_becomes_that_server(self, server, source, fresh, tmp_path):
        outcome = restoring(fresh, source).run(source)
        assert outcome.ok
        fresh.wait_healthy()
        assert objects(fresh.database) == stored(source, tmp_path)
        assert fresh.names() == ["state.db"]
        ours, theirs = (machine.server / "tls/server-ca.crt" for machine in (fresh, server))
        assert ours.read_bytes() == theirs.read_bytes()

    def test_where_k3s_made_certificates_of_its_own(self, server, source, fresh, tmp_path):
        fresh.configure(token=TOKEN)
        fresh.started()
        own = (fresh.server / "tls/server-ca.crt").read_bytes()
        journal, plan = ScratchJournal(), plan_of(fresh, source)
        assert "another one" in "\n".join(plan.notes) or "Lost by this" in "\n".join(plan.notes)
        restoring(fresh, source, journal, plan).run(source)
        fresh.wait_healthy()
        assert (fresh.server / "tls/server-ca.crt").read_bytes() == (server.server / "tls/server-ca.crt").read_bytes()
        restoring(fresh, source, journal, plan).undo()
        fresh.wait_healthy()
        assert (fresh.server / "tls/server-ca.crt").read_bytes() == own

    def test_a_token_that_is_only_in_the_backup(self, server, fresh, tmp_path):
        server.started()
        made = backed_up(_Encrypted(server))
        fresh.configure(token=None)
        fresh.token = None
        plan = plan_of(fresh, made)
        assert "write the token" in [step.name for step in plan.steps]
        restoring(fresh, made, made=plan).run(made)
        fresh.wait_healthy()
        assert TOKEN in fresh.plane.token_file.read_text()
        assert fresh.plane.token_file.stat().st_mode & 0o777 == 0o600

    def test_undo_leaves_nothing_in_its_place(self, source, fresh):
        journal, plan = ScratchJournal(), plan_of(fresh, source)
        restoring(fresh, source, journal, plan).run(source)
        outcome = restoring(fresh, source, journal, plan).undo()
        assert "did not run before" in outcome.message
        assert not fresh.database.exists()
        assert not fresh.is_active()
        assert fresh.names() == [UNDONE]


def test_the_steps_by_hand(server, source, tmp_path):
    """As the manifest prints them, by the tools they name."""
    server.systemctl("stop", "k3s")
    (tmp_path / "backstay.sqlite").write_bytes(source.held["sqlite"])
    lines = [line for line in source.backup.restore_by_hand if line.startswith(("mkdir", "install", "Take"))]
    for line in lines:
        command = line.partition(": ")[2] if line.startswith("Take") else line
        command = command.replace("backstay-server-1-1764108000.sqlite", str(tmp_path / "backstay.sqlite"))
        subprocess.run(["sh", "-c", command], check=True, timeout=20)
    server.started()
    assert objects(server.database) == stored(source, tmp_path)
    assert (server.server / CHANGED).read_text().startswith("cred/passwd ")
    assert revision_of(server.plane.db_dir / "before/state.db") > source.backup.contents["revision"]


class _Encrypted:
    """A machine whose artifacts are encrypted, so that its token is among them."""

    def __init__(self, machine):
        from dataclasses import replace

        self.token, self._machine, self._replace = None, machine, replace

    @property
    def plane(self):
        self._machine.token = self.token
        return self._replace(self._machine.plane, encrypted=True)
