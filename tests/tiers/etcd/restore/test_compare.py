"""Keys after a restore against those of the snapshot, also where a key is a resource by itself."""

from backstay.core.model import NoProgress, Severity
from backstay.tiers.base import ScratchJournal
from backstay.tiers.etcd.restore.fetch import Proven
from backstay.tiers.etcd.restore.work import Work, compare
from tests.tiers.etcd.restore.conftest import stale
from tests.tiers.etcd.restore.machine import plan_of, restore

ALONE = {
    b"/registry/health": b'{"health":"true"}',  # of kine; a k3s that was once on SQLite has it in etcd for ever
    b"/registry/backup.lock": b"of some program",
    b"/registry/example.org/widgets": b"another's",
}


def test_keys_that_are_a_resource_by_themselves_are_found_again(server, tmp_path):
    with server.ask_client() as client:
        client.txn(ALONE.items())
    source = stale(server, tmp_path)
    found = source.backup.contents["resources"]
    assert [found[name] for name in ("health", "backup.lock", "widgets.example.org")] == [1, 1, 1]
    outcome = restore(server, source)
    assert [finding.message for finding in outcome.findings] == [
        "63 keys of 4 resources, none fewer than in the snapshot"
    ]
    assert outcome.ok


def test_what_is_missing_is_still_told(server, source):
    plan = plan_of(server, source)
    work = Work.of(server.plane, plan, server.system, ScratchJournal(), NoProgress())
    (missing,) = compare(work, Proven(source.path, 1, 1, 2, {"configmaps": 1, "health": 1, "masterleases": 9}))
    assert (missing.severity, missing.message) == (
        Severity.ERROR,
        "resources of the snapshot are missing: health 0 of 1",
    )
