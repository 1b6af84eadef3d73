"""What was set aside, by what it is; and looked for by an account that may not look."""

import errno
import os
import shutil
from contextlib import contextmanager

import pytest

from backstay.core.errors import RestoreError, SourceError
from backstay.tiers.base import Leftover
from backstay.tiers.etcd.controlplane import Flavor
from backstay.tiers.etcd.restore.leftovers import leftovers, remove_leftover
from backstay.tiers.etcd.restore.notes import copies_held
from backstay.tiers.etcd.restore.rejoin import unfinished
from tests.fixtures.account import not_root
from tests.tiers.etcd.restore.machine import k3s, plain


@contextmanager
def nobody():
    """An account that is not root's."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another account")
    with not_root():
        yield


def test_each_kind_by_its_folder(tmp_path):
    machine = k3s(tmp_path / "server-1")
    db = machine.plane.db_dir
    for name in ("etcd-old-1", "etcd-undone-2", "backstay-restore-3/kept", "backstay-restore-4/kept"):
        (db / name).mkdir(parents=True)
    (db / "backstay-restore-4/snapshot.db").touch()
    for name in ("db-before-5", "db-undone-6"):
        db.with_name(name).mkdir()
    assert {each.name: each.kind for each in leftovers(machine.plane)} == {
        "etcd-old-1": "before",
        "etcd-undone-2": "undone",
        "backstay-restore-3": "certificates",
        "backstay-restore-4": "restore",
        "db-before-5": "before",
        "db-undone-6": "undone",
    }
    (note,) = copies_held(list(leftovers(machine.plane)), machine.plane)
    assert note.startswith(
        "2 copies of earlier databases, 1 folder of earlier certificates, 2 restored databases that were taken back "
        "and 1 unfinished restore hold "
    )
    (note,) = copies_held([Leftover("etcd-undone-2", "undone", 5)], machine.plane)
    assert note.startswith("1 restored database that was taken back holds 5 B: ")
    assert note.endswith("removes it.")


def test_what_cannot_be_removed_is_said(tmp_path, monkeypatch):
    machine = k3s(tmp_path / "server-1")
    (machine.plane.db_dir / "etcd-old-1").mkdir(parents=True)

    def readonly(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(shutil, "rmtree", readonly)
    with pytest.raises(RestoreError, match="etcd-old-1 cannot be removed: Read-only file system"):
        remove_leftover(machine.plane, "etcd-old-1")


@pytest.mark.parametrize("flavor", [Flavor.K3S, Flavor.ETCD])
def test_another_account_is_told_to_be_root(tmp_path, flavor):
    for folder in [tmp_path, *list(tmp_path.parents)[:2]]:  # those that pytest made: only the server's is closed
        folder.chmod(0o755)
    machine = (k3s if flavor is Flavor.K3S else plain)(tmp_path / "one")
    closed = machine.data / "server" if flavor is Flavor.K3S else machine.data
    closed.mkdir(exist_ok=True)
    closed.chmod(0o700)
    asked = [lambda: list(leftovers(machine.plane)), lambda: remove_leftover(machine.plane, "etcd-old-1")]
    asked += [lambda: unfinished(machine.plane)] if flavor is Flavor.K3S else []
    for ask in asked:
        with nobody(), pytest.raises(SourceError, match="is closed to this account") as caught:
            ask()
        assert "root" in caught.value.hint
