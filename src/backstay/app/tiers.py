"""The tiers over what the configuration says: concrete classes, their secrets and their folders."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.cluster.apps import Apps
from backstay.config.secrets import SecretRef
from backstay.tiers.postgres.connection import Connection
from backstay.tiers.postgres.database import Check, Database
from backstay.tiers.postgres.tier import PostgresTier

if TYPE_CHECKING:
    from backstay.cluster.base import Cluster
    from backstay.config.models.root import Config
    from backstay.config.resolved import ResolvedDatabase, ResolvedObjects
    from backstay.tiers.etcd.tier import EtcdTier
    from backstay.tiers.objects.settings import Schedule
    from backstay.tiers.objects.tier import ObjectsTier

Secrets = Callable[[SecretRef | None, str], str | None]  # a reference, and which key of several


@dataclass(frozen=True)
class Destination:
    """Another server to restore into, in place of the configured one; ``password`` is a secret reference."""

    host: str
    port: int = 5432
    user: str = "postgres"
    password: SecretRef | None = None


def postgres_tier(
    config: "Config", secret: Secrets, destination: Destination | None, apps: Apps, folder: Path
) -> PostgresTier:
    """Of all databases, on their own servers or on ``destination``."""
    databases = {name: _database(one, secret, destination) for name, one in config.postgres_databases().items()}
    return PostgresTier(databases, apps, folder / "scratch")


def etcd_tier(config: "Config", token: SecretRef | None, secret: Secrets, folder: Path) -> "EtcdTier | None":
    """None where the configuration has none. ``token`` is another server token than the configured one."""
    etcd = config.resolved_etcd()
    if etcd is None:
        return None
    from backstay.tiers.etcd.configured import control_plane
    from backstay.tiers.etcd.restore.services import System
    from backstay.tiers.etcd.tier import EtcdTier

    plane = control_plane(
        etcd,
        secret_token=lambda: secret(token or etcd.token, "token"),
        encrypted=bool(config.encryption.recipients),
        spool=folder / "spool",
        kube_apiserver=config.drills.kube_apiserver if config.drills else None,
    )
    return EtcdTier(plane, System(), folder / "scratch")


def objects_tier(
    config: "Config", cluster: Callable[[], "Cluster"], folder: Path, now: Callable[[], datetime]
) -> "ObjectsTier | None":
    """None where the configuration has no schedules of objects."""
    objects = config.objects
    if objects is None or not objects.schedules:
        return None
    from backstay.tiers.objects.settings import ByVelero, World
    from backstay.tiers.objects.tier import ObjectsTier

    found = {name: _schedule(one) for name, one in config.resolved_objects().items()}
    world = World(
        cluster=cluster,
        now=now,
        spool=folder / "spool",
        velero_namespace=objects.velero_namespace,
        by_velero=ByVelero(objects.velero_location, objects.velero_timeout) if objects.engine == "velero" else None,
        encrypted=bool(config.encryption.recipients),
        workers=objects.workers,
        kube_apiserver=config.drills.kube_apiserver if config.drills else None,
        drill_in_cluster=config.drills.objects_in_cluster if config.drills else False,
        etcd_bin=config.etcd.bin if config.etcd else None,
        scratch=folder / "scratch",
    )
    return ObjectsTier(found, world)


def _schedule(one: "ResolvedObjects") -> "Schedule":
    from backstay.tiers.objects.settings import Schedule, Selection

    selection = Selection(
        namespaces=one.include_namespaces or (),
        exclude_namespaces=one.exclude_namespaces,
        resources=one.include_resources or (),
        exclude_resources=one.exclude_resources,
        labels=one.selector or "",
        cluster_scoped=one.cluster_scoped,
    )
    return Schedule(name=one.name, selection=selection, ttl=one.keep.ttl, cron=one.schedule or "")


def connect(config: "Config", env: Mapping[str, str]) -> "Cluster":
    from backstay.cluster.client import connect as connected
    from backstay.cluster.kubeconfig import Access

    return connected(Access(kubeconfig=config.kubernetes.kubeconfig, context=config.kubernetes.context, env=env))


class OnceCluster:
    """A cluster that is connected to when it is first asked for, and once."""

    def __init__(self, connect: Callable[[], "Cluster"]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._made: Cluster | None = None

    def __call__(self) -> "Cluster":
        """The one connection. Raises what connecting does."""
        with self._lock:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def close(self) -> None:
        """Give it up, if there is one."""
        if self._made is not None:
            self._made.close()


def _database(database: "ResolvedDatabase", secret: Secrets, destination: Destination | None) -> Database:
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
