"""Three k3s servers: one restored, the other two join it again, with their old databases and snapshots kept."""

from contextlib import contextmanager

import pytest

from backstay.core.errors import RestoreError, UsageError
from backstay.core.model import NoProgress
from backstay.tiers.etcd.restore.leftovers import leftovers
from backstay.tiers.etcd.restore.rejoin import Rejoin, plan_rejoin, unfinished
from tests.tiers.etcd.restore.conftest import stale
from tests.tiers.etcd.restore.machine import (
    STAMP,
    k3s,
    keys,
    killed_process,
    plain,
    plan_of,
    restore,
    stopping,
)
from tests.tiers.etcd.restore.test_k3s import stored

KILLED = -9


def voters(machine):
    with machine.ask_client() as client:
        return sorted(member.name.rpartition("-")[0] for member in client.members() if not member.is_learner)


@contextmanager
def servers(folder, count):
    """So many servers in one cluster, the first and the others, and an older backup of it."""
    first = k3s(folder / "server-1")
    others = [k3s(folder / f"server-{n}", node=f"server-{n}", server=first.endpoint) for n in range(2, count + 1)]
    with stopping(first, *others):
        first.started()
        for number, machine in enumerate(others, 2):
            machine.started()
            assert machine.system.wait_until(lambda n=number: len(voters(first)) == n, 30)
        source = stale(first, folder)
        for machine in others:
            machine.plane.snapshots_dir.mkdir()
            (machine.plane.snapshots_dir / f"etcd-snapshot-{machine.node}-1").write_text("taken by k3s itself")
        yield first, others, source


@pytest.fixture
def three(tmp_path):
    """Three, all running."""
    with servers(tmp_path, 3) as made:
        yield made


@pytest.fixture
def restored(tmp_path):
    """Two: the first is restored, the other stopped."""
    with servers(tmp_path, 2) as (first, (other,), source):
        other.systemctl("stop", "k3s")
        assert restore(first, source).ok
        yield first, other, source


def rejoin(machine, plan=None):
    plan = plan or plan_rejoin(machine.plane, machine.system, STAMP)
    return Rejoin(machine.plane, plan, machine.system, NoProgress())


def test_a_cluster_of_three_goes_back_together(three):
    first, others, source = three
    plan = plan_of(first, source)
    assert plan.steps[0].detail.startswith("etcd on server-2 and server-3")
    assert "join again" in [step.name for step in plan.steps]
    for machine in others:
        machine.systemctl("stop", "k3s")
    outcome = restore(first, source)
    assert outcome.ok
    assert "now on server-2 and server-3: `backstay etcd rejoin`" in outcome.message
    for number, machine in enumerate(others, 2):
        joined = rejoin(machine).run()
        assert joined.ok
        assert len(joined.facts["members"]) == number
        assert [finding.message for finding in joined.findings] == ["1 local snapshot of this server given back"]
    assert voters(first) == ["server-1", "server-2", "server-3"]
    for machine in (first, *others):
        assert keys(machine) == stored(source)
    for machine in others:
        snapshot = f"etcd-snapshot-{machine.node}-1"
        assert (machine.plane.snapshots_dir / snapshot).read_text() == "taken by k3s itself"
        kept = machine.plane.db_dir.with_name(f"db-before-{STAMP}")
        assert (kept / "etcd/member/snap/db").exists()
        assert [each.name for each in leftovers(machine.plane)] == [kept.name]
        assert unfinished(machine.plane) is None


