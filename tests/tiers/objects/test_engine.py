"""What is asked of Velero, and what is said when it cannot, will not or does not do it."""

import copy
import gzip
import io
import json
import tarfile
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from backstay.cluster.base import Event
from backstay.core.errors import ObjectExists, ObjectNotFound, SourceError
from backstay.core.model import State, TierKind
from backstay.jobs import backup as job
from backstay.tiers.objects.engine import api
from backstay.tiers.objects.engine.api import BACKUPS, LOCATIONS, SCHEDULES, schedule_trouble
from backstay.tiers.objects.engine.request import spec_of
from backstay.tiers.objects.selection import choose
from backstay.tiers.objects.settings import ByVelero, Schedule, Selection
from backstay.tiers.objects.tier import ObjectsTier
from tests.tiers.objects.capturing import Capturing, filled
from tests.tiers.objects.fake_cluster import BUILT_IN, CONFIGMAPS, FakeCluster

OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}}
PATHS = (
    "resources/configmaps/namespaces/shop/a.json",
    "resources/configmaps/v1-preferredversion/namespaces/shop/a.json",
)
LISTED = {"v1/ConfigMap": ["shop/a"]}
NO_RESULTS = {"errors": {}, "warnings": {}}


class VeleroCluster(FakeCluster):
    """A cluster with a Velero that does at once what it is asked: it writes these files and says this status."""

    def __init__(self, store=None, status=None, listed=None, results=None):
        velero = [replace(one, verbs=CONFIGMAPS.verbs) for one in (BACKUPS, LOCATIONS, SCHEDULES)]
        super().__init__(*BUILT_IN, *velero)
        self._store_of_files, self._status = store, status or {"phase": "Completed"}
        self._listed, self._results = listed or LISTED, results or NO_RESULTS
        self.put(CONFIGMAPS, "a", "shop")
        self.location()

    def location(self, **status):
        spec = {"objectStorage": {"bucket": "b", "prefix": "velero"}}
        self.put(LOCATIONS, "default", "velero", spec=spec, status={"phase": "Available", **status})

    def create(self, resource, body, *, dry_run=False):
        made = super().create(resource, body, dry_run=dry_run)
        if resource.name == BACKUPS.name:
            self._write(body["metadata"]["name"])
            self.objects[resource.name, "velero", body["metadata"]["name"]]["status"] = self._status
        return made

    def _write(self, name):
        if self._store_of_files is None or self._status["phase"] not in api.DONE:
            return
        record = {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name}, "status": self._status}
        files = {
            f"{name}.tar.gz": gzip.compress(archive()),
            f"{name}-resource-list.json.gz": gzip.compress(json.dumps(self._listed).encode()),
            f"{name}-results.gz": gzip.compress(json.dumps(self._results).encode()),
            f"{name}-podvolumebackups.json.gz": gzip.compress(b"[]"),
            "velero-backup.json": json.dumps(record).encode(),
        }
        for file, data in files.items():
            self._store_of_files.put(f"velero/backups/{name}/{file}", (data,))


