"""The demo keeps to its folder, finds again what it left running, and ends it."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from backstay.cluster.processes import alive
from backstay.core.errors import UsageError
from backstay.demo.run import run
from backstay.demo.world import MARK, World


@pytest.fixture
def folder():
    outer = Path(tempfile.mkdtemp(prefix="backstay-demo-"))
    yield outer / "demo"
    shutil.rmtree(outer)


def test_a_folder_of_somebody_else_is_left_alone(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("ten years of work")
    for action in (World(folder).claim, World(folder).remove, lambda: run(folder, stop=True)):
        with pytest.raises(UsageError, match="not the demo's own"):
            action()
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_link_or_a_file_is_not_a_folder(folder):
    target = folder.parent / "elsewhere"
    target.mkdir()
    folder.symlink_to(target)
    with pytest.raises(UsageError, match="is not a folder"):
        World(folder).claim()
    folder.unlink()
    folder.write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        World(folder).claim()
    folder.unlink()


def test_what_is_left_running_is_found_and_ended_by_another_run(folder, capsys):
    world = World(folder)
    world.claim()
    try:
        world.start()
        text = world.configure()
        assert {
            stat.S_IMODE(path.stat().st_mode) for path in (folder / "s3-credentials", folder / "postgres/password")
        } == {0o600}
        assert world.s3.secret_key not in text
        assert world.postgres.password not in text
        with pytest.raises(UsageError, match="a demo is running"):
            World(folder).claim()
        pids = [world.postgres.pid, json.loads((folder / MARK).read_text())["s3_pid"]]
        assert all(pid and alive(pid) for pid in pids)
        assert run(folder, stop=True) == 0
    finally:
        world.stop()
    assert not any(alive(pid) for pid in pids)
    assert not folder.exists()
    assert capsys.readouterr().out.startswith("stopped")
    assert run(folder, stop=True) == 0
    assert "there is no demo" in capsys.readouterr().out


def test_what_a_dead_demo_left_is_replaced(folder):
    World(folder).claim()
    (folder / "left").write_text("over")
    World(folder).claim()
    assert [path.name for path in folder.iterdir()] == [MARK]


def test_a_process_that_has_the_id_now_is_not_ended(folder):
    World(folder).claim()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            (folder / MARK).write_text(json.dumps({"s3_pid": bystander.pid, "demo_pid": os.getpid()}))
            assert not World(folder).stop()
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_the_commands_see_only_this_configuration(folder, monkeypatch):
    for name in ("PGHOST", "AWS_PROFILE", "BACKSTAY_CONFIG"):
        monkeypatch.setenv(name, "elsewhere")
    environment = World(folder).environment()
    assert "elsewhere" not in environment.values()
    assert environment["BACKSTAY_CONFIG"] == str(folder / "backstay.yaml")
