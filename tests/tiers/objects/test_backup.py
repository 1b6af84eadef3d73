"""Backups of objects: what is taken, what is said of what is not, and the files that Velero reads."""

import gzip
import json
import os
import subprocess
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pyrage
import pytest
import yaml

from backstay.core.errors import (
    SourceError,
    VerificationFailed,
)
from backstay.core.model import State
from backstay.tiers.objects import backup as capture
from backstay.tiers.objects.settings import Selection
from tests.tiers.objects.capturing import Capturing, filled
from tests.tiers.objects.fake_cluster import (
    CLUSTERROLES,
    CONFIGMAPS,
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    PVS,
    SECRETS,
    kind,
)

EXCLUDED = {"velero.io/exclude-from-backup": "true"}


@pytest.fixture
def world(tmp_path):
    return Capturing(filled(), tmp_path)


def test_everything_is_in_the_archive_under_veleros_names(world):
    made = world.backup()
    stamp = f"{made.started_at:%Y%m%d%H%M%S}"
    folder = f"velero/backups/daily-{stamp}"
    assert made.state is State.COMPLETE
    assert made.warnings == ()
    assert world.paths() == [
        f"velero-items/daily-{stamp}.ndjson.gz",
        f"{folder}/daily-{stamp}-logs.gz",
        f"{folder}/daily-{stamp}-resource-list.json.gz",
        f"{folder}/daily-{stamp}-results.gz",
        f"{folder}/daily-{stamp}-volumeinfo.json.gz",
        f"{folder}/daily-{stamp}.tar.gz",
        f"{folder}/velero-backup.json",
    ]
    archive = world.archive(made)
    assert archive["resources/deployments.apps/namespaces/shop/web.json"] == world.cluster.peek(
        DEPLOYMENTS, "web", "shop"
    )
    assert (
        archive["resources/clusterroles.rbac.authorization.k8s.io/cluster/system:réader.json"]["kind"] == "ClusterRole"
    )
    assert "resources/namespaces/cluster/bank.json" in archive
    assert not [path for path in archive if "events" in path]
    assert len(archive) == len([key for key in world.cluster.objects if "events" not in key[0]]) == 13
    assert made.contents["objects"] == 13
    assert made.contents["kinds"]["configmaps"] == 6
    assert made.contents["namespaces"] == 3
    assert made.source["version"] == "v1.37.2"
    assert made.source["kinds_seen"] == 12
    assert made.source["kinds_left_out"] == ["events", "events.events.k8s.io"]
    assert made.source["selection"] == {"cluster_scoped": True}
    assert not list((world.folder / "spool").iterdir())


def test_the_list_of_items_is_in_the_order_of_the_archive(world):
    made = world.backup()
    lines = [json.loads(line) for line in gzip.decompress(world.stored(made, "items")).splitlines()]
    paths = [
        f"resources/{line['resource']}/" + (f"namespaces/{line['namespace']}" if line["namespace"] else "cluster") +
        f"/{line['name']}.json"
        for line in lines
    ]  # fmt: skip
    assert paths == list(world.archive(made))
    web = next(line for line in lines if line["resource"] == "deployments.apps")
    live = world.cluster.peek(DEPLOYMENTS, "web", "shop")
    text = json.dumps(live, ensure_ascii=False, separators=(",", ":")).encode()
    assert web == {
        "resource": "deployments.apps",
        "apiVersion": "apps/v1",
        "namespace": "shop",
        "name": "web",
        "uid": live["metadata"]["uid"],
        "size_bytes": len(text),
        "sha256": sha256(text).hexdigest(),
    }


def test_veleros_own_files(world):
    world.ttl = timedelta(days=30)
    made = world.backup()
    record = world.json(made, "velero-backup")
    assert record["metadata"]["name"] == world.paths()[-1].split("/")[2]
    assert record["metadata"]["labels"]["velero.io/schedule-name"] == "daily"
    assert record["metadata"]["annotations"]["velero.io/source-cluster-k8s-minor-version"] == "37"
    assert record["spec"]["ttl"] == "720h0m0s"
    assert record["status"]["phase"] == "Completed"
    assert record["status"]["formatVersion"] == "1.0.0"
    assert record["status"]["expiration"] > record["status"]["completionTimestamp"]
    assert record["status"]["progress"] == {"totalItems": 13, "itemsBackedUp": 13}
    assert world.json(made, "resource-list")["v1/Namespace"] == ["bank", "kube-system", "shop"]
    assert world.json(made, "resource-list")["v1/Secret"] == ["shop/token"]
    assert world.json(made, "volume-info") == []
    assert world.json(made, "results") == {"errors": {}, "warnings": {}}
    log = gzip.decompress(world.stored(made, "logs")).decode()
    assert 'level=info msg="Listed configmaps: 6 objects taken" backup=velero/daily-' in log


