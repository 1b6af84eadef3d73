"""What objects of a namespace need outside of it: taken with them, brought back with them, and nothing else."""

import pytest

from backstay.core.errors import ClusterDenied
from backstay.core.model import State
from backstay.tiers.objects import backup as capture
from backstay.tiers.objects import velerofiles
from backstay.tiers.objects.difference import against_cluster
from backstay.tiers.objects.engine.request import spec_of
from backstay.tiers.objects.selection import choose
from backstay.tiers.objects.settings import Selection
from tests.tiers.objects.capturing import Capturing
from tests.tiers.objects.fake_cluster import (
    BUILT_IN,
    CLUSTERROLES,
    CRDS,
    DEPLOYMENTS,
    NODES,
    PODS,
    PVCS,
    PVS,
    SERVICEACCOUNTS,
    FakeCluster,
    kind,
)
from tests.tiers.objects.restoring import KINDS, Restoring

BINDINGS = kind("clusterrolebindings.rbac.authorization.k8s.io", "ClusterRoleBinding", namespaced=False)
ROLE_BINDINGS = kind("rolebindings.rbac.authorization.k8s.io", "RoleBinding")
PRIORITIES = kind("priorityclasses.scheduling.k8s.io", "PriorityClass", namespaced=False)
SNAPSHOTS = kind("volumesnapshots.snapshot.storage.k8s.io", "VolumeSnapshot")
CLASSES = kind("volumesnapshotclasses.snapshot.storage.k8s.io", "VolumeSnapshotClass", namespaced=False)
CONTENTS = kind("volumesnapshotcontents.snapshot.storage.k8s.io", "VolumeSnapshotContent", namespaced=False)
CRON_JOBS = kind("cronjobs.batch", "CronJob")
BOATS = kind("boats.example.org", "Boat")
ALL = (*BUILT_IN, BINDINGS, ROLE_BINDINGS, PRIORITIES, SNAPSHOTS, CLASSES, CONTENTS, CRON_JOBS, BOATS)
NEEDED = {
    "persistentvolumes": ["pv-shop"],
    BINDINGS.name: ["shop-reads"],
    CLUSTERROLES.name: ["edit", "reads"],
    PRIORITIES.name: ["gold", "lead", "silver"],
    CLASSES.name: ["fast"],
    CONTENTS.name: ["by-hand"],
    CRDS.name: [BOATS.name, SNAPSHOTS.name, CLASSES.name, CONTENTS.name],
}


def role(name):
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}


def account(namespace, name="app"):
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def template(priority):
    return {"template": {"spec": {"priorityClassName": priority}}}


def fleet(cluster, namespace, **more):
    """The same in any namespace, each with volumes, rights and classes of its own."""
    cluster.put(PVCS, "data", namespace, spec={"volumeName": f"pv-{namespace}"}, **more)
    cluster.put(PVCS, "waiting", namespace, spec={}, **more)
    cluster.put(PVS, f"pv-{namespace}", spec={"claimRef": {"namespace": namespace, "name": "data"}})
    cluster.put(SERVICEACCOUNTS, "app", namespace, **more)
    cluster.put(BINDINGS, f"{namespace}-reads", roleRef=role("reads"), subjects=[account(namespace)])


@pytest.fixture
def cluster():
    found = FakeCluster(*ALL)
    for namespace in ("shop", "bank"):
        fleet(found, namespace)
    found.put(BINDINGS, "others", roleRef=role("others"), subjects=[account("shop", "gone"), {"kind": "User"}])
    found.put(BINDINGS, "nobody", roleRef=role("others"))
    found.put(ROLE_BINDINGS, "edit", "shop", roleRef=role("edit"), subjects=[account("shop")])
    found.put(ROLE_BINDINGS, "own", "shop", roleRef={"kind": "Role", "name": "others"})
    for name in ("edit", "reads", "others"):
        found.put(CLUSTERROLES, name, rules=[])
    found.put(PODS, "lead", "shop", spec={"priorityClassName": "lead"})
    found.put(DEPLOYMENTS, "web", "shop", spec=template("gold"))
    found.put(CRON_JOBS, "nightly", "shop", spec={"jobTemplate": {"spec": template("silver")}})
    found.put(DEPLOYMENTS, "web", "bank", spec=template("iron"))
    for name in ("lead", "gold", "silver", "iron"):
        found.put(PRIORITIES, name, value=1)
    found.put(SNAPSHOTS, "old", "shop", spec={"volumeSnapshotClassName": "fast", "source": {}})
    found.put(SNAPSHOTS, "mine", "shop", spec={"source": {"volumeSnapshotContentName": "by-hand"}})
    for resource, name in ((CLASSES, "fast"), (CLASSES, "slow"), (CONTENTS, "by-hand"), (CONTENTS, "snapcontent-1")):
        found.put(resource, name)
    found.put(BOATS, "one", "shop")
    for name in (*NEEDED[CRDS.name], "cars.example.org", "deployments.apps"):
        found.put(CRDS, name)
    found.put(NODES, "server-1")
    return found


