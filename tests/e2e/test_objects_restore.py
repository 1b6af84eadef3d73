"""Objects restored into a real API server: round trips, what is in the way, and a plan that says what will happen."""

import json
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from backstay.cluster.client import connect
from backstay.cluster.kubeconfig import Access
from backstay.core.errors import ObjectNotFound
from backstay.core.model import NoProgress
from backstay.tiers.base import ScratchJournal
from backstay.tiers.objects.archive.paths import path_of
from backstay.tiers.objects.archive.writer import END, TarWriter
from backstay.tiers.objects.difference import against_cluster
from backstay.tiers.objects.restore.existing import NAMESPACE
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.request import Options
from backstay.tiers.objects.restore.run import Restore
from tests.tiers.objects.restoring import AT, MARK, SCHEDULE, STAMP, ArchiveSource, Restoring, bare_plan

GROUP = "restoring.example.com"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
LABELS = {"app": "web"}
PODS = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "registry.invalid/web:1"}]}}
JOB_PODS = {"spec": {**PODS["spec"], "restartPolicy": "Never"}}


def of(api, kind, name, **fields):
    metadata = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def many_kinds(namespace):
    """One object of most kinds that live in a namespace."""
    subject = {"kind": "ServiceAccount", "name": "app", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    selector = {"selector": {"matchLabels": LABELS}, "template": PODS}
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
    rbac = "rbac.authorization.k8s.io/v1"
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "none",
    }
    return [
        of("v1", "ConfigMap", "settings", data={"a": "1"}, metadata={"finalizers": ["example.com/kept"]}),
        of("v1", "ConfigMap", "fixed", data={"a": "1"}, immutable=True),
        of("v1", "Secret", "secret", stringData={"a": "b"}, immutable=True),
        of("v1", "ServiceAccount", "app", imagePullSecrets=[{"name": "registry"}]),
        of("v1", "Service", "web", spec={"selector": LABELS, "ports": [{"port": 80}], "type": "NodePort"}),
        of("v1", "Service", "headless", spec={"clusterIP": "None", "selector": LABELS, "ports": [{"port": 80}]}),
        of("v1", "LimitRange", "limits", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}}]}),
        of("v1", "PersistentVolumeClaim", "data", spec=claim),
        of("v1", "Pod", "alone", spec=PODS["spec"]),
        of("apps/v1", "Deployment", "web", spec={"replicas": 2, **selector}),
        of("apps/v1", "StatefulSet", "db", spec={"replicas": 1, "serviceName": "headless", **selector}),
        of("apps/v1", "DaemonSet", "agent", spec=selector),
        of("batch/v1", "Job", "once", spec={"template": JOB_PODS}),
        of(
            "batch/v1",
            "CronJob",
            "nightly",
            spec={"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": JOB_PODS}}},
        ),
        of("networking.k8s.io/v1", "Ingress", "web", spec={"rules": rules}),
        of("networking.k8s.io/v1", "NetworkPolicy", "none", spec={"podSelector": {}, "policyTypes": ["Ingress"]}),
        of("policy/v1", "PodDisruptionBudget", "web", spec={"minAvailable": 1, "selector": {"matchLabels": LABELS}}),
        of(rbac, "Role", "reader", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
        of(rbac, "RoleBinding", "readers", roleRef=role, subjects=[subject]),
        of("v1", "ResourceQuota", "most", spec={"hard": {"pods": "10"}}),
    ]


def definition(plural, kind, *, with_status):
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    more = {"subresources": {"status": {}}} if with_status else {}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": schema, **more} for name in ("v1", "v1beta1")
    ]
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": versions}
    return of("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{GROUP}", spec=spec)