class TestRefused:
    """Nothing is stopped or moved."""

    def test_the_restored_server(self, restored):
        first, _, _ = restored
        first.configure(server="http://127.0.0.1:1")
        with pytest.raises(UsageError, match="server-1 is the server that was restored: it is the only member"):
            rejoin(first)
        first.systemctl("stop", "k3s")
        (first.plane.db_dir / "reset-flag").touch()
        with pytest.raises(UsageError, match="is reset, and was not started since"):
            rejoin(first)

    def test_no_server_to_join(self, restored):
        machine = restored[1]
        machine.configure(server=None)
        with pytest.raises(UsageError, match="has no server to join") as caught:
            rejoin(machine)
        assert "Nothing was changed" in caught.value.hint

    def test_the_server_to_join_is_down(self, restored):
        first, machine, _ = restored
        first.systemctl("stop", "k3s")
        with pytest.raises(RestoreError, match="nothing answers at http://127.0.0.1"):
            rejoin(machine)

    def test_a_server_on_sqlite(self, tmp_path):
        machine = k3s(tmp_path / "alone")
        machine.plane.db_dir.mkdir(parents=True)
        machine.plane.sqlite_file.write_bytes(b"SQLite format 3")
        with pytest.raises(UsageError, match="keeps its state in SQLite .*: it has no etcd to join with") as caught:
            rejoin(machine)
        assert "server:" not in caught.value.hint
        assert "Nothing was changed" in caught.value.hint

    def test_not_root_and_not_k3s(self, restored, tmp_path):
        machine = restored[1]
        machine.euid = 1000
        with pytest.raises(UsageError, match="needs root"):
            rejoin(machine)
        with pytest.raises(UsageError, match="servers of etcd do not join by themselves"):
            rejoin(plain(tmp_path / "plain"))

    def test_an_earlier_one_that_was_cut_short(self, restored):
        machine = restored[1]
        assert killed_process("rejoin", str(machine.save()), "-", "move", "before", "-") == KILLED
        with pytest.raises(RestoreError, match="was cut short"):
            rejoin(machine)


def test_a_member_that_is_one_already_is_told_so(three):
    plan = plan_rejoin(three[1][0].plane, three[1][0].system, STAMP)
    assert "If that is the restored one, there is nothing to do." in plan.notes[0]


@pytest.mark.parametrize("step", ["stop", "move", "wait", "give back"])
def test_killed_and_resumed(restored, step):
    first, machine, source = restored
    assert killed_process("rejoin", str(machine.save()), "-", step, "before", "-") == KILLED
    plan = unfinished(machine.plane)
    assert plan.details["stamp"] == STAMP
    assert rejoin(machine, plan).run().ok
    assert voters(first) == ["server-1", "server-2"]
    assert keys(machine) == stored(source)
    assert (machine.plane.snapshots_dir / "etcd-snapshot-server-2-1").exists()
    assert unfinished(machine.plane) is None


@pytest.mark.parametrize("step", ["stop", "move", "wait"])
def test_killed_and_undone(restored, step):
    _, machine, _ = restored
    name = (machine.plane.etcd_dir / "name").read_text()
    assert killed_process("rejoin", str(machine.save()), "-", step, "before", "-") == KILLED
    assert rejoin(machine, unfinished(machine.plane)).undo().ok
    assert (machine.plane.etcd_dir / "name").read_text() == name
    assert (machine.plane.snapshots_dir / "etcd-snapshot-server-2-1").exists()
    assert not machine.is_active()  # it did not run when this began
    assert unfinished(machine.plane) is None
    undone = [each.name for each in leftovers(machine.plane)]
    assert undone == ([f"db-undone-{STAMP}"] if step == "wait" else [])


def test_it_does_not_come_up(restored):
    first, machine, source = restored
    machine.tell(fail="start")
    machine.patience = type(machine.patience)(stop=30, start=1.0, answer=1, poll=0.1, program=30)
    with pytest.raises(RestoreError, match="has not become a voting member within .* is failed") as caught:
        rejoin(machine).run()
    assert f"db-before-{STAMP}" in caught.value.hint
    machine.tell(fail="")
    machine.patience = first.patience
    assert rejoin(machine, unfinished(machine.plane)).run().ok
    assert keys(machine) == stored(source)


def test_the_stop_fails(restored):
    _, machine, _ = restored
    (machine.root / "stop-fails").touch()
    with pytest.raises(RestoreError, match="`systemctl stop k3s` failed") as caught:
        rejoin(machine).run()
    assert "The database is in its place" in caught.value.hint
    assert (machine.plane.etcd_dir / "member/snap/db").exists()
