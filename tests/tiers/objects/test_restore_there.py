"""Objects that are there already, where a restore meets more than the object itself: what belongs to it, what it uses
up, and what of it can never change."""

import pytest

from backstay.core.errors import ClusterDenied, ClusterUnreachable, ObjectInvalid, RestoreError, UsageError
from backstay.tiers.base import ScratchJournal
from tests.tiers.objects import fake_cluster as fakes
from tests.tiers.objects.restoring import KINDS, MARK, STAMP, Restoring, owner, stored

DATABASES = fakes.kind("databases.example.com", "Database")
JOBS = fakes.kind("jobs.batch", "Job")
TAKEN = ObjectInvalid("cannot create services web: spec.ports[0].nodePort: provided port is already allocated")
FULL = ObjectInvalid("exceeded quota: most")


class TestOwned:
    """A database (a custom resource) that owns a Secret and a claim, and differs from the one in the backup."""

    @pytest.fixture
    def restoring(self, tmp_path):
        return database(tmp_path)

    def test_stays_and_belongs_to_the_one_made_again(self, restoring):
        outcome = restoring.run(existing="recreate")
        assert outcome.ok, outcome.findings
        assert (outcome.facts["recreated"], outcome.facts["unchanged"]) == (1, 3)  # and the namespace
        assert_owned(restoring)

    def test_what_is_not_part_of_the_restore_belongs_to_it_too(self, restoring):
        assert restoring.run(existing="recreate", names=["databases.example.com/main"]).ok
        assert_owned(restoring)

    def test_other_owners_stay(self, restoring):
        other = {**owner("ConfigMap", "other", "v1", controller=False), "uid": "live"}
        secret = restoring.cluster.objects["secrets", "shop", "password"]
        secret["metadata"]["ownerReferences"].append(other)
        assert restoring.run(existing="recreate").ok
        found = restoring.cluster.peek(fakes.SECRETS, "password", "shop")["metadata"]["ownerReferences"]
        assert [reference["name"] for reference in found] == ["other", "main"]

    def test_what_goes_with_an_owner_is_left_alone(self, restoring):
        create = restoring.cluster.create

        def leaving(resource, body, *, dry_run=False):  # a collector that takes its time
            made = create(resource, body, dry_run=dry_run)
            if resource.name == DATABASES.name:
                secret = restoring.cluster.objects["secrets", "shop", "password"]
                secret["metadata"]["ownerReferences"] = [owner("Database", "main", "example.com/v1")]
            return made

        restoring.cluster.create = leaving
        assert restoring.run(existing="recreate").ok
        [reference] = restoring.cluster.peek(fakes.SECRETS, "password", "shop")["metadata"]["ownerReferences"]
        assert reference["uid"] == "old-Database-main"

    @pytest.mark.parametrize("policy", ["skip", "update"])
    def test_what_is_there_gets_no_owner_but_when_asked_to_make_it_again(self, restoring, policy):
        del restoring.cluster.objects["databases.example.com", "shop", "main"]
        for name, kind in (("password", fakes.SECRETS), ("data", fakes.PVCS)):
            del restoring.cluster.objects[kind.name, "shop", name]["metadata"]["ownerReferences"]
        assert restoring.run(existing=policy).ok
        assert "ownerReferences" not in restoring.cluster.peek(fakes.SECRETS, "password", "shop")["metadata"]

    def test_killed_at_any_call_and_resumed_it_belongs_to_it(self, tmp_path):
        whole = database(tmp_path / "whole")
        whole.run(existing="recreate")
        expected = whole.state()
        for number in range(len(whole.cluster.calls)):
            one, journal = database(tmp_path / str(number)), ScratchJournal()
            kill_at(one, number, journal)
            assert one.run(journal, existing="recreate").ok
            assert one.state() == expected, number


def database(folder):
    found = Restoring(folder, [], fakes.FakeCluster(*KINDS, DATABASES), threads=1)
    belongs = {"ownerReferences": [owner("Database", "main", "example.com/v1")]}
    found.objects += [
        stored("Namespace", "shop"),
        stored("Database", "main", "shop", api="example.com/v1", spec={"size": 1}),
        stored("Secret", "password", "shop", data={"p": "eA=="}, **belongs),
        stored("PersistentVolumeClaim", "data", "shop", spec={}, **belongs),
    ]
    live = found.cluster.put(DATABASES, "main", "shop", spec={"size": 2})
    belongs = {"ownerReferences": [{**belongs["ownerReferences"][0], "uid": live["metadata"]["uid"]}]}
    found.cluster.put(fakes.SECRETS, "password", "shop", data={"p": "eA=="}, **belongs)
    found.cluster.put(fakes.PVCS, "data", "shop", spec={}, **belongs)
    return found


