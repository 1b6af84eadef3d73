"""Backups of real etcd: proven against the cluster, named as k3s names them, and nothing where anything is wrong."""

import io
import json
import subprocess
import tarfile
import zipfile
from dataclasses import replace

import pytest

from backstay.cluster.localetcd.programs import find
from backstay.core.errors import BackstayError, DrillFailed, LeaseHeld, SnapshotDamaged, SourceError, StoreError
from backstay.core.model import Level, State
from backstay.demo import controlplane
from backstay.store.directory import DirectoryStore
from backstay.store.memory import MemoryStore
from backstay.store.pipeline import Encoding
from backstay.tiers.etcd import backup as capture
from backstay.tiers.etcd import drill as trial
from backstay.tiers.etcd.controlplane import Flavor
from backstay.tiers.etcd.file.trailer import check_trailer
from tests.fixtures.etcd import client_of, cluster, fill, single
from tests.tiers.etcd import bootstrap
from tests.tiers.etcd.world import EtcdWorld, plane_of

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kdsyvz0jqlyhfnx"
TOKEN = "K10" + "a" * 64 + "::server:correct horse"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with single(tmp_path_factory.mktemp("etcd")) as made:
        with client_of(made) as client:
            controlplane.fill(client)
        yield made


@pytest.fixture
def world(tmp_path, server):
    (tmp_path / "store").mkdir()
    return EtcdWorld(DirectoryStore(tmp_path / "store"), plane_of(tmp_path, [server.endpoint]), tmp_path)


def sealed(password):
    """Key and value of bootstrap data that this password opens."""
    ((key, value),) = bootstrap.bootstrap(password).items()
    return key.encode(), value


def snapshot_in(world, made):
    """The snapshot as any zip program unpacks it, in a file."""
    artifact = made.artifact("snapshot")
    with world.store.get(artifact.key) as chunks:
        archive = zipfile.ZipFile(io.BytesIO(b"".join(chunks)))
    (entry,) = archive.namelist()
    assert entry == artifact.key.rpartition("/")[2].removesuffix(".zip")
    path = world.folder / "unpacked.db"
    path.write_bytes(archive.read(entry))
    return path


def test_a_snapshot_is_stored_as_k3s_names_it_and_proven(world, server):
    made = world.backup()
    assert made.state is State.COMPLETE
    seconds = int(made.started_at.timestamp())
    assert world.keys() == [f"etcd-snapshots/backstay-server-1-{seconds}.zip"]
    with client_of(server) as client:
        assert made.contents["keys"] == client.count(b"")
        live = client.hash_kv(made.contents["revision"])
    assert made.contents["hash_kv"] == live.hash
    assert made.contents["compact_revision"] == live.compact_revision > 0
    assert made.contents["compared_with"] == ["default"]
    assert made.contents["resources"]["nodes"] == 5
    assert made.contents["resources"]["caches.example.org"] == 1
    assert made.source["kubernetes_version"] == controlplane.VERSION
    assert made.source["servers"] == ["server-1", "server-2", "server-3"]
    assert made.warnings == ()
    assert not list(world.plane.spool.iterdir())


