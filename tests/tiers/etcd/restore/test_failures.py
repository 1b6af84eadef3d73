"""A restore of k3s that fails after the stop: the database that was live is back and runs, whatever k3s had done."""

import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.core.errors import Interrupted, RestoreError, Unavailable
from backstay.core.model import NoProgress, Severity
from backstay.tiers.base import ScratchJournal
from backstay.tiers.etcd.restore.leftovers import leftovers
from backstay.tiers.etcd.restore.rancher import Rancher
from backstay.tiers.etcd.restore.run import Restore
from tests.tiers.etcd.restore.machine import QUICK, keys, plan_of, stopping
from tests.tiers.etcd.restore.test_k3s import stored


class Attempt:
    """One restore with its journal, to be run, resumed and undone."""

    def __init__(self, machine, source, **options):
        self.machine, self.source, self.progress = machine, source, NoProgress()
        self.journal = ScratchJournal()
        self.plan = plan_of(machine, source, **options)

    def run(self):
        return self._work().run(self.source)

    def undo(self):
        return self._work().undo()

    def _work(self):
        return Restore(self.machine.plane, self.plan, self.machine.system, self.journal, self.progress)


@pytest.mark.parametrize("stage", ["begun", "moved", "restored", "unpacked"])
def test_k3s_fails_midway(server, source, stage):
    live, certificate = keys(server), server.data / "server/tls/server-ca.crt"
    certificate.write_text("renewed since the backup\n")
    server.tell(fail=stage)
    attempt = Attempt(server, source)
    with pytest.raises(RestoreError, match=f"it was told to fail when {stage}") as caught:
        attempt.run()
    assert "The database that was live is in its place and is being started again" in caught.value.hint
    server.wait_healthy()
    assert keys(server) == live
    assert certificate.read_text() == "renewed since the backup\n"
    assert not (server.plane.db_dir / "reset-flag").exists()
    assert not list(server.plane.db_dir.glob("etcd-old-*"))
    undone = attempt.undo()
    assert undone.ok
    assert "as it was before the restore: etcd answers" in undone.message
    assert keys(server) == live
    assert {each.kind for each in leftovers(server.plane)} <= {"undone"}
    assert not list(server.plane.db_dir.glob("backstay-restore-*"))


def test_resumed_once_the_cause_is_gone(server, source):
    server.tell(fail="restored")
    attempt = Attempt(server, source)
    with pytest.raises(RestoreError):
        attempt.run()
    server.wait_healthy()
    server.tell(fail="")
    assert attempt.run().ok
    assert keys(server) == stored(source)
    assert len(list(server.plane.db_dir.glob("etcd-old-*"))) == 1


def test_the_wrong_token_of_another_kind_of_snapshot(server, source):
    """Should a check ever miss it: k3s moves the database before it looks at the token."""
    live = keys(server)
    attempt = Attempt(server, source)
    attempt.plan = replace(attempt.plan, details={**attempt.plan.details, "reset_command": [
        *attempt.plan.details["reset_command"], "--token=another"]})  # fmt: skip
    with pytest.raises(RestoreError, match="encrypted with different token"):
        attempt.run()
    server.wait_healthy()
    assert keys(server) == live


def test_k3s_never_ends(server, source):
    live = keys(server)
    server.patience = replace(QUICK, reset=2.0)
    server.tell(pause="moved")
    attempt = Attempt(server, source)
    with pytest.raises(RestoreError, match=r"did not end: k3s was ended after 2 s"):
        attempt.run()
    server.wait_healthy()
    assert keys(server) == live


def test_the_stop_fails(server, source):
    live = keys(server)
    (server.root / "stop-fails").touch()
    attempt = Attempt(server, source)
    with pytest.raises(RestoreError, match="`systemctl stop k3s` failed") as caught:
        attempt.run()
    assert "in its place" in caught.value.hint
    assert keys(server) == live
    assert server.is_active()


def test_k3s_does_not_start_with_it(server, source):
    """The restored database is in place: nobody but a person decides to take the old one again."""
    live = keys(server)
    server.tell(fail="start")
    attempt = Attempt(server, source)
    with pytest.raises(RestoreError, match=r"the restored database is in place, but etcd does not answer .*failed"):
        attempt.run()
    assert not server.is_active()
    server.tell(fail="")
    assert attempt.run().ok
    assert keys(server) == stored(source)
    assert attempt.undo().ok
    assert keys(server) == live
    undone = [each for each in leftovers(server.plane) if each.kind == "undone"]
    assert [each.name for each in undone] == ["etcd-undone-20261126-030000"]


