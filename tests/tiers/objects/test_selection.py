"""Which kinds and namespaces are taken, and what an unknown group means for each selection."""

from hashlib import sha256

import pytest

from backstay.cluster.base import Discovery
from backstay.core.errors import SourceError, UsageError
from backstay.tiers.objects.labels import label_value, velero_selector
from backstay.tiers.objects.selection import (
    choose,
    choose_kinds,
    cluster_scope,
    judge_failed,
    matches,
    namespace_is_selected,
)
from backstay.tiers.objects.settings import Selection
from tests.tiers.objects.fake_cluster import BUILT_IN, CLUSTERROLES, CONFIGMAPS, NAMESPACES, FakeCluster, kind

COMPONENTS = kind("componentstatuses", "ComponentStatus", namespaced=False, verbs=("list", "get"))
METRICS = kind("pods.metrics.k8s.io", "PodMetrics", verbs=("list", "get"))
REVIEWS = kind("tokenreviews.authentication.k8s.io", "TokenReview", namespaced=False, verbs=("create",))
OLD_INGRESSES = kind("ingresses.extensions", "Ingress", version="v1beta1")
INGRESSES = kind("ingresses.networking.k8s.io", "Ingress")


def names(selection, *more):
    taken, _ = choose_kinds([*BUILT_IN, *more], selection)
    return {one.name for one in taken}


def test_all_that_can_be_restored_is_taken_but_events():
    everything = {one.name for one in BUILT_IN}
    found = names(Selection(), COMPONENTS, METRICS, REVIEWS)
    assert found == everything - {"events", "events.events.k8s.io"}


def test_of_two_groups_with_the_same_objects_one_is_taken():
    found = names(Selection(), OLD_INGRESSES, INGRESSES)
    assert "ingresses.networking.k8s.io" in found
    assert "ingresses.extensions" not in found
    assert "ingresses.extensions" in names(Selection(), OLD_INGRESSES)


@pytest.mark.parametrize("asked", ["events", "events.events.k8s.io"])
def test_events_are_taken_once_when_asked_for(asked):
    taken = names(Selection(resources=("events", asked)))
    assert taken == {"events"}
    assert names(Selection(resources=("*",))).isdisjoint({"events", "events.events.k8s.io"})


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("pods", "pods", True),
        ("deployments.apps", "deployments", True),
        ("deployments.apps", "deployments.apps", True),
        ("deployments.apps", "deployments.extensions", False),
        ("deployments.apps", "*.apps", True),
        ("deployments.apps", "deploy*", True),
        ("certificates.cert-manager.io", "*.cert-manager.io", True),
        ("pods", "*.apps", False),
        ("pods", "*", True),
        ("pods", "pod", False),
    ],
)
def test_patterns_of_kinds(name, pattern, fits):
    assert matches(name, pattern) is fits


@pytest.mark.parametrize(
    ("selection", "scoped"),
    [
        (Selection(), True),
        (Selection(("*",)), True),
        (Selection(exclude_namespaces=("kube-public",)), True),
        (Selection(("shop",)), None),
        (Selection(labels="a=b"), None),
        (Selection(("shop",), cluster_scoped=True), True),
        (Selection(cluster_scoped=False), False),
    ],
)
def test_whether_objects_outside_namespaces_are_taken(selection, scoped):
    assert cluster_scope(selection) is scoped
    assert ("nodes" in names(selection)) is bool(scoped)


def test_namespaces_by_pattern():
    selection = Selection(("team-*", "shop"), ("team-x",))
    assert [name for name in ("shop", "shops", "team-a", "team-x") if namespace_is_selected(selection, name)] == [
        "shop",
        "team-a",
    ]


FAILED = Discovery((), {"example.org/v1": "503", "metrics.k8s.io/v1beta1": "503"})


@pytest.mark.parametrize(
    ("selection", "matched", "omitted", "warned"),
    [
        (Selection(), (), True, True),
        (Selection(resources=("pods",)), ("pods",), False, False),
        (Selection(resources=("widgets",)), (), True, True),
        (Selection(resources=("*",)), ("*",), True, True),
        (Selection(resources=("widgets.example.org",)), (), True, False),
        (Selection(resources=("*.example.org",)), ("*.example.org",), True, False),
        (Selection(resources=("*.org",)), (), True, False),
        (Selection(resources=("deployments.apps",)), ("deployments.apps",), False, False),
        (Selection(exclude_resources=("*.example.org",)), (), False, True),
        (Selection(exclude_resources=("widgets.example.org",)), (), True, True),
    ],
)
def test_a_group_nobody_knows_matters_where_it_may_be_wanted(selection, matched, omitted, warned):
    omissions, warnings = judge_failed(FAILED, selection, matched)
    assert (bool(omissions), bool(warnings)) == (omitted, warned)


def test_many_namespaces_are_listed_at_once_and_few_one_by_one():
    cluster = FakeCluster()
    for number in range(20):
        cluster.put(CONFIGMAPS, "a", f"team-{number:02}")
    assert choose(cluster, Selection(("team-0*",))).lists == ("",)
    assert choose(cluster, Selection(("team-01", "team-02"))).lists == ("team-01", "team-02")
    assert choose(cluster, Selection()).lists == ("",)


def test_words_for_a_preview():
    cluster = FakeCluster(NAMESPACES, CONFIGMAPS)
    for number in range(5):
        cluster.put(NAMESPACES, f"team-{number}")
    assert choose(cluster, Selection()).words == "2 kinds, all 5 namespaces"
    assert choose(cluster, Selection(exclude_namespaces=("team-0",))).words == "2 kinds, all 5 namespaces but 1"
    assert choose(cluster, Selection(("team-0",))).words == "2 kinds, 1 of 5 namespaces"
    cluster.resources[CLUSTERROLES.name] = CLUSTERROLES
    assert choose(cluster, Selection(("team-0",))).words == "2 kinds, 1 of 5 namespaces, with what they need outside"


def test_a_server_without_namespaces_is_none():
    with pytest.raises(SourceError, match="namespaces"):
        choose(FakeCluster(CONFIGMAPS), Selection())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("app=shop", {"matchLabels": {"app": "shop"}}),
        ("app==shop,tier = web", {"matchLabels": {"app": "shop", "tier": "web"}}),
        ("a!=b", {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
        ("a in (b, c),d notin (e)", {"matchExpressions": [
            {"key": "a", "operator": "In", "values": ["b", "c"]},
            {"key": "d", "operator": "NotIn", "values": ["e"]},
        ]}),
        ("x.org/a,!b", {"matchExpressions": [
            {"key": "x.org/a", "operator": "Exists"},
            {"key": "b", "operator": "DoesNotExist"},
        ]}),
        ("a=b,a=c", {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["c"]}]}),
        ("a=", {"matchLabels": {"a": ""}}),
    ],
)  # fmt: skip
def test_a_label_selector_for_velero(text, found):
    assert velero_selector(text) == found


@pytest.mark.parametrize("text", ["a=b c", "=b", "a in b", "a in (b", "!!a", "a!"])
def test_what_is_no_label_selector(text):
    with pytest.raises(UsageError):
        velero_selector(text)


def test_a_long_label_is_shortened_as_velero_does():
    long = "a-schedule-with-" + "a-very-" * 8 + "long-name"
    assert label_value(long) == long[:57] + sha256(long.encode()).hexdigest()[:6]
    assert label_value(long[:63]) == long[:63]
