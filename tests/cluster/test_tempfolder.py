"""Folders for programs: gone at the end, and after a kill with the next one."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backstay.cluster.tempfolder import temp_folder

HOLD = (
    "from backstay.cluster.tempfolder import temp_folder\nwith temp_folder('test') as f: print(f, flush=True); input()"
)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_it_is_gone_at_the_end_and_nobody_else_may_enter():
    with temp_folder("test") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_what_a_killed_process_left_goes_with_the_next(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        left = Path(process.stdout.readline().strip())
        with temp_folder("test"):
            assert left.is_dir()  # it is at work
        process.kill()
        process.wait()
    assert left.is_dir()
    with temp_folder("test"):
        assert not left.exists()


def test_what_is_not_such_a_folder_stays(tmp_path):
    (tmp_path / "backstay-test-999999999-x").symlink_to(tmp_path)
    (tmp_path / "backstay-test-notanumber-x").mkdir()
    with temp_folder("test"):
        pass
    assert (tmp_path / "backstay-test-999999999-x").is_symlink()
    assert (tmp_path / "backstay-test-notanumber-x").is_dir()
