"""A reset of k3s is given what the unit has: the token, wherever that is, and the configuration that the unit names."""

import pytest

from backstay.core.errors import UsageError
from backstay.core.model import NoProgress
from backstay.tiers.base import ScratchJournal
from backstay.tiers.etcd.restore.run import Restore
from tests.tiers.etcd.restore.machine import TOKEN, k3s, keys, plan_of, restore, stopping, unit
from tests.tiers.etcd.restore.test_k3s import stored


@pytest.fixture
def fresh(server, source, tmp_path):
    """A new machine on which k3s was installed and never started, with no token in its configuration."""
    server.systemctl("stop", "k3s")
    machine = k3s(tmp_path / "server-2", node="server-2")
    machine.configure(token=None)
    with stopping(machine):
        yield machine


def install(machine, flags="", config=None):
    """As the install script leaves it."""
    config = config or machine.root / "etc/rancher/k3s/config.yaml"
    unit(machine, "k3s", f"{machine.root}/bin/k3s server --data-dir {machine.data} --config {config} {flags}")


@pytest.mark.parametrize("where", ["environment", "unit", "file"])
def test_the_token_of_the_unit_reaches_the_reset(fresh, source, where):
    file = fresh.root / "etc/k3s-token"
    file.write_text(f"{TOKEN}\n")
    if where == "environment":
        (fresh.root / "etc/systemd/system/k3s.service.env").write_text(f"K3S_TOKEN='{TOKEN}'\n")
    else:
        install(fresh, f"--token {TOKEN}" if where == "unit" else f"--token-file {file}")
    plan, journal = plan_of(fresh, source), ScratchJournal()
    assert "write the token" not in [step.name for step in plan.steps]
    outcome = Restore(fresh.plane, plan, fresh.system, journal, NoProgress()).run(source)
    assert outcome.ok
    assert keys(fresh) == stored(source)
    assert TOKEN not in repr((plan, journal.done, outcome))


def test_the_configuration_that_the_unit_names(server, source):
    other = server.root / "etc/k3s/mine.yaml"
    other.parent.mkdir()
    server.configure(node_name="server-9")
    (server.root / "etc/rancher/k3s/config.yaml").rename(other)
    install(server, config=other)
    plan = plan_of(server, source)
    assert f"--config={other}" in plan.details["reset_command"]
    assert f"{other} calls this machine server-9" in "\n".join(plan.notes)
    assert restore(server, source).ok
    assert (server.plane.etcd_dir / "name").read_text().startswith("server-9-")
    other.write_text(f"{other.read_text()}server: https://10.0.0.1:6443\n")
    with pytest.raises(UsageError, match=rf"`server` is set in {other}"):
        plan_of(server, source)
