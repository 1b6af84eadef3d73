"""A drill of objects in the very cluster that was backed up, on a real control plane with its controllers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backstay.cluster.base import Cluster
from backstay.cluster.client import connect
from backstay.cluster.kubeconfig import Access
from backstay.core.errors import DrillFailed
from backstay.core.model import Level, NoProgress, Severity
from backstay.store.directory import DirectoryStore
from backstay.tiers.objects.drill import spaces
from backstay.tiers.objects.restore.existing import NAMESPACE
from backstay.tiers.objects.settings import Selection
from tests.cluster.api import ApiError, moments
from tests.e2e.test_objects_cli import Story
from tests.e2e.test_objects_drill import POD, errors, furnish, template
from tests.tiers.objects.drilling import InCluster, careless

VOLATILE = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "namespaces"}


@pytest.fixture
def cluster(control_plane) -> Iterator[Cluster]:
    with connect(Access(kubeconfig=control_plane.kubeconfig)) as made:
        yield made


@pytest.fixture
def world(cluster, namespace, tmp_path, monkeypatch):
    """One that backs up the test's namespace."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no kube-apiserver there
    (tmp_path / "store").mkdir()
    return InCluster(cluster, tmp_path, DirectoryStore(tmp_path / "store"), Selection(namespaces=(namespace,)))


def said(outcome, code):
    return [(finding.severity.value, finding.message) for finding in outcome.findings if finding.code == code]


def config_map(control_plane, namespace, name, **fields):
    body = {"metadata": {"name": name, **fields}, "data": {"a": "1"}}
    control_plane.api.post(f"/api/v1/namespaces/{namespace}/configmaps", body)


def everything(cluster, namespaces):
    """The JSON of all objects in these namespaces and in none, but for what moves by itself."""
    kinds = [kind for kind in cluster.discover().resources if kind.verbs >= {"list", "create"}]
    return {
        (kind.name, item.namespace, item.name): item.json
        for kind in kinds
        if kind.name not in VOLATILE
        for item in cluster.list(kind)
        if item.namespace in namespaces or (not kind.namespaced)
    }


def settled(cluster, namespaces):
    """As ``everything``, once controllers have done what they had to."""
    before = everything(cluster, namespaces)
    for _ in range(30):
        time.sleep(1.0)
        after = everything(cluster, namespaces)
        if after == before:
            return after
        before = after
    raise AssertionError("the cluster does not come to rest")


class Happened:
    """What happened to objects of a kind since this was made, from the API server's own history."""

    def __init__(self, api, path):
        self.api, self.path = api, path
        self.since = api.get(path)["metadata"]["resourceVersion"]

    def in_drills(self):
        """Objects in namespaces of drills, as they were at each event."""
        words = f"{self.path}?watch=1&resourceVersion={self.since}&timeoutSeconds=1"
        events = [json.loads(line) for line in self.api.call("GET", words).splitlines()]
        assert all(event["type"] in {"ADDED", "MODIFIED", "DELETED"} for event in events)
        return [one["object"] for one in events if spaces.WORD in one["object"]["metadata"].get("namespace", "")]


def test_a_whole_cluster_and_nothing_live_is_touched(world, control_plane, namespace):
    world.selection = Selection()
    forget = furnish(control_plane, namespace)
    try:
        made = world.backup()
        before = settled(world.cluster, {namespace, "default", "kube-system"})
        outcome = world.drill(made)
        after = everything(world.cluster, {namespace, "default", "kube-system"})
    finally:
        forget()
    assert errors(outcome) == []
    assert outcome.ok
    assert after == before
    assert world.spaces() == []
    assert world.level(made) is Level.RESTORED
    [(_, compared)] = said(outcome, "objects.compared")
    assert int(compared.split()[0]) == outcome.facts["created"] >= 200
    [(_, tried)] = said(outcome, "objects.tried")
    assert "drills.drill.example.org 3" in tried
    assert "ingresses.networking.k8s.io 1" in tried
    assert "configmaps" not in tried
    [(_, live)] = said(outcome, "objects.live")
    assert live.endswith("in no namespace: the cluster has each as in the backup")
    assert set(outcome.phases) == {"start", "try", "fetch", "restore", "compare", "remove"}
    assert outcome.facts["restore_seconds"] > 0
    assert f"{outcome.facts['created']} objects created in the cluster itself and compared" in outcome.message
    assert "not to be seen" not in str(outcome)
    assert list((world.folder / "spool").iterdir()) == []
    assert list((world.folder / "scratch" / "in-cluster").iterdir()) == []


