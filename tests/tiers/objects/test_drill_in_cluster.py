"""The parts of a drill in the live cluster: what keeps it from acting. The drill itself is in tests/e2e."""

import copy
import fcntl
from datetime import timedelta

import pytest

from backstay.core.errors import (
    ClusterDenied,
    ClusterUnreachable,
    DrillFailed,
    ObjectInvalid,
    RestoreError,
)
from backstay.core.model import Level, NoProgress
from backstay.jobs import drill
from backstay.tiers.objects.change.clean import MARK
from backstay.tiers.objects.drill import spaces
from backstay.tiers.objects.drill.around import Hook, acting_webhooks, groups_elsewhere
from backstay.tiers.objects.drill.fence import Fenced
from backstay.tiers.objects.drill.harmless import MADE, harmless, stays
from backstay.tiers.objects.drill.spaces import is_of_a_drill, new_drill, space_of
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.settings import Selection
from tests.tiers.objects.drilling import InCluster
from tests.tiers.objects.fake_cluster import (
    BUILT_IN,
    CONFIGMAPS,
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    SECRETS,
    FakeCluster,
    kind,
)

ROLEBINDINGS = "rolebindings.rbac.authorization.k8s.io"
OWN = "shop--drill-0211-1f3a9c"
HOOKS = kind("validatingwebhookconfigurations.admissionregistration.k8s.io", "X", namespaced=False)
APISERVICES = kind("apiservices.apiregistration.k8s.io", "APIService", namespaced=False)


def body(name="web", namespace=OWN, **fields):
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}


# Forms that do nothing.


def test_nothing_that_others_go_by_stays():
    held = body(data={"a": "b"})
    held["metadata"] |= {
        "labels": {"app": "web", MARK: "1"}, "annotations": {"a": "b"}, "finalizers": ["example.com/x"],
    }  # fmt: skip
    made = harmless("configmaps", held, {OWN})
    labels = {MARK: "1", "velero.io/exclude-from-backup": "true"}
    assert made["metadata"] == {"name": "web", "namespace": OWN, "labels": labels}
    assert made["data"] == {"a": "b"}


@pytest.mark.parametrize(
    ("resource", "spec", "expected"),
    [
        ("deployments.apps", {"replicas": 3}, {"replicas": 0}),
        ("deployments.apps", {}, {"replicas": 0}),
        ("statefulsets.apps", {"replicas": 3}, {"replicas": 0}),
        ("replicasets.apps", {"replicas": 3}, {"replicas": 0}),
        ("replicationcontrollers", {"replicas": 3}, {"replicas": 0}),
        ("cronjobs.batch", {"suspend": False, "schedule": "* * * * *"}, {"suspend": True, "schedule": "* * * * *"}),
        ("horizontalpodautoscalers.autoscaling", {"minReplicas": 0}, {"minReplicas": 1}),
        ("horizontalpodautoscalers.autoscaling", {}, {"minReplicas": 1}),
        ("horizontalpodautoscalers.autoscaling", {"minReplicas": 4}, {"minReplicas": 4}),
        (
            "services",
            {
                "type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                "externalIPs": ["192.0.2.1"], "loadBalancerIP": "192.0.2.1", "loadBalancerClass": "x",
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
                "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001, "allocateLoadBalancerNodePorts": True,
                "internalTrafficPolicy": "Local", "selector": {"app": "web"}, "ports": [{"port": 1, "nodePort": 30000}],
            },
            {
                "type": "ClusterIP", "clusterIP": "None", "internalTrafficPolicy": "Local", "selector": {"app": "web"},
                "ports": [{"port": 1}],
            },
        ),
        (
            "services",
            {"type": "ExternalName", "externalName": "example.com"},
            {"type": "ClusterIP", "clusterIP": "None", "internalTrafficPolicy": "Cluster"},
        ),
    ],
)  # fmt: skip
def test_what_acts_is_taken_out(resource, spec, expected):
    assert harmless(resource, body(spec=copy.deepcopy(spec)), {OWN})["spec"] == expected
    assert resource in MADE


