"""Servers start, answer, survive a crash, stop, and leave nothing."""

import os
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from backstay.cluster.processes import alive, mentions
from backstay.core.errors import ToolError, ToolMissing
from backstay.tiers.postgres.localserver import account
from backstay.tiers.postgres.localserver.programs import find_bin, need_bin
from backstay.tiers.postgres.localserver.server import THROWAWAY, PostgresServer


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="backstay-test-"))
    yield path
    shutil.rmtree(path)


def answers(server):
    with server.connect() as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("major", [18, 17])
def test_a_server_starts_answers_and_leaves_nothing_running(folder, major):
    with PostgresServer(need_bin(major), folder, options=THROWAWAY) as server:
        pid = server.pid
        assert server.version.startswith(f"{major}.")
        assert answers(server)
        with server.connect() as connection:
            said = connection.execute(
                """SELECT current_setting('data_checksums'), current_setting('server_encoding'),
                   current_setting('listen_addresses'), current_setting('unix_socket_directories'),
                   current_setting('password_encryption'), current_setting('fsync')"""
            ).fetchone()
        assert said == ("on", "UTF8", "127.0.0.1", "", "scram-sha-256", "off")
    assert pid is not None
    assert not alive(pid)
    assert server.pid is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_second_object_finds_the_server_again_and_stops_it(folder):
    first = PostgresServer(need_bin(18), folder, options=THROWAWAY)
    first.start()
    try:
        second = PostgresServer(need_bin(18), folder)
        assert (second.pid, second.port, second.password) == (first.pid, first.port, first.password)
        assert answers(second)
    finally:
        second.stop()
    assert first.pid is None
    first.stop()


def test_after_a_crash_it_recovers_what_was_committed_on_the_same_port(folder):
    with PostgresServer(need_bin(18), folder) as server:
        with server.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        port, pid = server.port, server.pid
        server.crash()
        assert pid is not None
        assert not alive(pid)
        with pytest.raises(psycopg.OperationalError):
            server.connect()
        server.start()
        assert server.port == port
        with server.connect() as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert "not properly shut down" in server.log_tail(50)
        server.stop("immediate")
        server.restart()
        assert answers(server)
        server.stop()
        server.stop()
        with pytest.raises(ToolError, match="no PostgreSQL server runs"):
            server.crash()


def test_the_password_is_private_and_wanted(folder):
    with PostgresServer(need_bin(18), folder, options=THROWAWAY) as server:
        assert stat.S_IMODE(server.password_file.stat().st_mode) == 0o600
        assert server.password not in repr(server)
        command = Path(f"/proc/{server.pid}/cmdline")
        assert not command.exists() or server.password.encode() not in command.read_bytes()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**server.conninfo() | {"password": secrets.token_hex(8)})


def test_a_setting_the_server_refuses_is_an_error_with_its_log(folder):
    server = PostgresServer(need_bin(18), folder, options={**THROWAWAY, "work_mem": "much"})
    with pytest.raises(ToolError, match="ended while starting") as caught:
        server.start()
    assert "work_mem" in caught.value.hint
    assert server.pid is None


def test_a_taken_port_is_exchanged_for_another(folder):
    with PostgresServer(need_bin(18), folder, options=THROWAWAY) as server:
        server.stop()
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", server.port))
            thief.listen()
            server.start()
            assert server.port != thief.getsockname()[1]
            assert answers(server)


def test_a_pid_file_left_behind_does_not_name_another_program(folder):
    with PostgresServer(need_bin(18), folder, options=THROWAWAY) as server:
        pass
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            (server.data / "postmaster.pid").write_text(f"{bystander.pid}\n")
            until(lambda: mentions(bystander.pid, "sleep"))
            assert server.pid is None
            server.stop()
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_folder_without_programs_is_named(folder):
    with pytest.raises(ToolMissing, match=str(folder)):
        PostgresServer(folder, folder)
    assert find_bin(9) is None
    with pytest.raises(ToolMissing, match="PostgreSQL 9 is not installed"):
        need_bin(9)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root cannot run PostgreSQL as itself")
def test_root_may_keep_the_folder_where_no_one_else_can_go(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    assert account.choose_account([closed / "data"]).prefix
    assert not account.choose_account([folder.parent / "data"]).prefix
    with PostgresServer(need_bin(18), closed / "server", options=THROWAWAY) as server:
        assert answers(server)
        assert server.data.stat().st_uid != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_fresh_database_belongs_to_its_owner(postgres18, fresh_database):
    made = fresh_database(postgres18)
    with made.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1")
        assert connection.execute("SELECT current_database(), current_user").fetchone() == (
            made.name,
            made.owner,
        )
    assert made.password not in repr(made)