def test_the_stock_tool_finds_in_it_what_the_manifest_says(world):
    made = world.backup()
    path = snapshot_in(world, made)
    check_trailer(path)
    command = [find("etcdutl"), "snapshot", "status", str(path), "-w", "json"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert said["revision"] == made.contents["revision"]
    assert said["totalSize"] == made.contents["size_bytes"]


def test_what_is_stored_verifies_and_a_flipped_byte_does_not(world):
    made = world.backup()
    assert world.verify(made).ok
    file = world.folder / "store" / made.artifact("snapshot").key
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    outcome = world.verify(made)
    assert not outcome.ok


def test_a_manifest_that_promises_another_revision_is_found_out(world):
    made = world.backup()
    changed = replace(made, contents={**made.contents, "revision": made.contents["revision"] + 1})
    outcome = world.verify(changed)
    assert not outcome.ok
    assert "revision" in outcome.findings[-1].message


def test_a_drill_restores_it_into_an_etcd_of_its_own(world, server):
    made = world.backup()
    outcome = world.drill(made)
    assert outcome.ok, outcome.findings
    assert {finding.code for finding in outcome.findings} == {
        "etcd.structure",
        "etcd.contents",
        "etcd.hash_kv",
        "etcd.keys",
        "etcd.served",  # that it was not, without a kube-apiserver
    }
    assert outcome.facts["restore_seconds"] == pytest.approx(
        sum(outcome.phases[name] for name in ("fetch", "restore", "start")), abs=0.01
    )
    assert list((world.folder / "scratch").iterdir()) == []
    (proof,) = world.context.catalogs.holding(made).proofs.read(made.target)
    assert (proof.level, proof.ok, proof.kind) == (Level.RESTORED, True, "drill")


def test_a_drill_of_a_damaged_backup_says_so(world):
    made = world.backup()
    file = world.folder / "store" / made.artifact("snapshot").key
    file.write_bytes(file.read_bytes()[:-100])
    outcome = world.drill(made)
    assert not outcome.ok
    assert list((world.folder / "scratch").iterdir()) == []


def test_a_drill_without_room_says_nothing_of_the_backup(world, monkeypatch):
    def full(*_):
        raise SourceError("the disk of /spool is full")

    made = world.backup()
    monkeypatch.setattr(trial, "fetch", full)
    with pytest.raises(DrillFailed, match="could not be drilled: the disk of /spool is full") as caught:
        world.drill(made)
    assert "nothing of the backup" in caught.value.hint
    assert list((world.folder / "scratch").iterdir()) == []


def test_an_empty_etcd_is_told_of(tmp_path):
    with single(tmp_path / "etcd") as empty:
        world = EtcdWorld(MemoryStore(), plane_of(tmp_path, [empty.endpoint]), tmp_path)
        for keys in (0, 1):
            made = world.backup()
            assert made.contents["keys"] == keys
            (warning,) = made.warnings
            assert warning == "there is no object of Kubernetes in it: etcd has no key below /registry/"
            with client_of(empty) as client:
                client.put(b"/elsewhere/x", b"1")
        with client_of(empty) as client:
            client.put(b"/registry/pods/x", b"1")
        assert world.backup().warnings == ()


def test_server_files_without_a_token_are_known_as_such(world, server):
    _, recipient = _identity()
    data_dir = world.folder / "k3s"
    (data_dir / "server" / "manifests").mkdir(parents=True)
    (data_dir / "server" / "manifests" / "app.yaml").write_text("kind: List\n")
    world.plane = replace(world.plane, flavor=Flavor.K3S, data_dir=data_dir, encrypted=True, service="k3s")
    world.encoding = Encoding("zip", recipients=(recipient,))
    made = world.backup()
    assert made.contents["server_files"] is True
    assert made.contents["token_in_server_files"] is False
    assert "tar -tf -" in "\n".join(made.restore_by_hand)
    assert "tar -xOf -" not in "\n".join(made.restore_by_hand)


def test_a_drill_says_what_does_not_come_back(world):
    made = world.backup()
    resources = {**made.contents["resources"], "pods": 1}
    for contents in ({**made.contents, "resources": resources}, {**made.contents, "hash_kv": 1}):
        assert not world.drill(replace(made, contents=contents)).ok


def test_encrypted_backups_hold_the_servers_files_apart_and_verify(world, server):
    identity, recipient = _identity()
    data_dir = world.folder / "k3s"
    (data_dir / "server" / "manifests").mkdir(parents=True)
    (data_dir / "server" / "token").write_text(TOKEN)
    (data_dir / "server" / "manifests" / "app.yaml").write_text("kind: List\n")
    with client_of(server) as client:
        client.put(*sealed("correct horse"))
        world.plane = replace(
            world.plane, flavor=Flavor.K3S, data_dir=data_dir, encrypted=True, service="k3s", token=lambda: TOKEN
        )
        world.encoding = Encoding("zip", recipients=(recipient,))
        world.identities = (identity,)
        made = world.backup()
        client.delete(b"/bootstrap/", prefix=True)
    seconds = int(made.started_at.timestamp())
    assert sorted(world.keys()) == [
        f"etcd-snapshots-server/backstay-server-1-{seconds}.server.tar.zip.age",
        f"etcd-snapshots/backstay-server-1-{seconds}.zip.age",
    ]
    assert made.contents["token_opens"] is True
    assert made.contents["server_files"] is True
    assert made.contents["token_in_server_files"] is True
    tar = f"{made.artifact('server').key.rpartition('/')[2]} | funzip"
    steps = "\n".join(made.restore_by_hand)
    assert f"{tar} | tar -tf -" in steps
    assert f"{tar} | tar -xOf - {str(data_dir).lstrip('/')}/server/token" in steps
    assert made.contents["certificates_end"] > "2026"
    assert not [warning for warning in made.warnings if "token" in warning]
    stored = b"".join(file.read_bytes() for file in (world.folder / "store").rglob("*") if file.is_file())
    assert b"correct horse" not in stored
    outcome = world.verify(made)
    assert outcome.ok, outcome.findings
    assert "server files: 2 files" in [finding.message for finding in outcome.findings]
    drilled = world.drill(made)
    assert drilled.ok, drilled.findings
    assert "etcd.token" in {finding.code for finding in drilled.findings}


def test_a_token_that_does_not_open_the_snapshot_is_said_at_once_and_fails_the_drill(world, server):
    with client_of(server) as client:
        client.put(*sealed("another password"))
        world.plane = replace(world.plane, flavor=Flavor.K3S, service="k3s", token=lambda: TOKEN)
        made = world.backup()
        client.delete(b"/bootstrap/", prefix=True)
    assert made.contents["token_opens"] is False
    assert any("does not open this snapshot" in warning for warning in made.warnings)
    assert any("not in this backup" in warning for warning in made.warnings)
    assert "correct horse" not in json.dumps(made.contents) + "".join(made.warnings)
    assert not world.drill(made).ok


def test_metadata_that_k3s_reads_goes_with_the_object_and_beside_it(tmp_path, server):
    store = Recording()
    plane = plane_of(tmp_path, [server.endpoint], flavor=Flavor.K3S, service="k3s")
    world = EtcdWorld(store, plane, tmp_path)
    name = b"/registry/configmaps/kube-system/k3s-etcd-snapshot-extra-metadata"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"team": "home"}}
    with client_of(server) as client:
        client.put(name, json.dumps(body).encode())
        key, value = sealed("pw")
        client.put(key, value)
        made = world.backup()
        client.delete(name)
        client.delete(key)
    snapshot = made.artifact("snapshot").key
    file = snapshot.rpartition("/")[2]
    with store.get(f"etcd-snapshots/.metadata/{file}") as chunks:
        assert json.loads(b"".join(chunks)) == {"team": "home"}
    assert store.metadata[snapshot] == {
        "k3s-cluster-id": made.source["cluster_uid"],
        "k3s-node-name": "server-1",
        "k3s-token-hash": key.decode().removeprefix("/bootstrap/"),
    }


