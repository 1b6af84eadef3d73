"""``Config``: the whole of ``backstay.yaml``, and the views of it that the program works with."""

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, WithJsonSchema

from backstay.config.models.cluster_tiers import Kubernetes, ObjectChoices, Objects, Volumes
from backstay.config.models.common import Model, Name
from backstay.config.models.etcd import Etcd
from backstay.config.models.postgres import DEFAULT_LEVELS, Database, DatabaseOptions, Postgres, expand
from backstay.config.models.stores import Encryption, Store
from backstay.config.models.watch import Alerts, Cost, Drills, External, Slo
from backstay.config.resolved import ResolvedCheck, ResolvedDatabase, ResolvedEtcd, ResolvedObjects

NOT_ACTED_ON = {
    "volumes": "no volumes are backed up or watched",
    "external": "nothing outside the cluster is watched",
    "drills": "no drills run by themselves; `max_age` is used by status, all else but `schedule` by drills",
    "alerts": "no alerts are sent",
    "slo": "only `rpo` and `rto` are used, by status and drills",
    "cost": "no costs are computed",
}


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):  # unknown, not a relative path, or a folder of zones
        raise ValueError(f"{value!r} is not a time zone: write UTC, or a name such as Europe/Berlin") from None
    return value


class Config(Model):
    """What Backstay is told of a cluster."""

    cluster: Name = Field(description="The cluster's name, in every manifest and report.", examples=["homelab"])
    timezone: Annotated[str, AfterValidator(_timezone), WithJsonSchema({"type": "string", "title": "time zone"})] = (
        Field(default="UTC", description="The time zone that schedules are meant in. Times are always shown in UTC.")
    )
    stores: Mapping[Name, Store] = Field(
        description="Where artifacts live, by name. The first is used where none is named.", min_length=1
    )
    encryption: Encryption = Field(default_factory=Encryption, description="Encryption of artifacts.")
    etcd: Etcd | None = Field(default=None, description="The state of the cluster.")
    postgres: Postgres = Field(
        default_factory=Postgres, description="PostgreSQL databases, and what holds for all of them."
    )
    volumes: Volumes | None = Field(default=None, description="Persistent volumes, by what provides them.")
    objects: Objects | None = Field(default=None, description="Kubernetes objects, in Velero's own format.")
    kubernetes: Kubernetes = Field(default_factory=Kubernetes, description="How the cluster is reached.")
    external: External | None = Field(default=None, description="What is protected elsewhere.")
    drills: Drills | None = Field(default=None, description="When backups are proven by restoring them.")
    alerts: Alerts | None = Field(default=None, description="Where alerts go.")
    slo: Slo = Field(default_factory=Slo, description="What is promised, to report against.")
    cost: Cost | None = Field(default=None, description="Limits, to be warned of.")

    @property
    def default_store(self) -> str:
        """The store used where none is named: the first."""
        return next(iter(self.stores))

    def postgres_databases(self) -> dict[str, ResolvedDatabase]:
        """Every database with all defaults merged in, by its name and in the order of the file."""
        return {name: self._resolved(name, database) for name, database in self.postgres.databases.items()}

    def resolved_etcd(self) -> ResolvedEtcd | None:
        """The control plane with all defaults merged in; None where the file says nothing of it."""
        etcd = self.etcd
        if etcd is None:
            return None
        own = etcd.model_dump(exclude={"keep", "store", "rpo", "rto", "local_snapshots", "token"})
        return ResolvedEtcd(
            **own,
            token=etcd.token,
            store=etcd.store or self.default_store,
            timezone=self.timezone,
            keep=etcd.keep.policy(),
            rpo=etcd.rpo or self.slo.rpo,
            rto=etcd.rto or self.slo.rto,
        )

    def resolved_objects(self) -> dict[str, ResolvedObjects]:
        """Every schedule of objects with what holds for all of them merged in, by its name."""
        objects = self.objects
        if objects is None:
            return {}
        found = {}
        for name, schedule in objects.schedules.items():
            chosen = {
                key: getattr(schedule if key in schedule.model_fields_set else objects, key)
                for key in ObjectChoices.model_fields
            }
            found[name] = ResolvedObjects(
                **chosen,
                name=name,
                schedule=schedule.schedule,
                timezone=self.timezone,
                keep=schedule.keep.policy(),
                store=objects.store or self.default_store,
                prefix=objects.prefix,
                rpo=schedule.rpo or self.slo.rpo,
                rto=schedule.rto or self.slo.rto,
            )
        return found

    def unacted(self) -> list[str]:
        """A sentence for each section that is read and checked but not yet acted on by this version."""
        return [
            f"{section}: read and checked, but not yet acted on ({missing})"
            for section, missing in NOT_ACTED_ON.items()
            if section in self.model_fields_set
        ]

    def _resolved(self, name: str, database: Database) -> ResolvedDatabase:
        merged = {key: merged_option(self.postgres, database, key) for key in DatabaseOptions.model_fields}
        namespace = database.namespace or name
        compression = merged.pop("compression")
        rpo, rto = merged.pop("rpo") or self.slo.rpo, merged.pop("rto") or self.slo.rto
        return ResolvedDatabase(
            name=name,
            namespace=namespace,
            store=merged.pop("store") or self.default_store,
            prefix=expand(merged.pop("prefix"), name=name, namespace=namespace),
            host=expand(merged.pop("host"), name=name, namespace=namespace),
            database=database.database or name,
            schedule=database.schedule,
            timezone=self.timezone,
            apps=database.apps,
            keep=merged.pop("keep").policy(),
            compression=compression.algorithm,
            level=compression.level or DEFAULT_LEVELS[compression.algorithm],
            rpo=rpo,
            rto=rto,
            checks=_checks(database),
            **merged,
        )


def _checks(database: Database) -> tuple[ResolvedCheck, ...]:
    return tuple(
        ResolvedCheck(name, check.sql, 1.0 if check.unbounded else check.at_least, check.at_most)
        for name, check in database.checks.items()
    )


def merged_option(tier: Postgres, database: Database, key: str) -> Any:
    """A database's own value where the file gives it one, else the tier's, which may be the default."""
    return getattr(database if key in database.model_fields_set else tier, key)
