"""Real servers, each started when a test asks and stopped by its process id at the end of the session."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tiers.etcd.file.stock import Etcd, program
from tests.tiers.etcd.file.story import STEPS, Taken, take


@pytest.fixture(scope="session")
def etcd_root() -> Iterator[Path]:
    """A folder for servers and snapshots."""
    program("etcd")
    folder = Path(tempfile.mkdtemp(prefix="backstay-etcd-file-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def start_etcd(etcd_root: Path) -> Iterator[Callable[..., Etcd]]:
    """``start_etcd()`` is a new, empty server; ``start_etcd(snapshot)`` one that was restored with etcdutl."""
    servers: list[Etcd] = []

    def start(snapshot: Path | None = None) -> Etcd:
        server = Etcd(etcd_root / f"member{len(servers)}")
        servers.append(server)
        if snapshot is not None:
            server.restore(snapshot)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def story(start_etcd: Callable[..., Etcd], etcd_root: Path) -> dict[str, Taken]:
    """A snapshot after each of ``STEPS``, all done on one server one after another."""
    etcd = start_etcd()
    taken: dict[str, Taken] = {}
    for name, step in STEPS.items():
        step(etcd)
        taken[name] = take(etcd, etcd_root / f"{name}.db")
    etcd.stop()
    return taken
