"""kube-apiserver is found, says what it is, and is told to reach nothing; with small scripts in its place."""

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from backstay.cluster import guard
from backstay.cluster.localapi.flags import egress_configuration, flags, kubeconfig
from backstay.cluster.localapi.programs import default_plugins, find_kube_apiserver, minor_of, version_of
from backstay.cluster.localapi.scratch import scratch_plane
from backstay.cluster.localetcd import certificates
from backstay.cluster.localetcd.server import ClientTls, ServerTls
from backstay.core.errors import ToolError, ToolMissing
from tests.fixtures.etcd import program

HELP = """      --disable-admission-plugins strings   admission plugins that should be disabled although they are in the
 default enabled plugins list (NamespaceLifecycle, ServiceAccount, ValidatingAdmissionWebhook). Comma-delimited list."""


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_named_one_comes_before_that_on_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_kube_apiserver(None) is None
    on_path = script(tmp_path / "kube-apiserver", "")
    named = script(tmp_path / "named", "")
    assert find_kube_apiserver(None) == on_path
    assert find_kube_apiserver(str(named)) == named


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir(), lambda path: path.write_text("")])
def test_a_named_one_that_is_no_program_is_not_passed_over(tmp_path, make):
    make(tmp_path / "named")
    with pytest.raises(ToolMissing, match="named as drills.kube_apiserver") as caught:
        find_kube_apiserver(str(tmp_path / "named"))
    assert "Correct drills.kube_apiserver, or leave it out" in caught.value.hint


@pytest.mark.parametrize("version", ["v1.37.2", "v1.31.4+k3s1"])
def test_its_version(tmp_path, version):
    assert version_of(script(tmp_path / "api", f"echo Kubernetes {version}")) == version


def test_one_that_does_not_say_its_version(tmp_path):
    with pytest.raises(ToolError, match="does not say its version"):
        version_of(script(tmp_path / "api", "echo something else"))
    with pytest.raises(ToolError, match="does not run"):
        version_of(tmp_path / "none")


@pytest.mark.parametrize(
    ("version", "minor"), [("v1.37.2", (1, 37)), ("1.9.0-rc.1", (1, 9)), ("v1.30.1+rke2r1", (1, 30)), ("", (0, 0))]
)
def test_minor_versions(version, minor):
    assert minor_of(version) == minor


def test_admission_plugins_are_those_of_its_help(tmp_path):
    (tmp_path / "help").write_text(HELP)
    found = default_plugins(script(tmp_path / "api", f"cat {tmp_path / 'help'}"))
    assert found == ("NamespaceLifecycle", "ServiceAccount", "ValidatingAdmissionWebhook")


def test_without_that_list_nothing_is_started(tmp_path):
    with pytest.raises(ToolError, match="does not list its admission plugins"):
        default_plugins(script(tmp_path / "api", "echo"))


def test_both_ways_out_lead_to_a_socket_that_is_not_there(tmp_path):
    found = json.loads(egress_configuration(tmp_path / "nowhere"))
    ways = {one["name"]: one["connection"]["transport"]["uds"]["udsName"] for one in found["egressSelections"]}
    assert ways == dict.fromkeys(("cluster", "controlplane"), str(tmp_path / "nowhere"))


def test_the_flags(tmp_path):
    tls = ServerTls(tmp_path / "ca", tmp_path / "crt", tmp_path / "key")
    words = flags(
        folder=tmp_path / "api",
        port=6443,
        tls=tls,
        etcd="https://127.0.0.1:1",
        etcd_tls=ClientTls(tmp_path / "a", tmp_path / "b", tmp_path / "c"),
        prefix="/registry",
        plugins=["NamespaceLifecycle", "ServiceAccount", "ValidatingAdmissionWebhook"],
        egress=tmp_path / "egress",
    )
    assert "--disable-admission-plugins=ServiceAccount,ValidatingAdmissionWebhook" in words
    assert "--anonymous-auth=false" in words
    assert "--bind-address=127.0.0.1" in words
    assert f"--egress-selector-config-file={tmp_path / 'egress'}" in words
    assert f"--etcd-keyfile={tmp_path / 'c'}" in words


def test_the_certificate_is_of_the_group_and_strict_enough(tmp_path):
    server, client = certificates.issue(tmp_path, "system:masters")
    leaf = x509.load_pem_x509_certificate(client.cert.read_bytes())
    [group] = leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert group.value == "system:masters"
    ca = x509.load_pem_x509_certificate(server.ca.read_bytes())
    assert ca.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    leaf.verify_directly_issued_by(ca)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in tmp_path.iterdir())
    assert client.ca.read_text() in kubeconfig_ca(kubeconfig("https://127.0.0.1:1", client))


def kubeconfig_ca(text):
    return Path(json.loads(text)["clusters"][0]["cluster"]["certificate-authority"]).read_text()


def test_the_guard_knows_an_api_server_by_its_folder(tmp_path):
    sleeper = script(tmp_path / "kube-apiserver", "sleep 100")
    words = [sleeper, f"--cert-dir={tmp_path / 'x' / 'api'}", "--more"]
    with subprocess.Popen(words, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 10
            while not guard.servers_in(tmp_path / "x") and time.monotonic() < deadline:
                time.sleep(0.02)  # it has no words yet when it has just begun
            assert guard.servers_in(tmp_path / "x") == [process.pid]
            assert guard.servers_in(tmp_path / "y") == []
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_program_that_is_none_leaves_nothing(tmp_path):
    root = tmp_path / "root"
    with (
        pytest.raises(ToolError, match="does not say its version"),
        scratch_plane(root, "x", kube_apiserver=script(tmp_path / "api", "echo"), etcd=program("etcd")),
    ):
        raise AssertionError("it started")
    assert not root.exists()
