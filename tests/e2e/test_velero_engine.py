"""Velero takes the backups and Backstay asks for them, waits, reads them back and keeps them."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.e2e import velero_story as stories
from tests.e2e.test_velero import plane, story  # noqa: F401 - fixtures

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def driven(story, plane):  # noqa: F811
    """A story whose backups a running Velero takes."""
    with story.with_velero(plane) as velero:
        story.configure(more=f"  engine: velero\n  velero_namespace: {velero.namespace}\n")
        yield story


@pytest.fixture
def bound(plane, driven):  # noqa: F811
    """An account of the story's namespace with rights in all of them."""
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": driven.namespace}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": driven.namespace}
    subjects = [{"kind": "ServiceAccount", "namespace": driven.namespace, "name": "app"}]
    paths = {f"{RBAC}/clusterroles": {**kind, "kind": "ClusterRole", "rules": []}, f"{RBAC}/clusterrolebindings": {
        **kind, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": subjects}}  # fmt: skip
    for path, body in paths.items():
        plane.api.post(path, body)
    yield
    for path in paths:
        plane.api.delete(f"{path}/{driven.namespace}")


@pytest.mark.usefixtures("bound")
def test_taken_by_velero_kept_and_restored_by_backstay(driven, plane):  # noqa: F811
    said = driven.type("check")
    assert "by Velero in" in said
    assert "with what they need outside" in said
    driven.type("backup", "nightly")
    (name,) = driven.names()
    assert driven.velero.ended("backups", name)["spec"]["snapshotVolumes"] is False
    assert "complete" in driven.type("list", "--tier", "objects")
    assert "Velero calls it Completed" in driven.type("verify", "nightly")
    assert name in driven.type("show", "nightly")
    kinds = json.loads(driven.type("show", "nightly", "--json"))["manifest"]["contents"]["kinds"]
    assert kinds["clusterrolebindings.rbac.authorization.k8s.io"] == 1
    assert kinds["clusterroles.rbac.authorization.k8s.io"] == 1
    before = stories.objects_of(plane, driven.namespace)
    assert "no change" in driven.type("diff", "nightly")
    driven.type("drill", "nightly")
    plane.kubectl("delete", "-n", driven.namespace, "configmap,service,secret,role", "--all")
    driven.type("restore", "nightly", "--wait", "0")
    assert stories.objects_of(plane, driven.namespace) == before


def test_what_velero_could_not_take_is_named(driven, plane):  # noqa: F811
    hook = {"pre.hook.backup.velero.io/command": '["/bin/true"]', "pre.hook.backup.velero.io/on-error": "Fail"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hooked", "annotations": hook},
        "spec": {"containers": [{"name": "c", "image": "a.invalid/b:1"}]},
    }
    plane.api.post(f"/api/v1/namespaces/{driven.namespace}/pods", pod)
    said = driven.type("backup", "nightly", code=3)
    assert f"v1/Pod {driven.namespace}/hooked: Velero lists it, and it is not in its archive" in said
    assert "partial" in driven.type("list", "--tier", "objects")
    stamp = driven.names()[0].removeprefix("nightly-")
    assert "PartiallyFailed" in driven.type("verify", f"nightly@{stamp[:8]}-{stamp[8:]}")


def test_a_schedule_of_velero_that_does_the_same_is_said(driven):
    driven.velero.cli("create", "schedule", "nightly", "--schedule=0 2 * * *")
    assert "has a Schedule" in driven.type("check")
    driven.velero.cli("schedule", "pause", "nightly")
    assert "has a Schedule" not in driven.type("check")


def test_a_location_that_is_not_available_is_said_in_veleros_words(driven, plane):  # noqa: F811
    location = driven.velero.path("backupstoragelocations", "default")
    driven.bucket.put("velero/strange/file", (b"x",))
    plane.api.wait(location, lambda found: found["status"]["phase"] == "Unavailable")
    said = driven.type("backup", "nightly", code=1)
    assert "invalid top-level directories" in said
    assert driven.names() == []


def test_a_run_that_was_killed_while_it_waited_is_cleaned_up_by_the_next(driven, plane):  # noqa: F811
    velero = driven.velero
    velero.pause()
    killed = subprocess.Popen(driven.command("backup", "nightly"), env=driven.environment, start_new_session=True)
    plane.api.wait(velero.path("backups"), lambda found: found["items"])
    (made,) = plane.api.get(velero.path("backups"))["items"]
    first = made["metadata"]["name"]
    time.sleep(2.0)  # into the wait
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    velero.resume()
    velero.ended("backups", first)
    assert driven.names() == [first]
    driven.bucket.delete(["backstay/v1/leases/objects/nightly.json"])  # as if it had run out, after five minutes
    assert "cleaned up after" in driven.type("backup", "nightly")
    (second,) = driven.names()
    assert second != first
    assert "complete" in driven.type("list", "--tier", "objects")


def keep_one(driven):
    """One backup, where a test began with a time to live."""
    file = driven.folder / "backstay.yaml"
    file.write_text(file.read_text().replace("keep: {ttl: 720h}", "keep: {count: 1}"))


def backed_up(driven):
    """One more backup, as Velero and as Backstay name it."""
    before = set(driven.names())
    driven.type("backup", "nightly")
    (name,) = set(driven.names()) - before
    stamp = name.removeprefix("nightly-")
    return name, f"objects/nightly@{stamp[:8]}-{stamp[8:]}"


def lines_with(said, backup):
    return [line for line in said.splitlines() if backup in line]


def test_prune_removes_what_no_rule_keeps_and_nothing_of_veleros_own(driven, plane):  # noqa: F811
    velero = driven.velero
    first, proven = backed_up(driven)
    assert velero.ended("backups", first)["spec"]["ttl"] == "87600h0m0s"
    driven.type("drill", "--backup", proven)
    second, dull = backed_up(driven)
    velero.cli("create", "schedule", "nightly", "--schedule=0 2 * * *", f"--include-namespaces={driven.namespace}")
    velero.cli("schedule", "pause", "nightly")
    velero.cli("create", "backup", "--from-schedule=nightly", "--wait")
    velero.cli("create", "backup", "by-hand", f"--include-namespaces={driven.namespace}", "--wait")
    third, newest = backed_up(driven)
    foreign = set(driven.names()) - {first, second, third}
    assert len(foreign) == 2
    keep_one(driven)

    said = driven.type("prune", "nightly", "--dry-run")
    assert "remove 1 of 3 backups" in said
    assert "the newest proven one" in lines_with(said, proven)[0]
    assert "the newest complete one" in lines_with(said, newest)[0]
    assert " remove " in lines_with(said, dull)[0]
    assert set(driven.names()) == {first, second, third, *foreign}

    driven.type("prune", "nightly", "--yes")
    assert set(driven.names()) == {first, third, *foreign}
    assert not lines_with(driven.type("list"), dull)
    held = velero.path("backups")
    left = plane.api.wait(held, lambda found: second not in stories.named(found), stories.SYNC_SECONDS)
    assert stories.named(left) >= {first, third, *foreign}
    assert "nothing to remove" in driven.type("prune", "nightly", "--dry-run")


def test_what_velero_removed_itself_is_told_and_protects_nothing(driven, plane):  # noqa: F811
    velero = driven.velero
    first, older = backed_up(driven)
    second, newest = backed_up(driven)
    keep_one(driven)
    plane.api.patch(velero.path("backups", second), {"status": {"expiration": "2026-01-01T00:00:00Z"}})
    plane.api.wait(velero.path("backups"), lambda found: second not in stories.named(found), stories.SYNC_SECONDS)
    assert driven.names() == [first]

    said = driven.type("prune", "nightly", "--dry-run")
    assert "not in the store any more" in lines_with(said, newest)[0]
    assert " keep " in lines_with(said, older)[0]
    driven.type("prune", "nightly", "--yes")
    assert driven.names() == [first]
    assert "9 of 10 files not in the store any more" in driven.type("status", "--check", code=14)
    assert "NOT stored" in driven.type("show", newest)
    assert "readable" not in lines_with(driven.type("list"), newest)[0]
    assert "readable" in lines_with(driven.type("list"), older)[0]
    driven.type("verify", newest, code=13)
    driven.type("verify", older)
    assert "nothing to remove" in driven.type("prune", "nightly", "--dry-run")
