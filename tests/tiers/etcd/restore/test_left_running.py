"""What a killed restore left at work is ended, and nobody's shell that stands in the folder which the error names."""

import signal
import subprocess
import threading
import time

import pytest

from backstay.tiers.etcd.restore.services import System, end_left_running, left_running, run_in

STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; read line"]  # as a shell at a prompt


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "backstay-restore-1"
    made.mkdir()
    return made


def test_a_shell_and_a_pager_in_the_folder_live_on(folder):
    (folder / "reset.log").touch()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    shell = subprocess.Popen(STUBBORN, cwd=folder, **pipes)
    pager = subprocess.Popen(["tail", "-f", "reset.log"], cwd=folder, **pipes)
    try:
        assert shell.stdout.readline() == b"ready\n"
        assert left_running(folder) == []
        end_left_running(System(), folder)
        assert (shell.poll(), pager.poll()) == (None, None)
    finally:
        for process in (shell, pager):
            process.kill()
            process.communicate()


def test_what_was_started_there_is_ended_with_what_it_started(folder):
    argv, log = ["sh", "-c", "sleep 60 & sleep 60 & wait"], folder / "log"
    ended = []

    def run():
        ended.append(run_in(argv, folder, log, deadline=60, env={"PATH": "/usr/bin:/bin"}))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 20
    while len(left_running(folder)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    end_left_running(System(), folder)
    thread.join(20)
    assert left_running(folder) == []
    assert ended == [-signal.SIGTERM]
