"""A k3s server that runs, and a backup of it that is older than its state."""

import pytest

from tests.fixtures.etcd import fill
from tests.tiers.etcd.restore.machine import k3s, stopping, take


@pytest.fixture
def server(tmp_path):
    """A single server."""
    machine = k3s(tmp_path / "server-1")
    with stopping(machine):
        yield machine.started()


@pytest.fixture
def source(server, tmp_path):
    """A backup with 60 keys; since then one was changed, ten deleted and twenty written."""
    return stale(server, tmp_path)


def stale(machine, folder):
    """See ``source``."""
    with machine.ask_client() as client:
        fill(client, 60)
    made = take(machine, folder / "snapshot")
    with machine.ask_client() as client:
        for number in range(10):
            client.delete(f"/registry/configmaps/shop-{number % 5}/cm-{number:08d}".encode())
        fill(client, 20, first=100)
        client.put(b"/registry/configmaps/shop-0/cm-00000050", b"changed since")
    return made
