"""``--resume`` and ``--rollback`` on another server of the same configuration, which sees the same journal."""

import pytest

from backstay.core.errors import RestoreError
from backstay.tiers.base import ScratchJournal
from tests.tiers.etcd.kine.machine import installed, objects, plan_of, restoring


def do(verb, machine, source, journal, plan):
    work = restoring(machine, source, journal, plan)
    return work.run(source) if verb == "run" else work.undo()


@pytest.mark.parametrize("verb", ["run", "undo"])
def test_it_changes_nothing_there(server, source, tmp_path, verb):
    plan, journal, live = plan_of(server, source), ScratchJournal(), objects(server.database)
    assert do("run", server, source, journal, plan).ok
    other = installed(tmp_path / "server-2")
    other.node = "server-2"
    other.plane.db_dir.mkdir(mode=0o700)
    other.database.write_bytes(b"live")
    with pytest.raises(RestoreError, match="belongs to server-1; this machine is server-2"):
        do(verb, other, source, journal, plan)
    assert other.names() == ["state.db"]
    assert other.asked() == []
    assert do("undo", server, source, journal, plan).ok
    assert objects(server.database) == live
