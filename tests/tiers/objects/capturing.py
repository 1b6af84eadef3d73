"""Captures of a cluster with the jobs around them as in production: one store, one schedule, one clock."""

import gzip
import io
import itertools
import json
import secrets
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.catalog.lease import Holder
from backstay.catalog.veleronames import VeleroNaming
from backstay.core.model import Backup, Level, NoProgress, Outcome, TierKind
from backstay.core.retention import KeepPolicy
from backstay.jobs import backup, verify
from backstay.jobs.context import Context, TargetSettings
from backstay.store.base import Store
from backstay.store.memory import MemoryStore
from backstay.store.pipeline import Encoding
from backstay.tiers.objects import backup as capture
from backstay.tiers.objects import verify as proof
from backstay.tiers.objects.settings import Schedule, Selection, World
from tests.fixtures.world import TickingClock
from tests.tiers.objects.fake_cluster import (
    CLUSTERROLES,
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    EVENTS_NEW,
    NODES,
    SECRETS,
    FakeCluster,
)

PIDS = itertools.count(1)


@dataclass
class CapturingTier:
    """The verbs of the tier that a capture needs."""

    schedule: Schedule
    world: World
    kind: TierKind = TierKind.OBJECTS

    def preview(self, target):
        return capture.preview(self.schedule, self.world)

    def backup(self, target, sink, progress):
        return capture.backup(self.schedule, self.world, sink, progress)

    def verify(self, backup, source, depth, progress):
        return proof.readable(backup, source, progress, self.world.spool)


@dataclass
class Capturing:
    """``cluster`` backed up into ``store``."""

    cluster: Any
    folder: Path
    store: Store = field(default_factory=MemoryStore)
    selection: Selection = field(default_factory=Selection)
    ttl: timedelta | None = None
    recipients: tuple[str, ...] = ()
    identities: Sequence[str] = ()
    workers: int = 4
    now: Callable[[], Any] = field(default_factory=TickingClock)
    progress: Any = field(default_factory=NoProgress)

    @property
    def schedule(self) -> Schedule:
        return Schedule("daily", self.selection, self.ttl)

    @property
    def world(self) -> World:
        spool = self.folder / "spool"
        return World(lambda: self.cluster, self.now, spool, encrypted=bool(self.recipients), workers=self.workers)

    @property
    def context(self) -> Context:
        target = self.schedule.target
        encoding = Encoding("gzip", recipients=self.recipients)
        settings = TargetSettings(target, "main", "velero", "daily", None, "UTC", KeepPolicy(days=7), encoding)
        catalog = Catalog(
            self.store,
            name="main",
            cluster="test",
            now=self.now,
            new_id=lambda: secrets.token_hex(4),
            foreign={target: VeleroNaming("velero", "daily")},
        )
        return Context(
            cluster="test",
            version="test",
            catalogs=Catalogs({"main": catalog}, {target: "main"}, "main"),
            tiers={TierKind.OBJECTS: CapturingTier(self.schedule, self.world)},
            settings={target: settings},
            identities=lambda: self.identities,
            holder=lambda purpose: Holder(secrets.token_hex(4), "test", next(PIDS), purpose),
            now=self.now,
            sleep=lambda _: None,
            clock=time.monotonic,
        )

    def backup(self) -> Backup:
        """One backup, read back and committed."""
        return backup.run(self.context, self.schedule.target, self.progress)

    def verify(self, made: Backup) -> Outcome:
        """Read it once more."""
        return verify.run(self.context, made, Level.READABLE, NoProgress())

    def paths(self) -> list[str]:
        """Of every object in the store but Backstay's own records."""
        return [info.key for info in self.store.list("") if not info.key.startswith("backstay/")]

    def stored(self, made: Backup, role: str) -> bytes:
        """The bytes of an artifact, as they are in the store."""
        with self.store.get(made.artifact(role).key) as chunks:
            return b"".join(chunks)

    def json(self, made: Backup, role: str) -> Any:
        """The JSON in an artifact."""
        data = self.stored(made, role)
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)

    def archive(self, made: Backup) -> dict[str, Any]:
        """Every object by its path, read by Python's own tar reader."""
        data = gzip.decompress(self.stored(made, "objects"))
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = archive.getmembers()
            assert all(member.isreg() and member.mode == 0o755 for member in members)
            files = {member.name: archive.extractfile(member).read() for member in members}
        assert len(files) == len(members)
        assert files.pop("metadata/version") == b"1.0.0\n"
        return {path: json.loads(text) for path, text in files.items()}


class ListSink:
    """A sink that keeps plain bytes in a dict, or only counts them."""

    started_at = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)

    def __init__(self, *, keep: bool = True) -> None:
        self.files: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self._keep = keep

    def reserve(self, files):
        pass

    def write(self, file, chunks):
        from backstay.core.model import Artifact

        parts, size = [], 0
        for chunk in chunks:
            size += len(chunk)
            if self._keep:
                parts.append(chunk)
        self.sizes[file.role] = size
        self.files[file.role] = b"".join(parts)
        return Artifact(file.role, file.name, size, "", size, "")


def filled() -> FakeCluster:
    """A cluster of 13 objects that a backup takes, and two Events that are one."""
    cluster = FakeCluster()
    for namespace in ("shop", "bank", "kube-system"):
        for name in ("settings", "kube-root-ca.crt"):
            cluster.put(CONFIGMAPS, name, namespace, data={"where": namespace})
    cluster.put(SECRETS, "token", "shop", data={"key": "c2VjcmV0"})
    cluster.put(DEPLOYMENTS, "web", "shop", spec={"replicas": 2})
    cluster.put(NODES, "server-1")
    cluster.put(CLUSTERROLES, "system:réader")
    cluster.put(EVENTS, "web.1", "shop")
    cluster.put(EVENTS_NEW, "web.1", "shop")
    return cluster