def test_a_daemon_set_fits_no_node():
    made = harmless("daemonsets.apps", body(spec={"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}), {OWN})
    assert made["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd", "backstay.io/scaled-to-zero": "true"}


def test_rights_are_given_to_accounts_of_the_drill_alone():
    subjects = [
        {"kind": "User", "name": "alice"},
        {"kind": "Group", "name": "system:authenticated"},
        {"kind": "ServiceAccount", "name": "default", "namespace": "shop"},
        {"kind": "ServiceAccount", "name": "default", "namespace": OWN},
    ]
    assert harmless(ROLEBINDINGS, body(subjects=subjects), {OWN})["subjects"] == subjects[3:]
    assert "subjects" not in harmless(ROLEBINDINGS, body(subjects=subjects[:3]), {OWN})


def test_once_is_as_good_as_twice():
    for resource in sorted(MADE):
        spec = {"type": "NodePort", "ports": [{"port": 1, "nodePort": 2}], "template": {"spec": {}}}
        once = harmless(resource, body(spec=spec, subjects=[{"namespace": "x"}]), {OWN})
        assert harmless(resource, copy.deepcopy(once), {OWN}) == once


@pytest.mark.parametrize(
    ("resource", "fields", "expected"),
    [
        ("configmaps", {}, True),
        ("secrets", {"type": "Opaque"}, True),
        ("secrets", {"type": "kubernetes.io/service-account-token"}, False),
        ("pods", {}, False),
        ("jobs.batch", {}, False),
        ("persistentvolumeclaims", {}, False),
        ("ingresses.networking.k8s.io", {}, False),
        ("endpoints", {}, False),
        ("services.serving.knative.dev", {}, False),
        ("namespaces", {}, False),
    ],
)
def test_what_may_be_made(resource, fields, expected):
    assert stays(resource, body(**fields)) is expected


# The fence.


@pytest.fixture
def cluster():
    made = FakeCluster(*BUILT_IN, HOOKS, APISERVICES)
    for name in ("shop", OWN):
        made.put(NAMESPACES, name)
    return made


@pytest.fixture
def fence(cluster):
    return Fenced(cluster, {OWN}, MADE)


def test_only_one_s_own_namespaces_are_written(cluster, fence):
    fence.create(CONFIGMAPS, body(data={}))
    fence.create(CONFIGMAPS, body(namespace="shop", data={}))
    fence.create(NAMESPACES, {"metadata": {"name": "new"}})
    fence.create(CRDS, {"metadata": {"name": "things.example.com"}})
    fence.create(SECRETS, body(type="kubernetes.io/service-account-token"))
    assert cluster.names(CONFIGMAPS) == ["web"]
    assert cluster.peek(CONFIGMAPS, "web", OWN)["metadata"]["labels"] == {"velero.io/exclude-from-backup": "true"}
    assert cluster.names(NAMESPACES) == ["shop", OWN]
    assert cluster.names(CRDS) == cluster.names(SECRETS) == []


def test_nothing_live_is_replaced(cluster, fence):
    cluster.put(DEPLOYMENTS, "web", "shop", spec={"replicas": 2})
    cluster.put(DEPLOYMENTS, "web", OWN, spec={"replicas": 0})
    for namespace in ("shop", OWN):
        fence.replace(DEPLOYMENTS, body(namespace=namespace, spec={"replicas": 5, "paused": True}))
        fence.replace(DEPLOYMENTS, body(namespace=namespace, status={"replicas": 5}), subresource="status")
    assert cluster.peek(DEPLOYMENTS, "web", "shop")["spec"] == {"replicas": 2}
    assert cluster.peek(DEPLOYMENTS, "web", OWN)["spec"] == {"replicas": 0, "paused": True}
    assert "status" not in cluster.peek(DEPLOYMENTS, "web", OWN)


def test_it_deletes_applies_and_runs_nothing(cluster, fence):
    cluster.put(CONFIGMAPS, "web", OWN)
    before = len(cluster.calls)
    with pytest.raises(RestoreError):
        fence.delete(CONFIGMAPS, "web", OWN)
    with pytest.raises(RestoreError):
        fence.apply(CONFIGMAPS, body(), force=True)
    with pytest.raises(RestoreError):
        fence.execute(OWN, "web", ["true"], timeout=1.0)
    assert len(cluster.calls) == before


def test_a_kind_that_is_not_to_be_made_is_not(cluster):
    Fenced(cluster, {OWN}, MADE - {"configmaps"}).create(CONFIGMAPS, body())
    assert cluster.names(CONFIGMAPS) == []


@pytest.mark.parametrize(
    "error",
    [
        ObjectInvalid('cannot create configmaps: admission webhook "a.example.com" does not support dry run'),
        ObjectInvalid('cannot create configmaps: failed calling webhook "a.example.com": connection refused'),
        ObjectInvalid('cannot create configmaps: admission webhook "a.example.com" denied the request: host is taken'),
        ClusterDenied("cannot create configmaps: no right", status=403),
        ClusterUnreachable("cannot create configmaps: HTTP 503"),
    ],
)
def test_what_the_cluster_is_to_blame_for_keeps_the_kind_from_being_made(cluster, fence, error):
    cluster.fail("create", "configmaps", error, times=1)
    fence.create(CONFIGMAPS, body("one"), dry_run=True)
    fence.create(CONFIGMAPS, body("two"), dry_run=True)
    assert fence.untried == {"configmaps": 1}
    assert set(fence.reasons) == {"configmaps"}
    fence.create(CONFIGMAPS, body("two"))
    assert cluster.names(CONFIGMAPS) == []
    assert not fence.makes("configmaps", OWN, body())
    assert fence.makes("secrets", OWN, body())


def test_what_is_wrong_with_the_object_is_said(cluster, fence):
    cluster.fail("create", "configmaps", ObjectInvalid("data: must be a map"))
    with pytest.raises(ObjectInvalid, match="must be a map"):
        fence.create(CONFIGMAPS, body(), dry_run=True)
    assert fence.untried == {}


def test_who_is_not_known_any_more_ends_it(cluster, fence):
    cluster.fail("create", "configmaps", ClusterDenied("it does not know who asks", status=401))
    with pytest.raises(RestoreError, match="does not know who asks"):
        fence.create(CONFIGMAPS, body(), dry_run=True)


def test_a_cluster_that_is_gone_ends_it(cluster, fence):
    for verb in ("create", "version"):
        cluster.fail(verb, error=ClusterUnreachable("no answer"))
    with pytest.raises(ClusterUnreachable):
        fence.create(CONFIGMAPS, body(), dry_run=True)


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_an_answer_that_is_not_what_was_sent(cluster, fence, verb, monkeypatch):
    def mutated(resource, given, *, dry_run):
        assert dry_run
        return {**given, "data": {"a": "2"}, "status": {"x": 1}}

    monkeypatch.setattr(cluster, verb, mutated)
    with pytest.raises(ObjectInvalid, match=r"it would come back with another data\.a$"):
        getattr(fence, verb)(CONFIGMAPS, body(data={"a": "1"}), dry_run=True)
    assert getattr(fence, verb)(CONFIGMAPS, body(data={"a": "2"}), dry_run=True)["status"] == {"x": 1}


# What is around.


def test_webhooks_that_act(cluster):
    rules = [{"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"]}]
    every = [{"apiGroups": ["*"], "resources": ["*/*"]}]
    hooks = [
        {"name": "quiet", "sideEffects": "None", "rules": every},
        {"name": "acting", "sideEffects": "NoneOnDryRun", "rules": rules},
        {"name": "old", "sideEffects": "Unknown", "rules": every},
    ]
    cluster.put(HOOKS, "all", webhooks=hooks)
    found = list(acting_webhooks(cluster))
    assert [hook.name for hook in found] == ["acting", "old"]
    assert found[0].sees("deployments.apps")
    assert not found[0].sees("deployments.extensions")
    assert not found[0].sees("secrets")
    assert found[1].sees("secrets")
    assert Hook("core", frozenset({""}), frozenset({"secrets"})).sees("secrets")


def test_groups_that_others_serve(cluster):
    cluster.put(APISERVICES, "v1.apps", spec={"group": "apps"})
    cluster.put(APISERVICES, "v1.example.com", spec={"group": "example.com", "service": {"name": "x"}})
    assert groups_elsewhere(cluster) == {"example.com"}


# Its namespaces.


def test_names():
    drill_id = new_drill("20260211-154344")
    assert drill_id.startswith("0211-")
    assert space_of("shop", drill_id) == f"shop--drill-{drill_id}"
    first, second = (space_of(f"{'x' * 60}{end}", drill_id) for end in "ab")
    assert len(first) == len(second) == 63
    assert first != second
    assert len(space_of("x" * 44, drill_id)) == 63
    assert space_of("x" * 44, drill_id).startswith("x" * 44 + "--drill-")


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("shop--drill-0211-1f3a9c", "0211-1f3a9c", True),
        ("shop--drill-0211-1f3a9c", "0211-1f3a9d", False),
        ("shop--drill-0211-1f3a9c", None, False),
        ("shop", "0211-1f3a9c", False),
        ("shop--drill-", "", False),
        ("shop--drill-x", "x", False),
    ],
)
def test_what_is_of_a_drill(cluster, name, label, expected):
    cluster.put(NAMESPACES, name, labels={spaces.DRILL: label} if label is not None else {})
    [item] = [item for item in cluster.list(NAMESPACES) if item.name == name]
    assert is_of_a_drill(item) is expected


