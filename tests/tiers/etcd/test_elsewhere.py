"""Snapshots that k3s took by itself: files on this server, and the records the cluster keeps."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backstay.tiers.etcd.controlplane import Flavor
from backstay.tiers.etcd.elsewhere import own_snapshots
from tests.fixtures.etcd import client_of, single
from tests.tiers.etcd.world import plane_of

UNIX = 1_766_000_000
NAME = f"etcd-snapshot-server-1-{UNIX}"


def record(name, location, **status):
    body = {
        "apiVersion": "k3s.cattle.io/v1",
        "kind": "ETCDSnapshotFile",
        "metadata": {"name": f"local-{name}-abcdef"},
        "spec": {"snapshotName": name, "nodeName": "server-2", "location": location},
        "status": {"size": "4096032", "creationTime": "2025-12-17T19:33:20Z", "readyToUse": True, **status},
    }
    return f"/registry/k3s.cattle.io/etcdsnapshotfiles/local-{name}".encode(), json.dumps(body).encode()


@pytest.fixture
def plane(tmp_path):
    (tmp_path / "k3s/server/db/snapshots").mkdir(parents=True)
    with single(tmp_path / "etcd") as server:
        made = plane_of(tmp_path, [server.endpoint], flavor=Flavor.K3S, data_dir=tmp_path / "k3s")
        with client_of(server) as client:
            client.put(*record(NAME, "file:///elsewhere/" + NAME))
            error = {"time": "2025-12-17T19:33:20Z", "message": "bucket gone"}
            old = "2025-12-16T19:33:20Z"
            name = "etcd-snapshot-server-3-1765900000"
            client.put(*record(name, "s3://b/k", readyToUse=False, error=error, creationTime=old))
            client.put(b"/registry/k3s.cattle.io/etcdsnapshotfiles/odd", b"not json")
            client.put(b"/registry/k3s.cattle.io/etcdsnapshotfiles/empty", b'{"spec": 1}')
        yield made


def test_files_and_records_are_listed_newest_first(plane):
    (plane.snapshots_dir / f"on-demand-server-1-{UNIX + 500}.zip").write_bytes(b"x" * 10)
    (plane.snapshots_dir / f"backstay-server-1-{UNIX + 600}").write_bytes(b"ours")
    (plane.snapshots_dir / "link").symlink_to("/etc/passwd")
    found, troubles = own_snapshots(plane)
    assert troubles == []
    assert [(one.name, one.node, one.size_bytes, one.ready, one.error) for one in found] == [
        (f"on-demand-server-1-{UNIX + 500}.zip", "server-1", 10, True, ""),
        (NAME, "server-2", 4096032, True, ""),
        ("etcd-snapshot-server-3-1765900000", "server-2", 4096032, False, "bucket gone"),
    ]
    assert found[0].taken_at == datetime.fromtimestamp(UNIX + 500, UTC)
    assert found[0].location == f"file://{plane.snapshots_dir}/on-demand-server-1-{UNIX + 500}.zip"


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 100_000,
        record("a", "s3://b/k", size="\u00b2")[1],
        record("a", "s3://b/k", size="9" * 5000)[1],
        record("a", "http://[x")[1],
    ],
    ids=["nested deeply", "a digit that is no number", "a number too long", "no address"],
)
def test_a_record_that_cannot_be_read_is_passed_over(plane, value):
    """Whoever may write ETCDSnapshotFiles is not to end a listing."""
    with client_of_plane(plane) as client:
        client.put(b"/registry/k3s.cattle.io/etcdsnapshotfiles/hostile", value)
    found, troubles = own_snapshots(plane)
    assert troubles == []
    assert [one.name for one in found] == [NAME, "etcd-snapshot-server-3-1765900000"]


def test_a_moment_that_no_clock_can_show_is_none(plane):
    with client_of_plane(plane) as client:
        client.put(*record("a", "s3://b/k", creationTime="0001-01-01T00:00:00+14:00"))
    assert own_snapshots(plane)[0][-1].taken_at is None


def test_a_file_and_its_record_are_one(plane):
    path = plane.snapshots_dir / NAME
    path.write_bytes(b"x" * 99)
    with client_of_plane(plane) as client:
        client.put(*record(NAME, f"file://{path}"))
    found, _ = own_snapshots(plane)
    assert [one.size_bytes for one in found if one.name == NAME] == [99]


def test_what_cannot_be_asked_is_said_and_the_files_are_still_listed(plane):
    (plane.snapshots_dir / NAME).write_bytes(b"x")
    found, troubles = own_snapshots(replace(plane, endpoints=("http://127.0.0.1:1",)))
    assert [one.name for one in found] == [NAME]
    assert len(troubles) == 1
    assert "127.0.0.1:1" in troubles[0]


def test_an_endpoint_that_cannot_be_does_not_end_a_listing(plane):
    (plane.snapshots_dir / NAME).write_bytes(b"x")
    found, troubles = own_snapshots(replace(plane, endpoints=("http://192.0.2.1:2379",)))
    assert [one.name for one in found] == [NAME]
    assert len(troubles) == 1
    assert "has no TLS" in troubles[0]


def test_a_file_that_goes_while_it_is_looked_at(plane, monkeypatch):
    """k3s removes old ones by itself."""
    for number in range(3):
        (plane.snapshots_dir / f"{NAME}{number}").write_bytes(b"x")
    real = Path.lstat

    def lstat(path):
        if path.name == f"{NAME}1":
            path.unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(Path, "lstat", lstat)
    found, troubles = own_snapshots(plane)
    assert troubles == []
    assert [one.name for one in found if one.node == "server-1"] == [f"{NAME}2", f"{NAME}0"]


def test_where_k3s_keeps_no_etcd_nothing_is_asked(plane):
    plane.sqlite_file.touch()
    found, troubles = own_snapshots(replace(plane, endpoints=("https://127.0.0.1:1",)))
    assert (found, troubles) == ([], [])
    (plane.etcd_dir / "member").mkdir(parents=True)
    assert len(own_snapshots(plane)[0]) == 2


def test_a_machine_that_is_no_server_is_not_asked(plane, tmp_path):
    assert own_snapshots(replace(plane, data_dir=tmp_path / "nothing")) == ([], [])
    assert own_snapshots(replace(plane, flavor=Flavor.ETCD)) == ([], [])


def client_of_plane(plane):
    from backstay.tiers.etcd.api.client import EtcdClient

    return EtcdClient(plane.endpoints[0])
