"""A restore of objects into a cluster in memory: what comes back, what stays, and after a kill."""

import pytest

from backstay.core.errors import ClusterUnreachable, ObjectInvalid, RestoreError
from backstay.tiers.base import ScratchJournal
from tests.tiers.objects import fake_cluster as fakes
from tests.tiers.objects.restoring import KINDS, MARK, STAMP, Restoring, established, owner, stored

WIDGETS = fakes.kind("widgets.example.com", "Widget")


def shop():
    """A small shop: most rules at once."""
    deployment = {"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}}}
    return [
        stored("Namespace", "shop", labels={"team": "a", "kubernetes.io/metadata.name": "shop"}),
        stored("ConfigMap", "settings", "shop", data={"a": "1"}),
        stored("ConfigMap", "kube-root-ca.crt", "shop", data={"ca.crt": "old"}),
        stored(
            "Secret", "token", "shop", data={"x": "eA=="}, ownerReferences=[owner("Widget", "one", "example.com/v1")]
        ),
        stored("Deployment", "web", "shop", api="apps/v1", **deployment),
        stored(
            "ReplicaSet",
            "web-5d",
            "shop",
            api="apps/v1",
            spec={"replicas": 2},
            labels={"pod-template-hash": "5d"},
            ownerReferences=[owner("Deployment", "web")],
        ),
        stored("Pod", "web-5d-x", "shop", spec={}, ownerReferences=[owner("ReplicaSet", "web-5d")]),
        stored("Pod", "alone", "shop", spec={"nodeName": "n1", "priority": 0}, status={"phase": "Running"}),
        stored("Service", "web", "shop", spec={"clusterIP": "10.1.2.3", "ports": [{"port": 80, "nodePort": 30123}]}),
        stored("ResourceQuota", "most", "shop", spec={"hard": {"pods": "4"}}),
        stored("Node", "n1"),
        stored(
            "CustomResourceDefinition",
            WIDGETS.name,
            api="apiextensions.k8s.io/v1",
            spec={"names": {"kind": "Widget"}},
        ),
        stored("Widget", "one", "shop", api="example.com/v1", spec={"size": 3}),
        stored(
            "ValidatingWebhookConfiguration",
            "guard",
            api="admissionregistration.k8s.io/v1",
            webhooks=[{"name": "a.b.c", "sideEffects": "Unknown"}],
        ),
    ]


@pytest.fixture
def restoring(tmp_path):
    found = Restoring(tmp_path, shop())
    found.cluster.resources[fakes.CRDS.name] = fakes.kind(fakes.CRDS.name, "CustomResourceDefinition", namespaced=False)
    found.cluster.resources[fakes.CRDS.name] = fakes.Resource(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        False,
        fakes.VERBS,
        ("v1",),
    )
    established(found.cluster, WIDGETS)
    return found


def test_everything_comes_back_in_waves(restoring):
    outcome = restoring.run()
    assert outcome.ok, outcome.findings
    created = [call[1] for call in restoring.cluster.calls if call[0] == "create"]
    order = [
        created.index(name)
        for name in (fakes.CRDS.name, "namespaces", "secrets", "pods", "deployments.apps", "replicasets.apps")
    ]
    assert order == sorted(order)
    assert created.index("deployments.apps") < created.index("resourcequotas")
    assert created[-1] == "validatingwebhookconfigurations.admissionregistration.k8s.io"
    assert outcome.facts["created"] == 11
    assert outcome.facts["skipped"] == 3  # the pod of the Deployment, the CA, the node
    assert restoring.cluster.peek(WIDGETS, "one", "shop")["spec"] == {"size": 3}


def test_one_request_for_each_new_object(restoring):
    restoring.run()
    of_objects = [call for call in restoring.cluster.calls if call[1] == "configmaps"]
    assert of_objects == [("create", "configmaps", "shop", "settings")]


def test_what_the_old_cluster_wrote_is_taken_out(restoring):
    restoring.run()
    pod = restoring.cluster.peek(fakes.PODS, "alone", "shop")
    assert "nodeName" not in pod["spec"]
    assert "status" not in pod
    assert pod["metadata"]["labels"] == {MARK: STAMP}
    assert pod["metadata"]["uid"] != "old-Pod-alone"
    service = restoring.cluster.peek(fakes.SERVICES, "web", "shop")
    assert service["spec"] == {"ports": [{"port": 80}]}


def test_owners_are_given_back_by_their_new_uid(restoring):
    restoring.run()
    widget = restoring.cluster.peek(WIDGETS, "one", "shop")
    [reference] = restoring.cluster.peek(fakes.SECRETS, "token", "shop")["metadata"]["ownerReferences"]
    assert reference["uid"] == widget["metadata"]["uid"]


def test_replica_sets_of_a_deployment_come_without_pods(restoring):
    restoring.run()
    found = restoring.cluster.peek(fakes.kind("replicasets.apps", "ReplicaSet"), "web-5d", "shop")
    assert found["spec"]["replicas"] == 0
    [reference] = found["metadata"]["ownerReferences"]
    assert reference["uid"] == restoring.cluster.peek(fakes.DEPLOYMENTS, "web", "shop")["metadata"]["uid"]


def test_history_without_its_owner_is_not_made(restoring):
    restoring.cluster.fail("create", "deployments.apps", ObjectInvalid("no"))
    outcome = restoring.run()
    assert [finding.message for finding in outcome.findings[:2]] == [
        "deployments.apps shop/web: no",
        "replicasets.apps shop/web-5d: its owner is not there",
    ]


def test_history_that_the_new_owner_made_first_counts_as_made(restoring):
    create = restoring.cluster.create

    def with_set(resource, body, *, dry_run=False):
        made = create(resource, body, dry_run=dry_run)
        if resource.name == "deployments.apps":
            restoring.cluster.put(fakes.kind("replicasets.apps", "ReplicaSet"), "web-5d", "shop", spec={"replicas": 2})
        return made

    restoring.cluster.create = with_set
    assert restoring.run().facts["created"] == 11


def test_a_pod_stays_where_its_owner_is_not_restored(restoring):
    outcome = restoring.run(resources=["pods"])
    assert restoring.cluster.names(fakes.PODS) == ["alone", "web-5d-x"]
    assert outcome.facts["created"] == 3 - 1
    assert restoring.cluster.peek(fakes.NAMESPACES, "shop")["metadata"]["labels"]["team"] == "a"


def test_again_is_the_same(restoring):
    restoring.run()
    before = restoring.state()
    restoring.cluster.calls.clear()
    outcome = restoring.run()
    assert outcome.ok
    assert restoring.state() == before


def test_a_second_restore_finds_everything_unchanged(restoring):
    restoring.run()
    for body in restoring.cluster.objects.values():
        body["metadata"].get("labels", {}).pop(MARK, None)
    outcome = restoring.run(existing="update")
    assert outcome.facts["unchanged"] == 11
    assert outcome.facts["updated"] == 0


class TestExisting:
    def test_left_alone(self, restoring):
        restoring.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine"})
        outcome = restoring.run()
        assert restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "shop")["data"] == {"a": "mine"}
        assert any("left alone" in finding.message for finding in outcome.findings)
        assert outcome.ok

    def test_updated_to_what_the_backup_has(self, restoring):
        restoring.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine", "b": "2"}, finalizers=["x/y"])
        uid = restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "shop")["metadata"]["uid"]
        outcome = restoring.run(existing="update")
        found = restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "shop")
        assert found["data"] == {"a": "1"}
        assert found["metadata"]["uid"] == uid
        assert found["metadata"]["finalizers"] == ["x/y"]
        assert MARK not in found["metadata"].get("labels", {})
        assert outcome.facts["updated"] == 2  # and the namespace, which lacked its label

    def test_made_again(self, restoring):
        restoring.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine"})
        uid = restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "shop")["metadata"]["uid"]
        outcome = restoring.run(existing="recreate")
        assert restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "shop")["metadata"]["uid"] != uid
        assert outcome.facts["recreated"] == 1

    @pytest.mark.parametrize("policy", ["skip", "update", "recreate"])
    def test_a_namespace_is_never_deleted(self, restoring, policy):
        restoring.cluster.put(fakes.NAMESPACES, "shop", labels={"team": "b"})
        restoring.run(existing=policy)
        assert not [call for call in restoring.cluster.calls if call[0] == "delete"]

    def test_nothing_is_deleted_without_recreate(self, restoring):
        restoring.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine"})
        restoring.run(existing="update")
        assert not [call for call in restoring.cluster.calls if call[0] == "delete"]

    def test_one_that_is_being_deleted_is_waited_for_and_told_of(self, restoring):
        restoring.cluster.put(
            fakes.CONFIGMAPS, "settings", "shop", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a/b"]
        )
        outcome = restoring.run()
        assert not outcome.ok
        assert any("finalizers a/b" in finding.message for finding in outcome.findings)

    def test_a_namespace_that_is_ending_is_told_of(self, restoring):
        restoring.cluster.put(
            fakes.NAMESPACES, "shop", deletionTimestamp="2026-01-01T00:00:00Z", spec={"finalizers": ["k"]}
        )
        outcome = restoring.run()
        assert not outcome.ok
        assert outcome.facts["failed"] >= 8
        assert "still being deleted" in outcome.findings[0].message


