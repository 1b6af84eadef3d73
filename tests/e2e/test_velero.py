"""A real Velero and Backstay read each other's backups."""

import os

import pyrage
import pytest

from tests.cluster.build import built
from tests.cluster.control_plane import ControlPlane
from tests.e2e import velero_story as stories
from tests.fixtures.control_plane import _namespace


@pytest.fixture(scope="module")
def plane(kubernetes_program, tmp_path_factory):
    """A cluster of this module: Velero's kinds are in no other test's backups."""
    if not os.environ.get("CI") and built("velero") is None:
        pytest.skip("needs Velero (4 minutes, once; build with: python -m tests.cluster.build velero)")
    with ControlPlane(tmp_path_factory.mktemp("velero") / "plane") as made:
        yield made


@pytest.fixture
def story(plane, kube_apiserver, seaweed_bucket, open_s3, tmp_path):
    options = seaweed_bucket()
    with _namespace(plane) as namespace:
        yield stories.story_of(plane, kube_apiserver, namespace, options, open_s3(options), tmp_path)


def test_velero_lists_and_restores_what_backstay_took(story, plane):
    story.type("backup", "nightly")
    (name,) = story.names()
    with story.with_velero(plane) as velero:
        assert stories.listed_by(velero, name) < stories.SYNC_SECONDS
        assert name in velero.cli("backup", "get")
        described = velero.cli("backup", "describe", name, "--details")
        assert "Completed" in described
        assert f"{story.namespace}/settings" in described
        assert "Backed up" in velero.cli("backup", "logs", name)
        story.restored_by_velero(name, into := f"{story.namespace}-again")
        assert stories.objects_of(plane, into) == stories.objects_of(plane, story.namespace)
        assert len(stories.objects_of(plane, into)) > 45


def test_backstay_lists_verifies_and_restores_what_velero_took(story, plane):
    with story.with_velero(plane) as velero:
        velero.cli("create", "schedule", "nightly", "--schedule=0 2 * * *", f"--include-namespaces={story.namespace}")
        velero.plane.api.wait(
            velero.path("schedules", "nightly"), lambda found: found.get("status", {}).get("phase") == "Enabled"
        )
        velero.cli("create", "backup", "--from-schedule=nightly", "--wait")
    (name,) = story.names()
    stamp = f"{name[-14:-6]}-{name[-6:]}"
    assert stamp in story.type("list", "--foreign")
    assert "Velero calls it Completed" in story.type("verify", f"nightly@{stamp}")
    before = stories.objects_of(plane, story.namespace)
    plane.kubectl("delete", "-n", story.namespace, "configmap,service,secret,role", "--all")
    story.type("restore", f"nightly@{stamp}", "--wait", "0")
    assert stories.objects_of(plane, story.namespace) == before


def test_velero_restores_the_view_of_an_encrypted_backup(story, plane):
    identity = pyrage.x25519.Identity.generate()
    key = story.folder / "identity"
    key.touch(mode=0o600)
    key.write_text(str(identity))
    story.configure(f"encryption: {{recipients: [{identity.to_public()}]}}")
    story.type("backup", "nightly")
    story.type("export", "velero", "nightly", "--to-store", "rescue", "--identity", f"file:{key}")
    (name,) = sorted({one.split("/")[3] for one in story.keys("rescue/velero/backups/")})
    with story.with_velero(plane, prefix="rescue/velero") as velero:
        stories.listed_by(velero, name)
        story.restored_by_velero(name, into := f"{story.namespace}-again")
        assert stories.objects_of(plane, into) == stories.objects_of(plane, story.namespace)
