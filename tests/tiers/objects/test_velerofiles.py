"""The files beside the archive, each on its own."""

import json
from datetime import UTC, datetime, timedelta

from backstay.tiers.objects import velerofiles
from backstay.tiers.objects.archive.index import Index
from backstay.tiers.objects.settings import Schedule, World

AT = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)


def world_of(tmp_path, **more):
    return World(lambda: None, lambda: AT, tmp_path, **more)


def test_names(tmp_path):
    files = velerofiles.files(Schedule("daily"), world_of(tmp_path))
    assert {role: file.name for role, file in files.items()} == {
        "objects": "backups/daily-{run}/daily-{run}.tar",
        "items": "daily-{run}.ndjson",
        "resource-list": "backups/daily-{run}/daily-{run}-resource-list.json",
        "volume-info": "backups/daily-{run}/daily-{run}-volumeinfo.json",
        "results": "backups/daily-{run}/daily-{run}-results",
        "logs": "backups/daily-{run}/daily-{run}-logs",
        "velero-backup": "backups/daily-{run}/velero-backup.json",
    }
    assert [role for role, file in files.items() if not file.compressed] == ["velero-backup"]
    assert {file.apart for file in files.values()} == {"", "items"}
    sealed = velerofiles.files(Schedule("daily"), world_of(tmp_path, encrypted=True))
    assert {file.apart for file in sealed.values()} == {"encrypted", "items"}


def ended(**more):
    return velerofiles.Ended(**{
        "started_at": AT, "finished_at": AT + timedelta(seconds=90.7), "version": "v1.37.2+k3s1", "objects": 5,
        "omissions": (), "warnings": (), **more,
    })  # fmt: skip


def test_a_record_of_a_partial_run(tmp_path):
    made = velerofiles.record(
        Schedule("daily", ttl=timedelta(hours=1, seconds=5)),
        world_of(tmp_path, velero_namespace="backups"),
        ended(omissions=("secrets: no", "pods: no"), warnings=("w",)),
    )
    found = json.loads(made)
    assert found["metadata"]["namespace"] == "backups"
    assert found["spec"]["ttl"] == "1h0m5s"
    assert found["status"] == {
        "version": 1,
        "formatVersion": "1.0.0",
        "phase": "PartiallyFailed",
        "startTimestamp": "2026-02-11T15:43:44Z",
        "completionTimestamp": "2026-02-11T15:45:14Z",
        "expiration": "2026-02-11T16:43:49Z",
        "progress": {"totalItems": 5, "itemsBackedUp": 5},
        "errors": 2,
        "warnings": 1,
    }


def test_a_clock_that_went_back_does_not_end_before_it_began(tmp_path):
    found = json.loads(velerofiles.record(Schedule("daily"), world_of(tmp_path), ended(finished_at=AT - timedelta(9))))
    assert found["status"]["completionTimestamp"] == found["status"]["startTimestamp"]


def test_a_resource_list_of_many_pieces(tmp_path):
    with Index(tmp_path / "index") as index:
        for number in range(3000):
            index.add("configmaps", f"ns{number % 2}", f'settings-"{number}"')
        index.add("nodes", "", "n1")
        index.add("roles.rbac.authorization.k8s.io", "ns1", "é")
        listed_as = {
            "configmaps": "v1/ConfigMap",
            "nodes": "v1/Node",
            "roles.rbac.authorization.k8s.io": "rbac.authorization.k8s.io/v1/Role",
        }
        pieces = list(velerofiles.resource_list(index, listed_as))
    assert len(pieces) > 1
    found = json.loads(b"".join(pieces))
    assert list(found) == ["rbac.authorization.k8s.io/v1/Role", "v1/ConfigMap", "v1/Node"]
    assert found["v1/ConfigMap"] == sorted(f'ns{n % 2}/settings-"{n}"' for n in range(3000))
    assert found["rbac.authorization.k8s.io/v1/Role"] == ["ns1/é"]


def test_a_log_line_keeps_to_its_line():
    line = velerofiles.log_line(AT, 'he said "no"\nand left', "velero/b", "error").decode()
    assert line == ('time="2026-02-11T15:43:44Z" level=error msg="he said \\"no\\"\\nand left" backup=velero/b\n')


def test_results():
    assert json.loads(velerofiles.results(["a"], [])) == {"errors": {"velero": ["a"]}, "warnings": {}}
