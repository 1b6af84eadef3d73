"""The S3 server of demo and tests: it keeps to its folder and to 127.0.0.1, and ends when told."""

import contextlib
import os
import socket
import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backstay.core.errors import ToolError
from backstay.demo.seaweed import SeaweedServer
from backstay.store.s3 import S3Options, S3Store, create_bucket
from tests.store.helpers import MIB, noise, read


def open_store(server):
    options = S3Options(
        "bucket",
        endpoint_url=server.endpoint_url,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
    )
    create_bucket(options)
    return S3Store(options)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True


def test_data_and_keys_outlive_a_stop_that_does_not_wait(tmp_path):
    server = SeaweedServer(tmp_path / "s3")
    data = noise(20 * MIB)
    with server:
        keys = (server.access_key, server.secret_key)
        store = open_store(server)
        store.put("k", [data])
        store.close()
        port = urlsplit(server.endpoint_url).port
        assert listens(port)
        assert os.getpgid(server.pid) == server.pid
        assert stat.S_IMODE((tmp_path / "s3" / "s3.json").stat().st_mode) == 0o600
    assert server.pid is None
    assert not listens(port)
    with server:
        assert (server.access_key, server.secret_key) == keys
        store = open_store(server)
        assert read(store, "k") == data
        store.close()
    server.stop()


def test_it_listens_on_loopback_only(seaweed):
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        pytest.skip("needs /proc/net/tcp (run on Linux)")
    own = set()
    for path in Path(f"/proc/{seaweed.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            own.add(path.readlink().name.removeprefix("socket:[").rstrip("]"))
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    listening = [row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in own]
    assert len(listening) >= 8
    assert set(listening) == {"0100007F"}


def test_a_second_server_on_the_same_folder_is_refused(seaweed):
    with pytest.raises(ToolError, match="ended while starting") as caught:
        SeaweedServer(seaweed.folder).start()
    assert "server.log" in caught.value.hint


def test_a_disk_without_room_is_said_at_once(tmp_path):
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs (run as root)")
    try:
        server = SeaweedServer(tmp_path / "s3")
        with pytest.raises(ToolError, match="105 MB of 134 MB"):
            server.start()
        assert server.pid is None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=30)
