"""Where everything is put together: the one module that names concrete stores and tiers."""

import difflib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backstay import __version__
from backstay.catalog.cache import ManifestCache
from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.catalog.foreign import Names, Naming, SnapshotNaming
from backstay.catalog.lease import Holder
from backstay.cluster.apps import AppsByHand
from backstay.config.load import Loaded
from backstay.config.secrets import SecretRef, resolve, resolve_keys
from backstay.core.errors import StoreError, UsageError
from backstay.core.model import Target, TierKind
from backstay.jobs.context import Context, TargetSettings
from backstay.store.base import Store
from backstay.store.deferred import Deferred
from backstay.store.pipeline import Encoding
from backstay.tiers.base import Tier
from backstay.tiers.postgres.connection import Connection
from backstay.tiers.postgres.database import Check, Database
from backstay.tiers.postgres.tier import PostgresTier

if TYPE_CHECKING:
    from backstay.config.models.root import Config
    from backstay.config.models.stores import Store as StoreConfig
    from backstay.config.resolved import ResolvedDatabase, ResolvedEtcd
    from backstay.store.s3 import S3Options
    from backstay.tiers.etcd.controlplane import ControlPlane
    from backstay.tiers.etcd.tier import EtcdTier

ACCESS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL_KEYS = ("AWS_SESSION_TOKEN", "AWS_ENDPOINTS")
RETRIES = 5


@dataclass(frozen=True)
class Destination:
    """Another server to restore into, in place of the configured one; ``password`` is a secret reference."""

    host: str
    port: int = 5432
    user: str = "postgres"
    password: SecretRef | None = None