class TestFailures:
    def test_all_are_collected(self, restoring):
        restoring.cluster.fail("create", "configmaps", ObjectInvalid("no such field"))
        restoring.cluster.fail("create", "services", ObjectInvalid("the port is taken"))
        outcome = restoring.run()
        assert not outcome.ok
        assert outcome.facts["failed"] == 2
        assert [finding.message for finding in outcome.findings[:2]] == [
            "configmaps shop/settings: no such field",
            "services shop/web: the port is taken",
        ]

    def test_a_kind_that_is_not_there_is_told_once(self, restoring):
        outcome = restoring.run(exclude_resources=[fakes.CRDS.name])
        assert outcome.facts["failed"] == 1
        assert "1 object of widgets.example.com: the cluster does not have this kind" in outcome.findings[0].message

    def test_a_quota_is_waited_for(self, restoring):
        restoring.cluster.fail("create", "pods", ObjectInvalid("exceeded quota: most"), times=2)
        assert restoring.run().ok

    def test_a_cluster_that_goes_away_ends_it(self, restoring):
        restoring.cluster.fail("create", "services", ClusterUnreachable("gone"))
        restoring.cluster.fail("version", "", ClusterUnreachable("gone"))
        with pytest.raises(RestoreError, match="went away") as caught:
            restoring.run()
        assert "--resume" in caught.value.hint

    def test_one_that_alone_is_not_answered_is_a_failure(self, restoring):
        restoring.cluster.fail("create", "services", ClusterUnreachable("webhook timed out"))
        assert restoring.run().facts["failed"] == 1


