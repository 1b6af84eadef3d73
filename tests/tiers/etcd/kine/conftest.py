"""A k3s on SQLite that runs, and a backup of it that is older than its state."""

import pytest

from tests.tiers.etcd.kine.machine import backed_up, made_dirty, move_on, stocked
from tests.tiers.etcd.restore.machine import stopping


@pytest.fixture
def server(tmp_path):
    """A single server."""
    machine = stocked(tmp_path / "server-1")
    with stopping(machine):
        yield machine


@pytest.fixture
def source(server):
    """A backup; since then objects came and went, and a file changed that is in the database too."""
    made = backed_up(server)
    move_on(server)
    return made


@pytest.fixture
def dirty(server, source):
    """The same server, which leaves its log when it is stopped, as a killed one does."""
    made_dirty(server)
    return server
