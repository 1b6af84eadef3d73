"""Keys, names that people type, and lists."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import Undecodable
from backstay.tiers.etcd.kube.decode import decode
from backstay.tiers.etcd.kube.names import GROUPS, custom_type, singular, type_of
from backstay.tiers.etcd.kube.objects import (
    Resource,
    counts,
    custom_types,
    encrypted,
    listing,
    look,
    resource_of,
    select,
)
from tests.tiers.etcd.kube.stored import lines, meta, one, unknown, value

WIDGET = json.dumps(
    {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {
            "name": "w",
            "namespace": "cardboard",
            "creationTimestamp": "2026-02-11T15:43:44Z",
            "labels": {"a": "b"},
        },
    }
).encode()
ROWS = [
    (b"/bootstrap/2bb80d537b1d", b"salt:x", 1),
    (b"/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com", b"", 2),
    (b"/registry/apiextensions.k8s.io/customresourcedefinitions/broken.example.com", b"\x00", 2),
    (b"/registry/configmaps/cardboard/cardboard", value(one("v1 ConfigMap cardboard")), 3),
    (b"/registry/example.com/widgets/cardboard/w", WIDGET, 4),
    (b"/registry/masterleases/10.0.0.5", b"\x00", 5),
    (b"/registry/minions/node-1", value(one("v1 Node node-1")), 6),
    (b"/registry/pods/cardboard/everything", value(one("v1 Pod everything")), 7),
    (b"/registry/pods/default/bare", value(one("v1 Pod bare")), 8),
    (b"/registry/pods/default/broken", b"k8s\x00\xff", 9),
    (b"/registry/secrets/cardboard/s", b"k8s:enc:aescbc:v1:key1:\x00\x01", 10),
]
DEFINITION = json.dumps(next(line["stored"] for line in lines("definitions") if line["name"] == "widgets.example.com"))
ROWS[1] = (ROWS[1][0], DEFINITION.encode(), 2)


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("/registry/pods/default/web-0", Resource("pods", "default", "web-0")),
        ("/registry/deployments/default/web", Resource("deployments", "default", "web")),
        ("/registry/namespaces/default", Resource("namespaces", "", "default")),
        ("/registry/minions/node-1", Resource("nodes", "", "node-1")),
        ("/registry/services/specs/default/web", Resource("services", "default", "web")),
        ("/registry/services/endpoints/default/web", Resource("endpoints", "default", "web")),
        ("/registry/controllers/default/rc", Resource("replicationcontrollers", "default", "rc")),
        ("/registry/ingress/default/web", Resource("ingresses", "default", "web")),
        ("/registry/podsecuritypolicy/p", Resource("podsecuritypolicies", "", "p")),
        ("/registry/clusterroles/system:node", Resource("clusterroles", "", "system:node")),
        ("/registry/apiregistration.k8s.io/apiservices/v1.apps", Resource("apiservices", "", "v1.apps")),
        (
            "/registry/apiextensions.k8s.io/customresourcedefinitions/a.b.c",
            Resource("customresourcedefinitions", "", "a.b.c"),
        ),
        ("/registry/example.com/widgets/ns/w", Resource("widgets.example.com", "ns", "w")),
        ("/registry/example.com/nodes/w", Resource("nodes.example.com", "", "w")),
        ("/registry/k3s.cattle.io/addons/kube-system/ccm", Resource("addons.k3s.cattle.io", "kube-system", "ccm")),
        ("/registry/novelties/ns/a", Resource("novelties", "ns", "a")),
        ("/registry/ranges/serviceips", None),
        ("/registry/masterleases/10.0.0.1", None),
        ("/registry/peerserverleases/a", None),
        ("/registry/health", None),
        ("/registry/pods", None),
        ("/registry/pods/", None),
        ("/registry/pods/a/b/c", None),
        ("/registry/services/specs", None),
        ("/registry/example.com/widgets", None),
        ("/registry", None),
        ("/registrypods/a/b", None),
        ("/bootstrap/2bb80d537b1d", None),
        ("compact_rev_key", None),
    ],
)
def test_keys(key, resource):
    assert resource_of(key.encode()) == resource


def test_another_prefix():
    assert resource_of(b"/kubernetes.io/pods/a/b", "/kubernetes.io") == Resource("pods", "a", "b")
    assert resource_of(b"/registry/pods/a/b", "/kubernetes.io") is None


@given(st.binary(max_size=60))
def test_any_key_is_somebodys_or_nobodys(key):
    for raw in (key, b"/registry/" + key):
        found = resource_of(raw)
        assert found is None or (found.name and found.type)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *((word, "pods") for word in ("po", "pod", "pods", "Pod", " PODS ", "pods.v1")),
        *((word, "deployments") for word in ("deploy", "deployment", "deployments.apps", "deployments.v1.apps")),
        *((word, "services") for word in ("svc", "service")),
        ("cm", "configmaps"),
        ("pvc", "persistentvolumeclaims"),
        ("pv", "persistentvolumes"),
        ("ns", "namespaces"),
        ("no", "nodes"),
        ("sts", "statefulsets"),
        ("ds", "daemonsets"),
        ("ing", "ingresses"),
        ("ingress", "ingresses"),
        ("sa", "serviceaccounts"),
        ("secret", "secrets"),
        ("ep", "endpoints"),
        ("netpol", "networkpolicies"),
        ("networkpolicy", "networkpolicies"),
        ("storageclass", "storageclasses"),
        ("lease", "leases"),
        ("crd", "customresourcedefinitions"),
        ("pc", "priorityclasses"),
        ("componentstatus", "componentstatuses"),
        ("roles.rbac.authorization.k8s.io", "roles"),
        ("widgets.example.com", "widgets.example.com"),
        ("pods.example.com", "pods.example.com"),
        ("widgets", None),
        ("", None),
        (".", None),
    ],
)
def test_words(word, meant):
    assert type_of(word) == meant


def test_every_type_has_a_singular_that_leads_back():
    for plural in GROUPS:
        assert type_of(singular(plural)) == plural
        assert type_of(f"{plural}.{GROUPS[plural]}" if GROUPS[plural] else plural) == plural


def test_custom_types_have_the_names_of_their_definition():
    custom = custom_types(ROWS)
    assert [one.label for one in custom] == ["widgets.example.com"]
    for word in ("widgets", "widget", "Widget", "wd", "WD", "wd.example.com", "widgets.v1.example.com"):
        assert type_of(word, custom) == "widgets.example.com", word
    assert type_of("pods", custom) == "pods"
    assert type_of("wd.other.com", custom) is None or type_of("wd.other.com", custom) == "wd.other.com"


def test_a_definition_without_names_names_nothing():
    assert custom_type({}) is None
    assert custom_type({"spec": {"names": {}, "group": "g"}}) is None
    assert custom_type({"spec": {"names": {"plural": 3}, "group": "g"}}) is None


def test_select_by_type_namespace_and_name():
    def names(**wanted):
        return [str(one.resource) for one in select(ROWS, **wanted)]

    assert names(of_type="pods") == [
        "pods/everything of namespace cardboard",
        "pods/bare of namespace default",
        "pods/broken of namespace default",
    ]
    assert names(of_type="pods", namespace="cardboard") == ["pods/everything of namespace cardboard"]
    assert names(of_type="nodes", namespace="cardboard") == ["nodes/node-1"]
    assert names(of_type="pods", name="bare") == ["pods/bare of namespace default"]
    assert names(namespace="nowhere", of_type="secrets") == []


def test_a_list_says_what_could_not_be_read():
    entries = {str(entry.resource): entry for entry in listing(select(ROWS))}
    pod = entries["pods/everything of namespace cardboard"]
    assert pod.meta.created == datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)
    assert pod.meta.labels == {"app.kubernetes.io/name": "cardboard", "empty": ""}
    assert (pod.meta.kind, pod.meta.uid, pod.mod_revision) == ("Pod", "5c4e6a02-7b1f-4f0e-9f2b-1d6c2f7a9e11", 7)
    assert pod.size == len(value(one("v1 Pod everything")))
    widget = entries["widgets.example.com/w of namespace cardboard"]
    assert widget.meta.created == pod.meta.created
    assert widget.meta.labels == {"a": "b"}
    broken = entries["pods/broken of namespace default"]
    assert broken.problem
    assert broken.meta.name == "broken"
    secret = entries["secrets/s of namespace cardboard"]
    assert (secret.encrypted, secret.problem, secret.meta.name) == ("aescbc/key1", "", "s")


def test_counts():
    assert counts(ROWS) == {
        "configmaps": 1,
        "customresourcedefinitions": 2,
        "nodes": 1,
        "pods": 3,
        "secrets": 1,
        "widgets.example.com": 1,
    }


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b"k8s:enc:aescbc:v1:key1:\x00", "aescbc/key1"),
        (b"k8s:enc:secretbox:v1:key-2026:\x00", "secretbox/key-2026"),
        (b"k8s:enc:kms:v2:vault:\x0a", "kms/vault"),
        (b"k8s:enc:aescbc", "unknown"),
        (b"k8s:enc:aescbc:v1:\x00\n:", "unknown"),
        (b"k8s\x00", None),
        (b"{}", None),
    ],
)
def test_encrypted_values_name_their_key(raw, key):
    assert encrypted(raw) == key


@pytest.mark.parametrize("line", [*lines("written"), *lines("random"), *lines("cbor")], ids=lambda line: line["name"])
def test_a_quick_look_says_what_decoding_says(line):
    whole, quick = decode(value(line)).object, look(value(line))
    about = whole.get("metadata", {})
    assert (quick.api_version, quick.kind) == (whole["apiVersion"], whole["kind"])
    assert quick.name == about.get("name", "")
    assert quick.namespace == about.get("namespace", "")
    assert quick.uid == about.get("uid", "")
    assert quick.labels == about.get("labels", {})
    created = quick.created and quick.created.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    assert created == about.get("creationTimestamp")


def test_a_quick_look_does_not_read_the_rest():
    body = b"\x0a" + bytes([len(meta())]) + meta() + b"\x12\xff\xff\xff"
    assert look(unknown("v1", "Pod", body)).name == "a"


@given(st.binary(max_size=100))
def test_a_quick_look_at_any_bytes(raw):
    for start in (b"", b"k8s\x00", b"{", b'{"metadata":'):
        try:
            look(start + raw)
        except Undecodable:
            continue
