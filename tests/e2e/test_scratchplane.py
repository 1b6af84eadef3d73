"""The API server of drills: it is there for one client, reaches nothing, changes nothing, and goes whatever happens."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from backstay.cluster.guard import servers_in
from backstay.cluster.localapi.scratch import scratch_plane
from backstay.cluster.localetcd.programs import find
from backstay.core.errors import ToolError
from tests.fixtures.kube_apiserver import wrapper

GONE_SECONDS = 30.0
QUIET_SECONDS = 6.0  # an API server that may, looks for an aggregated API within two
GROUP = "apiregistration.k8s.io/v1"


@pytest.fixture(scope="module")
def plane(kube_apiserver, tmp_path_factory):
    """An empty one; tests use names of their own."""
    root = tmp_path_factory.mktemp("scratch")
    with scratch_plane(root, "plane", kube_apiserver=kube_apiserver, etcd=find("etcd")) as made:
        yield made
    assert list(root.iterdir()) == []


def address(plane):
    return json.loads(plane.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].removeprefix("https://")


def ask(plane, method, path, body=None, *, certificate=True, headers=()):
    """Status and answer."""
    files = plane.kubeconfig.parent
    context = ssl.create_default_context(cafile=str(files / "ca.crt"))
    if certificate:
        context.load_cert_chain(files / "server.crt", files / "server.key")
    connection = http.client.HTTPSConnection(address(plane), context=context, timeout=60)
    sent = {"Content-Type": "application/json", **dict(headers)}
    try:
        connection.request(method, path, json.dumps(body) if body else None, sent)
        answer = connection.getresponse()
        said = answer.read()
        return answer.status, json.loads(said) if said.startswith(b"{") else said.decode()
    finally:
        connection.close()


def make(plane, path, body):
    status, said = ask(plane, "POST", path, body)
    assert status == 201, said
    return said


class Listener:
    """Counts who comes to a port of 127.0.0.1, and turns them away."""

    def __init__(self):
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            caller.close()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def listener():
    made = Listener()
    try:
        yield made
    finally:
        made.close()


def aggregated(port):
    """A service that is a name of this machine, and an API that is said to be behind it."""
    service = {
        "metadata": {"name": "outside"},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port, "protocol": "TCP"}]},
    }
    api = {
        "metadata": {"name": "v1.outside.example.com"},
        "spec": {
            "group": "outside.example.com",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "outside", "namespace": "default", "port": port},
        },
    }
    return service, api


def test_only_its_kubeconfig_is_a_way_in(plane):
    assert ask(plane, "GET", "/api/v1/secrets")[0] == 200
    for path in ("/api/v1/secrets", "/readyz", "/version", "/healthz"):
        assert ask(plane, "GET", path, certificate=False)[0] == 401
    token = {"Authorization": "Bearer abcdef.0123456789abcdef"}
    assert ask(plane, "GET", "/version", certificate=False, headers=token)[0] == 401


def test_its_files_are_for_this_account_alone(plane):
    assert plane.folder.stat().st_mode & 0o077 == 0
    secret = [*(plane.folder / "api").iterdir(), *(plane.folder / "tls").iterdir(), plane.folder / "api.log"]
    assert [file.name for file in secret if file.stat().st_mode & 0o077] == []
    assert not [file.name for file in secret if "ca" in file.name and file.suffix == ".key"]


def test_it_listens_on_this_machine_only(plane):
    pids = set(servers_in(plane.folder))
    assert len(pids) == 2
    inodes = {link.stat().st_ino for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists()}
    hosts = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and int(words[9]) in inodes:
                hosts.add(words[1].partition(":")[0])
    assert hosts == {"0100007F"}


def test_an_aggregated_api_is_not_looked_for(plane):
    with listener() as outside:
        service, api = aggregated(outside.port)
        make(plane, "/api/v1/namespaces/default/services", service)
        make(plane, f"/apis/{GROUP}/apiservices", api)
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            assert ask(plane, "GET", "/apis/outside.example.com/v1")[0] in {404, 503}
            time.sleep(0.5)
        assert outside.calls == 0


def test_where_nothing_hinders_it_the_same_api_is_looked_for(control_plane):
    """So the test above would see it."""
    with listener() as outside:
        service, api = aggregated(outside.port)
        services, name = "/api/v1/namespaces/default/services", api["metadata"]["name"]
        control_plane.api.post(services, {"apiVersion": "v1", "kind": "Service", **service})
        try:
            control_plane.api.post(f"/apis/{GROUP}/apiservices", {"apiVersion": GROUP, "kind": "APIService", **api})
            try:
                deadline = time.monotonic() + 30
                while not outside.calls and time.monotonic() < deadline:
                    time.sleep(0.1)
                assert outside.calls > 0
            finally:
                control_plane.api.delete(f"/apis/{GROUP}/apiservices/{name}")
        finally:
            control_plane.api.delete(f"{services}/outside")


@pytest.mark.parametrize("kind", ["validating", "mutating"])
def test_a_webhook_is_not_called_and_hinders_nothing(plane, kind):
    with listener() as outside:
        hook = {
            "name": "hook.example.com",
            "clientConfig": {"url": f"https://127.0.0.1:{outside.port}/"},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations"
        make(plane, path, {"metadata": {"name": "outside"}, "webhooks": [hook]})
        time.sleep(2.0)  # the server learns of it by a watch
        name = f"seen-by-{kind}"
        make(plane, "/api/v1/namespaces/default/configmaps", {"metadata": {"name": name}, "data": {"a": "1"}})
        assert outside.calls == 0


def test_a_conversion_webhook_is_not_called(plane):
    with listener() as outside:
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v2")]
        config = {"url": f"https://127.0.0.1:{outside.port}/"}
        definition = {
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com",
                "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
                "scope": "Namespaced",
                "versions": versions,
                "conversion": {
                    "strategy": "Webhook",
                    "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]},
                },
            },
        }
        make(plane, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        things = "/apis/example.com/v1/namespaces/default/things"
        deadline = time.monotonic() + 20
        while ask(plane, "GET", things)[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        make(plane, things, {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "one"}, "x": 1})
        status, said = ask(plane, "GET", f"{things.replace('v1', 'v2')}/one")
        assert status >= 500
        assert "nowhere.sock" in str(said)
        assert outside.calls == 0


def test_nothing_is_added_to_a_pod(plane):
    pod = {"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    made = make(plane, "/api/v1/namespaces/default/pods", pod)
    assert "volumes" not in made["spec"]
    assert "tolerations" not in made["spec"]
    assert "serviceAccountName" not in made["spec"]


@pytest.mark.parametrize("before", ["exec", "set -e;"])
def test_killed_it_leaves_nothing(tmp_path, kubernetes_program, before):
    program = wrapper(tmp_path / "kube-apiserver", before)
    code = f"""
import time
from pathlib import Path
from backstay.cluster.localapi.scratch import scratch_plane
from backstay.cluster.localetcd.programs import find
root, program = Path({str(tmp_path / "root")!r}), Path({str(program)!r})
with scratch_plane(root, "k", kube_apiserver=program, etcd=find("etcd")) as plane:
    print(plane.folder, flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        folder = Path(process.stdout.readline().strip())
        assert len(servers_in(folder)) >= 2
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    deadline = time.monotonic() + GONE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert servers_in(folder) == []
    assert list((tmp_path / "root").iterdir()) == []


def test_one_that_does_not_start_is_told_and_leaves_nothing(tmp_path, kubernetes_program):
    odd = 'case "$1" in --version|--help) ;; *) set -- --no-such-flag ;; esac; exec'
    program = wrapper(tmp_path / "kube-apiserver", odd)
    opened = scratch_plane(tmp_path / "root", "plane", kube_apiserver=program, etcd=find("etcd"))
    with pytest.raises(ToolError, match="unknown flag"), opened:
        raise AssertionError("it started")
    assert list((tmp_path / "root").iterdir()) == []
