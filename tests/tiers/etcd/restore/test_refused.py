"""Everything that would go wrong is found before anything is stopped: each refusal leaves the machine as it was."""

from dataclasses import replace

import pytest

from backstay.core.errors import (
    Corrupt,
    RestoreError,
    SnapshotDamaged,
    ToolMissing,
    ToolTooOld,
    UsageError,
)
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.restore.plan import plan_restore
from tests.tiers.etcd.restore.machine import (
    NOW,
    STAMP,
    Machine,
    foreign,
    k3s,
    keys,
    plan_of,
    restore,
    stopping,
    take,
    unit,
)


def tree(machine):
    """The server's folder: names and, but for what etcd writes all the time, times."""
    paths = sorted(machine.plane.data_dir.rglob("*"))
    return [(path, path.stat().st_mtime_ns) for path in paths if "member" not in path.parts and path.name != "db"]


@pytest.fixture
def refused(server, source):
    """Ask for a restore that must be refused; nothing may have been stopped, moved or left behind."""

    def ask(kind, match, hint="Nothing was", backup=source, call=restore, machine=server, **options):
        before, state = tree(machine), keys(machine)
        asked = server.asked()
        with pytest.raises(kind, match=match) as caught:
            call(machine, backup, **options)
        assert hint in caught.value.hint
        assert server.asked() == asked
        assert server.is_active()
        assert tree(machine) == before
        assert keys(machine) == state
        return caught.value

    return ask


class TestPlan:
    """By reading only, when the plan is made."""

    def test_not_root(self, server, refused):
        server.euid = 1000
        assert "sudo" in refused(UsageError, "needs root", call=plan_of).hint

    def test_no_room(self, server, source, refused):
        size = source.backup.contents["size_bytes"]
        server.free = 3 * size - 1
        refused(RestoreError, "is too small: a restore needs", call=plan_of)
        server.free = 3 * size
        assert any(note.startswith("Disk: needs") for note in plan_of(server, source).notes)
        refused(RestoreError, "is too small", call=plan_of, bump_revision=1000)

    def test_an_older_k3s(self, server, source, refused):
        server.version("v1.30.9+k3s1")
        refused(ToolTooOld, r"k3s v1.30.9\+k3s1 is older than the v1.31.4\+k3s1", call=plan_of)
        plan = plan_of(server, source, force_version=True)
        assert "OLDER" in "\n".join(plan.notes)
        server.version("v1.31.1+k3s1")
        assert plan_of(server, source).confirm

    def test_no_k3s(self, server, refused):
        (server.root / "bin/k3s").unlink()
        assert "etcd.bin" in refused(ToolMissing, "the program `k3s` is not on this machine", call=plan_of).hint

    def test_no_systemd(self, server, source):
        bare = replace(server.system, environment={"PATH": str(server.root / "nowhere")})
        with pytest.raises(UsageError, match="there is no systemctl here") as caught:
            plan_restore(server.plane, source.backup, RestoreRequest(STAMP, NOW), bare)
        assert "Restore by hand" in caught.value.hint

    @pytest.mark.parametrize(
        ("settings", "match"),
        [
            ({"server": "https://10.0.0.1:6443"}, "`server` is set in .*config.yaml: k3s refuses a cluster reset"),
            ({"datastore_endpoint": "postgres://x"}, "`datastore-endpoint` is set .* another database"),
            ({"disable_etcd": True}, "`disable-etcd` is set .* runs no etcd"),
            ({"cluster_reset": True}, "`cluster-reset` is set .* at every start"),
            ({"cluster_reset_restore_path": "/x"}, "`cluster-reset-restore-path` is set"),
        ],
    )
    def test_settings_that_do_not_go_with_a_reset(self, server, refused, settings, match):
        server.configure(**settings)
        refused(UsageError, match, call=plan_of)

    def test_the_same_in_a_drop_in_and_in_the_unit(self, server, source, refused):
        folder = server.root / "etc/rancher/k3s/config.yaml.d"
        folder.mkdir()
        (folder / "90-join.yaml").write_text("server: https://10.0.0.1:6443\n")
        refused(UsageError, r"`server` is set in .*90-join.yaml", call=plan_of)
        (folder / "90-join.yaml").write_text("server: ''\ncluster-reset: false\n")
        assert plan_of(server, source).confirm
        (folder / "90-join.yaml").unlink()
        (server.root / "etc/systemd/system/k3s.service.env").write_text("K3S_URL=https://10.0.0.1:6443\n")
        refused(UsageError, "`server` is set in the environment of the unit k3s", call=plan_of)
        (server.root / "etc/systemd/system/k3s.service.env").unlink()
        unit(server, "k3s", f"{server.root}/bin/k3s server -s https://10.0.0.1:6443")
        refused(UsageError, "`server` is set in the unit k3s", call=plan_of)

    def test_a_configuration_that_is_no_yaml(self, server, refused):
        (server.root / "etc/rancher/k3s/config.yaml").write_text("token: [")
        refused(UsageError, "config.yaml cannot be read", call=plan_of)

    def test_a_database_of_sqlite(self, server, refused):
        server.plane.sqlite_file.write_bytes(b"SQLite format 3")
        refused(UsageError, "would copy that database over the restored one", call=plan_of)

    def test_the_wrong_token_by_its_hash(self, server, refused):
        server.token = "another"
        words = r"the token that was given \(--token or etcd.token\) does not open"
        assert "--token REF" in refused(RestoreError, words, call=plan_of).hint
        server.token = None
        server.configure(token="another")
        refused(RestoreError, "the token in .*config.yaml does not open", call=plan_of)

    def test_a_token_that_k3s_would_not_use(self, server, refused):
        server.token, wrong = server.config["token"], "another"
        server.configure(token=wrong)
        refused(UsageError, "config.yaml is not the one that opens", call=plan_of)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"members": ["a=http://127.0.0.1:1"]}, "--member: not with k3s"),
            ({"to": "/tmp/x"}, "--to: not with k3s"),
            ({"name": "a", "to": "/tmp/x"}, "--member-name, --to: not with k3s"),
            ({"bump_revision": -1}, r"cannot be raised by -1 \(--bump-revision\)"),
            ({"tables": ["x"]}, "has no option tables"),
        ],
    )
    def test_options_that_cannot_be(self, refused, options, match):
        assert "_" not in refused(UsageError, match, hint="", call=plan_of, **options).hint


