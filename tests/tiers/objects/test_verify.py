"""Reading a backup back: it holds, or it says in what it does not; Velero's own backups as far as they say."""

import gzip
import json
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backstay.core.model import Artifact, Backup, NoProgress, Severity, State, Target, TierKind
from backstay.jobs.transfer import StoreSource
from backstay.store.memory import MemoryStore
from backstay.store.pipeline import CHUNK_BYTES, Tally
from backstay.tiers.objects import verify
from tests.tiers.objects.capturing import Capturing
from tests.tiers.objects.fake_cluster import CONFIGMAPS, NODES, SECRETS, FakeCluster
from tests.tiers.objects.test_archive import GOOD, packed, text_of


@pytest.fixture
def world(tmp_path):
    cluster = FakeCluster()
    for number in range(40):
        cluster.put(CONFIGMAPS, f"settings-{number}", f"team-{number % 3}", data={"n": str(number)})
    cluster.put(SECRETS, "token", "team-1", data={"key": "c2VjcmV0"})
    cluster.put(NODES, "server-1")
    return Capturing(cluster, tmp_path)


def findings(world, made):
    found = verify.readable(made, StoreSource(world.store, made, ()), NoProgress(), world.folder)
    return [(one.severity, one.code, one.message) for one in found]


def wrong(world, made):
    return [message for severity, _, message in findings(world, made) if severity is Severity.ERROR]


def stored_again(world, made, role, change):
    """The same backup with another content of one file, and a manifest that fits its bytes but not its words."""
    artifact = made.artifact(role)
    data = world.stored(made, role)
    plain = change(gzip.decompress(data) if "gzip" in artifact.encoding else data)
    data = gzip.compress(plain) if "gzip" in artifact.encoding else plain
    world.store.delete([artifact.key])
    world.store.put(artifact.key, [data], create=True)
    tallies = []
    for content in (data, plain):
        tally = Tally()
        list(tally.through([content]))
        tallies.append((tally.size_bytes, tally.sha256))
    (size, digest), (plain_size, plain_digest) = tallies
    other = replace(artifact, size_bytes=size, sha256=digest, plain_size_bytes=plain_size, plain_sha256=plain_digest)
    return replace(made, artifacts=tuple(other if one.role == role else one for one in made.artifacts))


def test_a_backup_holds(world):
    made = world.backup()
    found = findings(world, made)
    assert [(severity, code) for severity, code, _ in found] == [
        (Severity.OK, "objects.items"),
        (Severity.OK, "objects.contents"),
        (Severity.OK, "objects.resource_list"),
        (Severity.OK, "objects.record"),
    ]
    assert found[0][2] == "archive whole, each of 45 objects of 4 kinds equal to the list of items"


def test_a_thousand_flipped_bits_are_found_each(world):
    made = world.backup()
    key = made.artifact("objects").key
    whole = world.stored(made, "objects")
    chance = random.Random(7)
    for _ in range(1000):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        world.store.delete([key])
        world.store.put(key, [bytes(data)], create=True)
        assert wrong(world, made)


@pytest.mark.parametrize("role", ["items", "resource-list", "results", "logs", "volume-info", "velero-backup"])
def test_damage_to_each_other_file_is_found(world, role):
    made = world.backup()
    artifact = made.artifact(role)
    data = bytearray(world.stored(made, role))
    data[len(data) // 2] ^= 4
    world.store.delete([artifact.key])
    world.store.put(artifact.key, [bytes(data)], create=True)
    assert len(wrong(world, made)) == 1
    world.store.delete([artifact.key])
    assert len(wrong(world, made)) == 1


def changed_line(data):
    lines = data.splitlines(keepends=True)
    one = json.loads(lines[5])
    lines[5] = json.dumps({**one, "sha256": "0" * 64}).encode() + b"\n"
    return b"".join(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed_line, "is not as listed"),
        (lambda data: data + data.splitlines(keepends=True)[0], "is listed and not there"),
        (lambda data: data.rpartition(b"\n{")[0] + b"\n", "is there and not listed"),
        (lambda data: b"".join(reversed(data.splitlines(keepends=True))), "and 41 more"),
        (lambda data: data[:-1], "without its end"),
        (lambda data: data + b"{}\n", "a line that is none"),
        (lambda data: data + b"x" * 20_000, "too long"),
    ],
)
def test_a_list_of_items_that_says_something_else(world, change, words):
    made = stored_again(world, world.backup(), "items", change)
    assert any(words in message for message in wrong(world, made)), wrong(world, made)


