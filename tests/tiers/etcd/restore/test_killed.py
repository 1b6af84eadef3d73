"""kill -9 at every step of a restore of k3s: it goes on, or all is as before; nothing of either state is lost."""

import subprocess
import sys
import time

import pytest

from backstay.core.model import NoProgress
from backstay.tiers.etcd.restore.ledger import StepsFile
from backstay.tiers.etcd.restore.run import Restore
from backstay.tiers.etcd.restore.services import left_running
from tests.tiers.etcd.restore.machine import HERE, keys, plan_of, run_killed, save_source
from tests.tiers.etcd.restore.test_k3s import stored

KILLED = -9
STEPS = ["fetch", "check", "ready", "stop", "replace", "start", "wait", "compare"]
EARLY = {"fetch", "check", "ready"}  # k3s still runs
MOMENTS = [*((step, "before") for step in STEPS), ("stop", "after"), ("replace", "after")]


@pytest.fixture
def attempt(server, source, tmp_path):
    """The killed restore, taken up by another process with what the journal says."""
    journal = tmp_path / "journal.json"
    plan, live = plan_of(server, source), keys(server)

    def again():
        return Restore(server.plane, plan, server.system, StepsFile(journal), NoProgress())

    return journal, again, live


def settled(server, olds):
    """What must be beside the database, and that nothing is left at work."""
    assert len(list(server.plane.db_dir.glob("etcd-old-*"))) == olds
    assert not (server.plane.db_dir / "reset-flag").exists()
    assert not left_running(server.plane.db_dir / "backstay-restore-20261126-030000")


@pytest.mark.parametrize(("step", "when"), MOMENTS)
def test_resume(server, source, attempt, step, when):
    journal, again, live = attempt
    assert run_killed(server, source, step, when, journal) == KILLED
    if step in EARLY:
        assert keys(server) == live
    assert again().run(source).ok
    assert keys(server) == stored(source)
    settled(server, olds=1)


@pytest.mark.parametrize(("step", "when"), MOMENTS)
def test_undo(server, source, attempt, step, when):
    journal, again, live = attempt
    assert run_killed(server, source, step, when, journal) == KILLED
    assert again().undo().ok
    server.wait_healthy()
    assert keys(server) == live
    settled(server, olds=0)


@pytest.mark.parametrize("stage", ["moved", "restored"])
@pytest.mark.parametrize("verb", ["run", "undo"])
def test_killed_while_k3s_is_at_work(server, source, attempt, stage, verb):
    journal, again, live = attempt
    server.tell(pause=stage)
    folder = server.root / "killed"
    save_source(source, folder)
    words = ["-m", "tests.tiers.etcd.restore.killed", "run", server.save(), folder, "never", "before", journal]
    process = subprocess.Popen([sys.executable, *map(str, words)], cwd=HERE.parents[3])
    deadline = time.monotonic() + 60
    seen = server.data / "standin-stage"
    while not (seen.exists() and seen.read_text() == stage):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait(20)
    work = server.plane.db_dir / "backstay-restore-20261126-030000"
    assert len(left_running(work)) == 1  # k3s itself goes on
    server.tell(pause="")
    if verb == "run":
        assert again().run(source).ok
        assert keys(server) == stored(source)
        settled(server, olds=1)
    else:
        assert again().undo().ok
        assert keys(server) == live
        settled(server, olds=0)


@pytest.mark.parametrize("rename", [1, 2])
def test_killed_while_it_is_undone(server, source, attempt, rename):
    journal, again, live = attempt
    assert again().run(source).ok
    assert run_killed(server, source, f"rename-{rename}", "before", journal, verb="undo") == KILLED
    assert not server.is_active()
    assert again().undo().ok
    assert keys(server) == live
    settled(server, olds=0)


def test_a_whole_run_in_that_process_is_not_killed(server, source, tmp_path):
    """So the tests above were killed by what they say."""
    journal = tmp_path / "journal.json"
    assert run_killed(server, source, "never", "before", journal) == 0
    assert keys(server) == stored(source)
    assert list(StepsFile(journal).done) == STEPS
