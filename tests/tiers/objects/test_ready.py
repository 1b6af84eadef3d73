"""Whether what was restored runs, and why not."""

import pytest

from backstay.cluster.ready import lacks, pod_trouble
from tests.tiers.objects import fake_cluster as fakes
from tests.tiers.objects.restoring import Restoring, stored

SELECTOR = {"matchLabels": {"app": "web"}}
ALL_READY = {"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 1}  # two of them as they were before
HELD_BACK = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}


def with_status(status, generation=2, **spec):
    return {"metadata": {"name": "x", "generation": generation}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("resource", "body", "expected"),
    [
        (
            "deployments.apps",
            with_status({"observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 2}, replicas=2),
            "",
        ),
        ("deployments.apps", with_status({"observedGeneration": 2, "updatedReplicas": 2}, replicas=2), "0 of 2 ready"),
        ("deployments.apps", with_status({"observedGeneration": 1}, replicas=0), "its controller has not looked at it"),
        ("statefulsets.apps", with_status({"observedGeneration": 2, "readyReplicas": 1}), "0 of 1 ready"),
        ("statefulsets.apps", with_status(ALL_READY, replicas=3, updateStrategy={"type": "OnDelete"}), ""),
        ("statefulsets.apps", with_status(ALL_READY, replicas=3, updateStrategy=HELD_BACK), ""),
        ("statefulsets.apps", with_status(ALL_READY, replicas=3, updateStrategy={"rollingUpdate": {}}), "1 of 3 ready"),
        ("deployments.apps", with_status(ALL_READY, replicas=3, paused=True), ""),
        (
            "daemonsets.apps",
            with_status({"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 1}),
            "1 of 3 ready",
        ),
        ("persistentvolumeclaims", {"status": {"phase": "Bound"}}, ""),
        ("persistentvolumeclaims", {"status": {"phase": "Pending"}}, "phase Pending"),
        ("pods", {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}, ""),
        ("pods", {"status": {"phase": "Pending"}}, "phase Pending"),
        ("pods", {"status": {"phase": "Succeeded"}}, ""),
    ],
)
def test_what_is_lacking(resource, body, expected):
    assert lacks(resource, body) == expected


def test_what_a_pod_says():
    waiting = {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    assert pod_trouble({"status": {"containerStatuses": [waiting]}}) == "container c: ImagePullBackOff: no such image"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert pod_trouble({"status": {"conditions": [condition]}}) == "Unschedulable: 0/3 nodes"
    assert not pod_trouble({"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}})


def deployment():
    return stored("Deployment", "web", "shop", api="apps/v1", spec={"replicas": 1, "selector": SELECTOR})


def test_a_restore_waits_and_tells_why(tmp_path):
    restoring = Restoring(tmp_path, [deployment()])
    status = {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ErrImagePull"}}}]}
    restoring.cluster.put(fakes.PODS, "web-x", "shop", labels={"app": "web"}, status=status)
    outcome = restoring.run(wait_seconds=5)
    assert not outcome.ok
    [found] = [finding for finding in outcome.findings if finding.code == "restore.not_ready"]
    assert found.message == (
        "deployments.apps shop/web is not ready after 5 s: 0 of 1 ready; pod web-x: container c: ErrImagePull"
    )
    assert sum(restoring.slept) == pytest.approx(5)


def test_it_goes_on_as_soon_as_all_is_ready(tmp_path):
    restoring = Restoring(tmp_path, [deployment()])
    lists = restoring.cluster.list

    def ready_later(resource, **given):
        if resource.name == "deployments.apps" and len(restoring.slept) > 1:
            restoring.cluster.peek(resource, "web", "shop")["status"] = {"readyReplicas": 1, "updatedReplicas": 1}
        return lists(resource, **given)

    restoring.cluster.list = ready_later
    outcome = restoring.run(wait_seconds=60)
    assert outcome.ok
    assert sum(restoring.slept) < 5
    assert any("1 of 1 workload" in finding.message for finding in outcome.findings)
