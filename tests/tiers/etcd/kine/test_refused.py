"""What would go wrong is found before anything is stopped: each refusal leaves the machine as it was."""

from dataclasses import replace

import pytest

from backstay.core.errors import Corrupt, RestoreError, SnapshotDamaged, ToolMissing, ToolTooOld, UsageError
from backstay.core.model import State
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.kine.restoreplan import plan
from tests.tiers.etcd.kine.machine import TOKEN, objects, plan_of, restoring
from tests.tiers.etcd.kine.stored import MemorySource, changed
from tests.tiers.etcd.restore.machine import NOW, STAMP


def run(machine, source, **options):
    return restoring(machine, source, made=plan_of(machine, source, **options)).run(source)


@pytest.fixture
def refused(server, source):
    """Ask for a restore that must be refused; nothing may have been stopped, moved or left behind."""

    def ask(kind, match, call=plan_of, backup=source, **options):
        was, asked, names = objects(server.database), server.asked(), server.names()
        mark, files = (
            server.database.stat().st_ino,
            {path: path.stat().st_mtime_ns for path in server.server.glob("*/*")},
        )
        with pytest.raises(kind, match=match) as caught:
            call(server, backup, **options)
        assert "Nothing was" in caught.value.hint
        assert server.asked() == asked
        assert server.is_active()
        assert (server.names(), server.database.stat().st_ino) == (names, mark)
        assert objects(server.database) == was
        assert {path: path.stat().st_mtime_ns for path in files if "db" not in path.parts} == {
            path: time for path, time in files.items() if "db" not in path.parts
        }
        return caught.value

    return ask


class TestPlan:
    """By reading only, when the plan is made."""

    def test_not_root(self, server, refused):
        server.euid = 1000
        refused(UsageError, "needs root")

    def test_no_room(self, server, source, refused):
        size = source.backup.contents["size_bytes"]
        server.free = 3 * size - 1
        refused(RestoreError, "is too small: a restore needs")
        server.free = 3 * size
        assert any(note.startswith("Disk: needs") for note in plan_of(server, source).notes)

    def test_an_older_k3s(self, server, source, refused):
        server.version("v1.30.9+k3s1")
        refused(ToolTooOld, r"k3s v1.30.9\+k3s1 is older than the v1.31.4\+k3s1")
        assert "OLDER" in "\n".join(plan_of(server, source, force_version=True).notes)

    def test_no_k3s(self, server, refused):
        (server.root / "bin/k3s").unlink()
        refused(ToolMissing, "k3s")

    def test_a_wrong_token_in_the_settings(self, server, refused):
        server.configure(token="another")
        server.token = None
        refused(RestoreError, r"does not open etcd/control-plane@.*: its hash is \w+, the snapshot's \w+")

    def test_a_token_that_k3s_would_not_use(self, server, refused):
        server.configure(token="another")
        server.token = TOKEN
        refused(UsageError, "is not the one that opens")

    def test_no_token(self, server, refused):
        server.configure(token=None)
        server.plane.token_file.rename(server.root / "token")
        server.token = None
        refused(UsageError, "no server token is known")

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("datastore-endpoint", "postgres://user@db/k3s"),
            ("cluster-init", True),
            ("server", "https://10.0.0.1:6443"),
            ("cluster-reset", True),
            ("cluster-reset-restore-path", "x.db"),
        ],
    )
    def test_settings_with_which_k3s_would_read_something_else(self, server, source, refused, setting, value):
        server.configure(**{setting.replace("-", "_"): value})
        error = refused(UsageError, f"`{setting}` is set in .*config.yaml")
        assert "config.yaml" in error.hint

    @pytest.mark.parametrize(("setting", "value"), [("datastore-endpoint", "sqlite"), ("cluster-init", False)])
    def test_settings_that_change_nothing(self, server, source, setting, value):
        server.configure(**{setting.replace("-", "_"): value})
        assert plan_of(server, source).confirm

    def test_a_server_with_an_etcd(self, server, refused):
        (server.plane.etcd_dir / "member").mkdir(parents=True)
        refused(UsageError, "this server keeps its state in etcd")

    def test_no_unit(self, server, refused):
        (server.root / "etc/systemd/system/k3s.service").rename(server.root / "k3s.service")
        try:
            refused(UsageError, "there is no unit k3s.service")
        finally:
            (server.root / "k3s.service").rename(server.root / "etc/systemd/system/k3s.service")

    def test_what_this_kind_cannot_do(self, server, source, refused):
        for option in ({"bump_revision": 1000}, {"to": "/elsewhere"}, {"tables": "x"}):
            refused(UsageError, f"{next(iter(option)).replace('_', '-')}: not for a backup of k3s on SQLite", **option)
        assert plan_of(server, source, bump_revision=None, members=()).confirm
        request = RestoreRequest(stamp=STAMP, now=NOW, scratch=True)
        with pytest.raises(UsageError, match="a drill does not restore"):
            plan(server.plane, source.backup, request, server.system)


class TestRun:
    """Once the database is here, and before the stop."""

    def test_a_wrong_token_that_no_manifest_tells_of(self, server, source, refused):
        server.configure(token="another")
        server.token = None
        contents = {name: value for name, value in source.backup.contents.items() if name != "token_hash"}
        unknown = MemorySource(replace(source.backup, contents=contents), source.held)
        refused(RestoreError, "the server token does not open", call=run, backup=unknown)

    def test_a_changed_byte(self, server, source, refused):
        data = bytearray(source.held["sqlite"])
        place = data.index(b"8-800-8-800-") + 200
        data[place] ^= 1
        refused(
            SnapshotDamaged, "is not what was backed up: content_sha256", call=run, backup=changed(source, bytes(data))
        )

    def test_a_damaged_database(self, server, source, refused):
        data = bytearray(source.held["sqlite"])
        data[4096 * 2 : 4096 * 3] = b"\xa5" * 4096
        refused(SnapshotDamaged, "damaged|not a whole database", call=run, backup=changed(source, bytes(data)))

    def test_bytes_that_the_store_changed(self, server, source, refused):
        held = {**source.held, "sqlite": source.held["sqlite"][:-1] + b"x"}
        refused(Corrupt, "not what was stored", call=run, backup=MemorySource(source.backup, held))

    def test_a_backup_of_etcd(self, server, source, refused):
        other = MemorySource(replace(source.backup, artifacts=()), {})
        refused(RestoreError, "has no sqlite", call=run, backup=other)

    def test_a_foreign_one_promises_nothing(self, server, source):
        other = replace(source.backup, state=State.FOREIGN, contents={"kind": "kine"})
        assert run(server, MemorySource(other, source.held)).ok