def test_the_record_is_written_last_and_never_expires_without_a_ttl(world):
    written = []
    put = world.store.put
    world.store.put = lambda key, *args, **named: written.append(key) or put(key, *args, **named)
    made = world.backup()
    assert [key for key in written if key.startswith("velero")][-1].endswith("velero-backup.json")
    assert "expiration" not in world.json(made, "velero-backup")["status"]


def _folder_of_definitions():
    named = os.environ.get("BACKSTAY_CRDS")
    return Path(named) if named else Path(__file__).parents[4] / "shared" / "crds"


@pytest.mark.skipif(
    not (_folder_of_definitions() / "velero.yaml").exists(), reason="BACKSTAY_CRDS names no such folder"
)
@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(
            ("shop", "b*"), ("kube-*",), ("pods", "*.apps", "configmaps"), ("secrets",), "a=b,c in (d,e),!f,g", True
        ),
    ],
)
def test_the_record_fits_veleros_own_schema(world, selection):
    world.selection, world.ttl = selection, timedelta(hours=1)
    world.cluster.put(CONFIGMAPS, "labelled", "shop", labels={"a": "b", "c": "d", "g": ""})
    listing = world.cluster.list
    world.cluster.list = lambda kind, **named: listing(
        kind, **{**named, "labels": "a=b" if named.get("labels") else ""}
    )
    record = world.json(world.backup(), "velero-backup")
    with (_folder_of_definitions() / "velero.yaml").open() as file:
        definitions = [one for one in yaml.safe_load_all(file) if one and one["spec"]["names"]["kind"] == "Backup"]
    (definition,) = definitions
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    _fits(record, {**schema, "properties": {**schema["properties"], "metadata": {}}}, "Backup")


