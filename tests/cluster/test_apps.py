"""How workloads are stopped and started: what counts as running, what is waited for, what is left alone."""

import json

import pytest

from backstay.cluster.apps import AppsByHand, commands
from backstay.cluster.appsincluster import AppsInCluster, Waits
from backstay.cluster.base import Item
from backstay.cluster.parts import selector_of
from backstay.cluster.workloads import workload
from backstay.core.errors import ClusterUnreachable, ObjectNotFound, RestoreError, UsageError

SHOP = "shop"


class FakeCluster:
    """Workloads and what belongs to them, by kind and name. ``each_look`` runs before a workload is read."""

    def __init__(self):
        self.objects = {}
        self.asked = []
        self.each_look = lambda: None

    def add(self, kind, name, spec, status=None, owner=None, **metadata):
        owners = [{"kind": owner[0], "uid": owner[1], "controller": True}] if owner else []
        metadata = {"name": name, "namespace": SHOP, "uid": f"{kind}-{name}", "generation": 1, **metadata}
        body = {"metadata": {**metadata, "ownerReferences": owners}, "spec": spec, "status": status or {}}
        self.objects[kind, name] = body
        return body

    def deployment(self, name="web", replicas=2, **spec):
        selector = {"matchLabels": {"app": name}}
        status = {"observedGeneration": 1, "readyReplicas": replicas, "updatedReplicas": replicas}
        return self.add("deployments", name, {"replicas": replicas, "selector": selector, **spec}, status)

    def pod(self, name, kind="ReplicaSet", phase="Running"):
        return self.add("pods", name, {}, {"phase": phase}, owner=(kind, "any"))

    def get(self, resource, name, namespace=""):
        assert namespace == SHOP
        self.each_look()
        if (resource.plural, name) not in self.objects:
            raise ObjectNotFound(f"cannot get {resource.name} {name}")
        return json.loads(json.dumps(self.objects[resource.plural, name]))

    def apply(self, resource, body, *, force=False, dry_run=False, subresource=""):
        assert force
        assert subresource == ("scale" if resource.plural != "cronjobs" else "")
        name = body["metadata"]["name"]
        self.asked.append((resource.plural, name, body["spec"], dry_run))
        if not dry_run:
            self.objects[resource.plural, name]["spec"].update(body["spec"])
            replicas = body["spec"].get("replicas")
            self.objects[resource.plural, name]["status"].update(readyReplicas=replicas, updatedReplicas=replicas)
        return body

    def list(self, resource, *, namespace="", labels=""):
        for (plural, name), body in list(self.objects.items()):
            if plural == resource.plural:
                yield Item(name, namespace, body["metadata"]["uid"], "1", {}, False, json.dumps(body).encode())

    @property
    def changed(self):
        return [(plural, name, spec) for plural, name, spec, dry_run in self.asked if not dry_run]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def cluster():
    return FakeCluster()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def apps(cluster, clock):
    return AppsInCluster(lambda: cluster, Waits(clock=clock, sleep=clock.sleep))


def ignore(_text):
    pass


class TestPlan:
    def test_it_names_what_runs(self, cluster, apps):
        cluster.deployment(replicas=3)
        cluster.add("statefulsets", "queue", {"selector": {}})
        cluster.add("cronjobs", "report", {})
        cluster.deployment("old", replicas=0)
        cluster.add("cronjobs", "never", {"suspend": True})
        names = ["deployment/web", "statefulset/queue", "cronjob/report", "deployment/old", "cronjob/never"]
        stop, start = apps.steps(SHOP, names)
        assert stop == (
            "deployment/web (3 replicas), statefulset/queue (1 replica), cronjob/report (on its schedule), "
            "deployment/old (0 replicas, as it stays), cronjob/never (suspended, as it stays)"
        )
        assert start == "deployment/web to 3 replicas, statefulset/queue to 1 replica, cronjob/report on its schedule"
        assert cluster.changed == []
        assert [dry_run for *_, dry_run in cluster.asked] == [True] * 5

    def test_without_workloads_no_cluster_is_asked(self):
        nothing = ("no workloads are configured for this database", "nothing to start")
        assert AppsInCluster(unreachable).steps(SHOP, []) == nothing
        assert AppsByHand().steps(SHOP, []) == nothing

    def test_one_that_is_not_there(self, apps):
        with pytest.raises(ObjectNotFound) as caught:
            apps.steps(SHOP, ["deployment/web"])
        assert caught.value.hint == (
            "Correct apps in the configuration: it names deployment/web. "
            "Or stop them by hand (kubectl -n shop scale deployment/web --replicas=0) and add --apps-stopped."
        )

    def test_one_that_would_lose_its_volumes(self, cluster, apps):
        policy = {"whenScaled": "Delete", "whenDeleted": "Retain"}
        cluster.add("statefulsets", "queue", {"persistentVolumeClaimRetentionPolicy": policy})
        with pytest.raises(UsageError, match="its volumes are deleted when it is scaled down"):
            apps.require(SHOP, ["statefulset/queue"])
        assert cluster.asked == []

    def test_a_cluster_that_does_not_answer(self):
        with pytest.raises(ClusterUnreachable, match="nothing listens") as caught:
            AppsInCluster(unreachable).steps(SHOP, ["cronjob/report"])
        assert caught.value.hint == (
            "See that it runs. Or stop them by hand (kubectl -n shop patch cronjob/report "
            """-p '{"spec":{"suspend":true}}') and add --apps-stopped."""
        )