class Killed(BaseException):
    """As if the process were gone."""


def calls_of_a_whole_run(tmp_path):
    whole = Restoring(tmp_path / "whole", shop())
    established(whole.cluster, WIDGETS)
    return whole


@pytest.mark.parametrize("policy", ["skip", "recreate"])
def test_killed_at_any_call_and_resumed_it_ends_the_same(tmp_path, policy):
    def fresh(name):
        found = Restoring(tmp_path / name, shop(), fakes.FakeCluster(*KINDS), threads=1)
        established(found.cluster, WIDGETS)
        found.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine"})
        return found

    whole = fresh("whole")
    assert whole.run(existing=policy).ok
    expected, total = whole.state(), len(whole.cluster.calls)
    for number in range(total):
        one, journal = fresh(f"n{number}"), ScratchJournal()
        before = len(one.cluster.calls)
        called = one.cluster._called

        def dying(*given, called=called, one=one, before=before, number=number):
            if len(one.cluster.calls) - before >= number:
                raise Killed
            called(*given)

        one.cluster._called = dying
        with pytest.raises(Killed):
            one.run(journal, existing=policy)
        one.cluster._called = called
        assert one.run(journal, existing=policy).ok
        assert one.state() == expected, number


def test_killed_at_any_step_of_the_journal(tmp_path):
    class Dying(ScratchJournal):
        left = 0

        def record(self, step, **facts):
            if not self.left:
                raise Killed
            self.left -= 1
            super().record(step, **facts)

    expected = None
    for number in range(20, -1, -1):
        one, journal = Restoring(tmp_path / str(number), shop()), Dying()
        established(one.cluster, WIDGETS)
        journal.left = number
        try:
            one.run(journal)
        except Killed:
            journal.left = 99
            assert one.run(journal).ok
        expected = expected or one.state()
        assert one.state() == expected