class Live(Restoring):
    """A namespace of a real cluster, its objects as an archive, and restores of it."""

    def __init__(self, folder, cluster):
        super().__init__(folder, [], cluster)
        self.chunks = []

    @property
    def source(self):
        return ArchiveSource(self.chunks)

    @property
    def patience(self):
        return Patience(gone=3)

    @property
    def kinds(self):
        return {kind.name: kind for kind in self.cluster.discover().resources}

    def make(self, namespace, objects):
        kinds = {(kind.api_version, kind.kind): kind for kind in self.cluster.discover().resources}
        for body in objects:
            kind = kinds[body["apiVersion"], body["kind"]]
            place = {"namespace": namespace} if kind.namespaced else {}
            self.cluster.create(kind, {**body, "metadata": {**body["metadata"], **place}})

    def take(self, namespace, definitions=()):
        """Everything of the namespace, as it is."""
        writer = TarWriter(AT)
        chunks = []
        for kind in self.cluster.discover().resources:
            if "list" not in kind.verbs or "create" not in kind.verbs:
                continue
            if kind.namespaced:
                found = list(self.cluster.list(kind, namespace=namespace))
            else:
                wanted = {namespace} if kind.name == "namespaces" else set(definitions)
                found = [item for item in self.cluster.list(kind) if item.name in wanted]
            chunks += [writer.member(path_of(kind.name, item.namespace, item.name), item.json) for item in found]
        self.chunks = [*chunks, END]

    def restore(self, *, stamp=STAMP, **options):
        plan = bare_plan(**options)
        plan = replace(plan, details={**plan.details, "stamp": stamp})
        return Restore(self.world, plan, ScratchJournal(), NoProgress(), patience=self.patience).run(self.source)

    def differences(self, namespace):
        with self.opened() as before:
            found = against_cluster(SCHEDULE, self.world, before, Options(include_namespaces=(namespace,)))
            return [one.as_data() for one in found]

    def get(self, resource, name, namespace=""):
        return self.cluster.get(self.kinds[resource], name, namespace)

    def wipe(self, namespace):
        """Delete the namespace and wait until it is gone."""
        for item in self.cluster.list(self.kinds["configmaps"], namespace=namespace):
            body = json.loads(item.json)
            if body["metadata"].pop("finalizers", None):
                self.cluster.replace(self.kinds["configmaps"], body)
        self.cluster.delete(NAMESPACE, namespace)
        wait(lambda: self._is_gone(namespace))

    def _is_gone(self, namespace):
        try:
            self.cluster.get(NAMESPACE, namespace)
        except ObjectNotFound:
            return True
        return False