class Recording(MemoryStore):
    """A store in memory that remembers the metadata it was given."""

    def __init__(self):
        super().__init__()
        self.metadata = {}

    def put(self, key, chunks, *, metadata=None, **more):
        self.metadata[key] = dict(metadata or {})
        return super().put(key, chunks, **more)


def test_every_member_of_three_is_compared_and_the_leader_is_left_alone(tmp_path):
    with cluster(tmp_path / "etcd") as members:
        with members.client() as client:
            fill(client, 300)
        leader = members.leader()
        world = EtcdWorld(MemoryStore(), plane_of(tmp_path, members.endpoints, tls=members.tls), tmp_path)
        made = world.backup()
        assert sorted(made.contents["compared_with"]) == ["m0", "m1", "m2"]
        assert made.source["member"] != f"m{leader}"
        assert {each["name"]: each["client_urls"] for each in made.source["members"]} == {
            f"m{index}": [endpoint] for index, endpoint in enumerate(members.endpoints)
        }
        victim = next(index for index in range(3) if index != leader)
        members.servers[victim].kill()
        again = world.backup()
        assert len(again.contents["compared_with"]) == 2
        assert any(f"m{victim}" in warning or "unreachable" in warning for warning in again.warnings), again.warnings


def test_a_store_that_fails_in_the_middle_leaves_no_backup(tmp_path, server):
    class Failing(MemoryStore):
        def put(self, key, chunks, **more):
            if key.startswith("etcd-snapshots/"):
                next(iter(chunks))
                raise StoreError("the store is on fire")
            return super().put(key, chunks, **more)

    world = EtcdWorld(Failing(), plane_of(tmp_path, [server.endpoint]), tmp_path)
    with pytest.raises(StoreError, match="on fire"):
        world.backup()
    assert world.keys() == []
    assert world.listed() == []
    assert not list(world.plane.spool.iterdir())


