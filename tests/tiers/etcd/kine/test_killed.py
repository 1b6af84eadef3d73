"""kill -9 anywhere: a backup leaves no litter behind the next, a restore goes on or everything is as before."""

import subprocess
import sys

import pytest

from backstay.tiers.etcd.restore.ledger import StepsFile
from tests.tiers.etcd.kine.kine import Kine
from tests.tiers.etcd.kine.machine import CHANGED, ONLY_IN_THE_LOG, ROOT, objects, plan_of, restoring, run_killed
from tests.tiers.etcd.kine.stored import fill, plane_of, take
from tests.tiers.etcd.kine.test_restore import BEFORE, UNDONE, stored

KILLED = -9
STEPS = ["fetch", "check", "ready", "stop", "replace", "start", "wait", "compare"]
EARLY = {"fetch", "check", "ready"}  # k3s still runs
MOMENTS = [
    *((step, "before") for step in STEPS),
    ("stop", "after"),
    ("replace", "after"),
    ("file-1", ""),
    ("file-2", ""),
]


class TestBackup:
    @pytest.mark.parametrize(
        ("phase", "count"), [("copying", 0), ("copying", 1), ("checking", 0), ("counting", 20), ("storing", 1)]
    )
    def test_the_next_run_leaves_nothing(self, tmp_path, phase, count):
        plane = plane_of(tmp_path)
        kine = Kine(plane.sqlite_file)
        fill(kine, count=8000, value_size=3000)
        words = ["-m", "tests.tiers.etcd.kine.killed", "backup", tmp_path, "-", phase, count, "-"]
        code = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, timeout=60).returncode
        assert code == KILLED
        assert len(list(plane.spool.iterdir())) == 1  # it was at work
        assert take(plane).backup.contents["resources"]["configmaps"] == 7200
        assert list(plane.spool.iterdir()) == []
        kine.put("/registry/pods/a/b", b"the live one is not locked by what was killed")
        kine.close()


@pytest.fixture
def attempt(server, source, tmp_path):
    """The killed restore, taken up by another process with what the journal says."""
    journal = tmp_path / "journal.json"
    plan, live = plan_of(server, source), objects(server.database)
    return journal, lambda: restoring(server, source, StepsFile(journal), plan), live


class TestRestore:
    @pytest.mark.parametrize(("step", "when"), MOMENTS)
    def test_resume(self, server, source, attempt, tmp_path, step, when):
        journal, again, live = attempt
        assert run_killed(server, source, step, when, journal) == KILLED
        if step in EARLY:
            assert objects(server.database) == live
            assert server.is_active()
        assert again().run(source).ok
        server.wait_healthy()
        assert objects(server.database) == stored(source, tmp_path)
        assert server.names() == ["state.db", BEFORE]
        assert objects(server.plane.db_dir / BEFORE) == live
        assert (server.server / CHANGED).read_text().startswith("cred/passwd ")

    @pytest.mark.parametrize(("step", "when"), MOMENTS)
    def test_undo(self, server, source, attempt, step, when):
        journal, again, live = attempt
        assert run_killed(server, source, step, when, journal) == KILLED
        assert again().undo().ok
        server.wait_healthy()
        assert objects(server.database) == live
        assert [name for name in server.names() if name not in {"state.db", UNDONE}] == []
        assert (server.server / CHANGED).read_text() == "changed since the backup\n"

    @pytest.mark.parametrize("change", [1, 2])
    def test_killed_while_it_is_undone(self, server, source, attempt, tmp_path, change):
        journal, again, live = attempt
        assert again().run(source).ok
        assert run_killed(server, source, f"file-{change}", "", journal, verb="undo") == KILLED
        assert not server.is_active()
        assert again().undo().ok
        server.wait_healthy()
        assert objects(server.database) == live
        assert server.names() == ["state.db", UNDONE]
        assert objects(server.plane.db_dir / UNDONE) == stored(source, tmp_path)

    @pytest.mark.parametrize("verb", ["run", "undo"])
    @pytest.mark.parametrize("change", [1, 2, 3, 4])
    def test_killed_while_a_log_is_moved_too(self, dirty, source, tmp_path, change, verb):
        journal, plan, live = tmp_path / "journal.json", plan_of(dirty, source), objects(dirty.database)
        assert run_killed(dirty, source, f"file-{change}", "", journal) == KILLED
        assert dirty.database.exists()
        again = restoring(dirty, source, StepsFile(journal), plan)
        assert (again.run(source) if verb == "run" else again.undo()).ok
        dirty.wait_healthy()
        place = dirty.plane.db_dir / BEFORE if verb == "run" else dirty.database
        assert objects(place) == live
        assert ONLY_IN_THE_LOG in live
        if verb == "run":
            assert objects(dirty.database) == stored(source, tmp_path)
        else:
            assert dirty.names() == ["state.db"]

    @pytest.mark.parametrize("change", [1, 2, 3, 4, 5, 6])
    def test_killed_while_it_is_undone_with_its_log(self, dirty, source, tmp_path, change):
        journal, plan, live = tmp_path / "journal.json", plan_of(dirty, source), objects(dirty.database)
        assert restoring(dirty, source, StepsFile(journal), plan).run(source).ok
        assert run_killed(dirty, source, f"file-{change}", "", journal, verb="undo") == KILLED
        assert dirty.database.exists()
        assert restoring(dirty, source, StepsFile(journal), plan).undo().ok
        dirty.wait_healthy()
        assert objects(dirty.database) == live
        assert objects(dirty.plane.db_dir / UNDONE) == stored(source, tmp_path)
        assert [name for name in dirty.names() if name.startswith(BEFORE)] == []

    def test_a_whole_run_in_that_process_is_not_killed(self, server, source, tmp_path):
        """So the tests above were killed by what they say."""
        journal = tmp_path / "journal.json"
        assert run_killed(server, source, "never", "before", journal) == 0
        assert objects(server.database) == stored(source, tmp_path)
        assert list(StepsFile(journal).done) == STEPS
