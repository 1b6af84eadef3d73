"""kubeadm: the manifests are taken away, etcd's pod ends, the data folders change places, the manifests come back."""

import pytest
import yaml

from backstay.cluster.processes import free_ports
from backstay.core.errors import RestoreError, UsageError
from backstay.core.model import NoProgress
from backstay.tiers.etcd.controlplane import Flavor
from backstay.tiers.etcd.restore.kubeadm import NAMES, manifests_folder
from backstay.tiers.etcd.restore.ledger import StepsFile
from backstay.tiers.etcd.restore.leftovers import leftovers
from backstay.tiers.etcd.restore.run import Restore
from tests.tiers.etcd.restore.conftest import stale
from tests.tiers.etcd.restore.machine import (
    STAMP,
    Machine,
    base,
    etcd_command,
    keys,
    plan_of,
    restore,
    run_killed,
)
from tests.tiers.etcd.restore.standin_kubelet import Kubelet
from tests.tiers.etcd.restore.test_k3s import stored


@pytest.fixture
def node(tmp_path):
    """A control plane node with its kubelet."""
    client, peer = free_ports(2)
    machine = Machine(tmp_path / "node", "cp-1", Flavor.KUBEADM, client, peer, service="kubelet")
    base(machine)
    folder = manifests_folder(machine.system)
    folder.mkdir(parents=True)
    command = etcd_command(machine, f"cp-1=http://127.0.0.1:{peer}")
    manifest = {"kind": "Pod", "spec": {"containers": [{"name": "etcd", "command": command}]}}
    (folder / "etcd.yaml").write_text(yaml.safe_dump(manifest))
    for name in NAMES[:3]:
        (folder / name).write_text("kind: Pod\n")
    with Kubelet(folder) as kubelet:
        machine.wait_healthy()
        yield machine, kubelet


def test_the_state_of_the_snapshot_is_served_again(node, tmp_path):
    machine, kubelet = node
    source = stale(machine, tmp_path)
    plan = plan_of(machine, source)
    assert "move the control plane's manifests to" in {step.name: step.detail for step in plan.steps}["stop"]
    outcome = restore(machine, source)
    assert outcome.ok
    assert keys(machine) == stored(source)
    assert [] in kubelet.seen  # there was a moment without any
    assert kubelet.seen[-1] == sorted(NAMES)
    folder = manifests_folder(machine.system)
    assert [path.name for path in folder.parent.iterdir()] == ["manifests"]
    assert [each.name for each in leftovers(machine.plane)] == [f"etcd-before-{STAMP}"]


def test_without_a_manifest_it_is_refused(node, tmp_path):
    machine, _ = node
    source = stale(machine, tmp_path)
    (manifests_folder(machine.system) / "etcd.yaml").rename(tmp_path / "away.yaml")
    with pytest.raises(UsageError, match="runs no etcd of kubeadm's"):
        plan_of(machine, source, name="cp-1", members=[f"cp-1=http://127.0.0.1:{machine.peer}"])


@pytest.mark.parametrize("step", ["stop", "rename-2", "rename-6", "replace", "start", "wait"])
@pytest.mark.parametrize("verb", ["run", "undo"])
def test_killed(node, tmp_path, step, verb):
    machine, _ = node
    source = stale(machine, tmp_path)
    live, journal, plan = keys(machine), tmp_path / "journal.json", plan_of(machine, source)
    assert run_killed(machine, source, step, "before", journal) == -9
    again = Restore(machine.plane, plan, machine.system, StepsFile(journal), NoProgress())
    assert (again.run(source) if verb == "run" else again.undo()).ok
    machine.wait_healthy()
    assert keys(machine) == (stored(source) if verb == "run" else live)
    assert sorted(path.name for path in manifests_folder(machine.system).iterdir()) == sorted(NAMES)
    assert not list(manifests_folder(machine.system).parent.glob("backstay-*"))


def test_etcd_that_does_not_end_is_not_replaced(node, tmp_path):
    """A kubelet that is down does not end the pod."""
    machine, kubelet = node
    source = stale(machine, tmp_path)
    live = keys(machine)
    kubelet._end.set()
    machine.patience = type(machine.patience)(stop=0.5, answer=2, poll=0.1, undo=5)
    with pytest.raises(RestoreError, match="an etcd still has .* open after the stop") as caught:
        restore(machine, source)
    assert "in its place" in caught.value.hint
    assert keys(machine) == live
    assert sorted(path.name for path in manifests_folder(machine.system).iterdir()) == sorted(NAMES)
