"""RKE2: a reset that fails once its etcd pod runs; the pod goes on whatever becomes of the reset, and of its folder."""

from dataclasses import replace

import pytest

from backstay.core.errors import RestoreError
from backstay.tiers.etcd.restore.services import in_use
from tests.tiers.etcd.restore.conftest import stale
from tests.tiers.etcd.restore.machine import k3s, keys, stopping, unit
from tests.tiers.etcd.restore.test_failures import Attempt

RESET = """#!/bin/sh
case "$*" in *--cluster-reset*)
  old={db}/etcd-old-1 name=$(cat {db}/etcd/name) path=$(echo "$*" | sed 's/.*restore-path=\\([^ ]*\\).*/\\1/')
  mv {db}/etcd $old
  etcdutl snapshot restore $path --data-dir={db}/etcd --name=$name --initial-cluster=$name=http://127.0.0.1:{peer} \\
    --initial-advertise-peer-urls=http://127.0.0.1:{peer} >/dev/null 2>&1
  echo $name > {db}/etcd/name
  systemctl start pods
  until etcdutl version && flock -n {db}/etcd/member/snap/db true; [ $? = 1 ]; do sleep 0.05; done >/dev/null
  echo 'level=fatal msg="starting kubernetes: it failed once etcd ran"'; exit 1;;
esac
"""


@pytest.fixture
def rke2(tmp_path):
    """A server whose etcd is a pod, once a reset has run: it is another unit, that only the script stops."""
    machine = k3s(tmp_path / "server-1", rke2=True)
    unit(machine, "pods", f"{machine.root}/bin/rke2 server --data-dir {machine.data}")
    script, program = machine.root / "bin/rke2-killall.sh", machine.root / "bin/rke2"
    script.write_text("#!/bin/sh\nexec systemctl stop pods\n")
    script.chmod(0o755)
    reset = RESET.format(db=machine.plane.db_dir, peer=machine.peer)
    program.write_text(reset + program.read_text().removeprefix("#!/bin/sh\n"))
    with stopping(machine, replace(machine, service="pods")):
        yield machine.started()


def open_databases(machine):
    return [path.name for path in sorted(machine.plane.db_dir.glob("etcd*")) if in_use(path)]


def test_the_old_database_is_served_again_and_no_other(rke2, tmp_path):
    source = stale(rke2, tmp_path)
    live, attempt = keys(rke2), Attempt(rke2, source)
    with pytest.raises(RestoreError, match="it failed once etcd ran") as caught:
        attempt.run()
    assert "The database that was live is in its place and is being started again" in caught.value.hint
    rke2.wait_healthy()
    assert rke2.is_active()
    assert keys(rke2) == live
    assert open_databases(rke2) == ["etcd"]
    asked = rke2.asked()
    assert attempt.undo().ok  # it only closes it
    assert rke2.asked() == [*asked, "start rke2-server"]
    assert keys(rke2) == live


def test_a_pod_that_serves_what_was_moved_is_ended_by_the_rollback(rke2, tmp_path):
    """As a version left it that put the folders back beneath the pod."""
    source = stale(rke2, tmp_path)
    live, attempt = keys(rke2), Attempt(rke2, source)
    with pytest.raises(RestoreError):
        attempt.run()
    rke2.wait_healthy()
    rke2.systemctl("stop", "rke2-server")
    db = rke2.plane.db_dir
    undone = next(db.glob("etcd-undone-*"))
    rke2.plane.etcd_dir.rename(db / "live")
    undone.rename(rke2.plane.etcd_dir)
    rke2.systemctl("start", "pods")
    rke2.wait_healthy()
    rke2.plane.etcd_dir.rename(undone)
    (db / "live").rename(rke2.plane.etcd_dir)
    assert keys(rke2) != live
    assert attempt.undo().ok
    assert keys(rke2) == live
    assert open_databases(rke2) == ["etcd"]
