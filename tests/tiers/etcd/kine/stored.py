"""What a backup of k3s on SQLite is put into and read from, without a store; and databases to back up."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from backstay.core.errors import Corrupt
from backstay.core.model import Artifact, Backup, NoProgress, State
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.kine import backup as capture
from tests.fixtures.etcd import configmap
from tests.tiers.etcd import bootstrap
from tests.tiers.etcd.kine.kine import Kine

VERSION = "v1.31.4+k3s1"
TAKEN = datetime(2026, 11, 25, 22, tzinfo=UTC)
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "server-1", "labels": {"node-role.kubernetes.io/control-plane": "true"}},
    "status": {"nodeInfo": {"kubeletVersion": VERSION}},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "uid-of-the-cluster"}}


def plane_of(folder: Path, **changes) -> ControlPlane:
    """A k3s in ``folder``."""
    plane = ControlPlane(
        name="control-plane",
        flavor=Flavor.K3S,
        node="server-1",
        endpoints=("https://127.0.0.1:2379",),
        data_dir=folder / "k3s",
        spool=folder / "spool",
        token=lambda: bootstrap.PASSWORD,
        service="k3s",
    )
    plane = replace(plane, **changes)
    plane.db_dir.mkdir(parents=True, exist_ok=True)
    return plane


def fill(kine: Kine, count=60, value_size=800, password=bootstrap.PASSWORD):
    """A small cluster with a history: objects made, changed, deleted; two compactions behind it."""
    kine.database.execute("BEGIN IMMEDIATE")
    kine.put("/registry/minions/server-1", json.dumps(NODE).encode())
    kine.put("/registry/namespaces/kube-system", json.dumps(NAMESPACE).encode())
    if password:
        for key, value in bootstrap.bootstrap(password).items():
            kine.put(key, value)
    for number in range(count):
        kine.put(*_named(configmap(number, value_size)))
    kine.put("/registry/services/specs/shop-0/web", b"{}")
    kine.put("/registry/example.com/widgets/shop-0/one", b"{}")
    kine.database.execute("COMMIT")
    kine.compact(kine.revision() // 2)
    for number in range(0, count, 7):
        key, value = _named(configmap(number, value_size))
        kine.put(key, value + b"changed")
    for number in range(0, count, 10):
        kine.delete(_named(configmap(number, value_size))[0])
    kine.fill_gap()
    kine.put("/registry/leases/kube-node-lease/server-1", b"{}")


def _named(pair):
    return pair[0].decode(), pair[1]


@dataclass
class MemorySink:
    """Keeps what is written, as plain bytes by role."""

    held: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def reserve(self, files):
        """Nothing is to be reserved."""

    def write(self, file, chunks):
        data = b"".join(chunks)
        self.held[file.role], self.names[file.role] = data, file.name
        return artifact(file.role, file.name.replace("{unix}", "1764108000"), data)


@dataclass(frozen=True)
class MemorySource:
    """A backup and its plain bytes by role, checked against the manifest as a store's are."""

    backup: Backup
    held: Mapping[str, bytes]

    @contextmanager
    def open(self, role):
        yield self._chunks(role)

    def _chunks(self, role):
        data, wanted = self.held[role], self.backup.artifact(role)
        for start in range(0, len(data), 1 << 16):
            yield data[start : start + (1 << 16)]
        if hashlib.sha256(data).hexdigest() != wanted.plain_sha256:
            raise Corrupt(f"{role} is not what was stored")


def artifact(role, name, data):
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(role, f"etcd-snapshots/{name}", len(data), digest, len(data), digest)


def take(plane: ControlPlane, progress=None, **contents) -> MemorySource:
    """A backup by the tier itself; ``contents`` replace what the manifest says."""
    sink = MemorySink()
    captured = capture.backup(plane, sink, progress or NoProgress())
    made = Backup(
        target=plane.target,
        stamp="20261125-220000",
        cluster="homelab",
        state=State.COMPLETE,
        started_at=TAKEN,
        finished_at=TAKEN,
        point_in_time=TAKEN,
        artifacts=captured.artifacts,
        source=captured.source,
        contents={**captured.contents, **contents},
        warnings=captured.warnings,
        restore_by_hand=captured.restore_by_hand,
    )
    return MemorySource(made, sink.held)


def changed(source: MemorySource, data: bytes) -> MemorySource:
    """The same backup with other bytes for the database, and a manifest that has their checksum."""
    artifacts = tuple(
        artifact(one.role, one.key, data) if one.role == "sqlite" else one for one in source.backup.artifacts
    )
    return MemorySource(replace(source.backup, artifacts=artifacts), {**source.held, "sqlite": data})