def assert_owned(restoring):
    main = restoring.cluster.peek(DATABASES, "main", "shop")
    assert main["spec"] == {"size": 1}
    for kind, name in ((fakes.SECRETS, "password"), (fakes.PVCS, "data")):
        [reference] = restoring.cluster.peek(kind, name, "shop")["metadata"]["ownerReferences"]
        assert reference == {**owner("Database", "main", "example.com/v1"), "uid": main["metadata"]["uid"]}


class Killed(BaseException):
    """As if the process were gone."""


def kill_at(restoring, number, journal):
    called, before = restoring.cluster._called, len(restoring.cluster.calls)

    def dying(*given):
        if len(restoring.cluster.calls) - before >= number:
            raise Killed
        called(*given)

    restoring.cluster._called = dying
    with pytest.raises(Killed):
        restoring.run(journal, existing="recreate")
    restoring.cluster._called = called


def workload(kind, version="1", label="web", **more):
    api = "batch/v1" if kind == "Job" else "apps/v1"
    selector = {} if kind == "Job" else {"selector": {"matchLabels": {"app": label}}}
    template = {"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "c", "image": version}]}}
    return stored(kind, "web", "shop", api=api, spec={**selector, "template": template, **more})


@pytest.mark.parametrize(
    ("kind", "change", "stays"),
    [
        ("Deployment", {"version": "2"}, True),
        ("Deployment", {"label": "other"}, False),  # the new one would not take them, and they would run beside it
        ("DaemonSet", {"version": "2"}, True),
        ("StatefulSet", {"version": "2"}, True),
        ("StatefulSet", {"label": "other"}, False),
        ("StatefulSet", {"label": "other", "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}, True),
        ("ReplicaSet", {"version": "2"}, False),  # it would take them as they are
        ("Job", {"version": "2"}, False),
    ],
)
def test_pods_stay_where_the_workload_made_again_takes_them(tmp_path, kind, change, stays):
    restoring = Restoring(tmp_path, [workload(kind)])
    resource = next(one for one in KINDS if one.kind == kind)
    live = restoring.cluster.put(resource, "web", "shop", spec=workload(kind, **change)["spec"])
    reference = {**owner(kind, "web"), "uid": live["metadata"]["uid"]}
    restoring.cluster.put(fakes.PODS, "web-x", "shop", ownerReferences=[reference])
    outcome = restoring.run(existing="recreate")
    assert outcome.facts["recreated"] == 1
    assert restoring.cluster.names(fakes.PODS) == (["web-x"] if stays else [])


class TestRefusedAlthoughThere:
    """The API server looks at node ports, quotas and policies before it says that an object is there."""

    @pytest.fixture
    def restoring(self, tmp_path):
        found = Restoring(tmp_path, [stored("ConfigMap", "settings", "shop", data={"a": "1"})])
        found.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "1"})
        return found

    @pytest.mark.parametrize("policy", ["skip", "update", "recreate"])
    @pytest.mark.parametrize("error", [TAKEN, FULL, ClusterDenied("not so many rights")])
    def test_the_same_is_unchanged_at_once(self, restoring, error, policy):
        restoring.cluster.fail("create", "configmaps", error)
        outcome = restoring.run(existing=policy)
        assert outcome.ok, outcome.findings
        assert outcome.facts["unchanged"] == 1
        assert restoring.slept == []

    def test_what_differs_becomes_what_the_policy_says(self, restoring):
        restoring.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine"})
        restoring.cluster.fail("create", "configmaps", TAKEN)
        assert restoring.run().facts["skipped"] == 1
        assert restoring.run(existing="update").facts["updated"] == 1
        assert restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "shop")["data"] == {"a": "1"}

    def test_nothing_is_deleted_for_what_is_refused(self, restoring):
        restoring.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "mine"})
        restoring.cluster.fail("create", "configmaps", TAKEN)
        outcome = restoring.run(existing="recreate")
        assert TAKEN.message in outcome.findings[0].message
        assert restoring.cluster.peek(fakes.CONFIGMAPS, "settings", "shop")["data"] == {"a": "mine"}

    def test_what_is_not_there_is_refused_as_it_was(self, restoring):
        del restoring.cluster.objects["configmaps", "shop", "settings"]
        restoring.cluster.fail("create", "configmaps", TAKEN)
        assert TAKEN.message in restoring.run().findings[0].message

    def test_what_this_restore_has_made_counts_as_made(self, restoring):
        restoring.cluster.put(fakes.CONFIGMAPS, "settings", "shop", data={"a": "by now"}, labels={MARK: STAMP})
        restoring.cluster.fail("create", "configmaps", TAKEN)
        assert restoring.run().facts["created"] == 1