@pytest.fixture
def world(cluster, tmp_path):
    return Capturing(cluster, tmp_path, selection=Selection(namespaces=("shop",)))


def outside(world, made):
    """What is in no namespace, by kind, but the Namespaces."""
    found = {}
    for path in world.archive(made):
        _, name, where, *rest = path.split("/")
        if where == "cluster" and name != "namespaces":
            found.setdefault(name, []).append(rest[0].removesuffix(".json"))
    return {name: sorted(names) for name, names in found.items()}


def ordered(needed):
    return {name: sorted(names) for name, names in needed.items()}


def test_what_a_namespace_needs_is_taken_and_nothing_else(world):
    made = world.backup()
    assert made.state is State.COMPLETE, made.omissions
    assert outside(world, made) == ordered(NEEDED)
    assert made.contents["related"] == sum(map(len, NEEDED.values())) == 13
    assert made.contents["kinds"]["persistentvolumes"] == 1
    assert made.source["selection"]["cluster_scoped"] == "related"
    assert "nodes" in made.source["kinds_left_out"]
    assert PVS.name not in made.source["kinds_left_out"]
    assert world.json(made, "resource-list")["v1/PersistentVolume"] == ["pv-shop"]
    assert "includeClusterResources" not in world.json(made, "velero-backup")["spec"]
    assert world.verify(made).ok


def test_a_label_of_the_claim_is_enough(world, cluster):
    fleet(cluster, "harbour", labels={"team": "a"})
    world.selection = Selection(labels="team=a")
    made = world.backup()
    assert outside(world, made) == {
        PVS.name: ["pv-harbour"],
        BINDINGS.name: ["harbour-reads"],
        CLUSTERROLES.name: ["reads"],
    }
    assert "resources/namespaces/cluster/harbour.json" in world.archive(made)


def test_kinds_by_name_bring_what_they_need_too(world):
    world.selection = Selection(resources=("boats", "persistentvolumeclaims"))
    made = world.backup()
    assert outside(world, made) == {CRDS.name: [BOATS.name], PVS.name: ["pv-bank", "pv-shop"]}


def test_none_where_the_configuration_says_none(world, cluster):
    world.selection = Selection(namespaces=("shop",), cluster_scoped=False)
    made = world.backup()
    assert outside(world, made) == {}
    assert made.contents["related"] == 0
    assert made.source["selection"]["cluster_scoped"] is False
    assert world.json(made, "velero-backup")["spec"]["includeClusterResources"] is False
    assert ("list", PVS.name, "", "") not in cluster.calls


def test_a_kind_that_is_excluded_is_not_brought(world):
    world.selection = Selection(namespaces=("shop",), exclude_resources=("clusterroles", "customresourcedefinitions"))
    found = outside(world, world.backup())
    assert found == ordered(
        {name: names for name, names in NEEDED.items() if name not in {CLUSTERROLES.name, CRDS.name}}
    )


def test_all_of_them_where_everything_is_taken(world):
    world.selection = Selection()
    made = world.backup()
    assert outside(world, made)[PVS.name] == ["pv-bank", "pv-shop"]
    assert made.contents["related"] == 0


def test_a_kind_that_nothing_needs_is_not_listed(world, cluster):
    world.selection = Selection(namespaces=("shop",), resources=("pods",))
    cluster.fail("list", CRDS.name, ClusterDenied("may not list definitions"))
    made = world.backup()
    assert outside(world, made) == {PRIORITIES.name: ["lead"]}
    assert made.state is State.COMPLETE
    asked = {call[1] for call in cluster.calls if call[0] == "list"}
    assert asked == {"namespaces", "pods", PRIORITIES.name}


def test_a_kind_that_may_not_be_listed_is_named_with_what_to_do(world, cluster):
    cluster.fail("list", PVS.name, ClusterDenied("cannot list persistentvolumes"))
    made = world.backup()
    assert made.state is State.PARTIAL
    (omission,) = made.omissions
    assert omission.startswith("persistentvolumes: cannot list persistentvolumes; ")
    assert "`cluster_scoped: false`" in omission
    assert outside(world, made)[CLUSTERROLES.name] == ["edit", "reads"]