def act(control_plane, namespace):
    """Objects that would each do something to the world."""
    web, claim = (
        {"matchLabels": {"app": "web"}},
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}},
    )
    rbac, target = "rbac.authorization.k8s.io", {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    subjects = [
        {"kind": "User", "apiGroup": rbac, "name": "nobody"},
        {"kind": "ServiceAccount", "name": "default", "namespace": namespace},
        {"kind": "ServiceAccount", "name": "default", "namespace": "default"},
    ]
    claims = [{"metadata": {"name": "data"}, "spec": claim}]
    backend = {"service": {"name": "x", "port": {"number": 1}}}
    once = {"template": {"spec": {**POD, "restartPolicy": "Never"}}}
    token = {"kubernetes.io/service-account.name": "default"}
    port = {"port": 80, "nodePort": 30999}
    made = [
        ("apps/v1", "Deployment", {"spec": {"replicas": 3, "selector": web, "template": template("web")}}),
        ("apps/v1", "StatefulSet", {"spec": {"replicas": 2, "serviceName": "x", "selector": web,
                                             "template": template("web"), "volumeClaimTemplates": claims}}),
        ("apps/v1", "DaemonSet", {"spec": {"selector": web, "template": template("web")}}),
        ("batch/v1", "CronJob", {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": once}}}),
        ("batch/v1", "Job", {"spec": once}),
        ("v1", "Pod", {"spec": POD}),
        ("v1", "Service", {"spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "externalIPs": ["192.0.2.1"],
                                    "loadBalancerSourceRanges": ["192.0.2.0/24"], "ports": [port]}}),
        ("v1", "PersistentVolumeClaim", {"spec": claim}),
        ("v1", "Secret", {"stringData": {"password": "x"}}),
        ("v1", "ConfigMap", {"data": {"a": "b"}}),
        ("networking.k8s.io/v1", "Ingress", {"spec": {"defaultBackend": backend}}),
        ("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": {"maxReplicas": 9, "scaleTargetRef": target}}),
        (f"{rbac}/v1", "RoleBinding", {"subjects": subjects,
                                       "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"}}),
    ]  # fmt: skip
    held = {"labels": {"grafana_dashboard": "1"}, "annotations": {"example.com/publish": "shop.example.com"}}
    for api, kind, body in made:
        whole = {"apiVersion": api, "kind": kind, "metadata": {"name": "web", **held}, **body}
        control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(whole))
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "away"},
        "spec": {"type": "ExternalName", "externalName": "example.com"},
    }))  # fmt: skip
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "annotations": token},
        "type": "kubernetes.io/service-account-token",
    }))  # fmt: skip
    config_map(control_plane, namespace, "held", finalizers=["example.com/never"])
    control_plane.api.wait(f"/api/v1/namespaces/{namespace}/pods", lambda found: len(found["items"]) >= 3)


