"""The control plane that tests run on is a real one, keeps users apart, and leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backstay.cluster.processes import command_line
from tests.cluster import guard
from tests.cluster.api import ApiError, moments
from tests.cluster.control_plane import ControlPlane

LABELS = {"app": "web"}
POD = {"containers": [{"name": "web", "image": "example.invalid/web:1"}]}
ROOT = Path(__file__).parents[2]
# Starts a control plane, says so, and then waits to be killed.
OWNER = """
import pathlib, sys, time
from tests.cluster.control_plane import ControlPlane
plane = ControlPlane(pathlib.Path(sys.argv[1])).start()
print(*plane.pids(), flush=True)
time.sleep(300)
"""


def test_a_deployment_makes_pods_that_wait_for_a_node(control_plane, namespace):
    apps, core = f"/apis/apps/v1/namespaces/{namespace}", f"/api/v1/namespaces/{namespace}"
    control_plane.api.post(f"{apps}/deployments", deployment("web", 2))
    pods = control_plane.api.wait(f"{core}/pods?labelSelector=app%3Dweb", lambda found: len(found["items"]) == 2)
    [replica_set] = control_plane.api.get(f"{apps}/replicasets")["items"]
    assert {pod["status"]["phase"] for pod in pods["items"]} == {"Pending"}
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods["items"]} == {replica_set["metadata"]["uid"]}


def test_what_an_object_owns_goes_with_it(control_plane, namespace):
    apps, core = f"/apis/apps/v1/namespaces/{namespace}", f"/api/v1/namespaces/{namespace}"
    control_plane.api.post(f"{apps}/deployments", deployment("web", 1))
    control_plane.api.wait(f"{core}/pods", lambda found: found["items"])
    control_plane.api.delete(f"{apps}/deployments/web")
    control_plane.api.wait(f"{core}/pods", lambda found: not found["items"])


def test_a_custom_resource_is_served_and_checked(control_plane, namespace):
    group = f"{namespace}.example.com"
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    control_plane.api.post(definitions, definition(group))
    try:
        control_plane.api.wait(f"{definitions}/boats.{group}", established)
        boats = f"/apis/{group}/v1/namespaces/{namespace}/boats"
        boat = {"apiVersion": f"{group}/v1", "kind": "Boat", "metadata": {"name": "a"}, "spec": {"masts": 2}}
        control_plane.api.wait(boats, lambda found: "items" in found)
        control_plane.api.post(boats, boat)
        assert control_plane.api.get(f"{boats}/a")["spec"] == {"masts": 2}
        with pytest.raises(ApiError, match=r"422 Invalid: .*spec\.masts"):
            control_plane.api.post(boats, {**boat, "metadata": {"name": "b"}, "spec": {"masts": "two"}})
    finally:
        control_plane.api.delete(f"{definitions}/boats.{group}")


def test_a_namespace_ends_with_all_that_is_in_it(control_plane, namespace):
    path = f"/api/v1/namespaces/{namespace}-b"
    control_plane.api.post("/api/v1/namespaces", {"metadata": {"name": f"{namespace}-b"}})
    control_plane.api.post(f"{path}/configmaps", {"metadata": {"name": "a"}, "data": {"key": "value"}})
    control_plane.api.delete(path)
    assert control_plane.api.get(path)["status"]["phase"] == "Terminating"
    control_plane.api.wait_gone(path)


def test_a_wrong_object_is_rejected(control_plane, namespace):
    wrong = deployment("web", 1)
    wrong["spec"]["selector"]["matchLabels"] = {"app": "another"}
    with pytest.raises(ApiError, match="422 Invalid: .*`selector` does not match template `labels`"):
        control_plane.api.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", wrong)


def test_a_user_may_do_what_a_role_says_and_no_more(control_plane, namespace):
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    with pytest.raises(ApiError, match='403 Forbidden: .*User "nobody" cannot list resource "secrets"'):
        control_plane.api_of("nobody").get(secrets)
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}],
    }
    control_plane.api.post(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings", binding)
    reader = control_plane.api_of("reader")
    for _ in moments(10):  # the authorizer sees it a moment later
        try:
            reader.get(f"/api/v1/namespaces/{namespace}/configmaps")
            break
        except ApiError as error:
            assert error.status == 403  # noqa: PT017
    assert reader.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    with pytest.raises(ApiError, match="403 Forbidden"):
        reader.get(secrets)


def test_a_wrong_token_is_no_user(control_plane):
    with pytest.raises(ApiError, match="401 Unauthorized"):
        type(control_plane.api)(control_plane.url, control_plane.ca, "wrong").get("/api/v1/namespaces")


def test_another_api_server_over_the_same_etcd_serves_the_same_objects(control_plane, namespace, tmp_path):
    control_plane.api.post(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "mark"}})
    path = f"/api/v1/namespaces/{namespace}/configmaps/mark"
    with ControlPlane(tmp_path / "second", controllers=False, etcd=control_plane.etcd_endpoint) as second:
        assert second.url != control_plane.url
        assert second.api.get(path)["metadata"]["uid"] == control_plane.api.get(path)["metadata"]["uid"]
    assert control_plane.api.get(path)  # stopping the second left the etcd alone


def test_nothing_is_left_when_it_stops(kubernetes_program, tmp_path):
    with ControlPlane(tmp_path / "plane", scheduler=True) as plane:
        pids = plane.pids()
        assert len(pids) == 4  # etcd, API server, controllers, scheduler
    assert [command_line(int(pid)) for pid in pids] == [""] * len(pids)
    assert not (tmp_path / "plane").exists()


def test_nothing_is_left_when_its_owner_is_killed(kubernetes_program, tmp_path):
    folder = tmp_path / "plane"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, folder], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with owner:
        try:
            pids = owner.stdout.readline().split()
            assert len(pids) == 3
            assert guard.servers_in(folder)
        finally:
            owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert guard.servers_in(folder) == []
    assert [command_line(int(pid)) for pid in pids] == [""] * len(pids)
    assert not folder.exists()


def deployment(name, replicas):
    template = {"metadata": {"labels": LABELS}, "spec": POD}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def definition(group):
    masts = {"type": "object", "properties": {"masts": {"type": "integer"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": masts}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boats.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def established(found):
    conditions = {each["type"]: each["status"] for each in found.get("status", {}).get("conditions", [])}
    return conditions.get("Established") == "True"
