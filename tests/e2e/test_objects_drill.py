"""A drill of objects on real control planes: backed up from one, restored into a scratch one, every object compared."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backstay.cluster.base import Cluster
from backstay.cluster.client import connect
from backstay.cluster.guard import servers_in
from backstay.cluster.kubeconfig import Access
from backstay.core.errors import DrillFailed, ToolTooOld
from backstay.core.model import Severity
from backstay.jobs import drill
from backstay.store.directory import DirectoryStore
from backstay.tiers.objects.settings import Selection
from tests.fixtures.kube_apiserver import wrapper
from tests.tiers.objects.drilling import Drilling, careless

GONE_SECONDS = 30.0
CONFIGMAPS = 200
HOOKS = "admissionregistration.k8s.io"


@pytest.fixture
def cluster(control_plane) -> Iterator[Cluster]:
    with connect(Access(kubeconfig=control_plane.kubeconfig)) as made:
        yield made


@pytest.fixture
def world(cluster, kube_apiserver, tmp_path):
    store = DirectoryStore(tmp_path / "store")
    (tmp_path / "store").mkdir()
    return Drilling(cluster, tmp_path, store, kube_apiserver=str(kube_apiserver))


POD = {"containers": [{"name": "web", "image": "nginx", "resources": {"requests": {"cpu": "10m"}}}]}


def template(app):
    return {"metadata": {"labels": {"app": app}}, "spec": POD}


def furnish(control_plane, namespace):
    """A little of everything that a cluster has."""
    apply = control_plane.kubectl
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    claims, deployment = [claim], {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    web, db = {"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "db"}}
    everyone = [{"kind": "ServiceAccount", "name": "builder", "namespace": namespace}]
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    rbac = "rbac.authorization.k8s.io"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": "drills", "singular": "drill", "kind": "Drill"}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    hook = {
        "name": "hook.example.com",
        "clientConfig": {"service": {"name": "web", "namespace": namespace, "path": "/"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["endpoints"]}],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    made = [
        ("v1", "ServiceAccount", "builder", {}),
        ("v1", "Secret", "key", {"stringData": {"password": "not to be seen"}}),
        ("v1", "Service", "web", {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}),
        ("v1", "Service", "db", {"spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]}}),
        ("v1", "Service", "out", {"spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 81}]}}),
        ("v1", "PersistentVolumeClaim", "files", {"spec": claim["spec"]}),
        ("v1", "Pod", "bare", {"spec": POD}),
        ("v1", "LimitRange", "small", {"spec": {"limits": [{"type": "Container", "default": {"cpu": "100m"}}]}}),
        ("v1", "ResourceQuota", "quota", {"spec": {"hard": {"pods": "5"}}}),
        ("apps/v1", "Deployment", "web", {"spec": {"replicas": 2, "selector": web, "template": template("web")}}),
        (
            "apps/v1",
            "StatefulSet",
            "db",
            {"spec": {"serviceName": "db", "selector": db, "template": template("db"), "volumeClaimTemplates": claims}},
        ),
        ("apps/v1", "DaemonSet", "agent", {"spec": {"selector": web, "template": template("web")}}),
        (
            "batch/v1",
            "CronJob",
            "nightly",
            {
                "spec": {
                    "schedule": "0 3 * * *",
                    "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}},
                }
            },
        ),
        ("batch/v1", "Job", "once", {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}),
        ("policy/v1", "PodDisruptionBudget", "web", {"spec": {"minAvailable": 1, "selector": web}}),
        ("networking.k8s.io/v1", "NetworkPolicy", "deny", {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
        ("networking.k8s.io/v1", "Ingress", "web", {"spec": {"defaultBackend": backend}}),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "web",
            {"spec": {"maxReplicas": 3, "scaleTargetRef": deployment}},
        ),
        (f"{rbac}/v1", "Role", "reader", {"rules": rules}),
        (
            f"{rbac}/v1",
            "RoleBinding",
            "reader",
            {"subjects": everyone, "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "reader"}},
        ),
        (f"{rbac}/v1", "ClusterRole", f"reader-{namespace}", {"rules": rules}),
        (
            f"{rbac}/v1",
            "ClusterRoleBinding",
            f"reader-{namespace}",
            {"subjects": everyone, "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": f"reader-{namespace}"}},
        ),
        ("scheduling.k8s.io/v1", "PriorityClass", f"high-{namespace}", {"value": 1000}),
        ("storage.k8s.io/v1", "StorageClass", f"local-{namespace}", {"provisioner": "example.com/local"}),
        ("v1", "PersistentVolume", f"pv-{namespace}", {
            "spec": {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteMany"], "hostPath": {"path": "/data"}}
        }),
        (f"{HOOKS}/v1", "ValidatingWebhookConfiguration", f"hook-{namespace}", {"webhooks": [hook]}),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "drills.drill.example.org", {
            "spec": {"group": "drill.example.org", "names": names, "scope": "Namespaced", "versions": [version]}
        }),
    ]  # fmt: skip
    for api, kind, name, body in made:
        whole = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "annotations": {"drill": "1"}}, **body}
        apply("apply", "-n", namespace, "-f", "-", input=json.dumps(whole))
    control_plane.api.wait("/apis/drill.example.org/v1/drills", lambda found: "items" in found)
    for number in range(3):
        one = {"apiVersion": "drill.example.org/v1", "kind": "Drill", "metadata": {"name": f"d{number}"}, "x": number}
        control_plane.api.post(f"/apis/drill.example.org/v1/namespaces/{namespace}/drills", one)
    for number in range(CONFIGMAPS):
        one = {"metadata": {"name": f"map-{number}"}, "data": {"a": str(number)}}
        control_plane.api.post(f"/api/v1/namespaces/{namespace}/configmaps", one)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    control_plane.api.wait(pods, lambda found: len(found["items"]) >= 4)
    return lambda: [
        apply("delete", f"{kind.lower()}.{api.partition('/')[0]}" if "/" in api else kind, name, "--ignore-not-found")
        for api, kind, name, _ in made
        if namespace in name or kind == "CustomResourceDefinition"
    ]


def errors(outcome):
    return [finding.message for finding in outcome.findings if finding.severity is Severity.ERROR]


def test_everything_comes_back_as_it_was(world, control_plane, namespace):
    forget = furnish(control_plane, namespace)
    try:
        made = world.backup()
    finally:
        forget()
    outcome = world.drill(made)
    assert errors(outcome) == []
    assert outcome.ok
    [compared] = [finding.message for finding in outcome.findings if finding.code == "objects.compared"]
    assert compared.endswith("read back, each equal to the one in the backup")
    assert outcome.facts["restore_seconds"] > 0
    assert set(outcome.phases) >= {"start", "fetch", "restore", "compare"}
    assert "not to be seen" not in str(outcome)
    assert list((world.folder / "scratch").iterdir()) == []
    assert list((world.folder / "spool").iterdir()) == []


def test_what_does_not_come_back_is_named(world, control_plane, namespace, monkeypatch):
    """A restore that loses one object and changes another."""
    world.selection = Selection(namespaces=(namespace,))
    for name in ("kept", "lost", "changed"):
        body = {"metadata": {"name": name}, "data": {"a": "1"}}
        control_plane.api.post(f"/api/v1/namespaces/{namespace}/configmaps", body)
    made = world.backup()
    careless(monkeypatch)
    outcome = world.drill(made)
    assert not outcome.ok
    said = errors(outcome)
    assert f"configmaps lost of namespace {namespace} did not come back" in said
    assert any(line.startswith(f"configmaps changed of namespace {namespace} came back with another ") for line in said)
    assert not any("kept" in line for line in said)


def test_a_kind_that_is_not_defined_in_the_backup_is_named(world, control_plane, namespace):
    forget = furnish(control_plane, namespace)
    world.selection = Selection(namespaces=(namespace,), cluster_scoped=False)
    try:
        made = world.backup()
    finally:
        forget()
    outcome = world.drill(made)
    assert errors(outcome) == []
    [finding] = [finding for finding in outcome.findings if finding.code == "objects.not_drilled"]
    assert finding.severity is Severity.WARNING
    assert "drills.drill.example.org (neither part of this Kubernetes nor defined in the backup)" in finding.message


def test_a_damaged_archive_is_found(world, control_plane, namespace):
    world.selection = Selection(namespaces=(namespace,))
    made = world.backup()
    file = world.folder / "store" / made.artifact("objects").key
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    outcome = world.drill(made)
    assert not outcome.ok
    assert errors(outcome)


def test_without_kube_apiserver_it_cannot_be_drilled(world, namespace, monkeypatch):
    world.selection = Selection(namespaces=(namespace,))
    made = world.backup()
    world.kube_apiserver = None
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(DrillFailed, match="there is no kube-apiserver") as caught:
        drill.plan(world.context, made)
    assert "drills.kube_apiserver" in caught.value.hint


def test_one_that_is_older_than_the_cluster_is_refused(world, namespace):
    world.selection = Selection(namespaces=(namespace,))
    made = world.backup()
    made = replace(made, source={**made.source, "version": "v1.38.0"})
    with pytest.raises(ToolTooOld, match="found here is v1.37.2"):
        drill.plan(world.context, made)


def test_a_scratch_that_does_not_start_says_nothing_of_the_backup(world, namespace, tmp_path):
    world.selection = Selection(namespaces=(namespace,))
    made = world.backup()
    odd = 'case "$1" in --version|--help) ;; *) set -- --no-such-flag ;; esac; exec'
    world.kube_apiserver = str(wrapper(tmp_path / "kube-apiserver", odd))
    with pytest.raises(DrillFailed, match="unknown flag") as caught:
        world.drill(made)
    assert "says nothing of the backup" in caught.value.hint
    assert list((tmp_path / "scratch").iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from backstay.cluster.client import connect
from backstay.cluster.kubeconfig import Access
from backstay.store.directory import DirectoryStore
from backstay.core.model import NoProgress
from backstay.jobs import drill
from tests.tiers.objects.drilling import Drilling

class Telling(NoProgress):
    def phase(self, name, *, total_bytes=None):
        print(name, flush=True)

folder, kubeconfig, program = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
cluster = connect(Access(kubeconfig=kubeconfig))
world = Drilling(cluster, folder, DirectoryStore(folder / "store"), kube_apiserver=program)
[made] = world.context.catalogs.backups(world.schedule.target)
drill.run(world.context, drill.plan(world.context, made), made, Telling())
"""


@pytest.mark.parametrize("phase", ["starting", "restoring"])
def test_killed_it_leaves_nothing(world, control_plane, namespace, phase):
    world.selection = Selection(namespaces=(namespace,))
    world.backup()
    words = [str(world.folder), str(control_plane.kubeconfig), world.kube_apiserver]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        for line in process.stdout:
            if line.startswith(phase):
                break
        else:
            raise AssertionError("it ended before")
        time.sleep(1.0)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    deadline = time.monotonic() + GONE_SECONDS
    root = world.folder / "scratch"
    while list(root.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(root.iterdir()) == []
    assert servers_in(root) == []
