"""Snapshots that k3s takes by itself: shown by ``list``, watched by ``check``."""

import time

import pytest

from tests.fixtures.etcd import client_of, single

CONFIG = """
cluster: home
stores: {{main: {{url: "file://{store}"}}}}
etcd:
  flavor: k3s
  node: server-1
  endpoints: [{endpoint}]
  data_dir: {data}
  keep: {{days: 7}}
  local_snapshots: {{schedule: "0 */6 * * *"}}
"""


@pytest.fixture
def snapshots(cli, tmp_path):
    folder = tmp_path / "k3s/server/db/snapshots"
    folder.mkdir(parents=True)
    with single(tmp_path / "etcd") as server:
        with client_of(server) as client:
            client.put(b"/registry/namespaces/default", b"{}")
        cli.configure(CONFIG.format(store=cli.store, endpoint=server.endpoint, data=tmp_path / "k3s"))
        assert cli.run("store", "init").code == 0
        yield folder


def taken(folder, hours_ago):
    name = f"etcd-snapshot-server-1-{int(time.time() - hours_ago * 3600)}"
    (folder / name).write_bytes(b"x" * 1000)
    return name


def test_they_are_listed_below_the_backups(cli, snapshots):
    name = taken(snapshots, 2)
    assert cli.run("backup", "etcd", "--quiet").code == 0
    ran = cli.run("list")
    assert ran.code == 0, ran
    backups, own = ran.out.split("\n\n")
    assert "etcd/control-plane@" in backups
    assert name in own
    assert "2 h ago" in own
    assert "foreign" in own
    as_json = cli.run("list", "--json").document
    assert [one["id"] is None for one in as_json] == [False, True]
    assert as_json[1]["location"] == f"file://{snapshots / name}"
    assert name not in cli.run("list", "--no-foreign").out
    assert name not in cli.run("list", "--tier", "postgres").out


@pytest.mark.parametrize(
    ("hours", "said"),
    [(0.01, "k3s takes its own snapshots: the newest is"), (26, "k3s takes its own snapshots no more"), (None, "none")],
)
def test_check_says_whether_they_still_come(cli, snapshots, hours, said):
    if hours is not None:
        taken(snapshots, hours)
    ran = cli.run("check")
    assert ran.code == 0, ran
    assert said in ran.out