def test_what_is_created_does_nothing(world, control_plane, namespace):
    act(control_plane, namespace)
    api = control_plane.api
    made = world.backup()
    api.patch(f"/apis/batch/v1/namespaces/{namespace}/cronjobs/web", {"spec": {"suspend": True}})
    happened = {
        path.rpartition("/")[2]: Happened(api, path)
        for path in (
            "/api/v1/pods", "/api/v1/services", "/api/v1/secrets", "/api/v1/configmaps",
            "/api/v1/persistentvolumeclaims", "/apis/batch/v1/jobs", "/apis/batch/v1/cronjobs",
            "/apis/networking.k8s.io/v1/ingresses",
            "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/apis/apps/v1/statefulsets",
            "/apis/apps/v1/daemonsets",
            "/apis/rbac.authorization.k8s.io/v1/rolebindings", "/apis/autoscaling/v2/horizontalpodautoscalers",
        )
    }  # fmt: skip
    outcome = world.drill(made)
    api.patch(f"/api/v1/namespaces/{namespace}/configmaps/held", {"metadata": {"finalizers": None}})
    assert errors(outcome) == []
    seen = {kind: one.in_drills() for kind, one in happened.items()}
    for kind in ("pods", "jobs", "persistentvolumeclaims", "ingresses"):
        assert seen.pop(kind) == [], kind
    for kind in ("deployments", "replicasets", "statefulsets"):
        assert {one["spec"]["replicas"] for one in seen[kind]} == {0}, kind
    assert all(one["spec"]["suspend"] for one in seen["cronjobs"])
    assert all(one["spec"]["template"]["spec"]["nodeSelector"] for one in seen["daemonsets"])
    assert {(one["spec"]["type"], one["spec"]["clusterIP"]) for one in seen["services"]} == {("ClusterIP", "None")}
    assert all(not one["spec"].keys() & {"externalIPs", "externalName"} for one in seen["services"])
    assert {one["metadata"]["name"] for one in seen["services"]} == {"web", "away"}
    assert {one["metadata"]["name"] for one in seen["secrets"]} == {"web"}
    assert all(one["spec"]["minReplicas"] == 1 for one in seen["horizontalpodautoscalers"])
    [binding] = {json.dumps(one["subjects"]) for one in seen["rolebindings"]}
    [subject] = json.loads(binding)
    assert subject["namespace"].startswith(f"{namespace}{spaces.WORD}")
    objects = [
        one["metadata"] for kind in seen.values() for one in kind if one["metadata"]["name"] != "kube-root-ca.crt"
    ]
    assert len({(one["namespace"], one["name"]) for one in objects}) >= 4
    labels = {key for one in objects for key in one.get("labels", {})}
    assert labels <= {"backstay.io/restore", "velero.io/exclude-from-backup", "app", "pod-template-hash"}
    assert not any("example.com/publish" in one.get("annotations", {}) for one in objects)
    assert not any(one.get("finalizers") for one in objects)
    [(_, tried)] = said(outcome, "objects.tried")
    assert all(f"{kind} 1" in tried for kind in ("ingresses.networking.k8s.io", "secrets", "jobs.batch"))


def test_what_was_deleted_since_is_drilled_all_the_same(world, control_plane, namespace):
    """Also a long name, and labels of the namespace that say which pods are allowed."""
    name = f"{namespace}-{'x' * 40}"[:63]
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "team": "a"}
    control_plane.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    config_map(control_plane, name, "settings")
    world.selection = Selection(namespaces=(name,))
    made = world.backup()
    control_plane.api.delete(f"/api/v1/namespaces/{name}")
    control_plane.api.wait_gone(f"/api/v1/namespaces/{name}")
    happened = Happened(control_plane.api, "/api/v1/configmaps")
    seen = []

    class Looking(NoProgress):
        def phase(self, phase, *, total_bytes=None):
            if phase == "compare":
                seen.extend(world.cluster.list(NAMESPACE, labels=spaces.DRILL))

    outcome = world.drill(made, Looking())
    assert errors(outcome) == []
    [space] = seen
    assert len(space.name) == 63
    assert space.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert space.labels["velero.io/exclude-from-backup"] == "true"
    assert "team" not in space.labels
    assert {one["metadata"]["namespace"] for one in happened.in_drills()} == {space.name}
    assert any("namespaces 1" in message for _, message in said(outcome, "objects.tried"))


def test_what_does_not_come_back_is_named(world, control_plane, namespace, monkeypatch):
    """A restore that loses one object and changes another."""
    for name in ("kept", "lost", "changed"):
        config_map(control_plane, namespace, name)
    made = world.backup()
    careless(monkeypatch)
    outcome = world.drill(made)
    assert not outcome.ok
    assert errors(outcome) == [
        f"configmaps changed of namespace {namespace} came back with another data.a",
        f"configmaps lost of namespace {namespace} did not come back",
    ]
    assert world.level(made) is Level.READABLE
    assert world.spaces() == []


