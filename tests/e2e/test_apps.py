"""A database restored around real workloads: they stop for the swap, and have what they had afterwards."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import psycopg
import pytest
import yaml

from backstay.cluster.appsincluster import AppsInCluster, Waits
from backstay.cluster.client import Access, connect
from backstay.cluster.workloads import Scaled, Scheduled
from backstay.core.errors import ClusterDenied, RestoreError, UsageError
from backstay.core.model import NoProgress
from backstay.jobs import restore
from backstay.tiers.postgres import swap
from tests.cluster.api import Api, moments
from tests.cluster.workloads import Workloads
from tests.docs.pages import ROOT
from tests.fixtures.world import database_on, directory_world

CONFIG = """\
cluster: story
stores:
  main: {{url: "file://{store}"}}
kubernetes: {{kubeconfig: {kubeconfig}}}
postgres:
  host: {host}
  port: {port}
  user: {user}
  password: file:{password}
  bin: {bin}
  databases:
    {name}: {{namespace: {namespace}, apps: [{apps}]}}
"""
QUICK = Waits(ready=0.0, pause=0.05)


@pytest.fixture
def command(postgres18, sample_database, node, node_namespace, tmp_path):
    """``backstay`` with the database of a node's workloads; and its name."""
    name = sample_database(postgres18, "wiki")
    for folder in ("store", "state", "cache"):
        (tmp_path / folder).mkdir()
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text(postgres18.password)
    apps = "deployment/web, deployment/idle, statefulset/queue, cronjob/report"
    text = CONFIG.format(
        store=tmp_path / "store", kubeconfig=node.kubeconfig, host=postgres18.host, port=postgres18.port,
        user=postgres18.superuser, password=tmp_path / "password", bin=postgres18.bin_dir, name=name,
        namespace=node_namespace, apps=apps,
    )  # fmt: skip
    (tmp_path / "backstay.yaml").write_text(text)
    places = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {**os.environ, **places, "BACKSTAY_CONFIG": str(tmp_path / "backstay.yaml"), "NO_COLOR": "1"}

    def run(*words, code=0):
        argv = [sys.executable, "-m", "backstay", *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return run, name


def test_pods_stop_for_the_swap_and_run_again(command, postgres18, node, node_namespace):
    run, name = command
    there = Workloads(node.api, node_namespace)
    web, idle = there.deployment("web", 2), there.deployment("idle", 0)
    queue, report = there.stateful_set("queue", 1), there.cron_job("report", "sleep 5")
    for path, replicas in ((web, 2), (queue, 1)):
        node.api.wait(path, lambda found, replicas=replicas: found["status"].get("readyReplicas") == replicas)
    run("store", "init")
    run("backup", name)
    lose(postgres18, name)
    before = {pod["metadata"]["uid"] for app in ("web", "queue") for pod in there.pods(app)}

    plan = run("restore", name, "--dry-run")
    assert (
        "deployment/web (2 replicas), deployment/idle (0 replicas, as it stays), statefulset/queue (1 replica), "
        "cronjob/report (on its schedule)"
    ) in plan
    assert "deployment/web to 2 replicas, statefulset/queue to 1 replica, cronjob/report on its schedule" in plan
    assert (there.replicas(web), there.replicas(queue)) == (2, 1)
    assert {pod["metadata"]["uid"] for app in ("web", "queue") for pod in there.pods(app)} == before

    job = there.run_now(report, "report-now")
    done = run("restore", name, "--confirm", f"postgres/{name}")
    assert "deployment/idle had nothing running before and has nothing now" in done
    assert pages(postgres18, name) > 0
    assert (there.replicas(web), there.replicas(idle), there.replicas(queue)) == (2, 0, 1)
    pods = [pod for app in ("web", "queue") for pod in there.pods(app)]
    assert not before & {pod["metadata"]["uid"] for pod in pods}
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3  # it has waited until they were ready
    assert node.api.get(report)["spec"]["suspend"] is False
    assert node.api.get(job)["status"]["succeeded"] == 1  # nor has it cut one off


@pytest.fixture
def world(postgres18, sample_database, control_plane, namespace, tmp_path):
    """Jobs over a database whose workload is a Deployment ``web`` of two replicas, which stay pending."""
    name = sample_database(postgres18, "wiki")
    there = Workloads(control_plane.api, namespace)
    with connect(Access(kubeconfig=control_plane.kubeconfig)) as client:
        database = database_on(postgres18, name, apps=("deployment/web",), namespace=namespace)
        made = directory_world(tmp_path, database, apps=AppsInCluster(lambda: client, QUICK))
        made.name, made.there, made.plane = name, there, control_plane
        made.made = made.backup(name)
        lose(postgres18, name)
        yield made


def test_no_pod_is_there_at_the_swap(world, postgres18, monkeypatch):
    web = world.there.deployment("web", 2)
    seen = []
    rename = swap.rename

    def look_first(*arguments):
        seen.append((world.there.replicas(web), world.there.pods("web")))
        rename(*arguments)

    monkeypatch.setattr(swap, "rename", look_first)
    outcome = world.restore(world.made)
    assert seen == [(0, [])]
    assert pages(postgres18, world.name) > 0
    assert world.there.replicas(web) == 2
    [late] = [finding.message for finding in outcome.findings if finding.code == "restore.not_ready"]
    assert late.startswith("deployment/web is not ready after")  # there is no node to run it
    assert not outcome.ok


def test_pods_that_do_not_end(world, postgres18, monkeypatch):
    monkeypatch.setattr(Scaled, "seconds", 1.0)
    web = world.there.deployment("web", 2)
    held = hold(world)
    names = " and ".join(f"pod {pod['metadata']['name']}" for pod in held)
    try:
        with pytest.raises(RestoreError, match=f"{names} did not end within 1 s") as caught:
            world.restore(world.made)
    finally:
        release(world, held)
    assert "Started again: deployment/web. Live data was not changed." in caught.value.hint
    assert world.there.replicas(web) == 2
    assert pages(postgres18, world.name) == 0

    context, target, place = world.context, world.target(world.name), restore.place_of(world.context, world.made)
    restore.resume(context, target, lambda _plan, _ref: (world.made, place), world.store, NoProgress())
    assert pages(postgres18, world.name) > 0
    assert world.there.replicas(web) == 2


def test_something_scales_it_back(world, postgres18):
    """As a controller does that keeps what is in git."""
    web = world.there.deployment("web", 2)
    held = hold(world)
    stop = threading.Event()

    def keep():
        while not stop.wait(0.02):
            if world.there.replicas(web) == 0:
                world.plane.api.patch(web, {"spec": {"replicas": 3}})
                return

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        words = "deployment/web was started again by Python-urllib while it was to be stopped"
        with pytest.raises(RestoreError, match=words):
            world.restore(world.made)
    finally:
        stop.set()
        keeper.join()
        release(world, held)
    assert world.there.replicas(web) == 3  # as it was left
    assert pages(postgres18, world.name) == 0


def test_an_autoscaler_leaves_it_at_zero(world, namespace):
    """Not timed: it says so itself (k8s.io/kubernetes, pkg/controller/podautoscaler/horizontal.go)."""
    web = world.there.deployment("web", 2)
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 4}
    world.plane.api.post(path, {"metadata": {"name": "web"}, "spec": spec})
    world.apps.stop(namespace, {"deployment/web": 2}, lambda _: None)
    world.plane.api.wait(f"{path}/web", is_disabled, 60)
    assert world.there.replicas(web) == 0
    world.apps.start(namespace, {"deployment/web": 2}, wait=False)
    assert world.there.replicas(web) == 2


