"""Snapshots into files: room, locks, leftovers, and what is in them."""

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import pytest

from backstay.core.errors import SourceError
from backstay.tiers.etcd.api import spool
from backstay.tiers.etcd.api.spool import PART, RESERVE_BYTES, receive, sweep
from tests.fixtures.etcd import client_of, program


class Disk(NamedTuple):
    """What ``os.statvfs`` says, as far as it matters."""

    f_bavail: int
    f_frsize: int


SCRIPT = """
import sys, time
from pathlib import Path
from backstay.core.errors import SourceError
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.spool import receive
{before}
with EtcdClient(sys.argv[1]) as client:
    try:
        print(receive(client, Path(sys.argv[2]), advance=lambda _: {advance}, expected_bytes=0))
    except SourceError as error:
        print(error.message, error.hint)
"""


def run(plain, path, before="", advance="None"):
    """``receive`` in a process of its own."""
    command = [sys.executable, "-c", SCRIPT.format(before=before, advance=advance), plain.endpoint, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def taken(client, path):
    return receive(client, path, advance=lambda _: None, expected_bytes=client.status().db_size_bytes)


def test_a_snapshot_lies_in_its_file(client, tmp_path):
    steps = []
    path = tmp_path / "snapshot"
    received = receive(client, path, advance=steps.append, expected_bytes=client.status().db_size_bytes)
    data = path.read_bytes()
    assert received.size_bytes == len(data) == sum(steps)
    assert received.sha256_hex == hashlib.sha256(data).hexdigest()
    assert received.content_sha256_hex == hashlib.sha256(data[:-32]).hexdigest() == data[-32:].hex()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_etcdutl_restores_it(client, tmp_path):
    taken(client, tmp_path / "snapshot")
    done = subprocess.run(
        [program("etcdutl"), "snapshot", "restore", tmp_path / "snapshot", "--data-dir", tmp_path / "data"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data/member/snap/db").stat().st_size > 1_000_000


def test_an_older_file_of_the_name_is_replaced(client, tmp_path):
    path = tmp_path / "snapshot"
    path.write_bytes(b"old")
    assert taken(client, path).size_bytes == path.stat().st_size > 1_000_000


def test_a_link_of_the_name_is_replaced_and_not_followed(client, tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "snapshot").symlink_to(tmp_path / "precious")
    taken(client, tmp_path / "snapshot")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "snapshot").is_symlink()


def test_a_link_laid_in_the_way_is_not_followed(client, tmp_path):
    trap = tmp_path / f".snapshot{PART}"
    trap.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="another run"):
        taken(client, tmp_path / "snapshot")
    assert not (tmp_path / "elsewhere").exists()
    assert trap.is_symlink()


def test_no_room_is_told_before_anything_is_asked(client, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(1000, 4096))
    monkeypatch.setattr(type(client), "snapshot", None)
    with pytest.raises(SourceError, match="no room for a snapshot in .*: 4.1 MB are free") as caught:
        receive(client, tmp_path / "snapshot", advance=lambda _: None, expected_bytes=50_000_000)
    assert "117 MB" in caught.value.hint
    assert caught.value.context["needed_bytes"] == 50_000_000 + RESERVE_BYTES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("short", "fits"), [(0, True), (1, False)])