class TestStop:
    def test_only_its_own_pods_that_run_are_waited_for(self, cluster, apps):
        cluster.deployment()
        cluster.pod("web-migrate", kind="Job")
        cluster.pod("web-evicted", phase="Failed")
        cluster.pod("web-done", phase="Succeeded")
        apps.stop(SHOP, {"deployment/web": 2}, ignore)
        assert cluster.changed == [("deployments", "web", {"replicas": 0})]

    def test_one_that_has_none_is_not_scaled(self, cluster, apps):
        cluster.deployment(replicas=0)
        apps.stop(SHOP, {"deployment/web": 0}, ignore)
        assert cluster.changed == []

    def test_pods_that_do_not_end_are_named(self, cluster, apps, clock):
        cluster.deployment(template={"spec": {"terminationGracePeriodSeconds": 15}})
        for number in range(7):
            cluster.pod(f"web-{number}")
        told = []
        with pytest.raises(RestoreError) as caught:
            apps.stop(SHOP, {"deployment/web": 2}, told.append)
        named = "pod web-0, pod web-1, pod web-2, pod web-3, pod web-4 and 2 more"
        assert caught.value.message == f"{named} did not end within 1 m 15 s"
        assert set(told) == {f"waiting for {named}"}
        assert clock.now == 75

    def test_the_time_is_for_each_that_ends(self, cluster, apps, clock):
        """A StatefulSet stops its pods one after the other; 80 s each is within the time, 240 s in all is not."""
        cluster.add("statefulsets", "queue", {"replicas": 3, "selector": {}}, {"observedGeneration": 1})
        for number in range(3):
            cluster.pod(f"queue-{number}", kind="StatefulSet")

        def end():
            for number in range(3):
                if clock.now >= 80 * (3 - number):
                    cluster.objects.pop(("pods", f"queue-{number}"), None)

        cluster.each_look = end
        apps.stop(SHOP, {"statefulset/queue": 3}, ignore)
        assert clock.now == 240

    def test_it_waits_until_the_controller_has_seen_it(self, cluster, apps, clock):
        body = cluster.deployment()
        body["metadata"]["generation"] = 2

        def see():
            if clock.now >= 1:
                body["status"]["observedGeneration"] = 2

        cluster.each_look = see
        apps.stop(SHOP, {"deployment/web": 2}, ignore)
        assert clock.now == 1

    def test_who_has_started_it_again_is_named(self, cluster, apps, clock):
        body = cluster.deployment()
        cluster.pod("web-0")
        fields = {"f:spec": {"f:replicas": {}}}
        body["metadata"]["managedFields"] = [
            {"manager": "backstay", "fieldsV1": fields},
            {"manager": "argocd-controller", "fieldsV1": fields},
            {"manager": "kube-controller-manager", "fieldsV1": {"f:status": {"f:replicas": {}}}},
        ]

        def scale_back():
            if clock.now >= 1:
                body["spec"]["replicas"] = 2

        cluster.each_look = scale_back
        words = "deployment/web was started again by argocd-controller while it was to be stopped"
        with pytest.raises(RestoreError, match=words) as caught:
            apps.stop(SHOP, {"deployment/web": 2}, ignore)
        assert "--apps-stopped" in caught.value.hint

    def test_jobs_end_while_the_others_still_serve(self, cluster, apps, clock):
        cron = cluster.add("cronjobs", "report", {})
        own = ("CronJob", cron["metadata"]["uid"])
        cluster.deployment()
        running = cluster.add("jobs", "report-1", {}, owner=own)
        cluster.add("jobs", "report-0", {}, {"conditions": [{"type": "Failed", "status": "True"}]}, owner=own)
        cluster.add("jobs", "report-held", {"suspend": True}, owner=own)
        cluster.add("jobs", "other", {}, owner=("CronJob", "another"))
        seen = []

        def end():
            seen.append((clock.now, cluster.objects["deployments", "web"]["spec"]["replicas"]))
            if clock.now >= 300:
                running["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

        cluster.each_look = end
        apps.stop(SHOP, {"deployment/web": 2, "cronjob/report": 1}, ignore)
        assert cluster.changed == [("cronjobs", "report", {"suspend": True}), ("deployments", "web", {"replicas": 0})]
        assert {replicas for at, replicas in seen if at < 300} == {2}
        assert clock.now == 300


class TestStart:
    def test_all_get_back_what_they_had(self, cluster, apps):
        cluster.deployment(replicas=0)
        cluster.add("cronjobs", "report", {"suspend": True})
        cluster.deployment("old", replicas=0)
        assert apps.start(SHOP, {"deployment/web": 3, "cronjob/report": 1, "deployment/old": 0}, wait=True) == []
        assert cluster.objects["deployments", "old"]["spec"]["replicas"] == 0
        assert cluster.changed == [("deployments", "web", {"replicas": 3}), ("cronjobs", "report", {"suspend": False})]

    def test_one_that_is_started_is_left_as_it_is(self, cluster, apps):
        cluster.deployment(replicas=5)
        assert apps.start(SHOP, {"deployment/web": 2}, wait=True) == []
        assert cluster.changed == []

    def test_one_that_is_gone_is_told_of_and_nothing_to_try_again(self, cluster, apps):
        cluster.deployment(replicas=0)
        late = apps.start(SHOP, {"deployment/gone": 1, "deployment/web": 2}, wait=True)
        assert late == ["deployment/gone is not there any more"]
        assert cluster.changed == [("deployments", "web", {"replicas": 2})]

    def test_a_cluster_that_goes_away_between_two(self, cluster, apps, monkeypatch):
        """Those that were started before are not to be started by hand."""
        for name in ("a", "b", "c"):
            cluster.deployment(name, replicas=0)
        get = cluster.get

        def away(resource, name, namespace=""):
            return get(resource, name, namespace) if name == "a" else unreachable()

        monkeypatch.setattr(cluster, "get", away)
        with pytest.raises(RestoreError, match="deployment/b and deployment/c could not be started again") as caught:
            apps.start(SHOP, {f"deployment/{name}": 2 for name in ("a", "b", "c")}, wait=True)
        assert cluster.changed == [("deployments", "a", {"replicas": 2})]
        assert commands(SHOP, {"deployment/b": 2, "deployment/c": 2}) in caught.value.hint
        assert "deployment/a" not in caught.value.hint

    def test_a_cluster_that_does_not_answer(self):
        with pytest.raises(RestoreError, match="deployment/web and cronjob/report could not be started") as caught:
            AppsInCluster(unreachable).start(SHOP, {"deployment/web": 2, "cronjob/report": 1}, wait=True)
        assert commands(SHOP, {"deployment/web": 2, "cronjob/report": 1}) in caught.value.hint

    def test_what_is_not_ready_says_why(self, cluster, apps, clock):
        body = cluster.deployment(replicas=2)
        body["status"]["readyReplicas"] = 1
        waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
        cluster.pod("web-1")["status"]["containerStatuses"] = [{"name": "main", "state": {"waiting": waiting}}]
        [words] = apps.start(SHOP, {"deployment/web": 2}, wait=True)
        trouble = "pod web-1: container main: ImagePullBackOff: no such image"
        assert words == f"deployment/web is not ready after 5 m: 1 of 2 ready; {trouble}"
        assert clock.now == 300


def test_a_selector_is_written_as_requests_take_it():
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "NotIn", "values": ["yes"]},
        {"key": "kept", "operator": "Exists"},
        {"key": "gone", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    assert selector_of({"spec": {"selector": selector}}) == "app=web,tier in (a,b),old notin (yes),kept,!gone"
    assert selector_of({"spec": {}}) == ""


def test_names():
    assert str(workload(FakeCluster(), SHOP, "statefulset/queue")) == "statefulset/queue"
    assert str(workload(FakeCluster(), SHOP, "cronjob/report")) == "cronjob/report"


def unreachable():
    raise ClusterUnreachable("nothing listens", hint="See that it runs.")
