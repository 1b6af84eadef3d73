"""A k3s server restored by the commands that a user types: a stand-in k3s around a real etcd, in its own mount space.

The stand-in only performs the etcd part of k3s (tests/tiers/etcd/restore/standin_k3s.py says which). The command line
looks for units under /etc, so that folder is the scratch machine's for these processes, and for no others.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pyrage import x25519

from backstay.demo import controlplane
from tests.tiers.etcd.restore import machine as machines
from tests.tiers.etcd.restore.machine import TOKEN, k3s


@pytest.fixture
def machine(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root (a mount space of its own)")
    made = k3s(tmp_path / "root")
    made.version(f"{controlplane.VERSION}+k3s1")
    systemctl = made.root / "bin/systemctl"  # Backstay hands no variable of the caller's on to it
    standin = Path(machines.__file__).with_name("standin_systemctl.py")
    systemctl.write_text(f'#!/bin/sh\nSTANDIN_ROOT={made.root} exec {sys.executable} {standin} "$@"\n')
    made.started()
    yield made
    made.systemctl("stop", made.service)


@pytest.fixture
def backstay(machine, tmp_path):
    """Run a command of Backstay's on that machine; its exit code and what it said."""
    identity = x25519.Identity.generate()
    for name, content in (("key.txt", str(identity)), ("token", TOKEN)):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(content)
    (tmp_path / "store").mkdir()
    (tmp_path / "backstay.yaml").write_text(f"""
cluster: home
stores: {{main: {{url: "file://{tmp_path}/store"}}}}
encryption: {{recipients: [{identity.to_public()}], identity: "file:{tmp_path}/key.txt"}}
etcd:
  flavor: k3s
  node: {machine.node}
  endpoints: [{machine.endpoint}]
  data_dir: {machine.data}
  bin: {machine.root}/bin
  token: file:{tmp_path}/token
  keep: {{days: 7}}
""")
    units = machine.root / "etc/systemd/system"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "BACKSTAY_"))},
        "HOME": str(tmp_path),
        "BACKSTAY_CONFIG": str(tmp_path / "backstay.yaml"),
        "STANDIN_ROOT": str(machine.root),
        "PATH": f"{machine.root}/bin:{os.environ['PATH']}",
    }

    def run(*arguments):
        command = shlex.join([sys.executable, "-m", "backstay", *arguments])
        inside = f"mount --bind {units} /etc/systemd/system && exec {command}"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", inside],
            env=environment, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_worst_day_of_a_k3s_server(machine, backstay):
    with machine.ask_client() as client:
        controlplane.fill(client)
        before = controlplane.fingerprint(client)
    assert backstay("store", "init")[0] == 0
    code, said = backstay("backup", "etcd")
    assert code == 0, said
    assert "not in this backup" not in said
    with machine.ask_client() as client:
        client.delete(b"/registry/pods/", prefix=True)
        client.put(b"/registry/configmaps/default/newer", b"{}")
    code, plan = backstay("restore", "etcd", "--plan")
    assert code == 0, plan
    assert "--cluster-reset-restore-path=" in plan
    assert "Lost by this" in plan
    assert "Nothing has been changed" in plan
    assert machine.is_active()
    code, said = backstay("restore", "etcd")
    assert code == 4, said  # nobody typed the name
    assert machine.is_active()
    code, said = backstay("restore", "etcd", "--confirm", "etcd/control-plane")
    assert code == 0, said
    with machine.ask_client() as client:
        assert client.get(b"/registry/configmaps/default/newer") is None
        keys, _ = controlplane.fingerprint(client)
    assert keys >= before[0]
    code, left = backstay("restore", "cleanup", "etcd", "--dry-run")
    assert code == 0, left
    assert "etcd-old-" in left
    code, said = backstay("restore", "cleanup", "etcd", "--confirm", "etcd/control-plane")
    assert code == 0, said
    assert not list((machine.data / "server/db").glob("etcd-old-*"))
    code, said = backstay("status", "--json")
    assert json.loads(said)["targets"][0]["proven"]["level"] == "restored", said


def test_the_wrong_token_is_refused_before_anything_stops(machine, backstay, tmp_path):
    assert backstay("store", "init")[0] == 0
    assert backstay("backup", "etcd")[0] == 0
    (tmp_path / "token").write_text("another token")
    code, said = backstay("restore", "etcd", "--confirm", "etcd/control-plane")
    assert code != 0
    assert "token" in said
    assert machine.is_active()
    assert "does not open" in said or "contradict" in said, said
    assert "another token" not in said