@dataclass(frozen=True)
class App:
    """A configuration, ready to work: what commands are given. Made by ``open_app``, which closes it."""

    loaded: Loaded
    context: Context
    stores: Mapping[str, Store]
    state_folder: Path
    etcd: "EtcdTier | None" = None

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
    stores = {name: _deferred(store, env, warn) for name, store in config.stores.items()}
    caches = {name: ManifestCache(_cache_folder(env), store.describe()) for name, store in stores.items()}
    secret = partial(_secret, env=env, warn=warn)
    tier = PostgresTier(
        {name: _database(database, secret, destination) for name, database in databases.items()},
        AppsByHand(stopped=apps_stopped),
        _state_folder(env) / "scratch",
    )
    tiers: dict[TierKind, Tier] = {TierKind.POSTGRES: tier}
    etcd_tier = None
    if etcd is not None:
        etcd_tier = tiers[TierKind.ETCD] = _etcd_tier(
            etcd, secret, _state_folder(env), bool(config.encryption.recipients)
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
        yield App(loaded, context, stores, _state_folder(env), etcd_tier)
    finally:
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


def open_store(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> Store:
    """The store as configured, with retries and the bandwidth limit around it. Raises ``SecretError``."""
    from backstay.store.wrap import Retrying, Throttled

    store: Store = _s3(config, env, warn) if config.url.startswith("s3://") else _directory(config)
    if config.bandwidth_limit:
        store = Throttled(store, config.bandwidth_limit)
    return Retrying(store, attempts=RETRIES)


def make_store(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> bool:
    """Make the bucket or the folder of a store; ``False`` when it was there. Raises ``StoreError``, ``SecretError``."""
    if config.bucket:
        from backstay.store.s3 import S3Store

        with closing(S3Store(s3_options(config, env, warn))) as store:
            return store.bucket.create()
    folder = Path(config.path)
    there = folder.is_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="Make it yourself, for the user backups run as.",
        ) from error
    return not there


def _s3(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> Store:
    from backstay.store.s3 import S3Store

    return S3Store(s3_options(config, env, warn))


def s3_options(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> "S3Options":
    """What the S3 backend needs of one configured store; secrets are read now. Raises ``SecretError``."""
    from backstay.store.s3 import S3Options

    keys: dict[str, str] = {}
    if config.credentials is not None:
        keys = resolve_keys(config.credentials, ACCESS_KEYS, optional=OPTIONAL_KEYS, env=env, warn=warn)
    lock = config.object_lock
    return S3Options(
        bucket=config.bucket,
        prefix=config.prefix,
        region=config.region or env.get("AWS_REGION") or "us-east-1",
        endpoint_url=config.endpoint or keys.get("AWS_ENDPOINTS"),
        path_style=config.path_style,
        ca_file=config.ca_file,
        access_key_id=keys.get("AWS_ACCESS_KEY_ID"),
        secret_access_key=keys.get("AWS_SECRET_ACCESS_KEY"),
        session_token=keys.get("AWS_SESSION_TOKEN"),
        sse=config.sse,
        kms_key_id=config.kms_key,
        storage_class=config.storage_class,
        tags=config.tags,
        conditional=config.conditional_writes,
        object_lock=lock is not None,
        lock_mode="COMPLIANCE" if lock and lock.mode == "compliance" else "GOVERNANCE",
    )


def _directory(config: "StoreConfig") -> Store:
    from backstay.store.directory import DirectoryStore

    return DirectoryStore(Path(config.path))


def _deferred(config: "StoreConfig", env: Mapping[str, str], warn: Callable[[str], None]) -> Deferred:
    url = config.url if config.url.endswith("/") else f"{config.url}/"
    return Deferred(url, lambda: open_store(config, env, warn))


def _secret(ref: SecretRef | None, key: str, *, env: Mapping[str, str], warn: Callable[[str], None]) -> str | None:
    return resolve(ref, key=key, env=env, warn=warn) if ref is not None else None


def _identities(ref: SecretRef | None, secret: Callable[[SecretRef | None, str], str | None]) -> tuple[str, ...]:
    text = secret(ref, "identity")
    return (text,) if text else ()


def _target(name: str) -> Target:
    return Target(TierKind.POSTGRES, name)


def _settings(
    target: Target, one: "ResolvedDatabase | ResolvedEtcd", base: str, encoding: Encoding, lock_days: int | None
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
    of_tier = SnapshotNaming if settings.target.tier is TierKind.ETCD else Naming
    return of_tier(settings.prefix, settings.base)


def _etcd_tier(
    etcd: "ResolvedEtcd", secret: Callable[[SecretRef | None, str], str | None], folder: Path, encrypted: bool
) -> "EtcdTier":
    from backstay.tiers.etcd.configured import control_plane
    from backstay.tiers.etcd.restore.services import System
    from backstay.tiers.etcd.tier import EtcdTier

    plane = control_plane(
        etcd, secret_token=lambda: secret(etcd.token, "token"), encrypted=encrypted, spool=folder / "spool"
    )
    return EtcdTier(plane, System(), folder / "scratch")


def _database(
    database: "ResolvedDatabase",
    secret: Callable[[SecretRef | None, str], str | None],
    destination: Destination | None,
) -> Database:
    configured = Connection(
        host=database.host,
        port=database.port,
        user=database.user,
        password=lambda: secret(database.password, "password"),
        sslmode=database.sslmode,
        sslrootcert=database.sslrootcert,
        connect_timeout=int(database.connect_timeout.total_seconds()),
    )
    other = destination and replace(
        configured,
        host=destination.host,
        port=destination.port,
        user=destination.user,
        password=lambda: secret(destination.password, "password"),
    )
    return Database(
        name=database.name,
        dbname=database.database,
        connection=other or configured,
        namespace=database.namespace,
        apps=database.apps if destination is None else (),
        bin=database.bin,
        lock_timeout=database.lock_timeout.total_seconds(),
        passwords_in_globals=database.globals_passwords,
        format=database.format,
        workers=database.workers,
        content=database.proof == "content",
        origin=configured if other else None,
        checks=tuple(Check(check.name, check.sql, check.at_least, check.at_most) for check in database.checks),
    )


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