def wait(condition, seconds=60, seen=lambda: ""):
    """Until it holds; ``seen`` says what is there instead."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not come about: {seen()}"
        time.sleep(0.2)


@pytest.fixture
def live(control_plane, tmp_path):
    cluster = connect(Access(kubeconfig=control_plane.kubeconfig))
    yield Live(tmp_path, cluster)
    cluster.close()


@pytest.fixture
def copy(control_plane, live, namespace):
    """The name of a namespace that is not there yet; gone afterwards."""
    name = f"{namespace}-copy"
    yield name
    if not live._is_gone(name):
        live.wipe(name)


@pytest.fixture
def full(live, namespace):
    """The namespace with one of each kind, settled."""
    live.make(namespace, many_kinds(namespace))
    wait(lambda: live.get("deployments.apps", "web", namespace).get("status", {}).get("observedGeneration"))
    wait(lambda: len(list(live.cluster.list(live.kinds["pods"], namespace=namespace))) >= 4)
    yield live
    if not live._is_gone(namespace):
        for item in live.cluster.list(live.kinds["configmaps"], namespace=namespace):
            body = json.loads(item.json)
            if body["metadata"].pop("finalizers", None):
                live.cluster.replace(live.kinds["configmaps"], body)


def test_back_into_an_emptied_cluster(full, namespace):
    full.take(namespace)
    full.wipe(namespace)
    outcome = full.restore(preserve_node_ports=True)
    assert outcome.ok, outcome.findings
    assert outcome.facts["created"] >= 22
    # Once controllers have taken their history back.
    wait(lambda: full.differences(namespace) == [], seen=lambda: full.differences(namespace))
    wait(lambda: len(list(full.cluster.list(full.kinds["pods"], namespace=namespace))) >= 4)
    [history] = full.cluster.list(full.kinds["replicasets.apps"], namespace=namespace)
    wait(lambda: full.get("replicasets.apps", history.name, namespace)["spec"]["replicas"] == 2)
    assert full.get("replicasets.apps", history.name, namespace)["metadata"]["ownerReferences"][0]["name"] == "web"


def test_into_another_namespace(full, namespace, copy):
    full.take(namespace)
    outcome = full.restore(include_namespaces=[namespace], namespace_map={namespace: copy})
    assert outcome.ok, outcome.findings
    [subject] = full.get("rolebindings.rbac.authorization.k8s.io", "readers", copy)["subjects"]
    assert subject["namespace"] == copy
    assert full.get("configmaps", "settings", copy)["metadata"]["finalizers"] == ["example.com/kept"]
    labels = full.get("namespaces", copy)["metadata"]["labels"]
    assert labels["kubernetes.io/metadata.name"] == copy
    assert MARK in labels
    one, other = (full.get("services", "web", place)["spec"]["ports"][0]["nodePort"] for place in (namespace, copy))
    assert one != other


def test_a_second_time_changes_nothing(full, namespace, copy):
    full.take(namespace)
    given = {"include_namespaces": [namespace], "namespace_map": {namespace: copy}}
    full.restore(**given)
    before = full.get("deployments.apps", "web", copy)["metadata"]["generation"]
    outcome = full.restore(**given, existing="update")
    assert outcome.ok, outcome.findings
    assert outcome.facts["updated"] == outcome.facts["failed"] == 0
    assert full.get("deployments.apps", "web", copy)["metadata"]["generation"] == before


@pytest.mark.parametrize("policy", ["skip", "update", "recreate"])
def test_the_run_does_what_the_plan_says(full, namespace, policy):
    full.take(namespace)
    settings = full.get("configmaps", "settings", namespace)
    full.cluster.replace(full.kinds["configmaps"], {**settings, "data": {"a": "mine"}})
    full.cluster.delete(full.kinds["services"], "web", namespace)
    deployment = full.get("deployments.apps", "web", namespace)
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/web:2"
    if policy != "recreate":
        full.cluster.replace(full.kinds["deployments.apps"], deployment)
    else:  # what has a finalizer cannot be made again
        settings = full.get("configmaps", "settings", namespace)
        settings["metadata"].pop("finalizers")
        full.cluster.replace(full.kinds["configmaps"], settings)
    plan = full.plan(existing=policy)
    assert full.get("configmaps", "settings", namespace)["data"]["a"] == "mine"
    counts, facts = plan.details["counts"], full.restore(existing=policy).facts
    assert counts["conflict"] == facts["failed"] == 0, plan.notes
    assert counts["create"] == facts["created"] == 1, facts["kinds"]
    assert counts["change"] == facts["updated"]
    assert counts["recreate"] == facts["recreated"]
    assert counts["unchanged"] == facts["unchanged"]
    expected = "mine" if policy == "skip" else "1"
    assert full.get("configmaps", "settings", namespace)["data"]["a"] == expected


def test_what_can_never_change_is_said_and_made_again_when_asked(full, namespace):
    full.take(namespace)
    secrets = full.kinds["secrets"]
    full.cluster.delete(secrets, "secret", namespace)
    full.make(namespace, [of("v1", "Secret", "secret", stringData={"a": "other"}, immutable=True)])
    plan = full.plan(existing="update")
    assert plan.details["counts"]["conflict"] == 1
    outcome = full.restore(existing="update")
    assert not outcome.ok
    assert "immutable" in outcome.findings[0].message
    assert full.restore(existing="recreate").ok
    assert full.get("secrets", "secret", namespace)["data"]["a"] == "Yg=="


def test_half_restored_and_resumed(full, namespace, copy):
    full.take(namespace)
    given = {"include_namespaces": [namespace], "namespace_map": {namespace: copy}}
    full.restore(**given, resources=["configmaps", "secrets"])
    outcome = full.restore(**given)
    assert outcome.ok, outcome.findings
    assert outcome.facts["created"] >= 20


def test_a_namespace_on_its_way_out_is_told_of(full, namespace):
    full.take(namespace)
    full.cluster.delete(NAMESPACE, namespace)
    wait(lambda: "example.com/kept" in str(full.get("namespaces", namespace)["status"]))
    outcome = full.restore()
    assert not outcome.ok
    assert "is still being deleted" in outcome.findings[0].message
    assert "example.com/kept" in outcome.findings[0].message


def test_a_quota_that_is_full_is_told_of(live, namespace, copy):
    live.make(namespace, [of("v1", "Pod", f"p{number}", spec=PODS["spec"]) for number in range(2)])
    live.take(namespace)
    live.make("", [of("v1", "Namespace", copy)])
    live.make(copy, [of("v1", "ResourceQuota", "most", spec={"hard": {"pods": "1"}})])
    wait(lambda: live.get("resourcequotas", "most", copy).get("status", {}).get("hard"))
    outcome = live.restore(include_namespaces=[namespace], namespace_map={namespace: copy})
    assert outcome.facts["failed"] == 1
    assert "exceeded quota" in outcome.findings[0].message


def test_custom_resources_come_after_their_definitions(live, namespace):
    definitions = [definition("boats", "Boat", with_status=True), definition("rafts", "Raft", with_status=False)]
    live.make("", definitions)
    names = [one["metadata"]["name"] for one in definitions]
    wait(lambda: {*names} <= {*live.kinds})
    live.make(namespace, [of(f"{GROUP}/v1", kind, "one", spec={"size": 3}) for kind in ("Boat", "Raft")])
    boat, raft = (live.get(name, "one", namespace) for name in names)
    live.cluster.replace(live.kinds[names[0]], {**boat, "status": {"afloat": True}}, subresource="status")
    live.cluster.replace(live.kinds[names[1]], {**raft, "status": {"afloat": True}})
    reference = {"apiVersion": f"{GROUP}/v1", "kind": "Boat", "name": "one", "uid": boat["metadata"]["uid"]}
    live.make(namespace, [of("v1", "Secret", "of-the-boat", metadata={"ownerReferences": [reference]})])
    live.take(namespace, names)
    for name in names:
        live.cluster.delete(live.kinds[CRDS], name)
    wait(lambda: not {*names} & {*live.kinds})
    with suppress(ObjectNotFound):  # the garbage collector may have been first
        live.cluster.delete(live.kinds["secrets"], "of-the-boat", namespace)
    try:
        outcome = live.restore(include_namespaces=[namespace], with_status=[f"*.{GROUP}"])
        assert outcome.ok, outcome.findings
        for name in names:
            found = live.get(name, "one", namespace)
            assert (found["spec"], found["status"]) == ({"size": 3}, {"afloat": True})
        [owner] = live.get("secrets", "of-the-boat", namespace)["metadata"]["ownerReferences"]
        assert owner["uid"] == live.get(names[0], "one", namespace)["metadata"]["uid"]
        time.sleep(2)  # the garbage collector would have it by now
        assert live.get("secrets", "of-the-boat", namespace)
    finally:
        for name in names:
            live.cluster.delete(live.kinds[CRDS], name)


def test_what_does_not_run_is_told_of(full, namespace, copy):
    full.take(namespace)
    outcome = full.restore(include_namespaces=[namespace], namespace_map={namespace: copy}, wait_seconds=3)
    assert not outcome.ok
    found = [finding.message for finding in outcome.findings if finding.code == "restore.not_ready"]
    assert any(
        message.startswith(f"deployments.apps {copy}/web is not ready after 3 s: 0 of 2 ready") for message in found
    )
    options = {"include_namespaces": [namespace], "namespace_map": {namespace: copy}, "wait_seconds": 3}
    again = full.restore(stamp="20261126-113100", **options)
    assert not again.ok
    assert again.facts["created"] == 0
    assert [finding.message for finding in again.findings if finding.code == "restore.not_ready"] == found


def test_what_belongs_to_an_object_made_again_belongs_to_the_new_one(live, namespace):
    """A ConfigMap as the owner: the garbage collector knows its kind from the start."""
    live.make(namespace, [of("v1", "ConfigMap", "main", data={"size": "1"})])
    main = live.get("configmaps", "main", namespace)
    belongs = {"ownerReferences": [reference_to(main)]}
    claim = next(one for one in many_kinds(namespace) if one["kind"] == "PersistentVolumeClaim")
    live.make(
        namespace,
        [of("v1", "Secret", "password", metadata=belongs), {**claim, "metadata": {"name": "data", **belongs}}],
    )
    live.take(namespace)
    live.cluster.replace(live.kinds["configmaps"], {**main, "data": {"size": "2"}})
    outcome = live.restore(existing="recreate")
    assert outcome.ok, outcome.findings
    assert outcome.facts["recreated"] == 1
    new = live.get("configmaps", "main", namespace)
    assert new["metadata"]["uid"] != main["metadata"]["uid"]
    time.sleep(3)  # the garbage collector would have them by now
    for kind, name in (("secrets", "password"), ("persistentvolumeclaims", "data")):
        found = live.get(kind, name, namespace)["metadata"]
        assert found["ownerReferences"] == [reference_to(new)]
        assert "deletionTimestamp" not in found


def test_a_workload_made_again_takes_over_what_it_had(live, namespace):
    """But a job, which takes no pod of another one: its pods go with it."""
    changed = ("deployments.apps web", "statefulsets.apps db", "services web", "jobs.batch once")
    objects = [one for one in many_kinds(namespace) if one["kind"] in {"Deployment", "StatefulSet", "Service", "Job"}]
    other = {"app": "db"}  # what has no owner is taken by any workload whose selector fits
    stateful = next(one for one in objects if one["kind"] == "StatefulSet")
    pods = {**PODS, "metadata": {"labels": other}}
    stateful["spec"] = {**stateful["spec"], "selector": {"matchLabels": other}, "template": pods}
    live.make(namespace, objects)
    wait(lambda: {name: len(uids) for name, uids in pods_of(live, namespace).items()} == {"web": 2, "db": 1, "once": 1})
    live.take(namespace)
    before = pods_of(live, namespace)
    for kind, name in (one.split() for one in changed):
        found = live.get(kind, name, namespace)
        live.cluster.replace(live.kinds[kind], {**found, "metadata": {**found["metadata"], "labels": {"other": "now"}}})
    outcome = live.restore(existing="recreate")
    assert outcome.ok, outcome.findings
    assert outcome.facts["recreated"] == len(changed), outcome.facts["kinds"]

    def settled():
        now = pods_of(live, namespace)
        new = now.pop("once", set())
        return len(new) == 1 and not new & before["once"] and now == {name: before[name] for name in ("web", "db")}

    wait(settled, seen=lambda: (before, pods_of(live, namespace)))
    wait(lambda: live.differences(namespace) == [], seen=lambda: live.differences(namespace))
    owners = {
        owner["uid"]
        for kind in ("replicasets.apps", "pods")
        for item in live.cluster.list(live.kinds[kind], namespace=namespace)
        for owner in json.loads(item.json)["metadata"]["ownerReferences"]
    }
    assert {live.get(*one.split(), namespace)["metadata"]["uid"] for one in changed if "services" not in one} <= owners


def pods_of(live, namespace):
    """The uids of pods that are not on their way out, by the beginning of their names."""
    found = {}
    for item in live.cluster.list(live.kinds["pods"], namespace=namespace):
        if not item.deleting:
            found.setdefault(item.name.partition("-")[0], set()).add(item.uid)
    return found


def reference_to(body):
    kept = {key: body["metadata"][key] for key in ("name", "uid")}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "controller": True, **kept}


def test_claims_of_a_stateful_set_that_deletes_them_stay(live, namespace):
    claim = next(one for one in many_kinds(namespace) if one["kind"] == "PersistentVolumeClaim")
    stateful = next(one for one in many_kinds(namespace) if one["kind"] == "StatefulSet")
    retention = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}
    live.make(namespace, [{**stateful, "spec": {**stateful["spec"], **retention, "volumeClaimTemplates": [claim]}}])
    wait(lambda: owners_of_claim(live, namespace))
    live.take(namespace)
    found = live.get("statefulsets.apps", "db", namespace)
    live.cluster.replace(
        live.kinds["statefulsets.apps"], {**found, "metadata": {**found["metadata"], "labels": {"a": "b"}}}
    )
    before = live.get("persistentvolumeclaims", "data-db-0", namespace)["metadata"]["uid"]
    outcome = live.restore(existing="recreate")
    assert outcome.ok, outcome.findings
    assert outcome.facts["recreated"] == 1
    new = live.get("statefulsets.apps", "db", namespace)["metadata"]["uid"]
    wait(lambda: owners_of_claim(live, namespace) == [new])
    after = live.get("persistentvolumeclaims", "data-db-0", namespace)["metadata"]
    assert after["uid"] == before
    assert "deletionTimestamp" not in after


def owners_of_claim(live, namespace):
    try:
        found = live.get("persistentvolumeclaims", "data-db-0", namespace)["metadata"]
    except ObjectNotFound:
        return []
    return [owner["uid"] for owner in found.get("ownerReferences", ())]


def test_what_uses_up_ports_and_quotas_is_the_same_already(live, namespace):
    port = {"port": 80, "nodePort": 30080}
    applied = json.dumps({"spec": {"ports": [port]}})
    annotations = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}
    live.make(
        namespace,
        [
            of("v1", "Service", "web", spec={"type": "NodePort", "ports": [port]}, metadata=annotations),
            of("v1", "ResourceQuota", "most", spec={"hard": {"count/secrets": "1"}}),
        ],
    )
    wait(lambda: live.get("resourcequotas", "most", namespace).get("status", {}).get("hard"))
    live.make(namespace, [of("v1", "Secret", "one", stringData={"a": "b"})])
    wait(lambda: live.get("resourcequotas", "most", namespace)["status"]["used"] == {"count/secrets": "1"})
    live.take(namespace)
    for policy in ("skip", "update", "recreate"):
        counts = live.plan(existing=policy).details["counts"]
        outcome = live.restore(existing=policy)
        assert outcome.ok, outcome.findings
        assert outcome.facts["unchanged"] == counts["unchanged"] >= 4