def test_a_job_that_runs_too_long(world, postgres18, namespace, monkeypatch):
    monkeypatch.setattr(Scheduled, "seconds", -29.0)  # a second, with the grace of a pod
    report = world.there.cron_job("report", "sleep 3600")
    world.there.run_now(report, "report-now")
    with pytest.raises(RestoreError, match="job report-now did not end within 1 s"):
        world.apps.stop(namespace, {"cronjob/report": 1}, lambda _: None)
    assert world.plane.api.get(report)["spec"]["suspend"] is True
    world.apps.start(namespace, {"cronjob/report": 1}, wait=True)
    assert world.plane.api.get(report)["spec"]["suspend"] is False


def test_a_stateful_set_that_would_delete_its_volumes(world, namespace):
    policy = {"whenScaled": "Delete", "whenDeleted": "Retain"}
    world.there.stateful_set("queue", 1, persistentVolumeClaimRetentionPolicy=policy)
    with pytest.raises(UsageError, match="its volumes are deleted"):
        world.apps.require(namespace, ["statefulset/queue"])


class TestRights:
    """Those of docs/restore.md, and not one less."""

    APPS = ("deployment/web", "statefulset/queue", "cronjob/report")

    @pytest.fixture
    def workloads(self, world):
        return (
            world.there.deployment("web", 2),
            world.there.stateful_set("queue", 1),
            world.there.cron_job("report", "true"),
        )

    def test_the_documented_ones_are_enough(self, world, workloads, namespace, tmp_path):
        web, queue, report = workloads
        with as_account(world.plane, namespace, tmp_path, documented_rules()) as apps:
            apps.require(namespace, self.APPS)
            replicas = apps.replicas(namespace, self.APPS)
            apps.stop(namespace, replicas, lambda _: None)
            assert (world.there.replicas(web), world.there.replicas(queue)) == (0, 0)
            assert world.plane.api.get(report)["spec"]["suspend"] is True
            late = apps.start(namespace, replicas, wait=True)
        assert [words.partition(" is")[0] for words in late] == ["deployment/web", "statefulset/queue"]
        assert "could not be looked at" not in " ".join(late)
        assert (world.there.replicas(web), world.there.replicas(queue)) == (2, 1)

    @pytest.mark.parametrize("missing", range(5))
    def test_each_of_them_is_asked_for_before_anything_changes(self, missing, world, workloads, namespace, tmp_path):
        rules = documented_rules()
        assert len(rules) == 5
        lacking = rules.pop(missing)
        before = [world.plane.api.get(path)["metadata"]["resourceVersion"] for path in workloads[2:]]
        with (
            as_account(world.plane, namespace, tmp_path, rules) as apps,
            pytest.raises(ClusterDenied) as caught,
        ):
            apps.require(namespace, self.APPS)
        assert f"bound to the service account {namespace}/backstay" in caught.value.hint
        assert any(f'verbs: ["{verb}"]' in caught.value.hint for verb in lacking["verbs"])
        assert any(f'resources: ["{name}"]' in caught.value.hint for name in lacking["resources"])
        assert "docs/restore.md#what-the-cluster-must-allow" in caught.value.hint
        assert "--apps-stopped" in caught.value.hint
        assert (world.there.replicas(workloads[0]), world.there.replicas(workloads[1])) == (2, 1)
        assert [world.plane.api.get(path)["metadata"]["resourceVersion"] for path in workloads[2:]] == before

    def test_a_plan_says_what_is_missing(self, world, workloads, namespace, tmp_path):
        with as_account(world.plane, namespace, tmp_path, documented_rules()[:1]) as apps:
            world.apps = apps
            with pytest.raises(ClusterDenied, match="deployments/scale"):
                world.plan_restore(world.made)


