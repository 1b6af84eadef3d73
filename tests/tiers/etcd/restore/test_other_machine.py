"""``--resume`` and ``--rollback`` on another server of the same configuration, which sees the same journal."""

from dataclasses import replace

import pytest

from backstay.core.errors import RestoreError
from backstay.core.model import NoProgress
from backstay.tiers.base import ScratchJournal
from backstay.tiers.etcd.restore.machine import known_as
from backstay.tiers.etcd.restore.run import Restore
from tests.tiers.etcd.restore.machine import k3s, keys, plan_of

ID = "0123456789abcdef0123456789abcdef"


def identify(machine, text):
    path = machine.root / "etc/machine-id"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.fixture
def cut(server, source):
    """A restore that failed once the restored database was in place: its plan and its journal."""
    identify(server, ID)
    server.tell(fail="start")
    plan, journal = plan_of(server, source), ScratchJournal()
    with pytest.raises(RestoreError, match="the restored database is in place"):
        Restore(server.plane, plan, server.system, journal, NoProgress()).run(source)
    server.tell(fail="")
    return plan, journal


def there(machine, plan):
    """The plan as it is read on ``machine``: of a real one the paths are the same on every server."""
    old, new = plan.details["work"].partition("/server-1/")[0] + "/server-1/", f"{machine.root}/"
    moved = {name: value.replace(old, new) for name, value in plan.details.items() if isinstance(value, str)}
    return replace(plan, details={**plan.details, **moved})


def do(verb, machine, plan, journal, source):
    work = Restore(machine.plane, plan, machine.system, journal, NoProgress())
    return work.run(source) if verb == "run" else work.undo()


@pytest.mark.parametrize("verb", ["run", "undo"])
@pytest.mark.parametrize("noted", [True, False])  # a version before this noted no machine
def test_it_changes_nothing_there(cut, source, tmp_path, verb, noted):
    plan, journal = cut
    other = k3s(tmp_path / "server-2", node="server-2")
    identify(other, ID)  # a clone
    (other.plane.etcd_dir / "member").mkdir(parents=True)
    other.plane.token_file.write_text("K10")
    before = sorted(other.data.rglob("*"))
    details = {name: value for name, value in plan.details.items() if noted or name != "machine"}
    again = there(other, replace(plan, details=details))
    with pytest.raises(RestoreError, match="20261126-030000 belongs to server-1; this machine is server-2") as caught:
        do(verb, other, again, journal, source)
    assert caught.value.hint.startswith("Run this on server-1. Nothing was changed on this machine.")
    assert "restores/etcd/control-plane/20261126-030000.json" in caught.value.hint
    assert sorted(other.data.rglob("*")) == before
    assert other.asked() == []


def test_another_machine_of_the_same_name(cut, source, tmp_path):
    plan, journal = cut
    other = k3s(tmp_path / "another")
    identify(other, ID[::-1])
    with pytest.raises(RestoreError, match="belongs to server-1; this machine is another of the same name, server-1"):
        do("undo", other, there(other, plan), journal, source)


@pytest.mark.parametrize("noted", [True, False])
def test_its_own_machine_goes_on(cut, server, source, noted):
    plan, journal = cut
    details = {name: value for name, value in plan.details.items() if noted or name != "machine"}
    assert do("run", server, replace(plan, details=details), journal, source).ok
    restored = keys(server)
    assert do("undo", server, replace(plan, details=details), journal, source).ok
    assert keys(server) != restored


def test_what_a_machine_is_known_as(tmp_path):
    machine = k3s(tmp_path / "server-1")
    assert known_as(machine.system) == "server-1"
    identify(machine, ID)
    known = known_as(machine.system)
    assert len(known) == len(ID)
    assert known != ID
    assert known_as(machine.system) == known
