"""A drill of etcd that ends in a real API server: the restored etcd is a cluster whose every object can be read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backstay.cluster.guard import servers_in
from backstay.core.errors import DrillFailed, ToolMissing
from backstay.core.model import Severity
from backstay.jobs import drill
from backstay.store.directory import DirectoryStore
from backstay.store.memory import MemoryStore
from backstay.tiers.etcd.api.client import EtcdClient
from tests.fixtures.kube_apiserver import wrapper
from tests.tiers.etcd.world import EtcdWorld, plane_of

GONE_SECONDS = 30.0
ENCRYPTED = b"k8s:enc:aescbc:v1:key1:" + bytes(range(64))
GADGETS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def world(control_plane, kube_apiserver, tmp_path):
    """Over the etcd of the control plane of the tests."""
    plane = plane_of(tmp_path, [control_plane.etcd_endpoint], kube_apiserver=str(kube_apiserver))
    return EtcdWorld(MemoryStore(), plane, tmp_path)


@pytest.fixture
def client(control_plane) -> Iterator[EtcdClient]:
    with EtcdClient(control_plane.etcd_endpoint) as made:
        yield made


def said(outcome, code="etcd.served"):
    return [(finding.severity, finding.message) for finding in outcome.findings if finding.code == code]


def define(control_plane, plural, conversion=None):
    """A custom resource, and one object of it."""
    group, kind = "drill.example.com", plural.removesuffix("s").title()
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v2")]
    names = {"plural": plural, "singular": plural.removesuffix("s"), "kind": kind}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": versions},
    }
    if conversion:
        body["spec"]["conversion"] = conversion
    control_plane.api.post(GADGETS, body)
    things = f"/apis/{group}/v1/namespaces/default/{plural}"
    control_plane.api.wait(things, lambda found: "items" in found)
    thing = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "one"}, "x": 1}
    control_plane.api.post(things, thing)
    return lambda: control_plane.api.delete(f"{GADGETS}/{plural}.{group}")


def test_every_object_is_read_through_a_real_api_server(world, control_plane, namespace):
    forget = define(control_plane, "gadgets")
    try:
        for number in range(30):
            body = {"metadata": {"name": f"map-{number}"}, "data": {"a": "1"}}
            control_plane.api.post(f"/api/v1/namespaces/{namespace}/configmaps", body)
        made = world.backup()
    finally:
        forget()
    outcome = world.drill(made)
    assert outcome.ok, outcome.findings
    [(severity, words)] = said(outcome)
    assert severity is Severity.OK
    assert words.startswith("kube-apiserver v1.37.2 serves it: ")
    assert words.endswith("read, as many of each as there are keys")
    assert outcome.phases["serve"] > 0
    assert list((world.folder / "scratch").iterdir()) == []


def test_the_plan_names_the_api_server(world):
    made = world.backup()
    plan = drill.plan(world.context, made)
    assert [step.name for step in plan.steps][-2:] == ["serve", "remove"]
    assert "v1.37.2" in plan.steps[-2].detail


def test_what_is_encrypted_at_rest_is_named_and_is_no_error(world, client):
    key = b"/registry/secrets/default/sealed"
    client.put(key, ENCRYPTED)
    try:
        made = world.backup()
    finally:
        client.delete(key)
    outcome = world.drill(made)
    assert outcome.ok, outcome.findings
    assert (Severity.OK, "not read through kube-apiserver: secrets (1 encrypted at rest)") in said(outcome)


def test_an_object_that_cannot_be_decoded_is_found(world, client):
    """Of a version whose nodes are as new as the API server, so that nothing excuses it."""
    key = b"/registry/configmaps/default/broken"
    client.put(key, b"k8s\x00\xff\xff\xff")
    try:
        made = world.backup()
    finally:
        client.delete(key)
    made = replace(made, source={**made.source, "kubernetes_version": "v1.37.0"})
    outcome = world.drill(made)
    assert not outcome.ok
    [(_, words)] = [one for one in said(outcome) if one[0] is Severity.ERROR]
    assert "cannot read what is there: configmaps (" in words


def test_versions_that_a_webhook_converts_are_named(world, control_plane):
    config = {"url": "https://127.0.0.1:1/"}
    hook = {"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]}}
    forget = define(control_plane, "widgets", hook)
    try:
        made = world.backup()
    finally:
        forget()
    outcome = world.drill(made)
    assert outcome.ok, outcome.findings
    assert any(
        "widgets.drill.example.com (its versions are converted by a webhook)" in words for _, words in said(outcome)
    )


def test_one_that_is_older_than_the_cluster_is_not_used(world):
    made = world.backup()
    made = replace(made, source={**made.source, "kubernetes_version": "v1.38.1"})
    outcome = world.drill(made)
    assert outcome.ok
    [(severity, words)] = said(outcome)
    assert severity is Severity.WARNING
    assert "the kube-apiserver here is v1.37.2, and the cluster's nodes were v1.38.1" in words
    assert "serve" not in outcome.phases


def test_without_one_the_drill_says_so(world, monkeypatch):
    made = world.backup()
    without = replace(world, plane=replace(world.plane, kube_apiserver=None))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    outcome = without.drill(made)
    assert outcome.ok
    [(severity, words)] = said(outcome)
    assert severity is Severity.OK
    assert "drills.kube_apiserver" in words


def test_one_that_was_named_and_is_not_there_is_an_error(world, tmp_path):
    made = world.backup()
    wrong = replace(world, plane=replace(world.plane, kube_apiserver=str(tmp_path / "none")))
    with pytest.raises(ToolMissing, match="named as drills.kube_apiserver"):
        drill.plan(wrong.context, made)


def test_one_that_does_not_start_says_nothing_of_the_backup(world, tmp_path):
    made = world.backup()
    odd = 'case "$1" in --version|--help) ;; *) set -- --no-such-flag ;; esac; exec'
    program = wrapper(tmp_path / "kube-apiserver", odd)
    other = replace(world, plane=replace(world.plane, kube_apiserver=str(program)))
    with pytest.raises(DrillFailed, match="could not be read through kube-apiserver.*unknown flag"):
        other.drill(made)
    assert list((tmp_path / "scratch").iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from backstay.core.model import NoProgress
from backstay.jobs import drill
from backstay.store.directory import DirectoryStore
from tests.tiers.etcd.world import EtcdWorld, plane_of

class Telling(NoProgress):
    def phase(self, name, *, total_bytes=None):
        print(name, flush=True)

folder, endpoint, program = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
plane = plane_of(folder, [endpoint], kube_apiserver=program)
world = EtcdWorld(DirectoryStore(folder / "store"), plane, folder)
[made] = world.listed()
drill.run(world.context, drill.plan(world.context, made), made, Telling())
"""


def test_killed_while_it_is_served_it_leaves_nothing(control_plane, kube_apiserver, tmp_path):
    (tmp_path / "store").mkdir()
    plane = plane_of(tmp_path, [control_plane.etcd_endpoint])
    EtcdWorld(DirectoryStore(tmp_path / "store"), plane, tmp_path).backup()
    words = [str(tmp_path), control_plane.etcd_endpoint, str(kube_apiserver)]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert any(line.strip() == "serve" for line in process.stdout)
        time.sleep(1.5)
        (folder,) = (tmp_path / "scratch").iterdir()
        assert len(servers_in(folder)) == 2
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    deadline = time.monotonic() + GONE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
    assert servers_in(folder) == []