@contextmanager
def as_account(plane, namespace, folder, rules):
    """``Apps`` as a service account of the namespace with just these rules."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    core = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    plane.api.post(core, {"metadata": {"name": "backstay"}})
    plane.api.post(f"{rbac}/roles", {"metadata": {"name": "backstay-apps"}, "rules": rules})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "backstay-apps"}
    subject = {"kind": "ServiceAccount", "name": "backstay", "namespace": namespace}
    plane.api.post(
        f"{rbac}/rolebindings", {"metadata": {"name": "backstay-apps"}, "roleRef": ref, "subjects": [subject]}
    )
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = plane.api.post(f"{core}/backstay/token", asked)["status"]["token"]
    config = json.loads(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file = folder / "account.kubeconfig"
    file.write_text(json.dumps(config))
    wait_until_allowed(Api(plane.url, plane.ca, token), namespace, rules[-1])
    with connect(Access(kubeconfig=file)) as client:
        yield AppsInCluster(lambda: client, QUICK)


def wait_until_allowed(api, namespace, rule):
    """The API server hears of a role a moment after it was made."""
    name, _, subresource = rule["resources"][0].partition("/")
    asked = {"namespace": namespace, "group": rule["apiGroups"][0], "resource": name, "subresource": subresource,
             "verb": rule["verbs"][0]}  # fmt: skip
    for _ in moments(10):
        review = api.post(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"resourceAttributes": asked}}
        )
        if review["status"]["allowed"]:
            return
    raise AssertionError(f"not allowed: {rule}")


def documented_rules():
    """The rules of the Role in docs/restore.md."""
    section = (ROOT / "docs/restore.md").read_text().partition("## What the cluster must allow")[2]
    block = section.partition("```yaml\n")[2].partition("```")[0]
    role = next(one for one in yaml.safe_load_all(block) if one["kind"] == "Role")
    return role["rules"]


def lose(server, name):
    with server.connect(name) as session:
        session.execute("TRUNCATE pages CASCADE")


def pages(server, name):
    for _ in moments(10):
        try:
            with server.connect(name) as session:
                return session.execute("SELECT count(*) FROM pages").fetchone()[0]
        except psycopg.OperationalError:
            continue
    raise AssertionError(f"{name} does not let anyone in")


def hold(world):
    """Its pods, which will not go until they are released."""
    pods = world.there.pods("web")
    for pod in pods:
        path = f"{world.there.core}/pods/{pod['metadata']['name']}"
        world.plane.api.patch(path, {"metadata": {"finalizers": ["example.com/held"]}})
    return pods


def release(world, pods):
    for pod in pods:
        path = f"{world.there.core}/pods/{pod['metadata']['name']}"
        world.plane.api.patch(path, {"metadata": {"finalizers": None}})


def is_disabled(found):
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == "ScalingActive" and one["reason"] == "ScalingDisabled" for one in conditions)
