"""What the tests of this folder share: one member without TLS with a few megabytes in it, and a cluster with TLS."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.fixtures.etcd import certificates, client_of, cluster, fill, single

KEYS = 3000


@pytest.fixture(scope="session")
def folder():
    """Gone at the end."""
    made = Path(tempfile.mkdtemp(prefix="backstay-etcd-api-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def plain(folder):
    """One member, ``KEYS`` ConfigMaps."""
    with single(folder / "plain") as server:
        with client_of(server) as client:
            fill(client, KEYS)
        yield server


@pytest.fixture(scope="session")
def secure(folder):
    """Three members with TLS and some keys. Tests leave all three running."""
    with cluster(folder / "secure") as members:
        with members.client() as client:
            fill(client, 500)
        yield members


@pytest.fixture(scope="session")
def papers(folder):
    """A CA and its certificates."""
    return certificates(folder / "papers")


@pytest.fixture(scope="session")
def strangers(folder):
    """Those of another CA."""
    return certificates(folder / "strangers")


@pytest.fixture(scope="session")
def guarded(folder, papers):
    """One member with TLS."""
    with single(folder / "guarded", tls=papers) as server:
        yield server


@pytest.fixture
def client(plain):
    """A client of ``plain``."""
    with client_of(plain) as made:
        yield made