def archive():
    """As Velero writes it: each object twice."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for path in PATHS:
            info = tarfile.TarInfo(path)
            info.size = len(json.dumps(OBJECT))
            tar.addfile(info, io.BytesIO(json.dumps(OBJECT).encode()))
    return held.getvalue()


@dataclass
class Driven(Capturing):
    """As ``Capturing``, by Velero."""

    by: ByVelero = ByVelero()  # noqa: RUF009 - frozen

    @property
    def context(self):
        world = replace(super().world, by_velero=self.by)
        return replace(super().context, tiers={TierKind.OBJECTS: ObjectsTier({"daily": self.schedule}, world)})


@pytest.fixture
def driven(tmp_path):
    """Call it for a world whose Velero answers so."""

    def make(**answers):
        made = Driven(None, tmp_path)
        made.cluster = VeleroCluster(made.store, **answers)
        return made

    return make


def velero_backups(world):
    return world.cluster.names(BACKUPS)


def test_what_velero_took_is_a_backup(driven):
    world = driven()
    made = world.backup()
    assert made.state is State.COMPLETE
    assert made.contents["kinds"] == {"configmaps": 1}
    assert made.source["engine"] == "velero"
    assert {one.role for one in made.artifacts} == {
        "objects", "resource-list", "results", "pod-volume-backups", "velero-backup", "items",
    }  # fmt: skip
    assert {one.key for one in made.artifacts} == set(world.paths())
    assert world.verify(made).ok
    (body,) = [one for key, one in world.cluster.objects.items() if key[0] == BACKUPS.name]
    assert body["metadata"]["labels"]["velero.io/schedule-name"] == "daily"
    assert body["spec"]["snapshotVolumes"] is False
    assert body["spec"]["storageLocation"] == "default"


def test_errors_and_what_is_only_listed_are_omissions(driven):
    errors = {"velero": ["a hook failed"], "namespaces": {"shop": ["pods b: no"]}}
    world = driven(
        status={"phase": "PartiallyFailed", "errors": 2},
        listed={"v1/ConfigMap": ["shop/a"], "v1/Pod": ["shop/b"]},
        results={"errors": errors, "warnings": {"cluster": ["mind"]}},
    )
    made = world.backup()
    assert made.state is State.PARTIAL
    assert made.omissions == (
        "a hook failed",
        "shop: pods b: no",
        "v1/Pod shop/b: Velero lists it, and it is not in its archive",
    )
    assert made.warnings == ("mind",)
    assert world.verify(made).ok


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Failed", "failureReason": "no such bucket"}, "is Failed: no such bucket"),
        ({"phase": "FailedValidation", "validationErrors": ["bad label", "bad ttl"]}, "bad label; bad ttl"),
        ({"phase": "InProgress"}, "is not over after"),
        ({"phase": "New"}, "has not begun"),
    ],
)
def test_a_backup_that_comes_to_nothing_is_said_and_leaves_nothing(driven, status, words):
    world = driven(status=status)
    with pytest.raises(SourceError, match=words):
        world.backup()
    assert world.paths() == []


def test_a_backup_that_is_deleted_meanwhile(driven):
    world = driven()
    world.cluster.watch = lambda *_, **__: iter([Event("DELETED", {})])
    with pytest.raises(SourceError, match="was deleted while it ran"):
        world.backup()


def test_the_files_are_somewhere_else(driven):
    world = driven()
    world.cluster._store_of_files = None
    with pytest.raises(SourceError, match="not in the store") as caught:
        world.backup()
    assert "writes to b/velero" in caught.value.hint


def test_one_of_veleros_own_is_never_touched(driven):
    world = driven()
    create = world.cluster.create

    def taken(resource, body, **more):
        create(resource, copy.deepcopy(body), **more)
        return create(resource, body, **more)

    world.cluster.create = taken
    with pytest.raises(SourceError, match="has a backup daily-[0-9]+ already"):
        world.backup()
    assert len(world.paths()) == 5


def test_a_backup_that_was_made_although_the_answer_was_lost_is_waited_for(driven):
    world = driven()
    create = world.cluster.create

    def lost(resource, body, **more):
        create(resource, body, **more)
        raise ObjectExists('backups.velero.io "daily" already exists', resent=True)

    world.cluster.create = lost
    assert world.backup().state is State.COMPLETE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.resources.pop(BACKUPS.name), "Velero is not installed"),
        (lambda one: one.objects.pop((LOCATIONS.name, "velero", "default")), "no storage location velero/default"),
        (lambda one: one.location(phase="Unavailable", message="access denied"), "not available: access denied"),
    ],
)
def test_what_stands_in_the_way_is_said_before_anything_is_made(driven, change, words):
    world = driven()
    change(world.cluster)
    with pytest.raises(SourceError, match=words):
        world.backup()
    assert velero_backups(world) == []


def test_a_schedule_of_veleros_own():
    cluster = VeleroCluster()
    assert schedule_trouble(cluster, "velero", "daily") == []
    cluster.put(SCHEDULES, "daily", "velero", spec={"paused": False})
    assert "so both back it up" in schedule_trouble(cluster, "velero", "daily")[0]
    cluster.put(SCHEDULES, "daily", "velero", spec={"paused": True})
    assert schedule_trouble(cluster, "velero", "daily") == []
    cluster.fail("get", error=ObjectNotFound("no such kind"))
    assert schedule_trouble(cluster, "velero", "daily") == []


def spec(**selection):
    cluster = filled()
    schedule = Schedule("daily", Selection(**selection))
    return spec_of(schedule, choose(cluster, schedule.selection), "default")


def test_patterns_become_names():
    made = spec(namespaces=("s*",), exclude_namespaces=("b*",), resources=("*.apps", "secrets"))
    assert made["includedNamespaces"] == ["shop"]
    assert "excludedNamespaces" not in made
    assert made["includedResources"] == ["deployments.apps", "secrets"]


def test_it_does_not_expire_whatever_is_kept():
    cluster = filled()
    schedule = Schedule("daily", Selection(), ttl=timedelta(days=7))
    assert spec_of(schedule, choose(cluster, schedule.selection), "default")["ttl"] == "87600h0m0s"
    assert spec()["ttl"] == "87600h0m0s"


def test_events_are_left_out_and_the_rest_is_not():
    made = spec()
    assert made["includedNamespaces"] == ["*"]
    assert "includedResources" not in made
    assert made["excludedResources"] == ["events", "events.events.k8s.io"]
    assert made["includeClusterResources"] is True
    assert "events" not in spec(resources=("events",))["excludedResources"]


def test_a_plan_says_it_too(tmp_path):
    world = Driven(FakeCluster(), tmp_path)
    with pytest.raises(SourceError, match="not installed"):
        job.plan(world.context, world.schedule.target)