def test_a_snapshot_that_differs_from_the_cluster_is_never_committed(world, monkeypatch):
    """No real member can be made to lie about its hash; the offline one is changed in its stead."""
    real = capture.survey
    monkeypatch.setattr(capture, "survey", lambda *a, **k: replace(real(*a, **k), hash_kv=1))
    with pytest.raises(SnapshotDamaged, match="is not the state of the cluster"):
        world.backup()
    assert world.listed() == []
    assert world.keys() == []


def test_a_damaged_spool_file_is_refused(world, monkeypatch):
    """A byte that changes after the checksum was compared: what a bad disk does."""
    real = capture.receive

    def spoiled(client, path, **more):
        received = real(client, path, **more)
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0x10
        path.write_bytes(content)
        return received

    monkeypatch.setattr(capture, "receive", spoiled)
    with pytest.raises(BackstayError) as caught:
        world.backup()
    assert caught.value.exit_code in {1, 13}
    assert world.listed() == []


def test_two_runs_at_once_are_one(world):
    with world.context.lease(world.store, world.plane.target, "backup"), pytest.raises(LeaseHeld):
        world.backup()


def test_no_etcd_is_a_clear_error(tmp_path):
    world = EtcdWorld(MemoryStore(), plane_of(tmp_path, ["http://127.0.0.1:1"]), tmp_path)
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1"):
        world.backup()
    assert world.keys() == []


def test_a_snapshot_of_k3s_is_listed_verified_and_restored_as_foreign(world, server):
    path = world.folder / "taken-by-k3s"
    command = [find("etcdctl"), "--endpoints", server.endpoint, "snapshot", "save", str(path)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    world.store.put("etcd-snapshots/etcd-snapshot-server-2-1766000000", [path.read_bytes()])
    (found,) = world.listed()
    assert found.state is State.FOREIGN
    assert found.id == "etcd/control-plane@20251217-193320"
    outcome = world.restore(found, to=str(world.folder / "restored"))
    assert outcome.ok
    assert (world.folder / "restored" / "member" / "snap" / "db").is_file()


def test_backups_restore_beside_with_the_same_keys(world, server):
    with client_of(server) as client:
        before = controlplane.fingerprint(client)
    made = world.backup()
    folder = world.folder / "again"
    outcome = world.restore(made, to=str(folder / "data"))
    assert outcome.ok
    with single(folder) as restored, client_of(restored) as client:
        assert controlplane.fingerprint(client) == before


def test_the_server_files_are_a_plain_tar(world, server):
    data_dir = world.folder / "k3s"
    (data_dir / "server").mkdir(parents=True)
    (data_dir / "server" / "token").write_text(TOKEN)
    identity, recipient = _identity()
    world.plane = replace(world.plane, flavor=Flavor.K3S, data_dir=data_dir, encrypted=True, service="k3s")
    world.encoding = Encoding("zip", recipients=(recipient,))
    world.identities = (identity,)
    made = world.backup()
    from backstay.jobs.transfer import StoreSource

    with StoreSource(world.store, made, (identity,)).open("server") as chunks:
        content = io.BytesIO(b"".join(chunks))
    with tarfile.open(fileobj=content) as archive:
        names = archive.getnames()
    assert names[0] == "backstay-server.json"
    assert f"{data_dir}/server/token".lstrip("/") in names


def _identity():
    from pyrage import x25519

    made = x25519.Identity.generate()
    return str(made), str(made.to_public())
