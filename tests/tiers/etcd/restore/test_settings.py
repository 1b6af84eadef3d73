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

BEGINS = """[Service]
EnvironmentFile=-/etc/systemd/system/k3s.service.env
ExecStart=/usr/local/bin/k3s"""


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
    assert found.environment == {"K3S_NODE_NAME": "n1", "K3S_TOKEN": "secret"}  # for a reset: nothing to join


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
    write("etc/systemd/system/k3s.service.env", "K3S_TOKEN=d\nK3S_AGENT_TOKEN=d\n")
    write("etc/systemd/system/k3s.service", f"{BEGINS} server\n")
    assert read().get("token").value == "c"  # k3s puts what is in files before its flags
    write("etc/systemd/system/k3s.service", f"{BEGINS} server -t e\n")
    assert read().get("token").value == "e"
    assert read().unit_flags == ()


def test_the_file_that_the_unit_names(machine, tmp_path):
    write, read = machine
    write("mine.yaml", "node-name: mine\n")
    write("mine.yaml.d/10.yml", "server: https://a:6443\n")
    write("other.yaml", "node-name: other\n")
    write("etc/rancher/k3s/config.yaml", "node-name: usual\ntoken: usual\n")
    write("etc/systemd/system/k3s.service", f"{BEGINS} server -c {tmp_path}/mine.yaml\n")
    found = read()
    assert (found.config, found.unit_flags) == (tmp_path / "mine.yaml", ())
    assert (found.get("node-name").value, found.get("server").value) == ("mine", "https://a:6443")
    assert found.get("token") is None
    write("etc/systemd/system/k3s.service.env", f"K3S_CONFIG_FILE={tmp_path}/other.yaml\n")
    found = read()
    assert (found.config, found.get("node-name").value) == (tmp_path / "other.yaml", "other")
    assert found.environment == {}
    (tmp_path / "other.yaml").unlink()
    with pytest.raises(UsageError, match=r"other.yaml, which the unit k3s names as its configuration, is not there"):
        read()


@pytest.mark.parametrize("name", ["90.yml", "90.YAML"])
def test_both_endings_of_files_are_read(machine, name):
    write, read = machine
    write("etc/rancher/k3s/config.yaml", "token: a\n")
    write(f"etc/rancher/k3s/config.yaml.d/{name}", "token: b\n")
    write("etc/rancher/k3s/config.yaml.d/95.txt", "token: c\n")
    assert read().get("token").value == "b"


def test_drop_ins_of_the_unit(machine, tmp_path):
    """In order of their names wherever they are; of one name the first folder's; an empty assignment forgets."""
    write, read = machine
    write("etc/systemd/system/k3s.service", f"{BEGINS} server --node-ip 10.0.0.1\nEnvironment=K3S_URL=https://a:6443\n")
    drop_ins = "systemd/system/k3s.service.d"
    write(f"usr/lib/{drop_ins}/20-b.conf", "[Service]\nExecStart=\nExecStart=/usr/local/bin/k3s server --debug\n")
    write(
        f"etc/{drop_ins}/10-a.conf", "[Service]\nExecStart=\nExecStart=/usr/local/bin/k3s server --node-ip 10.0.0.9\n"
    )
    assert read().unit_flags == ("--debug",)
    write(
        f"etc/{drop_ins}/20-b.conf",
        '[Service]\n# ExecStart=\nEnvironment="K3S_NODE_NAME=n 9" K3S_TOKEN=a\n'
        "EnvironmentFile=-/etc/k3s/%N.env\nEnvironmentFile=/etc/none\n",
    )
    write("etc/k3s/k3s.env", "K3S_TOKEN=b\n")
    found = read()
    assert found.unit_flags == ("--node-ip", "10.0.0.9")
    assert found.environment == {"K3S_NODE_NAME": "n 9", "K3S_TOKEN": "b"}
    assert (found.get("server").value, found.get("server").where) == (
        "https://a:6443",
        "the environment of the unit k3s",
    )
    write(f"etc/{drop_ins}/30-c.conf", "[Service]\nEnvironment=\nEnvironmentFile=\n")
    assert read().environment == {}
    assert read().get("server") is None
    (tmp_path / f"etc/{drop_ins}/10-a.conf").unlink()
    (tmp_path / f"etc/{drop_ins}/10-a.conf").symlink_to("/dev/null")
    assert read().unit_flags == ("--node-ip", "10.0.0.1")


def test_a_unit_with_an_open_quote(machine):
    write, read = machine
    write("etc/systemd/system/k3s.service", "[Service]\nExecStart=/usr/local/bin/k3s server --token 'secret\n")
    with pytest.raises(UsageError, match="the unit k3s cannot be read: No closing quotation") as caught:
        read()
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("flavor", "where", "given"),
    [
        (Flavor.K3S, "--token-file /etc/token", {"K3S_TOKEN_FILE": "/etc/token"}),
        (Flavor.RKE2, "--token secret", {"RKE2_TOKEN": "secret"}),
    ],
)
def test_the_token_of_the_unit_is_no_flag_of_a_reset(tmp_path, flavor, where, given):
    plane = ControlPlane("x", flavor, "n", (), tmp_path / "data", tmp_path / "spool", service="unit")
    file = tmp_path / "etc/systemd/system/unit.service"
    file.parent.mkdir(parents=True)
    file.write_text(f"[Service]\nExecStart=/usr/local/bin/{flavor.value} server {where}\n")
    found = read_settings(plane, System(root=tmp_path))
    assert (found.environment, found.unit_flags) == (given, ())


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
