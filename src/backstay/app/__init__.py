"""Where everything is put together: the one package that names concrete stores and tiers."""

import difflib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backstay import __version__
from backstay.app import tiers as tiers_of
from backstay.app.stores import deferred, make_store, open_store, s3_options
from backstay.app.tiers import Destination
from backstay.catalog.cache import ManifestCache
from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.catalog.foreign import Names, Naming, SnapshotNaming
from backstay.catalog.lease import Holder
from backstay.catalog.veleronames import VeleroNaming
from backstay.cluster.apps import AppsByHand
from backstay.cluster.appsincluster import AppsInCluster
from backstay.config.load import Loaded
from backstay.config.secrets import SecretRef, resolve
from backstay.core.errors import UsageError
from backstay.core.model import Target, TierKind
from backstay.jobs.context import Context, TargetSettings
from backstay.store.base import Store
from backstay.store.pipeline import Encoding
from backstay.tiers.base import Tier
from backstay.tiers.postgres.tier import PostgresTier

if TYPE_CHECKING:
    from backstay.config.models.root import Config
    from backstay.config.resolved import ResolvedDatabase, ResolvedEtcd, ResolvedObjects
    from backstay.tiers.etcd.controlplane import ControlPlane
    from backstay.tiers.etcd.tier import EtcdTier
    from backstay.tiers.objects.tier import ObjectsTier

__all__ = ["App", "Destination", "make_store", "open_app", "open_store", "s3_options"]
NAMING: Mapping[TierKind, Callable[[str, str], Names]] = {
    TierKind.POSTGRES: Naming,
    TierKind.ETCD: SnapshotNaming,
    TierKind.OBJECTS: VeleroNaming,
}


@dataclass(frozen=True)
class App:
    """A configuration, ready to work: what commands are given. Made by ``open_app``, which closes it."""

    loaded: Loaded
    context: Context
    stores: Mapping[str, Store]
    state_folder: Path
    etcd: "EtcdTier | None" = None
    objects: "ObjectsTier | None" = None

    @property
    def objects_tier(self) -> "ObjectsTier":
        """The tier of Kubernetes objects. Raises ``UsageError`` when the configuration has none."""
        if self.objects is None:
            raise UsageError(
                "the configuration has no objects.schedules", hint="Add one: `backstay init` shows its keys."
            )
        return self.objects

    @property
    def etcd_tier(self) -> "EtcdTier":
        """The tier of the control plane. Raises ``UsageError`` when the configuration has none."""
        if self.etcd is None:
            raise UsageError("the configuration has no section etcd", hint="Add one: `backstay init` shows its keys.")
        return self.etcd

    @property
    def control_plane(self) -> "ControlPlane":
        """The control plane of the configuration. Raises ``UsageError`` when it has none."""
        return self.etcd_tier.plane

    def targets(self, names: Sequence[str] = ()) -> list[Target]:
        """The targets that ``names`` stand for (``postgres/cardboard``, ``cardboard``, ``postgres``), or all.

        Raises ``UsageError`` for one that is unknown or not unique.
        """
        known = sorted(self.context.settings)
        if not names:
            return known
        return list(dict.fromkeys(target for name in names for target in _match(name, known)))


