"""Objects of a real API server into Velero's format: all of them, read back, and a word on each that is not there."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from backstay.cluster.client import connect
from backstay.cluster.kubeconfig import Access
from backstay.core.model import State
from backstay.store.directory import DirectoryStore
from backstay.tiers.objects.selection import NEEDED_VERBS, choose_kinds
from backstay.tiers.objects.settings import Selection
from tests.cluster.api import ApiError
from tests.e2e.test_objects_cli import story  # noqa: F401 - a fixture
from tests.tiers.objects.capturing import Capturing

CORE, RBAC = "/api/v1", "/apis/rbac.authorization.k8s.io/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
EXCLUDED = {"velero.io/exclude-from-backup": "true"}
MEBIBYTE = 1 << 20
# What controllers write all the time: compared by name alone.
RESTLESS = {
    "leases.coordination.k8s.io",
    "endpointslices.discovery.k8s.io",
    "endpoints",
    "apiservices.apiregistration.k8s.io",
}


def connected(kubeconfig: Path):
    return connect(Access(kubeconfig=kubeconfig))


@pytest.fixture
def world(control_plane, tmp_path):
    (tmp_path / "store").mkdir()
    cluster = connected(control_plane.kubeconfig)
    yield Capturing(cluster, tmp_path, DirectoryStore(tmp_path / "store"))
    cluster.close()


def config_map(name, **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


def definition(group):
    versions = [
        {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
    ]
    names = {"plural": "boats", "singular": "boat", "kind": "Boat"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boats.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": versions},
    }


def outside(archive):
    """What an archive has of no namespace, but the Namespace objects."""
    return sorted(path for path in archive if "/cluster/" in path and not path.startswith("resources/namespaces/"))


def paths_on_the_server(api, resources):
    """The path in an archive of each object there is, asked for without Backstay."""
    found = {}
    for one in resources:
        start = f"/apis/{one.group}/{one.version}" if one.group else f"/api/{one.version}"
        for item in api.get(f"{start}/{one.plural}")["items"]:
            metadata = item["metadata"]
            where = f"namespaces/{metadata['namespace']}" if "namespace" in metadata else "cluster"
            found[f"resources/{one.name}/{where}/{metadata['name']}.json"] = item
    return found


def test_every_object_of_every_kind_is_in_it_as_it_is(world, control_plane, namespace):
    text = "Grüße, 世界 \u2028 \U0001f600"
    control_plane.api.post(f"{CORE}/namespaces/{namespace}/configmaps", config_map("settings", data={"text": text}))
    made = world.backup()
    assert made.state is State.COMPLETE, made.omissions
    assert made.warnings == ()
    discovery = world.cluster.discover()
    kinds, _ = choose_kinds(discovery.resources, Selection())
    assert {one.name for one in discovery.resources if one.verbs >= NEEDED_VERBS} - {one.name for one in kinds} == {
        "events",
        "events.events.k8s.io",
    }
    archive = world.archive(made)
    there = paths_on_the_server(control_plane.api, kinds)
    steady = {path for path in there if path.split("/")[1] not in RESTLESS}
    assert steady <= set(archive)
    assert archive[f"resources/configmaps/namespaces/{namespace}/settings.json"]["data"]["text"] == text
    for path in steady:
        here, live = archive[path], there[path]
        assert here.pop("kind")
        assert here.pop("apiVersion")
        if here["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]:
            assert here == {key: value for key, value in live.items() if key not in {"kind", "apiVersion"}}
    assert world.verify(made).ok


def test_a_kind_made_a_second_ago_is_in_it(world, control_plane, namespace):
    group = f"{namespace}.example.com"
    control_plane.api.post(DEFINITIONS, definition(group))
    try:
        boats = f"/apis/{group}/v1/namespaces/{namespace}/boats"
        control_plane.api.wait(boats, lambda found: "items" in found)
        boat = {"apiVersion": f"{group}/v1", "kind": "Boat", "metadata": {"name": "a"}, "masts": 2}
        control_plane.api.post(boats, boat)
        archive = world.archive(world.backup())
        assert archive[f"resources/boats.{group}/namespaces/{namespace}/a.json"]["masts"] == 2
        assert f"resources/customresourcedefinitions.apiextensions.k8s.io/cluster/boats.{group}.json" in archive
    finally:
        control_plane.api.delete(f"{DEFINITIONS}/boats.{group}")


@pytest.fixture
def furnished(control_plane, namespace):
    """A namespace, and of each kind outside what it needs, named as it is, and one that nobody in it needs."""
    api, group = control_plane.api, f"{namespace}.example.com"
    defined = [f"{DEFINITIONS}/boats.{group}", f"{DEFINITIONS}/boats.other.{group}"]
    made = [
        f"{CORE}/namespaces/{namespace}/persistentvolumeclaims/data",
        *defined,
    ]  # a volume stays as long as its claim
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": "app"}
    try:
        for path in defined:
            api.post(DEFINITIONS, definition(path.partition("/boats.")[2]))
        for name, who in ((namespace, subject), (f"other-{namespace}", {**subject, "name": "nobody"})):
            bodies = {
                f"{RBAC}/clusterroles": {**rbac, "kind": "ClusterRole", "rules": []},
                f"{RBAC}/clusterrolebindings": {
                    **rbac,
                    "kind": "ClusterRoleBinding",
                    "subjects": [who],
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                },
                "/apis/scheduling.k8s.io/v1/priorityclasses": {
                    "apiVersion": "scheduling.k8s.io/v1",
                    "kind": "PriorityClass",
                    "value": 7,
                },
                f"{CORE}/persistentvolumes": volume(),
            }
            for path, body in bodies.items():
                api.post(path, {**body, "metadata": {"name": name}})
                made.append(f"{path}/{name}")
        within = f"{CORE}/namespaces/{namespace}"
        api.post(
            f"{within}/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}}
        )
        api.post(f"{within}/persistentvolumeclaims", claim(namespace))
        api.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment(namespace))
        boats = f"/apis/{group}/v1/namespaces/{namespace}/boats"
        api.wait(boats, lambda found: "items" in found)
        api.post(boats, {"apiVersion": f"{group}/v1", "kind": "Boat", "metadata": {"name": "a"}})
        yield [
            f"resources/clusterrolebindings.rbac.authorization.k8s.io/cluster/{namespace}.json",
            f"resources/clusterroles.rbac.authorization.k8s.io/cluster/{namespace}.json",
            f"resources/customresourcedefinitions.apiextensions.k8s.io/cluster/boats.{group}.json",
            f"resources/persistentvolumes/cluster/{namespace}.json",
            f"resources/priorityclasses.scheduling.k8s.io/cluster/{namespace}.json",
        ]
    finally:
        for path in made:
            with suppress(ApiError):
                api.delete(path)


def volume():
    spec = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": "csi.example.com", "volumeHandle": "one"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "spec": spec}


def claim(volume_name):
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
        "storageClassName": "",
        "volumeName": volume_name,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}


def deployment(priority):
    """No pod of it runs."""
    containers = [{"name": "c", "image": "a.invalid/b:1"}]
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"priorityClassName": priority, "containers": containers},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def test_what_a_namespace_needs_outside_comes_with_it(world, namespace, furnished):
    world.selection = Selection(namespaces=(namespace,))
    made = world.backup()
    assert made.state is State.COMPLETE, made.omissions
    assert outside(world.archive(made)) == furnished
    assert made.contents["related"] == len(furnished)
    assert world.verify(made).ok
    world.selection = Selection(namespaces=(namespace,), cluster_scoped=False)
    assert outside(world.archive(world.backup())) == []


def test_a_restore_of_the_namespace_brings_it_back(story, control_plane, namespace, furnished):  # noqa: F811
    kubectl = control_plane.kubectl
    assert "with what they need outside" in story.type("check")
    story.type("backup", "nightly")
    assert f"{len(furnished)} of them in no namespace and needed by others" in story.type("show", "nightly")
    assert "no change" in story.type("diff", "nightly")
    assert "PROVEN" in story.type("drill", "nightly")
    kubectl("delete", "-n", namespace, "persistentvolumeclaim,serviceaccount,deployment", "--all")
    outer = [path.split("/") for path in furnished]
    for _, kind, _, file in outer:
        kubectl("delete", kind, file.removesuffix(".json"))
    story.type("restore", "nightly", "--include-namespaces", namespace, "--wait", "0")
    for _, kind, _, file in outer:
        assert kubectl("get", kind, file.removesuffix(".json"), "-o", "name")
    bound = f"{CORE}/namespaces/{namespace}/persistentvolumeclaims/data"
    found = control_plane.api.wait(bound, lambda found: found["status"]["phase"] == "Bound")
    assert found["spec"]["volumeName"] == namespace
    assert kubectl("get", "-n", namespace, f"boats.{namespace}.example.com", "-o", "name")


@pytest.fixture
def one_namespace(control_plane, namespace):
    """A user who may list everything in its namespace, and of what is outside only the namespaces."""
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": f"user-{namespace}"}}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": namespace}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"user-{namespace}"}
    outer = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}]
    inner = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    api, within = control_plane.api, f"{RBAC}/namespaces/{namespace}"
    api.post(f"{RBAC}/clusterroles", {**kind, "kind": "ClusterRole", "rules": outer})
    api.post(
        f"{RBAC}/clusterrolebindings", {**kind, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": subjects}
    )
    api.post(f"{within}/roles", {**kind, "kind": "Role", "rules": inner})
    own = {**role, "kind": "Role"}
    api.post(f"{within}/rolebindings", {**kind, "kind": "RoleBinding", "roleRef": own, "subjects": subjects})
    yield control_plane.certificate_kubeconfig(namespace)
    api.delete(f"{RBAC}/clusterrolebindings/user-{namespace}")
    api.delete(f"{RBAC}/clusterroles/user-{namespace}")


def test_what_is_needed_and_may_not_be_listed_is_named(world, namespace, furnished, one_namespace):
    world.cluster = connected(one_namespace)
    try:
        world.selection = Selection(namespaces=(namespace,))
        made = world.backup()
        assert made.state is State.PARTIAL
        assert [words.partition(":")[0] for words in made.omissions] == [
            "clusterrolebindings.rbac.authorization.k8s.io",
            "customresourcedefinitions.apiextensions.k8s.io",
            "persistentvolumes",
            "priorityclasses.scheduling.k8s.io",
        ]
        assert all("`cluster_scoped: false`" in words for words in made.omissions)
        world.selection = Selection(namespaces=(namespace,), cluster_scoped=False)
        assert world.backup().state is State.COMPLETE
    finally:
        world.cluster.close()


def test_a_role_with_a_name_that_is_no_dns_name(world, control_plane, namespace):
    roles = f"{RBAC}/namespaces/{namespace}/roles"
    names = ["system:lesen", "größe: 100 µm", "a" * 300]
    for name in names:
        control_plane.api.post(roles, {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                                       "metadata": {"name": name}, "rules": []})  # fmt: skip
    world.selection = Selection(namespaces=(namespace,), resources=("roles",))
    made = world.backup()
    folder = f"resources/roles.rbac.authorization.k8s.io/namespaces/{namespace}/"
    assert {f"{folder}{name}.json" for name in names} <= set(world.archive(made))
    assert "Velero cannot unpack" in made.warnings[0]
    assert world.verify(made).ok


def test_objects_of_a_mebibyte(world, control_plane, namespace):
    maps = f"{CORE}/namespaces/{namespace}/configmaps"
    for number in range(20):
        control_plane.api.post(maps, config_map(f"large-{number}", data={"x": str(number % 10) * (MEBIBYTE - 1000)}))
    world.selection = Selection(namespaces=(namespace,))
    made = world.backup()
    assert made.contents["kinds"]["configmaps"] == 21
    assert made.contents["bytes"] > 20 * (MEBIBYTE - 1000)
    assert world.verify(made).ok


def test_what_is_labelled_is_left_out(world, control_plane, namespace):
    maps = f"{CORE}/namespaces/{namespace}/configmaps"
    control_plane.api.post(maps, {**config_map("out"), "metadata": {"name": "out", "labels": EXCLUDED}})
    control_plane.api.post(maps, config_map("in"))
    world.selection = Selection(namespaces=(namespace,), resources=("configmaps",))
    made = world.backup()
    assert f"resources/configmaps/namespaces/{namespace}/in.json" in world.archive(made)
    assert f"resources/configmaps/namespaces/{namespace}/out.json" not in world.archive(made)
    assert made.contents["left_out"]["labelled"] == 1


def test_what_is_being_deleted_is_left_out(world, control_plane, namespace):
    maps = f"{CORE}/namespaces/{namespace}/configmaps"
    leaving = {"name": "leaving", "finalizers": ["example.com/hold"]}
    control_plane.api.post(maps, {**config_map("leaving"), "metadata": leaving})
    control_plane.api.delete(f"{maps}/leaving")
    try:
        world.selection = Selection(namespaces=(namespace,))
        made = world.backup()
        assert f"resources/configmaps/namespaces/{namespace}/leaving.json" not in world.archive(made)
        assert made.contents["left_out"]["being_deleted"] == 1
    finally:
        control_plane.api.patch(f"{maps}/leaving", {"metadata": {"finalizers": None}})


@pytest.fixture
def almost_everything(control_plane, namespace):
    """A user who may list all but Secrets."""
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "configmaps", "pods", "services"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "list"]},
    ]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": namespace}}
    control_plane.api.post(f"{RBAC}/clusterroles", {**kind, "kind": "ClusterRole", "rules": rules})
    binding = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": namespace}],
    }
    control_plane.api.post(f"{RBAC}/clusterrolebindings", {**kind, "kind": "ClusterRoleBinding", **binding})
    yield control_plane.certificate_kubeconfig(namespace)
    control_plane.api.delete(f"{RBAC}/clusterrolebindings/{namespace}")
    control_plane.api.delete(f"{RBAC}/clusterroles/{namespace}")


def test_a_kind_that_may_not_be_listed_is_named(world, almost_everything):
    world.cluster = connected(almost_everything)
    try:
        world.selection = Selection(resources=("configmaps", "secrets", "*.apps"))
        made = world.backup()
        assert made.state is State.PARTIAL
        (omission,) = made.omissions
        assert omission.startswith("secrets: cannot list secrets: ")
        assert world.json(made, "velero-backup")["status"]["phase"] == "PartiallyFailed"
        assert made.contents["kinds"]["configmaps"] > 0
    finally:
        world.cluster.close()


def test_an_api_whose_backend_is_down_is_named(world, control_plane, namespace):
    group = f"{namespace}.example.net"
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    spec = {
        "group": group,
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 10,
        "insecureSkipTLSVerify": True,
        "service": {"name": "nobody", "namespace": namespace},
    }
    body = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"v1.{group}"}}
    control_plane.api.post(services, {**body, "spec": spec})
    try:
        _until_served(control_plane.api, group)
        made = world.backup()
        assert made.state is State.PARTIAL
        (omission,) = made.omissions
        assert omission.startswith(f"the kinds of {group}/v1 are not known: ")
        world.selection = Selection(exclude_resources=(f"*.{group}",))
        assert world.backup().state is State.COMPLETE
    finally:
        control_plane.api.delete(f"{services}/v1.{group}")


def _until_served(api, group):
    """The aggregator answers for a new group within some seconds: with 503 while nobody is behind it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            api.get(f"/apis/{group}/v1")
        except ApiError as error:
            if error.status == 503:
                return
        time.sleep(0.2)
    pytest.fail(f"{group} is not served")
