"""etcd as a service restored with etcdutl: alone, all three members of a cluster, and only into a folder."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.cluster.processes import free_ports
from backstay.core.errors import RestoreError, ToolTooOld, UsageError
from backstay.core.model import NoProgress
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.restore.ledger import StepsFile
from backstay.tiers.etcd.restore.leftovers import leftovers, remove_leftover
from backstay.tiers.etcd.restore.planplain import Place
from backstay.tiers.etcd.restore.run import Restore
from tests.tiers.etcd.restore.conftest import stale
from tests.tiers.etcd.restore.machine import (
    STAMP,
    foreign,
    keys,
    killed_process,
    plain,
    plan_of,
    restore,
    run_killed,
    save_source,
    stopping,
)
from tests.tiers.etcd.restore.test_failures import Attempt
from tests.tiers.etcd.restore.test_k3s import stored

KILLED = -9
STEPS = ["fetch", "check", "unpack", "ready", "stop", "replace", "start", "wait", "compare"]


@pytest.fixture
def member(tmp_path):
    machine = plain(tmp_path / "m0")
    with stopping(machine):
        yield machine.started()


@pytest.fixture
def source(member, tmp_path):
    return stale(member, tmp_path)


def test_the_state_of_the_snapshot_is_served_again(member, source):
    member.data.chmod(0o750)
    outcome = restore(member, source)
    assert outcome.ok
    assert keys(member) == stored(source)
    kept = Path(outcome.facts["kept"])
    assert kept == member.data.with_name(f"etcd-before-{STAMP}")
    assert (kept / "member/snap/db").exists()
    assert member.data.stat().st_mode & 0o777 == 0o750
    assert member.asked() == ["start etcd", "stop etcd", "start etcd"]
    assert list((member.root / "spool").iterdir()) == []
    assert [(each.name, each.kind) for each in leftovers(member.plane)] == [(kept.name, "before")]
    remove_leftover(member.plane, kept.name)
    assert not kept.exists()


def test_the_owner_of_the_data_is_the_same(member, source):
    shutil.chown(member.data, 65534, 65534)
    assert restore(member, source).ok
    found = {(path.stat().st_uid, path.stat().st_gid) for path in (member.data, member.data / "member/snap")}
    assert found == {(65534, 65534)}


def test_the_plan_has_the_commands(member, source):
    plan = plan_of(member, source)
    assert [step.name for step in plan.steps] == [
        "fetch and check",
        "make a data folder",
        "stop",
        "swap",
        "start",
        "wait",
        "compare",
    ]
    command = plan.steps[1].detail
    assert f"snapshot restore {member.root}/spool/backstay-restore-{STAMP}/snapshot.db" in command
    assert f"--data-dir={member.data}-restore-{STAMP} --name=m0" in command
    assert f"--initial-cluster=m0=http://127.0.0.1:{member.peer}" in command
    assert plan.confirm == "etcd/control-plane"
    assert "12 revisions" in plan.notes[0]
    assert "Revisions are not raised" in plan.notes[-1]


def test_revisions_are_raised_where_that_is_asked_for(member, source):
    assert restore(member, source, bump_revision=1_000_000_000).ok
    assert keys(member) == stored(source)
    with member.ask_client() as client:
        assert client.status().header.revision > 1_000_000_000


def test_the_member_is_found_without_a_cluster_that_answers(member, source):
    member.systemctl("stop", "etcd")
    shutil.rmtree(member.data)
    plan = plan_of(member, foreign(source))  # by /etc/default/etcd
    assert plan.details["restore_command"][5] == "--name=m0"
    outcome = restore(member, foreign(source))
    assert outcome.ok
    assert outcome.facts["kept"] == ""
    assert keys(member) == stored(source)


def test_a_member_that_nothing_tells_of(member, source):
    member.systemctl("stop", "etcd")
    (member.root / "etc/default/etcd").unlink()
    with pytest.raises(UsageError, match="which member of etcd this machine is, is not known"):
        plan_of(member, foreign(source))
    given = {"members": [f"m0=http://127.0.0.1:{member.peer}"], "name": "m0"}
    assert plan_of(member, foreign(source), **given).details["initial_members"] == 1
    with pytest.raises(UsageError, match="known are m0"):
        plan_of(member, foreign(source), **{**given, "name": "m7"})
    with pytest.raises(UsageError, match="'m0' is not a member"):
        plan_of(member, foreign(source), members=["m0"])


def test_an_older_etcdutl(member, source):
    newer = replace(source, backup=replace(source.backup, source={**source.backup.source, "server_version": "3.6.1"}))
    with pytest.raises(ToolTooOld, match="etcdutl 3.5.1 is older than the 3.6.1") as caught:
        plan_of(member, newer)
    assert "--force-version" in caught.value.hint
    assert restore(member, newer, force_version=True).ok


def test_only_into_a_folder(member, source, tmp_path):
    live, to = keys(member), tmp_path / "aside" / "data"
    to.parent.mkdir()
    plan = plan_of(member, source, to=str(to))
    assert plan.confirm == ""
    assert [step.name for step in plan.steps] == ["fetch and check", "restore"]
    outcome = restore(member, source, to=str(to))
    assert outcome.ok
    assert survey(to / "member/snap/db").hash_kv == source.backup.contents["hash_kv"]
    assert list(to.parent.iterdir()) == [to]
    assert keys(member) == live
    assert member.asked() == ["start etcd"]
    with pytest.raises(UsageError, match="exists"):
        plan_of(member, source, to=str(to))


def test_three_members_from_the_same_snapshot(tmp_path):
    ports = free_ports(6)
    urls = {f"m{n}": f"http://127.0.0.1:{ports[2 * n + 1]}" for n in range(3)}
    machines = [plain(tmp_path / f"m{n}", f"m{n}", urls, (ports[2 * n], ports[2 * n + 1])) for n in range(3)]
    with stopping(*machines):
        for machine in machines:
            machine.systemctl("start", "etcd")
        for machine in machines:
            machine.wait_healthy()
        source = stale(machines[0], tmp_path)
        plan = plan_of(machines[0], source)
        assert [step.name for step in plan.steps][-2:] == ["restore m1", "restore m2"]
        assert f"--name=m1 --initial-cluster=m0={urls['m0']},m1={urls['m1']},m2={urls['m2']}" in plan.steps[-2].detail
        with pytest.raises(RestoreError, match="etcd still answers on m1 and m2"):
            restore(machines[0], source)
        for machine in machines:
            machine.systemctl("stop", "etcd")
        outcomes = [restore(machine, source) for machine in machines]
        assert [finding.code for finding in outcomes[0].findings] == ["etcd.majority"]
        assert "now restore the same snapshot on m1 and m2" in outcomes[0].message
        assert outcomes[1].ok
        assert outcomes[2].findings[-1].message.startswith("60 keys of 1 resource")
        for machine in machines:
            machine.wait_healthy()
            assert keys(machine) == stored(source)
        with machines[0].ask_client() as client:
            assert {member.name for member in client.members()} == {"m0", "m1", "m2"}


class TestKilled:
    """kill -9 at every step, and between the two renames."""

    MOMENTS = (*STEPS, "rename-1", "rename-2")

    @pytest.fixture
    def again(self, member, source, tmp_path):
        plan = plan_of(member, source)
        journal = tmp_path / "journal.json"
        return lambda: Restore(member.plane, plan, member.system, StepsFile(journal), NoProgress())

    @pytest.mark.parametrize("step", MOMENTS)
    def test_resume(self, member, source, again, tmp_path, step):
        assert run_killed(member, source, step, "before", tmp_path / "journal.json") == KILLED
        assert again().run(source).ok
        assert keys(member) == stored(source)
        assert [each.name for each in leftovers(member.plane)] == [f"etcd-before-{STAMP}"]

    @pytest.mark.parametrize("step", MOMENTS)
    def test_undo(self, member, source, again, tmp_path, step):
        live, inode = keys(member), member.data.stat().st_ino
        assert run_killed(member, source, step, "before", tmp_path / "journal.json") == KILLED
        assert again().undo().ok
        member.wait_healthy()
        assert keys(member) == live
        assert member.data.stat().st_ino == inode
        assert {each.kind for each in leftovers(member.plane)} <= {"restore", "undone"}


def test_etcdutl_fails(member, source):
    live = keys(member)
    (member.root / "bin/etcdutl").unlink()
    (member.root / "bin/etcdutl").write_text(
        '#!/bin/sh\n[ "$1" = version ] && { echo "etcdutl version: 3.5.1"; exit 0; }\necho "Error: no" >&2; exit 1\n'
    )
    (member.root / "bin/etcdutl").chmod(0o755)
    with pytest.raises(
        RestoreError, match=r"etcdutl could not restore the snapshot \(exit code 1\): Error: no"
    ) as caught:
        restore(member, source)
    assert "Nothing was stopped" in caught.value.hint
    assert keys(member) == live
    assert member.asked() == ["start etcd"]
    assert list(leftovers(member.plane)) == []


def test_it_does_not_start(member, source):
    live = keys(member)
    attempt = Attempt(member, source)
    unit = member.root / "etc/systemd/system/etcd.service"
    text = unit.read_text()
    unit.write_text("[Service]\nExecStart=/bin/false\n")
    with pytest.raises(RestoreError, match="in place, but etcd does not answer .* is failed"):
        attempt.run()
    unit.write_text(text)
    assert attempt.undo().ok
    assert keys(member) == live
    assert [(each.name, each.kind) for each in leftovers(member.plane)] == [(f"etcd-undone-{STAMP}", "undone")]


def test_a_data_folder_that_is_a_mount_point():
    """It cannot be renamed, so what is in it is. /proc is one everywhere."""
    place = Place.of(Path("/proc"), STAMP)
    assert os.path.ismount("/proc")
    assert (place.live, place.before) == (Path("/proc/member"), Path(f"/proc/member-before-{STAMP}"))
    assert place.new == place.unpack_into / "member"


def test_the_member_folder_alone_changes_places(member, source):
    """As on a mount point, with the plan that it has there."""
    plan = plan_of(member, source)
    into = member.data / f"restore-{STAMP}"
    place = Place(member.data / "member", into / "member", member.data / f"member-before-{STAMP}", into)
    command = [word if "--data-dir" not in word else f"--data-dir={into}" for word in plan.details["restore_command"]]
    attempt = Attempt(member, source)
    attempt.plan = replace(plan, details={**plan.details, **place.as_data(), "restore_command": command})
    assert attempt.run().ok
    assert keys(member) == stored(source)
    assert sorted(path.name for path in member.data.iterdir()) == ["member", f"member-before-{STAMP}"]
    assert [each.name for each in leftovers(member.plane)] == [f"member-before-{STAMP}"]
    assert attempt.undo().ok
    assert keys(member) != stored(source)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_making_a_folder_only(member, source, tmp_path, when):
    to, journal = tmp_path / "to", StepsFile(tmp_path / "journal.json")
    plan = plan_of(member, source, to=str(to))
    save_source(source, tmp_path / "killed")
    words = ("to", str(member.save()), str(tmp_path / "killed"), "replace", when, str(tmp_path / "journal.json"))
    assert killed_process(*words) == KILLED
    assert Restore(member.plane, plan, member.system, journal, NoProgress()).run(source).ok
    assert survey(to / "member/snap/db").hash_kv == source.backup.contents["hash_kv"]


@pytest.mark.parametrize(
    ("setting", "match"),
    [("ETCD_WAL_DIR=/wal", "keeps its log apart"), ("ETCD_DATA_DIR=/elsewhere", "etcd runs on /elsewhere, and the")],
)
def test_an_etcd_that_is_not_where_it_is_thought_to_be(member, source, setting, match):
    with (member.root / "etc/default/etcd").open("a") as file:
        file.write(setting + "\n")
    with pytest.raises(UsageError, match=match):
        plan_of(member, source)


def test_a_data_folder_behind_a_link(member, source):
    member.systemctl("stop", "etcd")
    disk = member.root / "disk"
    disk.mkdir()
    member.data.rename(disk / "etcd")
    member.data.symlink_to(disk / "etcd")
    member.started()
    outcome = restore(member, source)
    assert outcome.facts["kept"] == str(disk / f"etcd-before-{STAMP}")
    assert keys(member) == stored(source)
    assert member.data.is_symlink()
    assert [each.name for each in leftovers(member.plane)] == [f"etcd-before-{STAMP}"]