def _fits(value, schema, where):
    """Enough of a structural schema: types, enumerations, and that no property is one the schema does not know."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), where
    assert value in schema.get("enum", [value]), where
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", [])) <= set(value), where
        for key, inner in value.items():
            assert key in schema["properties"], f"{where}.{key}"
            _fits(inner, schema["properties"][key], f"{where}.{key}")
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for key, inner in value.items():
            _fits(inner, schema["additionalProperties"], f"{where}.{key}")
    if isinstance(value, list):
        for inner in value:
            _fits(inner, schema.get("items", {}), f"{where}[]")


def test_encrypted_files_lie_apart_and_velero_is_shown_nothing(world):
    identity = pyrage.x25519.Identity.generate()
    world.recipients, world.identities = (str(identity.to_public()),), (str(identity),)
    made = world.backup()
    assert all(key.startswith(("velero-encrypted/backups/daily-", "velero-items/")) for key in world.paths())
    assert all(key.endswith(".age") for key in world.paths())
    assert made.artifact("velero-backup").key.endswith("/velero-backup.json.age")
    assert world.verify(made).ok


def test_what_is_labelled_or_being_deleted_is_left_out_and_counted(world):
    cluster = world.cluster
    cluster.put(SECRETS, "not-this", "shop", labels=EXCLUDED)
    cluster.put(CONFIGMAPS, "leaving", "shop", deletionTimestamp="2026-02-11T15:43:44Z")
    cluster.put(NAMESPACES, "scratch", labels=EXCLUDED)
    cluster.put(CONFIGMAPS, "inside", "scratch")
    cluster.put(NAMESPACES, "dying", deletionTimestamp="2026-02-11T15:43:44Z")
    cluster.put(CONFIGMAPS, "inside", "dying")
    made = world.backup()
    assert made.state is State.COMPLETE
    assert made.contents["left_out"] == {"being_deleted": 2, "labelled": 2}
    assert made.contents["objects"] == 13


def test_a_kind_made_a_moment_ago_is_in_it(world):
    widgets = kind("widgets.example.org", "Widget", version="v1alpha1")
    world.cluster.resources[widgets.name] = widgets
    world.cluster.put(CRDS, "widgets.example.org")
    world.cluster.put(widgets, "one", "shop", apiVersion="example.org/v1alpha1")
    archive = world.archive(world.backup())
    assert archive["resources/widgets.example.org/namespaces/shop/one.json"]["kind"] == "Widget"


def test_a_selection_of_namespaces_takes_them_and_nothing_else(world):
    world.selection = Selection(namespaces=("sh*",))
    assert sorted(world.archive(world.backup())) == [
        "resources/configmaps/namespaces/shop/kube-root-ca.crt.json",
        "resources/configmaps/namespaces/shop/settings.json",
        "resources/deployments.apps/namespaces/shop/web.json",
        "resources/namespaces/cluster/shop.json",
        "resources/secrets/namespaces/shop/token.json",
    ]
    asked = {call[2] for call in world.cluster.calls if call[:2] == ("list", "secrets")}
    assert asked == {"shop"}


def test_with_labels_only_the_namespaces_of_what_was_taken_are_in_it(world):
    world.cluster.put(SECRETS, "labelled", "bank", labels={"app": "till"})
    world.selection = Selection(labels="app=till")
    assert list(world.archive(world.backup())) == [
        "resources/secrets/namespaces/bank/labelled.json",
        "resources/namespaces/cluster/bank.json",
    ]


def test_nothing_to_take_is_an_error(world):
    world.selection = Selection(namespaces=("nowhere",), cluster_scoped=False)
    with pytest.raises(SourceError, match="there is no object to back up"):
        world.backup()
    assert world.paths() == []


def test_what_the_configuration_names_and_is_not_there_is_a_warning(world):
    world.selection = Selection(namespaces=("shop", "shpo"), resources=("secrets", "widgets.example.org"))
    made = world.backup()
    assert made.warnings == (
        "no kind that can be backed up is called widgets.example.org",
        "no namespace is called shpo",
    )


def test_an_object_that_no_archive_can_hold_is_named(world):
    world.cluster.put(CLUSTERROLES, "a/b")
    world.cluster.put(PVS, "strange", apiVersion="other.example.org/v1")
    made = world.backup()
    assert made.state is State.PARTIAL
    assert [words.partition(" cannot be kept")[0] for words in made.omissions] == [
        "clusterroles.rbac.authorization.k8s.io a/b",
        "persistentvolumes strange",
    ]
    assert world.verify(made).ok


def test_the_archive_unpacks_by_hand_as_the_manifest_says(world, tmp_path):
    made = world.backup()
    name = made.artifact("objects").key.rpartition("/")[2]
    (tmp_path / name).write_bytes(world.stored(made, "objects"))
    (step,) = [step for step in made.restore_by_hand if step.startswith("Without it, unpack: ")]
    subprocess.run(step.partition(": ")[2], shell=True, check=True, cwd=tmp_path)  # noqa: S602
    file = tmp_path / "objects/resources/secrets/namespaces/shop/token.json"
    assert json.loads(file.read_text()) == world.cluster.peek(SECRETS, "token", "shop")
    assert file.stat().st_mode & 0o111
    assert f"--from-backup {name.removesuffix('.tar.gz')} --wait" in " ".join(made.restore_by_hand)


def test_a_name_that_is_too_long_for_a_file_is_a_warning(world):
    world.cluster.put(CONFIGMAPS, "a" * 250, "shop")
    assert world.backup().warnings == ()
    world.cluster.put(CONFIGMAPS, "a" * 251, "shop")
    world.cluster.put(CONFIGMAPS, "a" * 253, "shop")
    (warning,) = world.backup().warnings
    assert "(and 1 more): the name is too long for a file" in warning


def test_a_store_that_keeps_other_bytes_gets_no_record_for_velero(world):
    real = world.store.put

    def put(key, chunks, **named):
        data = b"".join(chunks)
        if key.endswith("-resource-list.json.gz"):
            data = gzip.compress(b"{}", mtime=0).ljust(len(data), b"\0")[: len(data)]
        return real(key, [data], **named)

    world.store.put = put
    with pytest.raises(VerificationFailed, match="is not what was captured"):
        world.backup()
    assert world.paths() == []


def test_a_preview_lists_no_objects(world):
    found = capture.preview(world.schedule, world.world)
    assert found["title"] == ("objects/daily  Kubernetes v1.37.2 at https://10.0.0.1:6443, 12 kinds, all 3 namespaces")
    assert {call[:2] for call in world.cluster.calls} == {("version", ""), ("discover", ""), ("list", "namespaces")}
