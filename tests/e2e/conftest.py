"""Servers installed from Debian into a folder of their own: slow to make, so made once and kept in a cache."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.tiers.postgres.localserver.programs import find_bin
from backstay.tiers.postgres.localserver.server import THROWAWAY
from tests.e2e.timescale_server import TimescaleServer

HERE = Path(__file__).parent
LACKING = 3  # rootfs.sh's exit status where the machine has not got what it needs


@pytest.fixture(scope="session")
def debian_rootfs() -> Path:
    """The folder that ``rootfs.sh`` makes."""
    return _rootfs()


@pytest.fixture(scope="session")
def timescale(debian_rootfs: Path) -> Iterator[TimescaleServer]:
    """PostgreSQL 17 with TimescaleDB, from Debian."""
    bin_dir = find_bin(17)
    if bin_dir is None:
        _needs("needs PostgreSQL 17 (install with: pip install 'backstay[dev]')")
    folder = Path(tempfile.mkdtemp(prefix="backstay-timescale-", dir=debian_rootfs / "var/tmp"))
    try:
        with TimescaleServer(debian_rootfs, bin_dir, folder, options={**THROWAWAY, "shared_buffers": "64MB"}) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def _rootfs() -> Path:
    done = subprocess.run([HERE / "rootfs.sh"], capture_output=True, text=True)
    if done.returncode == LACKING:
        _needs(done.stderr.strip())
    if done.returncode != 0:
        pytest.fail(done.stderr)
    return Path(done.stdout.strip())


def _needs(message: str) -> None:
    """Skip, but not in continuous integration: there everything has to run."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