class TestNeverChanges:
    """What an update keeps of the live object, although the backup has it otherwise."""

    def service(self, address):
        addresses = {"clusterIP": address, "clusterIPs": [address]}
        return {"spec": {**addresses, "selector": {"a": "b"}, "ports": [{"port": 1}]}}

    @pytest.mark.parametrize(("before", "now"), [("None", "10.0.0.7"), ("10.0.0.7", "None")])
    def test_is_told_by_plan_and_run(self, tmp_path, before, now):
        restoring = Restoring(tmp_path, [stored("Service", "db", "shop", **self.service(before))])
        restoring.cluster.put(fakes.SERVICES, "db", "shop", **self.service(now))
        plan = restoring.plan(existing="update")
        assert plan.details["counts"]["conflict"] == 1
        outcome = restoring.run(existing="update")
        words = (
            "services shop/db: spec.clusterIP and spec.clusterIPs differ and can never change in an object that is "
            "there; it was left alone (--existing recreate makes it anew)"
        )
        assert f"Refused: {words}" in plan.notes
        assert [finding.message for finding in outcome.findings] == [words]
        assert restoring.run(existing="recreate").facts["recreated"] == 1
        assert restoring.run(existing="update").ok

    def test_of_a_claim_nothing_else_is_advised(self, tmp_path):
        restoring = Restoring(
            tmp_path, [stored("PersistentVolumeClaim", "data", "shop", spec={"storageClassName": "a"})]
        )
        restoring.cluster.put(fakes.PVCS, "data", "shop", spec={"storageClassName": "b"})
        [finding] = restoring.run(existing="recreate").findings
        assert finding.message.endswith(
            "spec.storageClassName differs and can never change in an object that is there; it was left alone"
        )

    def test_addresses_that_the_cluster_gave_do_not_count(self, tmp_path):
        restoring = Restoring(tmp_path, [stored("Service", "db", "shop", **self.service("10.0.0.7"))])
        restoring.cluster.put(fakes.SERVICES, "db", "shop", labels={"a": "b"}, **self.service("10.0.0.8"))
        assert restoring.run(existing="update").facts["updated"] == 1

    def test_whose_a_volume_is_counts_as_it_is(self, tmp_path):
        claim = {"claimRef": {"namespace": "shop", "name": "data"}}
        restoring = Restoring(tmp_path, [stored("PersistentVolume", "pv", spec={**claim, "capacity": {}})])
        restoring.cluster.put(fakes.PVS, "pv", spec={"claimRef": {"namespace": "shop", "name": "other"}})
        assert restoring.run(existing="update").facts["updated"] == 1


class TestNamespacesThatMeet:
    @pytest.fixture
    def restoring(self, tmp_path):
        names = ("shop", "wiki", "blog")
        return Restoring(tmp_path, [stored("ConfigMap", "settings", name, data={"of": name}) for name in names])

    @pytest.mark.parametrize(
        ("names", "mapping"),
        [
            ("shop and wiki", {"shop": "all", "wiki": "all"}),
            ("shop and wiki", {"shop": "wiki"}),
            ("blog, shop and wiki", {"shop": "wiki", "blog": "wiki"}),
        ],
    )
    def test_are_refused(self, restoring, names, mapping):
        with pytest.raises(
            UsageError, match=f"the namespaces {names} of the backup would all go into {mapping['shop']}"
        ):
            restoring.plan(namespace_map=mapping)
        assert not restoring.cluster.objects

    def test_one_that_is_only_a_namespace_counts(self, restoring):
        restoring.objects.append(stored("Namespace", "empty", labels={"a": "b"}))
        with pytest.raises(UsageError, match="empty and shop"):
            restoring.plan(namespace_map={"shop": "empty"})

    @pytest.mark.parametrize(
        "options",
        [
            {"namespace_map": {"shop": "wiki", "wiki": "shop"}},
            {"namespace_map": {"shop": "wiki"}, "include_namespaces": ["shop"]},
            {"namespace_map": {"shop": "all", "wiki": "all"}, "exclude_namespaces": ["wiki"]},
        ],
    )
    def test_that_do_not_meet_are_not(self, restoring, options):
        assert restoring.plan(**options).details["counts"]["create"]


def test_a_namespace_that_was_not_answered_for_ends_it_and_is_resumed(tmp_path):
    restoring, journal = Restoring(tmp_path, [stored("ConfigMap", "settings", "shop", data={})]), ScratchJournal()
    for verb in ("get", "create"):
        restoring.cluster.fail(verb, "namespaces", ClusterUnreachable("it does not answer"), times=1)
        with pytest.raises(RestoreError, match="went away"):
            restoring.run(journal)
    assert restoring.run(journal).ok
    assert restoring.cluster.names(fakes.CONFIGMAPS) == ["settings"]


def test_a_volume_whose_claim_has_no_namespace(tmp_path):
    restoring = Restoring(tmp_path, [stored("ConfigMap", "settings", "shop", data={})])
    restoring.cluster.put(fakes.PVS, "pv", spec={"claimRef": {"name": "x"}})
    assert restoring.plan().details["counts"]["create"] == 1