def test_nothing_else_is_removed(cluster):
    cluster.put(CONFIGMAPS, "kept", "shop")
    assert spaces.remove(cluster, cluster.list(NAMESPACES), Patience(sleep=lambda _: None)) == []
    assert cluster.names(NAMESPACES) == ["shop", OWN]
    assert not any(verb == "delete" for verb, *_ in cluster.calls)


def test_a_name_that_is_taken_is_not_used(cluster):
    with pytest.raises(DrillFailed, match=f"{OWN} is there already"):
        spaces.make(cluster, OWN, "0211-1f3a9c", "20260211-154344", {})


@pytest.fixture
def left(cluster):
    cluster.put(NAMESPACES, OWN, labels={spaces.DRILL: "0211-1f3a9c"})
    return cluster


def hours_on(cluster, hours):
    """The namespaces of others, as found so long after they were made."""
    from backstay.core.units import parse_time

    made = cluster.peek(NAMESPACES, OWN)["metadata"].setdefault("creationTimestamp", "2026-02-11T15:43:44Z")
    return parse_time(made) + timedelta(hours=hours)


def test_a_drill_of_another_machine_has_ended_when_it_is_old(left, tmp_path):
    found = spaces.others(left, tmp_path, hours_on(left, 5))
    assert (found.abandoned, found.running) == ((), ("0211-1f3a9c",))
    found = spaces.others(left, tmp_path, hours_on(left, 7))
    assert [item.name for item in found.abandoned] == [OWN]
    assert found.running == ()


