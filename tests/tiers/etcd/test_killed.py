"""Backups of etcd killed at any moment: what is committed is whole, and the next run leaves nothing of the others."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.fixtures.etcd import client_of, fill, single

KEYS, VALUE_BYTES = 12_000, 1_000
MOMENTS = (0.3, 0.6, 0.9, 1.2, 1.5, 1.8)  # of a run that takes about two seconds


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    with single(folder / "etcd") as server:
        with client_of(server) as client:
            fill(client, KEYS, VALUE_BYTES)
        (folder / "store").mkdir()
        (folder / "backstay.yaml").write_text(f"""
cluster: test
stores: {{main: {{url: "file://{folder}/store"}}}}
etcd: {{flavor: etcd, node: n1, endpoints: ["{server.endpoint}"], spool: {folder}/spool, keep: {{days: 7}}}}
""")
        yield folder


def command(place, *arguments):
    env = {**os.environ, "HOME": str(place), "BACKSTAY_CONFIG": str(place / "backstay.yaml")}
    env = {name: value for name, value in env.items() if not name.startswith("XDG_")}
    return [sys.executable, "-m", "backstay", *arguments], env


def run(place, *arguments):
    argv, env = command(place, *arguments)
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)


def expire_lease(place):
    """Nobody waits five minutes in a test: what a killed run holds is taken as it would be then."""
    for lease in (place / "store/backstay/v1/leases").rglob("*.json"):
        lease.unlink()


def test_whatever_is_killed_leaves_only_whole_backups(place):
    assert run(place, "store", "init").returncode == 0
    for moment in MOMENTS:
        argv, env = command(place, "backup", "etcd")
        process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        expire_lease(place)
    done = run(place, "backup", "etcd")
    assert done.returncode == 0, done.stderr
    listed = json.loads(run(place, "list", "--json").stdout)
    assert len(listed) >= 1
    assert {one["keys"] for one in listed} == {KEYS}
    for one in listed:
        assert run(place, "verify", one["id"], "--quiet").returncode == 0
    snapshots = [path.name for path in (place / "store/etcd-snapshots").iterdir()]
    assert len(snapshots) == len(listed)
    assert list((place / "spool").iterdir()) == []