def test_what_is_labelled_stays_out_and_only_what_is_needed_is_counted(world, cluster):
    out = {"velero.io/exclude-from-backup": "true"}
    for namespace in ("shop", "bank"):
        cluster.put(BINDINGS, f"{namespace}-reads", labels=out, roleRef=role("reads"), subjects=[account(namespace)])
    made = world.backup()
    assert BINDINGS.name not in outside(world, made)
    assert outside(world, made)[CLUSTERROLES.name] == ["edit"]
    assert made.contents["left_out"]["labelled"] == 1


def test_a_preview_says_it_and_lists_nothing(world, cluster):
    found = capture.preview(world.schedule, world.world)
    assert found["title"].endswith("all 2 namespaces but 1, with what they need outside")
    assert found["related"] == sorted(NEEDED, key=lambda name: (name.partition(".")[2], name))
    assert {call[:2] for call in cluster.calls} == {("version", ""), ("discover", ""), ("list", "namespaces")}


def test_velero_is_left_to_find_it_itself(world, cluster):
    made = spec_of(world.schedule, choose(cluster, world.selection), "default")
    assert "includeClusterResources" not in made
    world.selection = Selection(exclude_namespaces=("bank",))
    assert velerofiles.spec(world.schedule)["includeClusterResources"] is True


@pytest.fixture
def restoring(cluster, tmp_path):
    """Restores of a backup of everything into a cluster that knows the kinds and has nothing."""
    objects = [body for (name, _, _), body in sorted(cluster.objects.items()) if name != SNAPSHOTS.name]
    named = {"ClusterRoleBinding", "ClusterRole", "PersistentVolume", "PriorityClass", "RoleBinding"}
    known = [body for body in objects if body["kind"] in named or body["metadata"].get("namespace") or
             body["kind"] == "Namespace"]  # fmt: skip
    return Restoring(tmp_path, known, FakeCluster(*KINDS, PRIORITIES, BOATS))


def test_a_restore_of_one_namespace_brings_what_it_needs(restoring):
    outcome = restoring.run(include_namespaces=["shop"])
    assert outcome.ok, outcome.findings
    for name in (PVS.name, BINDINGS.name, CLUSTERROLES.name, PRIORITIES.name):
        resource = next(one for one in (*KINDS, PRIORITIES) if one.name == name)
        assert restoring.cluster.names(resource) == sorted(NEEDED[name]), name


def test_a_restore_of_one_namespace_without_accounts_brings_no_rights_for_them(restoring):
    restoring.run(include_namespaces=["shop"], exclude_resources=["serviceaccounts"])
    assert restoring.cluster.names(BINDINGS) == []
    assert restoring.cluster.names(CLUSTERROLES) == ["edit"]


def test_a_restore_of_one_object_brings_what_that_needs(restoring):
    restoring.run(names=["deployments.apps/web"], include_namespaces=["shop"])
    assert restoring.cluster.names(PRIORITIES) == ["gold"]
    assert restoring.cluster.names(PVS) == restoring.cluster.names(CLUSTERROLES) == []


def test_a_restore_brings_nothing_where_that_was_said(restoring):
    restoring.run(include_namespaces=["shop"], cluster_scoped=False)
    assert restoring.cluster.names(PVS) == restoring.cluster.names(PRIORITIES) == []


def test_what_changed_is_told_of_what_is_needed_whatever_its_labels(world, cluster, tmp_path):
    fleet(cluster, "harbour", labels={"team": "a"})
    world.selection = Selection(labels="team=a")
    objects = [
        body
        for (name, namespace, own), body in cluster.objects.items()
        if namespace == "harbour" or (name, own) in {(PVS.name, "pv-harbour"), (BINDINGS.name, "harbour-reads")}
    ]
    with Restoring(tmp_path, objects).opened() as archive:
        assert list(against_cluster(world.schedule, world.world, archive)) == []
        cluster.delete(BINDINGS, "harbour-reads")
        cluster.put(BINDINGS, "harbour-more", roleRef=role("reads"), subjects=[account("harbour")])
        changes = {(one.change.value, one.name) for one in against_cluster(world.schedule, world.world, archive)}
    assert changes == {("removed", "harbour-reads"), ("added", "harbour-more")}