class TestMaps:
    def test_into_another_namespace(self, restoring):
        outcome = restoring.run(include_namespaces=["shop"], namespace_map={"shop": "copy"})
        assert outcome.ok
        assert restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "copy")["data"] == {"a": "1"}
        assert restoring.cluster.names(fakes.NAMESPACES) == ["copy"]
        assert not restoring.cluster.names(fakes.CONFIGMAPS, "shop")
        [reference] = restoring.cluster.peek(fakes.SECRETS, "token", "copy")["metadata"]["ownerReferences"]
        assert reference["uid"] == restoring.cluster.peek(WIDGETS, "one", "copy")["metadata"]["uid"]

    def test_workloads_at_rest(self, restoring):
        restoring.run(replicas_zero=True)
        assert restoring.cluster.peek(fakes.DEPLOYMENTS, "web", "shop")["spec"]["replicas"] == 0
        assert not restoring.cluster.names(fakes.PODS)

    def test_modifiers_that_do_not_fit_fail_their_object(self, restoring):
        rule = {
            "conditions": {"groupResource": "configmaps"},
            "patches": [{"operation": "remove", "path": "/data/absent"}],
        }
        outcome = restoring.run(modifiers=[rule])
        assert "a resource modifier does not fit" in outcome.findings[0].message
        assert not restoring.cluster.names(fakes.CONFIGMAPS)


def test_status_comes_back_when_asked(restoring):
    restoring.run(with_status=["pods"])
    assert restoring.cluster.peek(fakes.PODS, "alone", "shop")["status"] == {"phase": "Running"}


def test_names_bring_what_they_name_and_what_it_needs(restoring):
    outcome = restoring.run(names=["widgets.example.com/one"])
    assert outcome.ok, outcome.findings
    assert outcome.facts["kinds"] == {fakes.CRDS.name: {"created": 1}, WIDGETS.name: {"created": 1}}
    assert restoring.cluster.names(fakes.NAMESPACES) == ["shop"]


class TestDefaultAccount:
    def test_gets_its_pull_secrets_in_a_new_namespace(self, restoring):
        secrets = [{"name": "registry"}]
        restoring.objects.append(stored("ServiceAccount", "default", "shop", imagePullSecrets=secrets))
        create = restoring.cluster.create

        def with_account(resource, body, *, dry_run=False):
            made = create(resource, body, dry_run=dry_run)
            if resource.name == "namespaces":
                restoring.cluster.put(fakes.SERVICEACCOUNTS, "default", body["metadata"]["name"])
            return made

        restoring.cluster.create = with_account
        assert restoring.run().ok
        assert restoring.cluster.peek(fakes.SERVICEACCOUNTS, "default", "shop")["imagePullSecrets"] == secrets

    def test_is_left_alone_in_one_that_was_there(self, restoring):
        restoring.objects.append(stored("ServiceAccount", "default", "shop", imagePullSecrets=[{"name": "registry"}]))
        restoring.cluster.put(fakes.SERVICEACCOUNTS, "default", "shop")
        restoring.run()
        assert "imagePullSecrets" not in restoring.cluster.peek(fakes.SERVICEACCOUNTS, "default", "shop")


def volume(name="pv", claim="data", policy="Retain"):
    reference = {"namespace": "shop", "name": claim, "uid": "old"}
    return stored("PersistentVolume", name, spec={"claimRef": reference, "persistentVolumeReclaimPolicy": policy})


def claim(name="data", volume="pv"):
    return stored("PersistentVolumeClaim", name, "shop", spec={"volumeName": volume, "storageClassName": "fast"})


class TestVolumes:
    def test_a_claim_keeps_a_volume_that_comes_back_with_it(self, restoring):
        restoring.objects += [volume(), claim()]
        restoring.run(include_namespaces=["shop"])
        assert restoring.cluster.peek(fakes.PVCS, "data", "shop")["spec"]["volumeName"] == "pv"
        assert restoring.cluster.peek(fakes.PVS, "pv")["spec"]["claimRef"] == {"namespace": "shop", "name": "data"}

    def test_without_its_volume_it_gets_a_new_one(self, restoring):
        restoring.objects.append(claim())
        restoring.run(storage_class_map={"fast": "slow"})
        assert restoring.cluster.peek(fakes.PVCS, "data", "shop")["spec"] == {"storageClassName": "slow"}

    def test_a_volume_of_another_claim_is_not_taken(self, restoring):
        restoring.objects.append(claim())
        restoring.cluster.put(fakes.PVS, "pv", spec={"claimRef": {"namespace": "other", "name": "data"}})
        restoring.run()
        assert "volumeName" not in restoring.cluster.peek(fakes.PVCS, "data", "shop")["spec"]
