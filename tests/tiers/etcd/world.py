"""A small world for tests of the etcd tier: one store, a real etcd, the jobs around it as in production."""

import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.catalog.foreign import SnapshotNaming
from backstay.catalog.lease import Holder
from backstay.cluster.localetcd.programs import find
from backstay.core.model import Backup, Level, NoProgress, Outcome, TierKind
from backstay.core.retention import KeepPolicy
from backstay.jobs import backup, drill, restore, verify
from backstay.jobs.context import Context, TargetSettings
from backstay.store.base import Store
from backstay.store.pipeline import Encoding
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.restore.services import System
from backstay.tiers.etcd.tier import EtcdTier
from tests.fixtures.world import TickingClock

PIDS = itertools.count(1)


def plane_of(folder: Path, endpoints: Sequence[str], **changes: Any) -> ControlPlane:
    """A control plane of plain etcd, its spool in ``folder``."""
    plane = ControlPlane(
        name="control-plane",
        flavor=Flavor.ETCD,
        node="server-1",
        endpoints=tuple(endpoints),
        data_dir=folder / "no-data",
        spool=folder / "spool",
        bin=str(find("etcdutl").parent),
        service="etcd",
    )
    return replace(plane, **changes)


@dataclass
class EtcdWorld:
    """Jobs over one store and one control plane."""

    store: Store
    plane: ControlPlane
    folder: Path
    encoding: Encoding = field(default_factory=lambda: Encoding("zip"))
    identities: Sequence[str] = ()
    now: Callable[[], Any] = field(default_factory=TickingClock)

    @property
    def context(self) -> Context:
        target = self.plane.target
        settings = TargetSettings(
            target=target, store="main", prefix="etcd-snapshots", base=self.plane.base, schedule="0 2 * * *",
            timezone="UTC", keep=KeepPolicy(days=7), encoding=self.encoding,
        )  # fmt: skip
        catalog = Catalog(
            self.store,
            name="main",
            cluster="test",
            now=self.now,
            new_id=lambda: secrets.token_hex(4),
            foreign={target: SnapshotNaming("etcd-snapshots", self.plane.base)},
        )
        return Context(
            cluster="test",
            version="test",
            catalogs=Catalogs({"main": catalog}, {target: "main"}, "main"),
            tiers={TierKind.ETCD: EtcdTier(self.plane, System(), self.folder / "scratch")},
            settings={target: settings},
            identities=lambda: self.identities,
            holder=lambda purpose: Holder(secrets.token_hex(4), "test", next(PIDS), purpose),
            now=self.now,
            sleep=lambda _: None,
            clock=time.monotonic,
        )

    def backup(self) -> Backup:
        """One backup, committed."""
        return backup.run(self.context, self.plane.target, NoProgress())

    def verify(self, made: Backup, depth: Level = Level.READABLE) -> Outcome:
        """Read it back."""
        return verify.run(self.context, made, depth, NoProgress())

    def drill(self, made: Backup) -> Outcome:
        """Plan and run a drill."""
        return drill.run(self.context, drill.plan(self.context, made), made, NoProgress())

    def restore(self, made: Backup, **options: Any) -> Outcome:
        """Plan and run a restore."""
        context = self.context
        plan = restore.plan(context, made, options)
        return restore.run(context, plan, made, restore.place_of(context, made), NoProgress())

    def keys(self) -> list[str]:
        """Of every object in the store but Backstay's own records."""
        return [info.key for info in self.store.list("") if not info.key.startswith("backstay/")]

    def listed(self) -> list[Backup]:
        """The backups that the catalog lists, also those of others."""
        return list(self.context.catalogs.backups(self.plane.target, foreign=True))
