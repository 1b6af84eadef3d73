"""A server whose data only root may look at, seen by another account: said in words, and never a traceback."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.core.errors import RestoreError, SourceError
from backstay.core.model import NoProgress
from backstay.tiers.etcd.controlplane import Flavor
from backstay.tiers.etcd.elsewhere import own_snapshots
from backstay.tiers.etcd.kine import leftovers
from backstay.tiers.etcd.kine.datastore import is_used
from backstay.tiers.etcd.restore.services import System
from backstay.tiers.etcd.tier import EtcdTier
from tests.fixtures.account import not_root
from tests.tiers.etcd.kine.stored import MemorySink, plane_of

ASIDE = "state.db-before-20261125-220000"
KEPT = "etcd-snapshot-server-1-1766000000"


@pytest.fixture
def plane():
    """A k3s on SQLite below a folder that any account may enter, its own closed to all but root."""
    with tempfile.TemporaryDirectory(prefix="backstay-closed-") as folder:
        Path(folder).chmod(0o755)
        made = plane_of(Path(folder))
        made.snapshots_dir.mkdir()
        (made.snapshots_dir / KEPT).write_bytes(b"x")
        for name in (made.sqlite_file.name, ASIDE):
            (made.db_dir / name).write_bytes(b"SQLite")
        yield made
        made.db_dir.parent.chmod(0o755)
        made.db_dir.chmod(0o755)


@pytest.fixture(params=["server", "db"])
def closed(plane, request):
    """The folder that is closed: k3s makes both so."""
    folder = plane.db_dir.parent if request.param == "server" else plane.db_dir
    folder.chmod(0o700 if os.geteuid() == 0 else 0)
    return folder


def refusal(act):
    with not_root(), pytest.raises(SourceError) as caught:
        act()
    return caught.value


def test_which_datastore_it_has(plane, closed):
    error = refusal(lambda: is_used(plane))
    assert error.message == f"{closed} is closed to this account"
    assert "must run as root for this tier" in error.hint
    assert "Nothing was changed" in error.hint
    if os.geteuid() == 0:
        assert is_used(plane)


def test_check_and_backup(plane, closed):
    tier = EtcdTier(plane, System(), plane.spool)
    for act in (lambda: tier.preview(plane.target), lambda: tier.backup(plane.target, MemorySink(), NoProgress())):
        assert refusal(act).message == f"{closed} is closed to this account"


def test_what_restores_left(plane, closed):
    """A folder that may be entered and not listed is not taken for an empty one."""
    assert refusal(lambda: list(leftovers.leftovers(plane))).message == f"{closed} is closed to this account"
    assert refusal(lambda: leftovers.remove_leftover(plane, ASIDE)).message == f"{closed} is closed to this account"
    with not_root():
        assert list(leftovers.leftovers(replace(plane, flavor=Flavor.ETCD))) == []


def test_a_listing_goes_on_with_one_warning(plane, closed):
    with not_root():
        found, troubles = own_snapshots(plane)
    assert found == []
    assert troubles == [
        f"not all snapshots of k3s itself could be listed: {closed} is closed to this account; run as root to see them"
    ]


def test_only_the_snapshots_are_closed(plane):
    plane.snapshots_dir.chmod(0o700 if os.geteuid() == 0 else 0)
    with not_root():
        found, troubles = own_snapshots(plane)
    plane.snapshots_dir.chmod(0o755)
    assert found == []
    assert len(troubles) == 1
    assert f"{plane.snapshots_dir} is closed to this account" in troubles[0]


def test_k3s_on_sqlite_is_not_asked_for_records(plane):
    """It has no certificates of etcd, and nothing is missing."""
    found, troubles = own_snapshots(plane)
    assert [one.name for one in found] == [KEPT]
    assert troubles == []


def test_what_cannot_be_removed_is_told(plane, monkeypatch):
    def unlink(path, **_):
        raise OSError(30, os.strerror(30), str(path))

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(RestoreError, match=f"{ASIDE} cannot be removed: Read-only file system"):
        leftovers.remove_leftover(plane, ASIDE)
