"""The demo from beginning to end as a user runs it, and interrupted in the middle."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backstay.cluster.processes import command_line
from backstay.core.errors import ToolError, VerificationFailed
from backstay.demo.compare import Fingerprint, TableContent
from backstay.demo.run import end
from backstay.demo.story import Story
from backstay.demo.world import World


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="backstay-story-"))
    yield folder
    shutil.rmtree(folder)


def demo(place, *arguments):
    return [sys.executable, "-m", "backstay", "demo", *arguments], {
        "cwd": place,
        "env": {**os.environ, "HOME": str(place / "home"), "COLUMNS": "100"},
        "stdin": subprocess.DEVNULL,
        "stderr": subprocess.STDOUT,
        "text": True,
    }


def processes_in(place):
    """Command lines that name the folder; the servers' all do."""
    if Path("/proc/self/cmdline").exists():
        found = [command_line(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    else:
        found = subprocess.run(["ps", "-Aww", "-o", "command="], capture_output=True, text=True).stdout.splitlines()
    assert any("pytest" in line for line in found), "processes cannot be listed"
    return [line for line in found if str(place) in line]


def test_the_whole_story_and_what_it_keeps_until_stopped(place):
    command, options = demo(place, "--keep", "--folder", str(place / "kept"))
    stop, _ = demo(place, "--stop", "--folder", str(place / "kept"))
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=300, check=False, **options)
        assert done.returncode == 0, done.stdout
        assert "367,687 rows in 5 tables" in done.stdout
        assert re.search(r"public\.flights +336,776 +336,776 +[0-9a-f]{16} equal", done.stdout)
        assert re.search(r'public\."new\\nline" +2 +2 +[0-9a-f]{16} equal', done.stdout)
        assert done.stdout.count(" equal\n") == 37 + 2 + 5 + 2 + 1
        assert "all 5 targets proven" in done.stdout
        assert re.search(r"[0-9,]+ keys, values and revisions   [0-9a-f]{16} equal", done.stdout)
        assert "kind: Deployment\nmetadata:\n  name: search\n" in done.stdout
        assert "HashKV at revision" in done.stdout
        export = re.search(r"export BACKSTAY_CONFIG=(\S+)", done.stdout)
        assert export
        options["env"]["BACKSTAY_CONFIG"] = export[1]
        tried = [sys.executable, "-m", "backstay", "restore", "postgres/shop", "--to", "shop_copy"]
        said = subprocess.run(tried, stdout=subprocess.PIPE, timeout=120, check=False, **options)
        assert said.returncode == 0, said.stdout
        assert "110,500 rows" in said.stdout
    finally:
        ended = subprocess.run(stop, stdout=subprocess.PIPE, timeout=120, check=False, **options)
    assert ended.returncode == 0, ended.stdout
    assert processes_in(place) == []
    assert not (place / "kept").exists()


def test_not_kept_it_leaves_nothing(place, capsys):
    world = World(place / "demo")
    world.claim()
    world.start()
    try:
        end(world, Story(world, print), keep=False)
    finally:
        world.stop()
    assert "the folder is removed" in capsys.readouterr().out
    assert processes_in(place) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("moment", ["Everything stays", "SeaweedFS at", "$ backstay backup", "$ backstay drill etcd"])
def test_interrupted_it_leaves_nothing(place, moment):
    command, options = demo(place)
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, **options) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(moment) or moment in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        said.append(process.communicate(timeout=60)[0])
    assert process.returncode == 130, "".join(said)
    assert "its folder is removed" in "".join(said).lower()
    assert processes_in(place) == []
    assert not (place / ".demo").exists()


def test_a_difference_is_a_failure_and_is_named(place, monkeypatch):
    said = []
    story = Story(World(place / "demo"), said.append)
    before = Fingerprint({"public.t": TableContent(2, "aa")}, {}, {})
    story._before = {"museum": before, "flights": before}
    monkeypatch.setattr(story, "_look", lambda _: Fingerprint({"public.t": TableContent(2, "ab")}, {}, {}))
    with pytest.raises(VerificationFailed, match=r"museum came back different: table public\.t is 2 rows \(ab\)"):
        story._compare()
    assert any("DIFFERENT" in line for line in said)


def test_a_command_that_fails_ends_the_story(place):
    story = Story(World(place / "demo"), lambda _: None)
    with pytest.raises(ToolError, match="`backstay frobnicate` ended with exit code 2"):
        story._backstay("frobnicate")
