"""``backstay etcd rejoin --rollback``: the restored cluster goes on without this server; and one run at a time."""

import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from backstay.core.errors import RestoreError, SourceError
from backstay.core.model import NoProgress
from backstay.tiers.base import ScratchJournal
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.restore import members
from backstay.tiers.etcd.restore.rejoin import Rejoin, plan_rejoin, unfinished
from backstay.tiers.etcd.restore.run import Restore
from tests.tiers.etcd.restore.machine import STAMP, keys, killed_process, plan_of, restore
from tests.tiers.etcd.restore.test_k3s import stored
from tests.tiers.etcd.restore.test_rejoin import KILLED, rejoin, servers, voters


@pytest.fixture
def made(tmp_path):
    """Two servers: the first restored, the other killed as it joined, once it was a voter; and the plan and the journal
    of the restore."""
    with servers(tmp_path, 2) as (first, (other,), source):
        plan, journal = plan_of(first, source), ScratchJournal()
        other.systemctl("stop", "k3s")
        assert restoring(first, plan, journal).run(source).ok
        assert killed_process("rejoin", str(other.save()), "-", "give back", "before", "-") == KILLED
        assert voters(first) == ["server-1", "server-2"]
        yield first, other, source, plan, journal


def restoring(machine, plan, journal):
    return Restore(machine.plane, plan, machine.system, journal, NoProgress())


def name_of(machine):
    return (machine.plane.etcd_dir / "name").read_text()


def test_a_voter_leaves_before_it_goes(made):
    first, other, source, *_ = made
    assert rejoin(other, unfinished(other.plane)).undo().ok
    first.wait_healthy()
    assert voters(first) == ["server-1"]
    assert keys(first) == stored(source)
    assert not other.plane.db_dir.with_name(f"db-before-{STAMP}").exists()
    assert unfinished(other.plane) is None


def test_one_whose_etcd_ends_before_it_answers(made, monkeypatch):
    first, other, *_ = made
    remove = EtcdClient.remove_member

    def unanswered(client, member_id):
        with suppress(SourceError):
            remove(client, member_id)
        raise SourceError("server stopped")

    monkeypatch.setattr(EtcdClient, "remove_member", unanswered)
    assert rejoin(other, unfinished(other.plane)).undo().ok
    assert voters(first) == ["server-1"]


def test_a_voter_that_cannot_leave_stays(made):
    first, other, source, *_ = made
    other.systemctl("stop", "k3s")
    name = name_of(other)
    with pytest.raises(RestoreError, match=f"server-2 is a member of the restored cluster, as {name}, and") as caught:
        rejoin(other, unfinished(other.plane)).undo()
    assert f"Start k3s and run this again once etcd here answers; or remove {name} on another" in caught.value.hint
    assert name_of(other) == name
    assert unfinished(other.plane) is not None
    other.started()
    assert rejoin(other, unfinished(other.plane)).undo().ok
    assert voters(first) == ["server-1"]
    assert keys(first) == stored(source)


@pytest.fixture
def reachable(monkeypatch):
    """Other members are looked for at the usual port of their addresses; here they have one address and many ports."""

    def made(*machines):
        places = {machine.node: (machine.endpoint,) for machine in machines}
        monkeypatch.setattr(members, "endpoints_of", lambda other, *_: places[other.node])

    return made


def test_one_that_is_down_is_taken_out_by_the_others(tmp_path, reachable):
    with servers(tmp_path, 3) as (first, (second, third), source):
        for machine in (second, third):
            machine.systemctl("stop", "k3s")
        assert restore(first, source).ok
        assert rejoin(second).run().ok
        assert killed_process("rejoin", str(third.save()), "-", "give back", "before", "-") == KILLED
        third.systemctl("stop", "k3s")
        reachable(first, second)
        assert rejoin(third, unfinished(third.plane)).undo().ok
        assert voters(first) == ["server-1", "server-2"]
        assert keys(second) == stored(source)


def test_the_restored_server_is_rolled_back_last(made, reachable):
    first, other, source, plan, journal = made
    reachable(first, other)
    with pytest.raises(RestoreError, match="server-2 joined the restored cluster, and would take the old") as caught:
        restoring(first, plan, journal).undo()
    assert "Run `backstay etcd rejoin --rollback` on server-2 first" in caught.value.hint
    assert voters(first) == ["server-1", "server-2"]
    assert keys(first) == stored(source)
    assert rejoin(other, unfinished(other.plane)).undo().ok
    assert restoring(first, plan, journal).undo().ok
    other.systemctl("start", "k3s")
    first.wait_healthy()
    assert voters(first) == ["server-1", "server-2"]
    assert keys(first) != stored(source)


def test_a_restored_cluster_that_was_given_up_is_left_by_hand(made):
    """The first waits for the other as it was, and until then does not answer: it may as well be down for a while."""
    first, other, _, plan, journal = made
    other.systemctl("stop", "k3s")
    first.patience = replace(first.patience, undo=1)
    assert "needs server-2 for a majority" in restoring(first, plan, journal).undo().message
    db, before = other.plane.db_dir, other.plane.db_dir.with_name(f"db-before-{STAMP}")
    with pytest.raises(RestoreError, match="could not be taken out of it") as caught:
        rejoin(other, unfinished(other.plane)).undo()
    assert f"stop k3s, move {db} away and {before} in its place" in caught.value.hint
    db.rename(db.with_name("away"))
    before.rename(db)
    assert rejoin(other, unfinished(other.plane)).undo().ok
    other.systemctl("start", "k3s")
    first.wait_healthy()
    assert voters(first) == ["server-1", "server-2"]


class Slow(NoProgress):
    """Waits as the last step begins."""

    def __init__(self):
        self.held, self.go = threading.Event(), threading.Event()

    def phase(self, name, **more):
        super().phase(name, **more)
        if name == "give back":
            self.held.set()
            assert self.go.wait(60)


def test_a_second_run_is_told_of_the_first(tmp_path):
    with servers(tmp_path, 2) as (first, (other,), source):
        other.systemctl("stop", "k3s")
        assert restore(first, source).ok
        progress, done = Slow(), []
        work = Rejoin(other.plane, plan_rejoin(other.plane, other.system, STAMP), other.system, progress)
        thread = threading.Thread(target=lambda: done.append(work.run()))
        thread.start()
        try:
            assert progress.held.wait(60)
            again = unfinished(other.plane)
            for second in (rejoin(other, again).run, rejoin(other, again).undo, lambda: rejoin(other)):
                with pytest.raises(RestoreError, match="`backstay etcd rejoin` is running on this machine") as caught:
                    second()
                assert caught.value.hint == "Wait for its end. Nothing was changed by this run."
        finally:
            progress.go.set()
            thread.join()
        assert done[0].ok
        assert voters(first) == ["server-1", "server-2"]
