"""What a server of k3s is told, by its files, its unit and the unit's environment; and how etcd is configured."""

import pytest

from backstay.core.errors import UsageError
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.restore.kubeadm import etcd_flags, service_flags
from backstay.tiers.etcd.restore.services import System, in_use, left_running
from backstay.tiers.etcd.restore.settings import read_settings

UNIT = r"""
[Unit]
Description=Lightweight Kubernetes
[Service]
Type=notify
EnvironmentFile=-/etc/systemd/system/k3s.service.env
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s \
    server \
	'--cluster-init' \
	'--node-ip' \
	'10.0.0.1' \
	'--tls-san=a.example, b.example' \
	'--token' \
	'secret' \
	'--agent-token=hidden' \
	'--etcd-s3-secret-key' \
	'hidden' \
	-d /data \
	'--disable' \
	'traefik' \

"""


@pytest.fixture
def machine(tmp_path):
    """A writer of files, and a reader of settings."""
    plane = ControlPlane("x", Flavor.K3S, "n", (), tmp_path / "data", tmp_path / "spool", service="k3s")

    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write, lambda: read_settings(plane, System(root=tmp_path))


def test_the_unit_of_the_install_script(machine):
    write, read = machine
    write("etc/systemd/system/k3s.service", UNIT)
    write(
        "etc/systemd/system/k3s.service.env",
        "K3S_TOKEN='of the environment'\nK3S_NODE_NAME=n1\nHTTP_PROXY=x\n# K3S_URL=y\n",
    )
    found = read()
    assert found.unit_flags == ("--node-ip", "10.0.0.1", "--tls-san=a.example, b.example", "--disable", "traefik")
    assert found.get("token").value == "secret"
    assert found.get("data-dir").value == "/data"
    assert found.get("node-name").value == "n1"
    assert found.is_on("cluster-init")
    assert found.get("server") is None
    assert found.environment == {"K3S_NODE_NAME": "n1"}  # what a reset is given: no secrets, nothing to join


def test_files_in_the_order_of_their_names_and_flags_before_them(machine):
    write, read = machine
    write("etc/rancher/k3s/config.yaml", "token: a\nnode-name: a\ntls-san: [x, y]\netcd-s3: true\n")
    write("etc/rancher/k3s/config.yaml.d/10.yaml", "token: b\n")
    write("etc/rancher/k3s/config.yaml.d/20.yaml", "token: c\netcd-s3: false\n")
    found = read()
    assert (found.get("token").value, found.get("node-name").value) == ("c", "a")
    assert found.get("token").where.endswith("20.yaml")
    assert found.get("tls-san").value == "x,y"
    assert not found.is_on("etcd-s3")
    write("etc/systemd/system/k3s.service.env", "K3S_TOKEN=d\n")
    assert read().get("token").value == "d"
    write("etc/systemd/system/k3s.service", "[Service]\nExecStart=/usr/local/bin/k3s server -t e\n")
    assert read().get("token").value == "e"
    assert read().unit_flags == ()


@pytest.mark.parametrize("text", ["- a\n", "token: [", "just words"])
def test_files_that_k3s_would_not_take(machine, text):
    write, read = machine
    write("etc/rancher/k3s/config.yaml", text)
    with pytest.raises(UsageError, match="config.yaml"):
        read()


def test_nothing_at_all(machine):
    _, read = machine
    assert read().values == {}


def test_the_environment_of_debians_etcd(tmp_path):
    file = tmp_path / "etc/default/etcd"
    file.parent.mkdir(parents=True)
    file.write_text('# ETCD_NAME="no"\nETCD_NAME="a"\nETCD_DATA_DIR=/var/lib/etcd/default\nDAEMON_ARGS=x\n')
    assert service_flags(System(root=tmp_path)) == {"name": "a", "data-dir": "/var/lib/etcd/default"}
    assert service_flags(System(root=tmp_path / "other")) == {}


def test_the_manifest_of_kubeadm(tmp_path):
    file = tmp_path / "etc/kubernetes/manifests/etcd.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("spec: {containers: [{command: [etcd, --name=cp-1, --data-dir=/var/lib/etcd, --flag]}]}")
    assert etcd_flags(System(root=tmp_path)) == {"name": "cp-1", "data-dir": "/var/lib/etcd"}
    file.write_text("spec: {}")
    with pytest.raises(UsageError, match="cannot be read as the manifest of a pod"):
        etcd_flags(System(root=tmp_path))


def test_no_database_is_in_use(tmp_path):
    assert not in_use(tmp_path)
    assert left_running(tmp_path) == []