class TestFetched:
    """By the snapshot itself, once it is here."""

    def test_the_wrong_token_where_nothing_is_promised(self, server, source, refused):
        server.configure(token="another")
        refused(RestoreError, "the server token does not open", backup=foreign(source))

    def test_bytes_that_are_not_the_stored_ones(self, source, refused):
        data = bytearray(source.path.read_bytes())
        data[-5000] ^= 1
        source.path.write_bytes(data)
        refused(Corrupt, "not what was stored")

    def test_a_changed_byte_where_no_checksum_is_known(self, source, refused):
        data = bytearray(source.path.read_bytes())
        data[-5000] ^= 1
        source.path.write_bytes(data)
        refused(SnapshotDamaged, "was changed", backup=foreign(source))

    def test_a_snapshot_cut_short(self, source, refused):
        source.path.write_bytes(source.path.read_bytes()[:-9000])
        refused(SnapshotDamaged, "cut short", backup=foreign(source))

    @pytest.mark.parametrize("name", ["revision", "keys", "hash_kv"])
    def test_a_whole_snapshot_of_something_else(self, source, refused, name):
        contents = {**source.backup.contents, name: source.backup.contents[name] + 1}
        other = replace(source, backup=replace(source.backup, contents=contents))
        refused(SnapshotDamaged, f"is not what was backed up: {name}", backup=other)

    def test_a_snapshot_that_is_not_of_k3s(self, server, source, tmp_path, refused):
        with server.ask_client() as client:
            bootstrap = list(client.range(b"/bootstrap/"))
            client.delete(b"/bootstrap/", prefix=True)
            other = take(server, tmp_path / "other")
            client.txn([(item.key, item.value) for item in bootstrap])
        refused(RestoreError, "holds no bootstrap data", backup=other)

    def test_another_server_that_is_up(self, server, source, tmp_path, refused):
        other = k3s(tmp_path / "server-2", node="server-2", server=server.endpoint)
        with stopping(other):
            other.started()
            server.wait_healthy()
            assert server.system.wait_until(lambda: len(_members(server)) == 2, 20)
            made = take(server, tmp_path / "of both")
            plan = plan_of(server, made)
            assert "WARNING: etcd runs on server-2" in "\n".join(plan.notes)
            assert plan.steps[0].name == "stop the others"
            refused(RestoreError, "etcd still answers on server-2", hint="`systemctl stop k3s`", backup=made)


def _members(machine: Machine):
    with machine.ask_client() as client:
        return [member for member in client.members() if not member.is_learner and member.name]
