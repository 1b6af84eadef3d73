"""A k3s server restored, alone: what came back, what was kept, what was run, on an old machine and on a new one."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.catalog.journal import plan_fields, plan_from
from backstay.catalog.records import Fields
from backstay.core.errors import RestoreError, UsageError
from backstay.core.model import Artifact
from backstay.tiers.etcd.file.keyspace import live
from backstay.tiers.etcd.restore.leftovers import leftovers, remove_leftover
from backstay.tiers.etcd.restore.notes import copies_held
from tests.fixtures.etcd import certificates
from tests.tiers.etcd.restore.conftest import stale
from tests.tiers.etcd.restore.machine import (
    STAMP,
    TOKEN,
    foreign,
    k3s,
    keys,
    plan_of,
    restore,
    stopping,
    unit,
)


def stored(source):
    """What Kubernetes had, by the snapshot file."""
    return {key: item.value for key, item in live(source.path, b"/registry/")}


def test_the_state_of_the_snapshot_is_served_again(server, source):
    assert keys(server) != stored(source)
    outcome = restore(server, source)
    assert outcome.ok
    assert keys(server) == stored(source)
    assert [finding.message for finding in outcome.findings] == [
        "60 keys of 1 resource, none fewer than in the snapshot"
    ]
    assert server.asked() == ["start k3s", "stop k3s", "start k3s"]
    with server.ask_client() as client:
        assert client.status().header.revision >= source.backup.contents["revision"]


def test_the_live_database_is_kept_until_a_person_removes_it(server, source):
    outcome = restore(server, source)
    kept = Path(outcome.facts["kept"])
    assert kept.name.startswith("etcd-old-")
    assert (kept / "member/snap/db").exists()
    found = list(leftovers(server.plane))
    certificates_kept = f"backstay-restore-{STAMP}"
    assert [(each.name, each.kind) for each in found] == [(certificates_kept, "certificates"), (kept.name, "before")]
    (note,) = copies_held(found, server.plane)
    assert note.startswith("1 copy of an earlier database and 1 folder of earlier certificates hold ")
    assert found[1].size_bytes > 100_000
    assert not list(server.plane.db_dir.rglob("snapshot*.db"))
    with pytest.raises(UsageError, match="there is no etcd left over"):
        remove_leftover(server.plane, "etcd")
    remove_leftover(server.plane, kept.name)
    remove_leftover(server.plane, certificates_kept)
    assert not kept.exists()
    assert list(leftovers(server.plane)) == []


def test_planning_changes_nothing_and_says_what_will_be(server, source):
    before = sorted(server.plane.db_dir.parent.rglob("*"))
    plan = plan_of(server, source)
    assert [path for path in sorted(server.plane.db_dir.parent.rglob("*")) if path not in before] == []
    assert server.asked() == ["start k3s"]
    steps = {step.name: step.detail for step in plan.steps}
    assert list(steps) == ["fetch and check", "stop", "restore", "start", "wait", "compare"]
    assert steps["restore"].startswith(
        f"{server.root}/bin/k3s server --cluster-reset "
        f"--cluster-reset-restore-path={server.plane.db_dir}/backstay-restore-{STAMP}/snapshot.db"
    )
    assert plan.confirm == "etcd/control-plane"
    notes = "\n".join(plan.notes)
    assert "5 h ago: 12 revisions (it is at " in notes
    assert f"Kept: the database of now, as {server.plane.db_dir}/etcd-old-<seconds>" in notes
    assert "k3s v1.31.4+k3s1 here, v1.31.4+k3s1 wrote the snapshot" in notes
    assert "Token: from " in notes
    assert "its hash is that of the snapshot" in notes
    assert TOKEN not in repr(plan)


def test_the_plan_survives_its_journal(server, source):
    plan = plan_of(server, source, bump_revision=5)
    assert plan_from(Fields(json.loads(json.dumps(plan_fields(plan))), "x")) == plan


def test_another_address_or_another_name_is_told_of(server, source):
    there = {
        **source.backup.source,
        "members": [{"name": "server-1-0a1b2c3d", "peer_urls": ["https://192.0.2.7:2380"]}],
    }
    moved = replace(source, backup=replace(source.backup, source=there))
    server.configure(node_name="server-one")
    notes = "\n".join(plan_of(server, moved).notes)
    assert "calls this machine server-one, Backstay server-1" in notes
    (server.root / "bin/hostname").write_text("#!/bin/sh\necho 192.0.2.9\n")
    (server.root / "bin/hostname").chmod(0o755)
    assert "The address of server-1 was 192.0.2.7 then" in "\n".join(plan_of(server, moved).notes)
    (server.root / "bin/hostname").write_text("#!/bin/sh\necho 192.0.2.7 10.0.0.1\n")
    assert "The address of" not in "\n".join(plan_of(server, moved).notes)


def test_revisions_are_raised_where_that_is_asked_for(server, source):
    plan = plan_of(server, source, bump_revision=1_000_000)
    assert plan.steps[1].name == "raise revisions"
    outcome = restore(server, source, bump_revision=1_000_000)
    assert outcome.ok
    assert keys(server) == stored(source)
    with server.ask_client() as client:
        revision = client.status().header.revision
    assert revision >= source.backup.contents["revision"] + 1_000_000


def test_a_snapshot_that_k3s_took_itself(server, source):
    plan = plan_of(server, foreign(source))
    assert "(foreign)" in plan.title
    assert "which one wrote the snapshot is not known" in "\n".join(plan.notes)
    assert restore(server, foreign(source)).ok
    assert keys(server) == stored(source)


def test_a_bucket_in_the_configuration_does_not_lead_k3s_astray(server, source):
    server.configure(etcd_s3=True)
    plan = plan_of(server, source)
    assert "--etcd-s3=false" in plan.details["reset_command"]
    assert "etcd-s3 is on in " in "\n".join(plan.notes)
    assert restore(server, source).ok
    assert keys(server) == stored(source)


def test_what_the_unit_says_is_said_to_the_reset_too(server, source):
    words = f"{server.root}/bin/k3s server --cluster-init --node-name server-9 --token {TOKEN} '--tls-san=a b'"
    unit(server, "k3s", f"{words} --data-dir {server.data} --config {server.root}/etc/rancher/k3s/config.yaml")
    plan = plan_of(server, source)
    assert plan.details["reset_command"][-3:] == ["--node-name", "server-9", "--tls-san=a b"]
    assert TOKEN not in repr(plan)
    assert restore(server, source).ok
    assert (server.plane.etcd_dir / "name").read_text().startswith("server-9-")


def test_a_flag_of_an_earlier_reset_is_told_of_and_no_hindrance(server, source):
    (server.plane.db_dir / "reset-flag").touch()
    assert "reset-flag is there" in "\n".join(plan_of(server, source).notes)
    assert restore(server, source).ok


def test_a_cluster_that_does_not_answer_is_a_reason_to_restore(server, source):
    server.systemctl("stop", "k3s")
    (server.plane.etcd_dir / "member/snap/db").write_bytes(b"damaged")
    plan = plan_of(server, source)
    assert "The live cluster does not answer" in plan.notes[0]
    assert restore(server, source).ok
    assert keys(server) == stored(source)


def test_another_cluster_on_this_machine_is_told_of(server, source):
    other = replace(source, backup=replace(source.backup, source={**source.backup.source, "cluster_id": "abc"}))
    assert "Are you on the right machine?" in "\n".join(plan_of(server, other).notes)
    there = replace(source, backup=replace(source.backup, source={**source.backup.source, "servers": ["server-7"]}))
    assert "This machine (server-1) was no server of that cluster (server-7)" in "\n".join(plan_of(server, there).notes)


class TestNewMachine:
    """The old one is lost; k3s was installed and never started."""

    @pytest.fixture
    def fresh(self, server, source, tmp_path):
        server.systemctl("stop", "k3s")
        machine = k3s(tmp_path / "server-2", node="server-2")
        machine.configure(token=None)
        with stopping(machine):
            yield machine

    def test_without_any_token_it_is_refused(self, fresh, source):
        with pytest.raises(UsageError, match="no server token is known") as caught:
            plan_of(fresh, source)
        assert str(fresh.plane.token_file) in caught.value.hint
        assert "--token REF" in caught.value.hint

    def test_the_token_is_put_where_k3s_reads_it(self, fresh, source):
        fresh.token = f"K10{'a' * 64}::server:{TOKEN}"
        plan = plan_of(fresh, source)
        assert "write the token" in [step.name for step in plan.steps]
        outcome = restore(fresh, source)
        assert outcome.ok
        assert keys(fresh) == stored(source)
        assert fresh.plane.token_file.read_text().strip() == fresh.token
        assert fresh.plane.token_file.stat().st_mode & 0o777 == 0o600
        assert (fresh.data / "server/tls/server-ca.crt").read_text() == "a certificate of server-1\n"
        assert outcome.facts["kept"] == ""

    @pytest.fixture
    def with_files(self, source):
        """The backup with server files in it, and what its manifest says of a token among them."""

        def made(*, token_in_server_files):
            contents = {**source.backup.contents, "token_in_server_files": token_in_server_files}
            artifacts = (*source.backup.artifacts, Artifact("server", "x", 1, "", 1, ""))
            return replace(source, backup=replace(source.backup, artifacts=artifacts, contents=contents))

        return made

    def test_server_files_without_a_token_promise_none(self, fresh, with_files):
        with pytest.raises(UsageError, match="the server's files in it hold none") as caught:
            plan_of(fresh, with_files(token_in_server_files=False))
        assert "--token REF" in caught.value.hint
        assert "Nothing was changed" in caught.value.hint

    def test_server_files_of_an_earlier_manifest_may_hold_one(self, fresh, with_files):
        unknown = with_files(token_in_server_files=None)
        assert "may hold one" in "\n".join(plan_of(fresh, unknown).notes)
        with tarfile.open(fileobj=(held := io.BytesIO()), mode="w"):
            pass
        with pytest.raises(RestoreError, match="holds no server token among the server's files") as caught:
            restore(fresh, replace(unknown, extra={"server": held.getvalue()}))
        assert "--token REF" in caught.value.hint
        assert fresh.asked() == []

    def test_the_token_may_be_in_the_backup(self, fresh, with_files, source):
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as archive:
            entry = tarfile.TarInfo("var/lib/rancher/k3s/server/token")
            entry.size = len(TOKEN)
            archive.addfile(entry, io.BytesIO(TOKEN.encode()))
        there = replace(with_files(token_in_server_files=True), extra={"server": held.getvalue()})
        assert "the one among the server's files in the backup is used" in "\n".join(plan_of(fresh, there).notes)
        assert restore(fresh, there).ok
        assert keys(fresh) == stored(source)
        assert fresh.plane.token_file.read_text().strip() == TOKEN


def test_with_certificates(tmp_path):
    made = certificates(tmp_path / "certificates")
    machine = k3s(tmp_path / "server-1")
    machine.tls = made.client
    files = made.server
    machine.tell(tls={"ca": str(files.ca), "cert": str(files.cert), "key": str(files.key)})
    with stopping(machine):
        source = stale(machine.started(), tmp_path)
        assert restore(machine, source).ok
        assert keys(machine) == stored(source)


def test_rke2_leaves_its_pods_running_so_they_are_ended(tmp_path):
    machine = k3s(tmp_path / "server-1", rke2=True)
    unit(machine, "pods", f"{machine.root}/bin/rke2 server --data-dir {machine.data}")
    (machine.root / "bin/rke2-killall.sh").write_text("#!/bin/sh\nexec systemctl stop pods\n")
    (machine.root / "bin/rke2-killall.sh").chmod(0o755)
    with stopping(machine, replace(machine, service="pods")):
        source = stale(machine.started(), tmp_path)
        plan = plan_of(machine, source)
        assert plan.details["reset_command"][0] == f"{machine.root}/bin/rke2"
        assert "rke2-killall.sh" in next(step.detail for step in plan.steps if step.name == "stop")
        pid, pods = machine.root / "run/rke2-server.pid", machine.root / "run/pods.pid"
        pid.rename(pods)  # the service is down, what it started is not
        assert restore(machine, source).ok
        assert keys(machine) == stored(source)
        assert "stop pods" in machine.asked()


def test_an_old_copy_in_use_is_not_removed(server, source):
    kept = Path(restore(server, source).facts["kept"])
    server.systemctl("stop", "k3s")
    server.plane.etcd_dir.rename(server.plane.db_dir / "away")
    kept.rename(server.plane.etcd_dir)
    server.systemctl("start", "k3s")
    server.wait_healthy()
    server.plane.etcd_dir.rename(kept)
    with pytest.raises(RestoreError, match="in use"):
        remove_leftover(server.plane, kept.name)
    assert (kept / "member/snap/db").exists()
