"""The tiers over what the configuration says: concrete classes, their secrets and their folders."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.config.secrets import SecretRef
from backstay.tiers.postgres.connection import Connection
from backstay.tiers.postgres.database import Check, Database

if TYPE_CHECKING:
    from backstay.cluster.base import Cluster
    from backstay.config.models.root import Config
    from backstay.config.resolved import ResolvedDatabase, ResolvedEtcd, ResolvedObjects
    from backstay.tiers.etcd.tier import EtcdTier
    from backstay.tiers.objects.tier import ObjectsTier

Secrets = Callable[[SecretRef | None, str], str | None]  # a reference, and which key of several


@dataclass(frozen=True)
class Destination:
    """Another server to restore into, in place of the configured one; ``password`` is a secret reference."""

    host: str
    port: int = 5432
    user: str = "postgres"
    password: SecretRef | None = None


def etcd_tier(etcd: "ResolvedEtcd", config: "Config", secret: Secrets, folder: Path) -> "EtcdTier":
    from backstay.tiers.etcd.configured import control_plane
    from backstay.tiers.etcd.restore.services import System
    from backstay.tiers.etcd.tier import EtcdTier

    plane = control_plane(
        etcd,
        secret_token=lambda: secret(etcd.token, "token"),
        encrypted=bool(config.encryption.recipients),
        spool=folder / "spool",
        kube_apiserver=config.drills.kube_apiserver if config.drills else None,
    )
    return EtcdTier(plane, System(), folder / "scratch")


def objects_tier(
    config: "Config",
    schedules: Mapping[str, "ResolvedObjects"],
    cluster: Callable[[], "Cluster"],
    folder: Path,
    now: Callable[[], datetime],
) -> "ObjectsTier":
    from backstay.tiers.objects.settings import ByVelero, Schedule, Selection, World
    from backstay.tiers.objects.tier import ObjectsTier

    objects = config.objects
    assert objects is not None, "schedules are part of it"  # noqa: S101 - a mistake in this program, not in its input
    found = {
        name: Schedule(
            name=name,
            selection=Selection(
                namespaces=one.include_namespaces or (),
                exclude_namespaces=one.exclude_namespaces,
                resources=one.include_resources or (),
                exclude_resources=one.exclude_resources,
                labels=one.selector or "",
                cluster_scoped=one.cluster_scoped,
            ),
            ttl=one.keep.ttl,
            cron=one.schedule or "",
        )
        for name, one in schedules.items()
    }
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


def database_of(
    database: "ResolvedDatabase",
    secret: Secrets,
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
