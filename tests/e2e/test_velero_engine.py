"""Velero takes the backups and Backstay asks for them, waits, reads them back and keeps them."""

import os
import signal
import subprocess
import time

import pytest

from tests.e2e import velero_story as stories
from tests.e2e.test_velero import plane, story  # noqa: F401 - fixtures


@pytest.fixture
def driven(story, plane):  # noqa: F811
    """A story whose backups a running Velero takes."""
    with story.with_velero(plane) as velero:
        story.configure(more=f"  engine: velero\n  velero_namespace: {velero.namespace}\n")
        yield story


def test_taken_by_velero_kept_and_restored_by_backstay(driven, plane):  # noqa: F811
    assert "by Velero in" in driven.type("check")
    driven.type("backup", "nightly")
    (name,) = driven.names()
    assert driven.velero.ended("backups", name)["spec"]["snapshotVolumes"] is False
    assert "complete" in driven.type("list", "--tier", "objects")
    assert "Velero calls it Completed" in driven.type("verify", "nightly")
    assert name in driven.type("show", "nightly")
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