@contextmanager
def open_app(
    loaded: Loaded,
    env: Mapping[str, str],
    *,
    destination: Destination | None = None,
    apps_stopped: bool = False,
    identity: SecretRef | None = None,
    server_token: SecretRef | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[App]:
    """Build the application over a configuration. Nothing is contacted before it is needed."""
    config = loaded.config
    databases = config.postgres_databases()
    recipients = tuple(config.encryption.recipients)
    locks = {name: store.object_lock.days if store.object_lock else None for name, store in config.stores.items()}
    settings = {
        _target(name): _settings(
            _target(name), one, name, Encoding(one.compression, one.level, recipients), locks[one.store]
        )
        for name, one in databases.items()
    }
    etcd = config.resolved_etcd()
    if etcd is not None:
        etcd = replace(etcd, token=server_token or etcd.token)
        target = Target(TierKind.ETCD, etcd.name)
        encoding = Encoding(etcd.compression, recipients=recipients)
        settings[target] = _settings(target, etcd, etcd.snapshot_name, encoding, locks[etcd.store])
    schedules = config.resolved_objects()
    for schedule in schedules.values():
        target = Target(TierKind.OBJECTS, schedule.name)
        encoding = Encoding(recipients=recipients)
        settings[target] = _settings(target, schedule, schedule.name, encoding, locks[schedule.store])
    stores = {name: deferred(store, env, warn) for name, store in config.stores.items()}
    caches = {name: ManifestCache(_cache_folder(env), store.describe()) for name, store in stores.items()}
    secret = partial(_secret, env=env, warn=warn)
    cluster = tiers_of.OnceCluster(partial(tiers_of.connect, config, env))
    tier = PostgresTier(
        {name: tiers_of.database_of(database, secret, destination) for name, database in databases.items()},
        AppsByHand() if apps_stopped else AppsInCluster(cluster),
        _state_folder(env) / "scratch",
    )
    tiers: dict[TierKind, Tier] = {TierKind.POSTGRES: tier}
    etcd_tier = None
    if etcd is not None:
        etcd_tier = tiers[TierKind.ETCD] = tiers_of.etcd_tier(etcd, config, secret, _state_folder(env))
    objects_tier = None
    if schedules:
        objects_tier = tiers[TierKind.OBJECTS] = tiers_of.objects_tier(
            config, schedules, cluster, _state_folder(env), now
        )
    context = Context(
        cluster=config.cluster,
        version=__version__,
        catalogs=_catalogs(config, stores, caches, settings, now),
        tiers=tiers,
        settings=settings,
        identities=lambda: _identities(identity or config.encryption.identity, secret),
        holder=lambda purpose: Holder(secrets.token_hex(8), socket.gethostname(), os.getpid(), purpose),
        now=now,
        sleep=time.sleep,
        clock=time.monotonic,
    )
    try:
        yield App(loaded, context, stores, _state_folder(env), etcd_tier, objects_tier)
    finally:
        cluster.close()
        for store in stores.values():
            store.close()
        for cache in caches.values():
            cache.close()


def _catalogs(
    config: "Config",
    stores: Mapping[str, Store],
    caches: Mapping[str, ManifestCache],
    settings: Mapping[Target, TargetSettings],
    now: Callable[[], datetime],
) -> Catalogs:
    catalogs = {
        name: Catalog(
            store,
            name=name,
            cluster=config.cluster,
            now=now,
            new_id=lambda: secrets.token_hex(8),
            cache=caches[name],
            foreign={target: _names(one) for target, one in settings.items() if one.store == name},
        )
        for name, store in stores.items()
    }
    return Catalogs(catalogs, {target: entry.store for target, entry in settings.items()}, config.default_store)


def _secret(ref: SecretRef | None, key: str, *, env: Mapping[str, str], warn: Callable[[str], None]) -> str | None:
    return resolve(ref, key=key, env=env, warn=warn) if ref is not None else None


def _identities(ref: SecretRef | None, secret: Callable[[SecretRef | None, str], str | None]) -> tuple[str, ...]:
    text = secret(ref, "identity")
    return (text,) if text else ()


def _target(name: str) -> Target:
    return Target(TierKind.POSTGRES, name)


def _settings(
    target: Target,
    one: "ResolvedDatabase | ResolvedEtcd | ResolvedObjects",
    base: str,
    encoding: Encoding,
    lock_days: int | None,
) -> TargetSettings:
    return TargetSettings(
        target=target,
        store=one.store,
        prefix=one.prefix,
        base=base,
        schedule=one.schedule,
        timezone=one.timezone,
        keep=one.keep,
        encoding=encoding,
        rpo=one.rpo,
        rto=one.rto,
        lock_for=timedelta(days=lock_days) if lock_days else None,
    )


def _names(settings: TargetSettings) -> Names:
    """How artifacts of a target are named, also those that others left there."""
    return NAMING[settings.target.tier](settings.prefix, settings.base)


def _match(name: str, known: Sequence[Target]) -> list[Target]:
    """``postgres`` is the whole tier, ``postgres/x`` or a unique ``x`` one target."""
    whole = [target for target in known if target.tier.value == name]
    exact = [target for target in known if name in {str(target), target.name}]
    found = exact or whole
    if not found:
        near = difflib.get_close_matches(name, [text for t in known for text in (str(t), t.name)], 1)
        raise UsageError(
            f"{name} is not a target of this configuration",
            hint=f"Did you mean {near[0]}?" if near else "`backstay config show` lists the targets.",
        )
    if exact and len(exact) > 1:
        raise UsageError(f"{name} is not unique", hint=f"Say one of {', '.join(map(str, exact))}.")
    return found


def _cache_folder(env: Mapping[str, str]) -> Path:
    return _folder(env, "XDG_CACHE_HOME", ".cache")


def _state_folder(env: Mapping[str, str]) -> Path:
    return _folder(env, "XDG_STATE_HOME", ".local/state")


def _folder(env: Mapping[str, str], variable: str, under_home: str) -> Path:
    """Where the XDG base directory specification puts such files; a relative value is ignored, as it says."""
    given = env.get(variable, "")
    base = Path(given) if given.startswith("/") else Path(env.get("HOME") or "/tmp") / under_home  # noqa: S108
    return base / "backstay"