@contextmanager
def definition(control_plane, plural, properties):
    """A custom resource ``Gadget``; the block is given a function that changes its schema."""
    name = f"{plural}.drill.example.org"
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def versions(schema):
        spec = {"type": "object", **schema}
        whole = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
        return [{"name": "v1", "served": True, "storage": True, "schema": whole}]

    names = {"plural": plural, "singular": plural[:-1], "kind": "Gadget"}
    spec = {"group": "drill.example.org", "names": names, "scope": "Namespaced", "versions": versions(properties)}
    control_plane.api.post(path, {"metadata": {"name": name}, "spec": spec})
    control_plane.api.wait(f"/apis/drill.example.org/v1/{plural}", lambda found: "items" in found)
    try:
        yield lambda schema: control_plane.api.patch(f"{path}/{name}", {"spec": {"versions": versions(schema)}})
    finally:
        control_plane.api.delete(f"{path}/{name}")
        control_plane.api.wait_gone(f"{path}/{name}")


def test_what_cannot_be_made_any_more_is_named_and_nothing_is_created(world, control_plane, namespace):
    sizes = {"properties": {"size": {"type": "integer"}, "color": {"type": "string"}}}
    path = f"/apis/drill.example.org/v1/namespaces/{namespace}/gadgets"
    with definition(control_plane, "gadgets", sizes) as change:
        for name, spec in (("large", {"size": 9}), ("small", {"size": 1}), ("red", {"size": 1, "color": "red"})):
            body = {"apiVersion": "drill.example.org/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": spec}
            control_plane.api.post(path, body)
        made = world.backup()
        change({"properties": {"size": {"type": "integer", "maximum": 5}}})
        probe = {**body, "metadata": {"name": "probe"}, "spec": {"size": 9}}
        for _ in moments(30):  # until the new schema is in force
            try:
                control_plane.api.post(f"{path}?dryRun=All", probe)
            except ApiError:
                break
        happened = Happened(control_plane.api, "/api/v1/configmaps")
        outcome = world.drill(made)
    assert not outcome.ok
    first, second = errors(outcome)
    assert first.startswith(f"gadgets.drill.example.org {namespace}/large: ")
    assert "should be less than or equal to 5" in first
    assert second == f"gadgets.drill.example.org {namespace}/red: it would come back with another spec.color"
    assert outcome.facts["created"] == 0
    assert world.level(made) is Level.READABLE
    assert {one["metadata"]["name"] for one in happened.in_drills()} <= {"kube-root-ca.crt"}
    assert world.spaces() == []


def test_a_damaged_archive_is_found(world, control_plane, namespace):
    made = world.backup()
    file = world.folder / "store" / made.artifact("objects").key
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    outcome = world.drill(made)
    assert not outcome.ok
    assert errors(outcome)
    assert world.spaces() == []


def test_it_must_be_allowed(world, kube_apiserver, control_plane, namespace):
    config_map(control_plane, namespace, "settings")
    made = world.backup()
    world.allowed = False
    with pytest.raises(DrillFailed, match="there is no kube-apiserver") as caught:
        world.plan(made)
    assert "drills.objects_in_cluster" in caught.value.hint
    assert "--in-cluster" in caught.value.hint
    assert "in namespaces" not in world.plan(made, in_cluster=True).title
    assert "into namespaces of its own in https://127.0.0.1" in world.plan(made, in_cluster=True).title
    world.allowed, world.kube_apiserver = True, str(kube_apiserver)
    assert "a scratch control plane" in world.plan(made).title
    assert "into namespaces of its own" in world.plan(made, in_cluster=True).title
    assert world.spaces() == []


