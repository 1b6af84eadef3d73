"""Where everything is put together: the one package that names concrete stores and tiers."""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backstay import __version__
from backstay.app import tiers as tiers_of
from backstay.app.stores import deferred, make_store, open_store, s3_options
from backstay.app.targets import match, names_of, settings_of
from backstay.app.tiers import Destination
from backstay.catalog.cache import ManifestCache
from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.catalog.lease import Holder
from backstay.cluster.apps import AppsByHand
from backstay.cluster.appsincluster import AppsInCluster
from backstay.config.load import Loaded
from backstay.config.secrets import SecretRef, resolve
from backstay.core.errors import UsageError
from backstay.core.model import Target, TierKind
from backstay.jobs.context import Context, TargetSettings
from backstay.store.base import Store
from backstay.tiers.base import Tier

if TYPE_CHECKING:
    from backstay.config.models.root import Config
    from backstay.tiers.etcd.controlplane import ControlPlane
    from backstay.tiers.etcd.tier import EtcdTier
    from backstay.tiers.objects.tier import ObjectsTier

__all__ = ["App", "Destination", "make_store", "open_app", "open_store", "s3_options"]


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
        return list(dict.fromkeys(target for name in names for target in match(name, known)))


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
    config, folder = loaded.config, _state_folder(env)
    settings = settings_of(config)
    stores = {name: deferred(store, env, warn) for name, store in config.stores.items()}
    caches = {name: ManifestCache(_cache_folder(env), store.describe()) for name, store in stores.items()}
    secret = partial(_secret, env=env, warn=warn)
    cluster = tiers_of.OnceCluster(partial(tiers_of.connect, config, env))
    apps = AppsByHand() if apps_stopped else AppsInCluster(cluster)
    etcd = tiers_of.etcd_tier(config, server_token, secret, folder)
    objects = tiers_of.objects_tier(config, cluster, folder, now)
    tiers: dict[TierKind, Tier] = {TierKind.POSTGRES: tiers_of.postgres_tier(config, secret, destination, apps, folder)}
    tiers |= {kind: tier for kind, tier in ((TierKind.ETCD, etcd), (TierKind.OBJECTS, objects)) if tier is not None}
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
        yield App(loaded, context, stores, folder, etcd, objects)
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
            foreign={target: names_of(one) for target, one in settings.items() if one.store == name},
        )
        for name, store in stores.items()
    }
    return Catalogs(catalogs, {target: entry.store for target, entry in settings.items()}, config.default_store)


def _secret(ref: SecretRef | None, key: str, *, env: Mapping[str, str], warn: Callable[[str], None]) -> str | None:
    return resolve(ref, key=key, env=env, warn=warn) if ref is not None else None


def _identities(ref: SecretRef | None, secret: Callable[[SecretRef | None, str], str | None]) -> tuple[str, ...]:
    text = secret(ref, "identity")
    return (text,) if text else ()


def _cache_folder(env: Mapping[str, str]) -> Path:
    return _folder(env, "XDG_CACHE_HOME", ".cache")


def _state_folder(env: Mapping[str, str]) -> Path:
    return _folder(env, "XDG_STATE_HOME", ".local/state")


def _folder(env: Mapping[str, str], variable: str, under_home: str) -> Path:
    """Where the XDG base directory specification puts such files; a relative value is ignored, as it says."""
    given = env.get(variable, "")
    base = Path(given) if given.startswith("/") else Path(env.get("HOME") or "/tmp") / under_home  # noqa: S108
    return base / "backstay"