def test_just_enough_room_is_enough(client, tmp_path, monkeypatch, short, fits):
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(RESERVE_BYTES + 4096 - short, 1))
    if fits:
        receive(client, tmp_path / "snapshot", advance=lambda _: None, expected_bytes=4096)
    else:
        with pytest.raises(SourceError, match="no room"):
            receive(client, tmp_path / "snapshot", advance=lambda _: None, expected_bytes=4096)
    assert (tmp_path / "snapshot").exists() is fits


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_leaves_no_file(client, tmp_path, monkeypatch, code):
    real, written = os.write, []

    def write(descriptor, data):
        written.append(real(descriptor, data))
        if sum(written) > 1_000_000:
            raise OSError(code, os.strerror(code))
        return written[-1]

    monkeypatch.setattr(spool.os, "write", write)
    with pytest.raises(SourceError, match="no room for a snapshot") as caught:
        receive(client, tmp_path / "snapshot", advance=lambda _: None, expected_bytes=0)
    assert str(tmp_path) in caught.value.message
    assert sum(written) > 1_000_000
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_the_system_on_files_leaves_no_file(plain, tmp_path):
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    with run(plain, tmp_path / "snapshot", before) as process:
        said, complaints = process.communicate(timeout=60)
    assert "there is no room for a snapshot" in said
    assert "file too large" in said
    assert complaints == ""
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_gone_on_with(client, tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(spool.os, "write", lambda descriptor, data: real(descriptor, data[:1000]))
    received = taken(client, tmp_path / "snapshot")
    assert hashlib.sha256((tmp_path / "snapshot").read_bytes()).hexdigest() == received.sha256_hex


def test_another_error_of_the_disk_is_told(client, tmp_path, monkeypatch):
    def write(_descriptor, _data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(spool.os, "write", write)
    with pytest.raises(SourceError, match="cannot be written to .*Input/output error"):
        taken(client, tmp_path / "snapshot")
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_told(client, tmp_path):
    with pytest.raises(SourceError, match="there is no spool folder"):
        taken(client, tmp_path / "missing" / "snapshot")


def test_an_interruption_leaves_no_file(client, tmp_path):
    def advance(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        receive(client, tmp_path / "snapshot", advance=advance, expected_bytes=0)
    assert list(tmp_path.iterdir()) == []
    assert client.status().version


def test_two_runs_at_once(plain, client, tmp_path):
    """The second of the same name is refused; one of another name goes its way and leaves the first alone."""
    begun, go_on = threading.Event(), threading.Event()
    results = []

    def advance(_):
        begun.set()
        assert go_on.wait(30)

    def first():
        with client_of(plain) as mine:
            results.append(receive(mine, tmp_path / "snapshot", advance=advance, expected_bytes=0))

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert begun.wait(30)
        with pytest.raises(SourceError, match="another run is taking a snapshot"):
            taken(client, tmp_path / "snapshot")
        other = taken(client, tmp_path / "other")
        assert (tmp_path / f".snapshot{PART}").exists()
    finally:
        go_on.set()
        thread.join(30)
    assert results[0].size_bytes == other.size_bytes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "snapshot"]


def test_many_runs_at_once_give_one_file_each_or_none(plain, tmp_path):
    outcomes = []

    def one():
        with client_of(plain) as mine:
            try:
                outcomes.append(taken(mine, tmp_path / "snapshot").sha256_hex)
            except SourceError as error:
                outcomes.append(error.message)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    digest = hashlib.sha256((tmp_path / "snapshot").read_bytes()).hexdigest()
    assert digest in outcomes
    assert len(outcomes) == 6
    assert all(each == digest or "another run" in each for each in outcomes)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]


@pytest.mark.parametrize("name", ["snapshot", "another"])
def test_what_a_killed_run_left_goes_with_the_next(plain, client, tmp_path, name):
    part = tmp_path / f".snapshot{PART}"
    with run(plain, tmp_path / "snapshot", advance="time.sleep(0.1)") as process:
        wait_for(lambda: part.exists() and part.stat().st_size > 0)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert part.exists()
    assert not (tmp_path / "snapshot").exists()
    received = taken(client, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert received.size_bytes == (tmp_path / name).stat().st_size


def test_a_sweep_leaves_the_files_of_others(tmp_path):
    kept = [tmp_path / name for name in ("film.part", f"visible{PART}", ".hidden", "snapshot")]
    for path in kept:
        path.write_bytes(b"x")
    (tmp_path / f".folder{PART}").mkdir()
    (tmp_path / f".left{PART}").write_bytes(b"x")
    if os.geteuid() == 0:
        foreign = tmp_path / f".foreign{PART}"
        foreign.write_bytes(b"x")
        os.chown(foreign, 65534, 65534)
        kept.append(foreign)
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / f".folder{PART}"])