def test_a_drill_of_this_machine_has_ended_when_its_lock_is_free(left, tmp_path):
    with spaces.running(tmp_path, "0211-1f3a9c"):
        assert spaces.others(left, tmp_path, hours_on(left, 9)).running == ("0211-1f3a9c",)
    assert [item.name for item in spaces.others(left, tmp_path, hours_on(left, 0)).abandoned] == [OWN]
    spaces.forget(tmp_path, ["0211-1f3a9c"])
    assert spaces.others(left, tmp_path, hours_on(left, 0)).abandoned == ()


def test_where_there_are_no_locks_only_age_counts(left, tmp_path, monkeypatch):
    def none(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with spaces.running(tmp_path, "0211-1f3a9c"):
        assert spaces.others(left, tmp_path, hours_on(left, 0)).running == ("0211-1f3a9c",)


# How far it proves.


def test_where_nothing_can_be_created_the_backup_is_not_called_restored(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    made = FakeCluster()
    made.put(CRDS, "things.example.com", spec={"group": "example.com"})
    world = InCluster(
        made, tmp_path, selection=Selection(resources=("customresourcedefinitions.apiextensions.k8s.io",))
    )
    backup = world.backup()
    del made.objects[CRDS.name, "", "things.example.com"]
    outcome = drill.run(world.context, drill.plan(world.context, backup), backup, NoProgress())
    assert outcome.ok
    assert (outcome.facts["created"], outcome.facts["tried"]) == (0, 1)
    assert world.level(backup) is Level.READABLE
    assert made.names(CRDS) == []