def test_a_resource_list_that_says_more_or_less(world):
    made = world.backup()

    def change(data):
        found = json.loads(data)
        found["v1/ConfigMap"].append("team-1/not-there")
        found["v1/ConfigMap"].remove("team-0/settings-0")
        found["v1/Pod"] = ["team-1/gone"]
        return json.dumps(found).encode()

    made = stored_again(world, made, "resource-list", change)
    assert wrong(world, made) == [
        "in the resource list, not in the archive: v1/ConfigMap team-1/not-there; v1/Pod team-1/gone",
        "in the archive, not in the resource list: configmaps team-0/settings-0",
    ]


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"v1/Pod": [1]}', b"\xff", b"[" * 100_000])
def test_a_resource_list_that_is_none(world, content):
    made = stored_again(world, world.backup(), "resource-list", lambda _: content)
    assert len(wrong(world, made)) == 1


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("metadata", "name"), "other", "in the folder of"),
        (("status", "phase"), "InProgress", "its phase is InProgress"),
        (("status", "phase"), "PartiallyFailed", "expected Completed"),
        (("status", "formatVersion"), "1.1.0", "formatVersion"),
        (("status", "progress", "itemsBackedUp"), 7, "it says 7 objects"),
        (("kind",), "Restore", "not a Backup"),
        (("status",), [], "not what it should be"),
    ],
)
def test_a_record_that_says_something_else(world, path, value, words):
    def change(data):
        found = json.loads(data)
        here = found
        for key in path[:-1]:
            here = here[key]
        here[path[-1]] = value
        return json.dumps(found).encode()

    made = stored_again(world, world.backup(), "velero-backup", change)
    (message,) = wrong(world, made)
    assert words in message


def test_counts_that_are_not_those_of_the_manifest(world):
    made = world.backup()
    other = replace(made, contents={**made.contents, "objects": 46, "kinds": {**made.contents["kinds"], "pods": 1}})
    assert wrong(world, other) == ["not what was backed up: 45 objects, expected 46; pods: 0, expected 1"]
    assert "more than" in wrong(world, replace(made, contents={**made.contents, "bytes": 5}))[0]


def test_a_backup_without_its_list_of_items_does_not_hold(world):
    made = world.backup()
    other = replace(made, artifacts=tuple(one for one in made.artifacts if one.role != "items"))
    assert wrong(world, other) == ["the backup has no list of items"]


def of_velero(tmp_path, archive, record, more=None):
    """A backup as Velero leaves it: archive and record, of which no checksum is known."""
    store = MemoryStore()
    files = {"objects": gzip.compress(archive), **({"velero-backup": json.dumps(record).encode()} if record else {})}
    if more is not None:
        files["resource-list"] = gzip.compress(json.dumps(more).encode())
    artifacts = []
    for role, data in files.items():
        key = f"velero/backups/nightly-20260211154344/{role}"
        store.put(key, [data], create=True)
        artifacts.append(Artifact(role, key, len(data), "", -1, "", () if role == "velero-backup" else ("gzip",)))
    at = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)
    target = Target(TierKind.OBJECTS, "nightly")
    made = Backup(target, "20260211-154344", "", State.FOREIGN, at, at, None, tuple(artifacts))
    world = Capturing(None, tmp_path, store)
    return [(severity, message) for severity, _, message in findings(world, made)]


def record_of(phase="Completed", **status):
    name = "nightly-20260211154344"
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {"name": name},
        "status": {"phase": phase, **status},
    }


ARCHIVE = packed(
    ("metadata/version", b"1.1.0\n"),
    ("resources/configmaps/v1-preferredversion/namespaces/shop/a.json", text_of("a")),
    (GOOD, text_of("a")),
)


def test_a_backup_of_velero_is_whole_as_far_as_it_says(tmp_path):
    found = of_velero(tmp_path, ARCHIVE, record_of(progress={"itemsBackedUp": 1}), {"v1/ConfigMap": ["shop/a"]})
    assert found == [
        (Severity.WARNING, "archive whole: 1 object of 1 kind; nothing says what it should hold"),
        (Severity.OK, "the resource list names exactly these objects"),
        (Severity.OK, "Velero calls it Completed"),
    ]


def test_what_velero_listed_and_did_not_keep_is_found(tmp_path):
    found = of_velero(
        tmp_path, ARCHIVE, record_of(progress={"itemsBackedUp": 2}), {"v1/ConfigMap": ["shop/a"], "v1/Node": ["n"]}
    )
    assert found[1:] == [
        (Severity.ERROR, "in the resource list, not in the archive: v1/Node n"),
        (Severity.WARNING, "Velero calls it Completed, it counted 1 object more than there are in the archive"),
    ]


@pytest.mark.parametrize(
    ("phase", "severity"),
    [
        ("PartiallyFailed", Severity.WARNING),
        ("Finalizing", Severity.WARNING),
        ("", Severity.WARNING),
        ("Failed", Severity.ERROR),
    ],
)
def test_what_velero_says_of_its_backup_is_said(tmp_path, phase, severity):
    found = of_velero(tmp_path, ARCHIVE, record_of(phase, errors=2))
    assert found[-1][0] is severity


def test_a_cut_archive_of_velero_is_found(tmp_path):
    assert of_velero(tmp_path, ARCHIVE[:-1024], record_of()) == [
        (Severity.ERROR, "the archive ends in its middle"),
    ]


def test_an_archive_larger_than_a_chunk_is_read(tmp_path):
    cluster = FakeCluster()
    for number in range(8):
        cluster.put(CONFIGMAPS, f"large-{number}", "shop", data={"x": "y" * (CHUNK_BYTES // 2), "é": "ü" * 1000})
    world = Capturing(cluster, tmp_path)
    assert not wrong(world, world.backup())
