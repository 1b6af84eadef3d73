"""The client on a real API server."""

import json
import threading
import time
import tracemalloc

import pytest

from backstay.cluster.base import Resource
from backstay.cluster.client import Access, connect
from backstay.core.errors import ClusterDenied, ObjectConflict, ObjectExists, ObjectInvalid, ObjectNotFound
from tests.cluster.api import moments
from tests.e2e.test_control_plane import definition

MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
PODS = Resource("", "v1", "pods", "Pod", namespaced=True)


@pytest.fixture
def client(control_plane):
    with connect(Access(kubeconfig=control_plane.kubeconfig)) as client:
        yield client


def config_map(namespace, name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def test_discovery_has_a_kind_made_a_moment_ago(control_plane, client, namespace):
    group = f"{namespace}.example.com"
    control_plane.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(group))
    try:
        for _ in moments(10):
            found = client.discover()
            if boats := [each for each in found.resources if each.group == group]:
                break
        assert [(each.name, each.kind, each.namespaced) for each in boats] == [(f"boats.{group}", "Boat", True)]
        by_name = {each.name: each for each in found.resources}
        assert by_name["deployments.apps"].api_version == "apps/v1"
        assert "list" in by_name["configmaps"].verbs
        assert not by_name["namespaces"].namespaced
        assert not [each for each in found.resources if "/" in each.plural]
    finally:
        control_plane.api.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boats.{group}")


def test_discovery_names_an_aggregated_api_that_is_down(control_plane, client):
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    spec = {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100}
    service = {"service": {"name": "metrics", "namespace": "kube-system"}, "insecureSkipTLSVerify": True}
    control_plane.api.post(path, {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {**spec, **service}})
    try:
        control_plane.api.wait(f"{path}/v1beta1.metrics.k8s.io", lambda found: found.get("status"))
        assert "metrics" in client.discover().failed["metrics.k8s.io/v1beta1"]
    finally:
        control_plane.api.delete(f"{path}/v1beta1.metrics.k8s.io")


def test_two_thousand_and_some_large_ones(client, namespace):
    def make(numbers):
        for number in numbers:
            client.create(MAPS, config_map(namespace, f"a{number:04d}", n=str(number)))

    threads = [threading.Thread(target=make, args=(range(start, 2000, 8),)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(40):
        client.create(MAPS, config_map(namespace, f"b{number:02d}", k="v" * 1_000_000))
    tracemalloc.start()
    found = {}
    for item in client.list(MAPS, namespace=namespace):
        found[item.name] = len(item.json)
        if item.name.startswith("a1"):
            assert json.loads(item.json) == client.get(MAPS, item.name, namespace) or item.name != "a1000"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len([name for name in found if name[0] == "a"]) == 2000
    assert len([name for name, size in found.items() if name[0] == "b" and size > 1_000_000]) == 40
    assert peak < 40 << 20


def test_write_read_change_delete(client, namespace):
    body = config_map(namespace, "a", k="1")
    assert client.create(MAPS, body, dry_run=True)["metadata"]["uid"]
    with pytest.raises(ObjectNotFound):
        client.get(MAPS, "a", namespace)
    made = client.create(MAPS, body)
    assert made["metadata"]["managedFields"][0]["manager"] == "backstay"
    with pytest.raises(ObjectExists):
        client.create(MAPS, body)
    changed = client.replace(MAPS, {**made, "data": {"k": "2"}})
    with pytest.raises(ObjectConflict):
        client.replace(MAPS, made)
    with pytest.raises(ObjectConflict):
        client.delete(MAPS, "a", namespace, uid="another")
    client.delete(MAPS, "a", namespace, dry_run=True)
    assert client.get(MAPS, "a", namespace)["data"] == {"k": "2"}
    client.delete(MAPS, "a", namespace, uid=changed["metadata"]["uid"])
    with pytest.raises(ObjectNotFound):
        client.delete(MAPS, "a", namespace)
    with pytest.raises(ObjectNotFound, match="namespaces"):
        client.create(MAPS, config_map("no-such-namespace", "a"))
    with pytest.raises(ObjectInvalid):
        client.create(MAPS, config_map(namespace, "Not A Name"))


def test_apply_and_its_conflicts(control_plane, client, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    control_plane.api.post(path, config_map(namespace, "a", k="1"))
    with pytest.raises(ObjectConflict, match=r"\.data\.k"):
        client.apply(MAPS, config_map(namespace, "a", k="2"))
    assert client.apply(MAPS, config_map(namespace, "a", k="2"), force=True, dry_run=True)["data"] == {"k": "2"}
    assert client.get(MAPS, "a", namespace)["data"] == {"k": "1"}
    assert client.apply(MAPS, config_map(namespace, "a", k="2"), force=True)["data"] == {"k": "2"}


def test_watch(client, namespace):
    client.create(MAPS, config_map(namespace, "w1"))
    seen = []
    begun = time.monotonic()
    for event in client.watch(MAPS, namespace=namespace, fields="metadata.name=w1", seconds=3):
        seen.append(event.type)
        if len(seen) == 1:
            client.apply(MAPS, config_map(namespace, "w1", k="1"), force=True)
        elif event.type == "MODIFIED":
            client.delete(MAPS, "w1", namespace)
    assert seen == ["ADDED", "MODIFIED", "DELETED"]
    assert 2 < time.monotonic() - begun < 8


def test_who_may_not_and_who_is_nobody(control_plane, namespace, tmp_path):
    with connect(Access(kubeconfig=control_plane.kubeconfig_of("nobody"))) as client:
        assert client.version().startswith("v1.")
        assert client.discover().resources
        with pytest.raises(ClusterDenied, match='User "nobody" cannot list resource "configmaps"') as caught:
            list(client.list(MAPS, namespace=namespace))
        assert '{apiGroups: [""], resources: ["configmaps"], verbs: ["list"]}' in caught.value.hint
    wrong = tmp_path / "wrong"
    wrong.write_text(control_plane.kubeconfig.read_text().replace(control_plane.token_of("admin"), "no-such-token"))
    with connect(Access(kubeconfig=wrong)) as client, pytest.raises(ClusterDenied, match="does not know who asks"):
        list(client.list(MAPS))


def test_a_client_certificate(control_plane, namespace):
    path = control_plane.certificate_kubeconfig("carol", groups=["system:masters"])
    with connect(Access(kubeconfig=path)) as client:
        assert [each.name for each in client.list(MAPS, namespace=namespace)] == ["kube-root-ca.crt"]


def test_a_field_that_is_not_known_is_warned_of(control_plane, namespace):
    warnings = []
    with connect(Access(kubeconfig=control_plane.kubeconfig), warned=warnings.append) as client:
        client.create(MAPS, {**config_map(namespace, "a"), "spec": {"x": 1}})
    assert warnings == ['unknown field "spec"']


def test_exec_in_a_pod_without_a_node(client, namespace):
    metadata = {"name": "p", "namespace": namespace}
    client.create(PODS, {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "example.invalid/c:1"}]}})
    with pytest.raises(ObjectInvalid, match="does not have a host assigned"):
        client.execute(namespace, "p", ["true"], timeout=10)
    with pytest.raises(ObjectNotFound):
        client.execute(namespace, "q", ["true"], timeout=10)