def test_undo_without_a_stop_only_tidies(server, source):
    attempt = Attempt(server, source)
    assert "nothing had been stopped" in attempt.undo().message
    assert server.asked() == ["start k3s"]


def test_undo_of_a_server_that_did_not_run_before(server, source):
    server.systemctl("stop", "k3s")
    attempt = Attempt(server, source)
    assert attempt.run().ok
    assert "did not run before and was not started" in attempt.undo().message
    assert not server.is_active()
    assert server.started()


class FlakyJournal(ScratchJournal):
    """One in a bucket that the stopped cluster itself serves."""

    def record(self, step, **facts):
        if step in {"stop", "replace", "start"}:
            raise Unavailable("the bucket does not answer")
        super().record(step, **facts)


def test_a_journal_that_cannot_be_written_while_the_cluster_is_down(server, source):
    attempt = Attempt(server, source)
    attempt.journal = FlakyJournal()
    outcome = attempt.run()
    assert outcome.ok
    assert keys(server) == stored(source)
    told = [finding for finding in outcome.findings if finding.code == "etcd.journal"]
    assert [finding.severity for finding in told] == [Severity.WARNING] * 3
    assert "stop" not in attempt.journal.done


def test_a_journal_that_cannot_be_written_before_the_stop_ends_it(server, source):
    class Dead(ScratchJournal):
        def record(self, step, **facts):
            raise Unavailable("the bucket does not answer")

    attempt = Attempt(server, source)
    attempt.journal = Dead()
    with pytest.raises(Unavailable):
        attempt.run()
    assert server.asked() == ["start k3s"]
    assert not list(server.plane.db_dir.glob("backstay-*"))


def test_the_steps_file_is_what_counts_after_a_loss(server, source):
    """The journal lost what came after the stop; the file beside the snapshot has it."""
    server.tell(fail="start")
    attempt = Attempt(server, source)
    attempt.journal = FlakyJournal()
    with pytest.raises(RestoreError):
        attempt.run()
    steps = json.loads((Path(attempt.plan.details["work"]) / "steps.json").read_text())
    assert {"stop", "replace", "start"} <= set(steps)
    server.tell(fail="")
    olds = list(server.plane.db_dir.glob("etcd-old-*"))
    assert attempt.run().ok
    assert list(server.plane.db_dir.glob("etcd-old-*")) == olds  # no second reset
    with stopping(server):
        assert keys(server) == stored(source)


class CtrlC(NoProgress):
    """Ctrl-C as a step begins."""

    def __init__(self, step):
        self.step = step

    def phase(self, name, **more):
        super().phase(name, **more)
        if name == self.step:
            raise KeyboardInterrupt


def test_ctrl_c_during_the_reset(server, source):
    live = keys(server)
    server.tell(pause="moved")
    attempt = Attempt(server, source)

    def once_moved():
        server.system.wait_until(lambda: any(server.plane.db_dir.glob("etcd-old-*")), 30)
        os.kill(os.getpid(), signal.SIGINT)

    pressed = threading.Thread(target=once_moved)
    pressed.start()
    with pytest.raises(Interrupted, match="the restore was interrupted") as caught:
        attempt.run()
    pressed.join()
    assert "The database that was live is in its place and is being started again" in caught.value.hint
    assert server.asked() == ["start k3s", "stop k3s", "stop k3s", "start k3s"]  # nothing runs as it is put back
    server.wait_healthy()
    assert keys(server) == live
    server.tell(pause="")
    assert attempt.undo().ok


@pytest.mark.parametrize(
    ("step", "now"),
    [
        ("check", "Nothing was stopped and nothing changed. Run it again when you like."),
        ("stop", "The database that was live is in its place and is being started again"),
        ("start", "The restored database is in place, k3s may not run yet. `--resume` goes on"),
        ("wait", "The restored database is in place, k3s was started with it. `--resume` goes on"),
    ],
)
def test_ctrl_c_says_what_is_live(server, source, step, now):
    attempt = Attempt(server, source)
    attempt.progress = CtrlC(step)
    with pytest.raises(Interrupted) as caught:
        attempt.run()
    assert now in caught.value.hint
    attempt.progress = NoProgress()
    assert attempt.run().ok
    assert keys(server) == stored(source)


def test_ctrl_c_again_while_it_is_put_back(server, source, monkeypatch):
    live = keys(server)
    server.tell(fail="moved")
    attempt = Attempt(server, source)
    with monkeypatch.context() as patch:
        patch.setattr(Rancher, "put_back", lambda _: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted) as caught:
            attempt.run()
    assert "etcd-old-" in caught.value.hint
    assert "k3s may not run. Run `--rollback`" in caught.value.hint
    assert attempt.undo().ok
    server.wait_healthy()
    assert keys(server) == live
