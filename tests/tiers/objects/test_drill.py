"""What a drill of objects leaves out and what it says of a difference; the drill itself is in tests/e2e."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from backstay.cluster.base import Discovery, Resource
from backstay.core.errors import DrillFailed, ToolTooOld
from backstay.core.model import Severity, Target, TierKind
from backstay.tiers.base import RestoreRequest
from backstay.tiers.objects import drill
from backstay.tiers.objects.difference import Change, Difference
from backstay.tiers.objects.drill import compare as drillcompare
from backstay.tiers.objects.drill.compare import compared, unchecked
from backstay.tiers.objects.fields import FieldChange
from backstay.tiers.objects.names import CRDS
from backstay.tiers.objects.restore.request import Options
from backstay.tiers.objects.settings import Schedule, World
from tests.fixtures.etcd import program


class Archive:
    """Objects by kind and name."""

    def __init__(self, **kinds):
        self.kinds = {name.replace("_", "."): bodies for name, bodies in kinds.items()}

    def resources(self):
        return sorted(self.kinds)

    def entries(self, resource):
        return (SimpleNamespace(name=name, body=body) for name, body in self.kinds.get(resource, {}).items())

    def read(self, entry):
        return json.dumps(entry.body).encode()


def definition(strategy, storage):
    versions = [{"name": name, "storage": name == storage} for name in ("v1", "v2")]
    return {"spec": {"group": "example.com", "conversion": {"strategy": strategy}, "versions": versions}}


def archive(strategy="None", storage="v1"):
    things = {"one": {"apiVersion": "example.com/v1"}}
    kinds = {
        CRDS.replace(".", "_"): {"things.example.com": definition(strategy, storage)},
        "things_example_com": things,
        "configmaps": {},
        "lost_example_org": {},
    }
    return Archive(**kinds)


class Cluster:
    def discover(self):
        names = [("", "configmaps"), ("apiextensions.k8s.io", "customresourcedefinitions")]
        return Discovery(tuple(Resource(group, "v1", plural, "X", namespaced=True) for group, plural in names))


def test_kinds_that_nothing_defines_are_left_out_and_named():
    assert unchecked(archive(), Cluster()) == {
        "lost.example.org": "neither part of this Kubernetes nor defined in the backup"
    }


@pytest.mark.parametrize(
    ("strategy", "storage", "left"), [("None", "v2", False), ("Webhook", "v1", False), ("Webhook", "v2", True)]
)
def test_kinds_that_a_webhook_would_have_to_convert_are_left_out(strategy, storage, left):
    assert ("things.example.com" in unchecked(archive(strategy, storage), Cluster())) is left


def say(monkeypatch, *differences):
    monkeypatch.setattr(drillcompare, "against_cluster", lambda *_: iter(differences))
    return [(finding.severity, finding.message) for finding in compared(None, None, None, Options(), 41)]


def changed(resource, namespace, name, *paths):
    return Difference(Change.CHANGED, resource, namespace, name, tuple(FieldChange(path, 1, 2) for path in paths))


def test_nothing_differs(monkeypatch):
    assert say(monkeypatch) == [(Severity.OK, "41 objects read back, each equal to the one in the backup")]


@pytest.mark.parametrize(
    "expected",
    [
        Difference(Change.ADDED, "namespaces", "", "kube-public"),
        changed("services", "default", "kubernetes", "spec.clusterIP"),
        changed("configmaps", "kube-system", "extension-apiserver-authentication", "data"),
        Difference(Change.REMOVED, "leases.coordination.k8s.io", "kube-system", "apiserver-abc"),
        changed("replicasets.apps", "shop", "web-1", "metadata.ownerReferences"),
    ],
)
def test_what_an_api_server_does_by_itself_is_expected(monkeypatch, expected):
    assert [severity for severity, _ in say(monkeypatch, expected)] == [Severity.OK]


def test_what_differs_is_named(monkeypatch):
    assert say(
        monkeypatch,
        Difference(Change.REMOVED, "secrets", "shop", "key"),
        changed("storageclasses.storage.k8s.io", "", "fast", "a", "b", "c", "d"),
        changed("replicasets.apps", "shop", "web-1", "metadata.ownerReferences", "spec.template"),
        changed("configmaps", "shop", "extension-apiserver-authentication", "data"),
    ) == [
        (Severity.ERROR, "secrets key of namespace shop did not come back"),
        (Severity.ERROR, "storageclasses.storage.k8s.io fast came back with another a, b, c and 1 more"),
        (
            Severity.ERROR,
            "replicasets.apps web-1 of namespace shop came back with another metadata.ownerReferences, spec.template",
        ),
        (
            Severity.ERROR,
            "configmaps extension-apiserver-authentication of namespace shop came back with another data",
        ),
    ]


def test_many_differences_are_counted(monkeypatch):
    found = say(monkeypatch, *(Difference(Change.REMOVED, "pods", "shop", f"p{n}") for n in range(25)))
    assert len(found) == 21
    assert found[-1] == (Severity.ERROR, "and 5 more objects that differ; of all: pods 25")


def plan(tmp_path, kube_apiserver, version="v1.37.1"):
    world = World(lambda: None, lambda: None, tmp_path / "spool", kube_apiserver=kube_apiserver)
    world = World(**{**vars(world), "etcd_bin": str(Path(program("etcd")).parent)})
    made = SimpleNamespace(
        id="objects/daily@1", target=Target(TierKind.OBJECTS, "daily"), source={"version": version},
        contents={"objects": 3}, size_bytes=10,
    )  # fmt: skip
    return drill.plan(Schedule("daily"), world, made, RestoreRequest("20260211-154344", datetime.now(UTC)))


def script(tmp_path, version="v1.37.2"):
    file = tmp_path / "kube-apiserver"
    file.write_text(f"#!/bin/sh\necho Kubernetes {version}\n")
    file.chmod(0o755)
    return str(file)


def test_the_plan(tmp_path):
    made = plan(tmp_path, script(tmp_path))
    assert [step.name for step in made.steps] == ["start", "restore", "compare", "remove"]
    assert made.confirm == ""
    assert "Kubernetes v1.37.2" in made.title


def test_an_older_one_is_refused(tmp_path):
    with pytest.raises(ToolTooOld, match=r"is of Kubernetes v1\.38\.0, and the kube-apiserver found here is v1\.37\.2"):
        plan(tmp_path, script(tmp_path), "v1.38.0")


def test_none_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(DrillFailed) as caught:
        plan(tmp_path, None)
    assert "drills.kube_apiserver" in caught.value.hint