def webhook(control_plane, name, plural, side_effects):
    """One whose server does not exist; who asks it gets no answer."""
    hook = {
        "name": f"{name}.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [plural]}],
        "namespaceSelector": {"matchExpressions": [{"key": spaces.DRILL, "operator": "Exists"}]},
        "failurePolicy": "Fail",
        "sideEffects": side_effects,
        "admissionReviewVersions": ["v1"],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    control_plane.api.post(path, {"metadata": {"name": name}, "webhooks": [hook]})
    return f"{path}/{name}"


def policy(control_plane, name, plural):
    """One that refuses a kind in the namespaces of drills; the paths of what it is made of."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [plural]}
    constraints = {"resourceRules": [rule], "namespaceSelector": {"matchExpressions": [
        {"key": spaces.DRILL, "operator": "Exists"}
    ]}}  # fmt: skip
    made = {
        "validatingadmissionpolicies": {
            "matchConstraints": constraints, "validations": [{"expression": "false", "message": "not in here"}],
        },
        "validatingadmissionpolicybindings": {"policyName": name, "validationActions": ["Deny"]},
    }  # fmt: skip
    group = "/apis/admissionregistration.k8s.io/v1"
    for path, spec in made.items():
        control_plane.api.post(f"{group}/{path}", {"metadata": {"name": name}, "spec": spec})
    return [f"{group}/{path}/{name}" for path in made]


def refused(control_plane, plural):
    """Wait until the rules of the cluster refuse a kind in the namespace of a drill."""
    name = f"probe-{plural}--drill-0211-dddddd"
    labels = {spaces.DRILL: "0211-dddddd"}
    control_plane.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    try:
        for _ in moments(30):
            try:
                path = f"/api/v1/namespaces/{name}/{plural}?dryRun=All"
                # A template as podtemplates must have it; the others drop it.
                control_plane.api.post(path, {"metadata": {"name": "probe"}, "template": {"spec": POD}})
            except ApiError as error:
                assert "failed calling webhook" in str(error) or "denied request" in str(error)  # noqa: PT017
                return
        raise AssertionError(f"{plural} are not refused")
    finally:
        control_plane.api.delete(f"/api/v1/namespaces/{name}")


def test_rules_of_the_cluster(world, control_plane, namespace):
    """A webhook that acts keeps its kind from being created; one that cannot be called, and a policy that does not like
    the namespace, say nothing of the backup."""
    config_map(control_plane, namespace, "settings")
    for plural in ("secrets", "podtemplates", "serviceaccounts"):
        body = {"metadata": {"name": "one"}}
        if plural == "podtemplates":
            body["template"] = {"spec": POD}
        control_plane.api.post(f"/api/v1/namespaces/{namespace}/{plural}", body)
    made = world.backup()
    paths = [webhook(control_plane, "acting", "secrets", "NoneOnDryRun")]
    paths.append(webhook(control_plane, "quiet", "configmaps", "None"))
    paths += policy(control_plane, "strict", "podtemplates")
    kinds = ("secrets", "configmaps", "podtemplates")
    happened = {plural: Happened(control_plane.api, f"/api/v1/{plural}") for plural in kinds}
    try:
        for plural in kinds:
            refused(control_plane, plural)
        plan = world.plan(made)
        outcome = world.drill(made)
    finally:
        for path in paths:
            control_plane.api.delete(path)
    assert "secrets are only tried: the webhook acting.example.com acts when one is made." in plan.notes
    assert errors(outcome) == []
    assert outcome.ok
    [(severity, words)] = said(outcome, "objects.not_drilled")
    assert severity == "warning"
    assert "1 object of configmaps (" in words
    assert "1 object of secrets (" in words
    assert "1 object of podtemplates (" in words
    assert 'failed calling webhook "quiet.example.com"' in words
    assert "not in here" in words
    assert happened["secrets"].in_drills() == []
    assert happened["podtemplates"].in_drills() == []
    assert {one["metadata"]["name"] for one in happened["configmaps"].in_drills()} <= {"kube-root-ca.crt"}
    assert outcome.facts["created"] == 2  # the ServiceAccounts
    assert world.level(made) is Level.RESTORED


def allow(control_plane, namespace, rules):
    """Give the user ``reader`` these rights in the whole cluster; the path of what does."""
    rbac = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"drill-{namespace}"},
        "rules": rules,
    }
    binding = {
        "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": f"drill-{namespace}"},
        "subjects": [{"kind": "User", "apiGroup": rbac, "name": "reader"}],
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": f"drill-{namespace}"},
    }  # fmt: skip
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]})
    control_plane.kubectl("apply", "-f", "-", input=text)


def rule(groups, resources, verbs):
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def test_rights(world, control_plane, namespace):
    """Those of the documentation are enough; one that lacks is told as that, and says nothing of the backup."""
    everything = rule(["*"], ["*"], ["get", "list"])
    few = [
        everything,
        rule([""], ["namespaces"], ["create", "delete"]),
        rule([""], ["configmaps", "serviceaccounts"], ["create", "update"]),
    ]
    config_map(control_plane, namespace, "settings")
    control_plane.api.post(f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": "key"}})
    made = world.backup()
    try:
        with connect(Access(kubeconfig=control_plane.kubeconfig_of("reader"))) as reader:
            world.cluster = reader
            allow(control_plane, namespace, [everything])
            with pytest.raises(DrillFailed, match='cannot create resource "namespaces"') as caught:
                world.drill(made)
            assert 'verbs: ["create"]' in caught.value.hint
            assert "says nothing of the backup" in caught.value.hint
            allow(control_plane, namespace, few)
            outcome = world.drill(made)
            assert errors(outcome) == []
            [(_, words)] = said(outcome, "objects.not_drilled")
            assert 'cannot create resource "secrets"' in words
            assert world.level(made) is Level.RESTORED
            assert outcome.facts["created"] == 2
            allow(control_plane, namespace, [everything, rule(["*"], ["*"], ["create", "update"]), few[1]])
            assert said(world.drill(made), "objects.not_drilled") == []
            assert world.spaces() == []
    finally:
        control_plane.kubectl("delete", "clusterrole,clusterrolebinding", f"drill-{namespace}")


def test_a_namespace_that_does_not_go_is_told_and_removed_by_the_next(world, control_plane, namespace, monkeypatch):
    monkeypatch.setattr(spaces, "REMOVE_SECONDS", 2.0)
    config_map(control_plane, namespace, "settings")
    made = world.backup()

    class Holding(NoProgress):
        def phase(self, phase, *, total_bytes=None):
            if phase == "remove":
                [space] = world.spaces()
                finalizers = {"metadata": {"finalizers": ["example.com/hold"]}}
                control_plane.api.patch(f"/api/v1/namespaces/{space}/configmaps/settings", finalizers)

    outcome = world.drill(made, Holding())
    assert outcome.ok
    [space] = world.spaces()
    [(severity, words)] = said(outcome, "objects.drill_left")
    assert severity == "warning"
    assert words.startswith(f"{space} is still being removed after 2 s: ")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    control_plane.api.patch(f"/api/v1/namespaces/{space}/configmaps/settings", {"metadata": {"finalizers": None}})
    control_plane.api.wait_gone(f"/api/v1/namespaces/{space}")
    assert world.drill(made).ok


KILLED = """
import sys
from pathlib import Path
from backstay.cluster.client import connect
from backstay.cluster.kubeconfig import Access
from backstay.store.directory import DirectoryStore
from backstay.core.model import NoProgress
from tests.tiers.objects.drilling import InCluster

class Telling(NoProgress):
    def phase(self, name, *, total_bytes=None):
        print(name, flush=True)

folder, kubeconfig = Path(sys.argv[1]), Path(sys.argv[2])
world = InCluster(connect(Access(kubeconfig=kubeconfig)), folder, DirectoryStore(folder / "store"))
[made] = world.context.catalogs.backups(world.schedule.target)
world.drill(made, Telling())
"""


@contextmanager
def until(world, control_plane, phase):
    """A drill in a process of its own, when it begins this phase; ended with the block."""
    words = [str(world.folder), str(control_plane.kubeconfig)]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for line in process.stdout:
            if line.startswith(phase):
                break
        else:
            raise AssertionError(f"it ended before: {process.stderr.read()}")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("phase", ["try", "restoring configmaps", "remove"])
def test_killed_the_next_one_removes_what_it_left(world, control_plane, namespace, phase):
    for number in range(50):
        config_map(control_plane, namespace, f"map-{number}")
    made = world.backup()
    with until(world, control_plane, phase) as process:
        [left] = world.spaces()
        process.send_signal(signal.SIGKILL)
    assert world.spaces() == [left]
    assert "1 namespace that an earlier drill has left will be removed first." in world.plan(made).notes
    outcome = world.drill(made)
    assert outcome.ok
    assert said(outcome, "objects.drill_left") == [("ok", "1 namespace that an earlier drill had left: removed")]
    assert world.spaces() == []
    assert said(world.drill(made), "objects.drill_left") == []


def test_one_that_runs_is_left_alone(world, control_plane, namespace):
    config_map(control_plane, namespace, "settings")
    made = world.backup()
    with until(world, control_plane, "try") as process:
        os.kill(process.pid, signal.SIGSTOP)
        [running] = world.spaces()
        outcome = world.drill(made)
        assert outcome.ok
        [(severity, words)] = said(outcome, "objects.drill_others")
        assert severity == "warning"
        assert running.rpartition(spaces.WORD)[2] in words
        assert world.spaces() == [running]
    assert world.drill(made).ok
    assert world.spaces() == []


def test_interrupted_it_removes_its_own(world, control_plane, namespace):
    config_map(control_plane, namespace, "settings")
    world.backup()
    with until(world, control_plane, "restoring configmaps") as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(120) != 0
        assert "the drill was interrupted" in process.stderr.read()
    assert world.spaces() == []
    assert list((world.folder / "scratch" / "in-cluster").iterdir()) == []


def test_namespaces_that_only_look_like_one_s_own_are_not_touched(world, control_plane, namespace):
    config_map(control_plane, namespace, "settings")
    made = world.backup()
    foreign = {
        f"{namespace}--drill-0211-abcdef": {},
        f"{namespace}-copy": {spaces.DRILL: "0211-abcdef"},
        f"{namespace}--drill-0211-aaaaaa": {spaces.DRILL: "0211-bbbbbb"},
        f"{namespace}--drill-yesterday": {spaces.DRILL: "yesterday"},
    }
    elsewhere = f"{namespace}--drill-0211-cccccc"
    labels = {**foreign, elsewhere: {spaces.DRILL: "0211-cccccc"}}
    for name, labelled in labels.items():
        control_plane.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labelled}})
    try:
        outcome = world.drill(made)
        there = {item.name for item in world.cluster.list(NAMESPACE) if not item.deleting}
        assert there >= labels.keys()
        [(_, words)] = said(outcome, "objects.drill_others")
        assert words.endswith("left alone: 0211-cccccc")
        clock = world.now
        world.now = lambda: clock() + spaces.ABANDONED + spaces.ABANDONED / 6
        outcome = world.drill(made)
        there = {item.name for item in world.cluster.list(NAMESPACE) if not item.deleting}
        assert there >= foreign.keys()
        assert elsewhere not in there
    finally:
        for name in labels:
            control_plane.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
    assert errors(outcome) == []
    assert any(finding.severity is Severity.OK for finding in outcome.findings)


def test_as_it_is_typed(control_plane, namespace, seaweed_bucket, open_s3, kube_apiserver, tmp_path, monkeypatch):
    options = seaweed_bucket()
    story = Story(tmp_path, open_s3(options), options, control_plane.kubeconfig, kube_apiserver, namespace)
    story.configure()
    config_map(control_plane, namespace, "settings")
    story.type("backup", "nightly")
    said = story.type("drill", "nightly", "--in-cluster", "--dry-run")
    assert "into namespaces of its own in https://127.0.0.1" in said
    assert "NAME--drill-" in said
    assert "Nothing has been changed" in said
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    configured = (tmp_path / "backstay.yaml").read_text()
    without = configured.replace(f"drills: {{kube_apiserver: {kube_apiserver}}}\n", "")
    assert without != configured
    (tmp_path / "backstay.yaml").write_text(without)
    refused = story.type("drill", "nightly", code=1)
    assert "there is no kube-apiserver on this machine" in refused
    assert "drills.objects_in_cluster" in refused
    (tmp_path / "backstay.yaml").write_text(without + "drills: {objects_in_cluster: true}\n")
    said = story.type("drill", "nightly")
    assert "PROVEN: " in said
    assert "created in the cluster itself and compared" in said
    assert "restoring" in said
    assert "restored" in story.type("list", "--tier", "objects")
    only = "objects:\n  include_resources: [persistentvolumeclaims]"
    (tmp_path / "backstay.yaml").write_text(without.replace("objects:", only) + "drills: {objects_in_cluster: true}\n")
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    control_plane.api.post(path, {"metadata": {"name": "data"}, "spec": spec})
    story.type("backup", "nightly")
    said = story.type("drill", "nightly", code=1)
    assert "NOT PROVEN, but readable: " in said
    assert "could only be tried, nothing of it was created" in said
    assert "readable" in story.type("list", "--tier", "objects")
