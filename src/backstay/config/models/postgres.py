"""``postgres``: databases, and the defaults they share.

``DatabaseOptions`` is the one list of what can be set for the tier and again for a database; a database uses its own
value when it has one, then the tier's, then the default. ``config.resolved`` does the merging.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from backstay.config.models.common import (
    Cron,
    Duration,
    Keep,
    Model,
    Name,
    Namespace,
    Number,
    Secret,
    TargetName,
    Text,
    Whole,
    YesNo,
    check_prefix,
    matching,
)

PLACEHOLDERS = ("{name}", "{namespace}")
LEVELS = {"gzip": (1, 3), "zstd": (1, 19)}
DEFAULT_LEVELS = {"gzip": 1, "zstd": 3}
APP = r"(deployment|statefulset|cronjob)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"


def expand(template: str, *, name: str, namespace: str) -> str:
    """``template`` with ``{name}`` and ``{namespace}`` filled in."""
    return template.replace("{name}", name).replace("{namespace}", namespace)


def _placeholders(value: str) -> str:
    if any(brace in expand(value, name="", namespace="") for brace in "{}"):
        raise ValueError(f"{value!r} may use {' and '.join(PLACEHOLDERS)}, and no other braces")
    return value


def _prefix(value: str) -> str:
    check_prefix(expand(_placeholders(value), name="name", namespace="namespace"))
    return value


Template = Annotated[Text, AfterValidator(_placeholders)]
App = Annotated[
    str,
    AfterValidator(matching(APP, "is not an app: write deployment/name, statefulset/name or cronjob/name")),
    WithJsonSchema({"type": "string", "title": "app", "pattern": f"^{APP}$"}),
]
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class Compression(Model):
    """How a dump is compressed."""

    algorithm: Literal["gzip", "zstd"] = Field(
        default="gzip", description="`gzip`, which every machine can read, or `zstd`, which is smaller."
    )
    level: Whole | None = Field(
        default=None, description="gzip 1 to 3, zstd 1 to 19. When not set: 1 for gzip, 3 for zstd.", examples=[1]
    )

    @model_validator(mode="after")
    def _level_fits(self) -> Self:
        lowest, highest = LEVELS[self.algorithm]
        if self.level is not None and not lowest <= self.level <= highest:
            raise ValueError(f"{self.algorithm} has the levels {lowest} to {highest}, not {self.level}")
        return self


class DatabaseOptions(Model):
    """What can be set for all databases, and again for each."""

    store: Name | None = Field(
        default=None, description="The store backups go to. When not set: the first of `stores`.", examples=["main"]
    )
    prefix: Annotated[str, AfterValidator(_prefix), WithJsonSchema({"type": "string", "title": "folder"})] = Field(
        default="postgres-backups/{name}",
        description="The folder in the store; `{name}` and `{namespace}` are filled in. Empty: the store's root.",
    )
    keep: Keep = Field(default_factory=Keep, description="How long backups stay.", examples=[{"days": 7}])
    host: Template = Field(
        default="postgres.{namespace}",
        description="The server: a DNS name (in the cluster `service.namespace`), an address, or the folder of a "
        "Unix socket; `{name}` and `{namespace}` are filled in.",
    )
    port: Whole = Field(default=5432, ge=1, le=65535, description="The server's port.")
    user: Text = Field(
        default="postgres", description="The role that connects. It must be able to read everything in the database."
    )
    password: Secret | None = Field(
        default=None,
        description="The role's password; in a Kubernetes Secret the key `password` unless the reference names "
        "another. When not set: libpq's own ways (`PGPASSFILE`, `~/.pgpass`, peer, certificates).",
        examples=["secret:cardboard/postgres-credentials/password"],
    )
    sslmode: SslMode = Field(default="prefer", description="As in libpq: how much the connection must be protected.")
    sslrootcert: Text | None = Field(
        default=None,
        description="A PEM file with the authority that signed the server's certificate, or `system`.",
        examples=["/etc/ssl/certs/home-ca.pem"],
    )
    connect_timeout: Duration = Field(
        default=timedelta(seconds=10), description="How long to wait for the server to answer."
    )
    lock_timeout: Duration = Field(
        default=timedelta(seconds=60), description="How long a dump waits for a table that something else has locked."
    )
    format: Literal["directory", "sql"] = Field(
        default="directory",
        description="`directory`: many files, written and restored in parallel, which together are a directory of "
        "`pg_dump -Fd`; `sql`: one stream of SQL text that `psql` reads.",
    )
    workers: Whole | None = Field(
        default=None,
        ge=1,
        le=32,
        description="How many sessions dump or load a database at once, in format `directory`. When not set: one for "
        "each core, and no more than the server has connections to spare.",
        examples=[4],
    )
    proof: Literal["counts", "content"] = Field(
        default="counts",
        description="`counts`: the rows of every table; `content`: also a hash over all rows of every table, which a "
        "drill compares. It reads every table a second time.",
    )
    compression: Compression = Field(
        default_factory=Compression,
        description="How the dump is compressed.",
        examples=[{"algorithm": "zstd", "level": 3}],
    )
    globals_passwords: YesNo = Field(
        default=False, description="Also keep the password hashes of roles; needs a superuser."
    )
    bin: Text | None = Field(
        default=None,
        description="A folder with PostgreSQL client programs (pg_dump, psql). When not set: the newest found.",
        examples=["/usr/lib/postgresql/17/bin"],
    )
    rpo: Duration | None = Field(
        default=None,
        description="The most that may be lost, as time. When not set: `slo.rpo`, then the interval of the schedule.",
        examples=["24h"],
    )
    rto: Duration | None = Field(
        default=None, description="How long a restore may take. When not set: `slo.rto`.", examples=["30m"]
    )


class Check(Model):
    """A question of your own to a restored database."""

    sql: Text = Field(
        description="A query that gives one number, run in a transaction that is read only.",
        examples=["SELECT count(*) FROM orders WHERE placed_at > now() - interval '7 days'"],
    )
    at_least: Number | None = Field(
        default=None, description="The least it may be. When neither bound is set: 1.", examples=[1]
    )
    at_most: Number | None = Field(default=None, description="The most it may be.", examples=[100000])

    @property
    def unbounded(self) -> bool:
        """Whether neither bound is set."""
        return self.at_least is None and self.at_most is None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"no number is at least {self.at_least:g} and at most {self.at_most:g}")
        return self


class Database(DatabaseOptions):
    """One database. Everything under `postgres` but `databases` can be set here again, for this one."""

    namespace: Namespace | None = Field(
        default=None,
        description="The Kubernetes namespace of server and apps. When not set: the database's name here.",
        examples=["app"],
    )
    database: Text | None = Field(
        default=None, description="The database's name on the server. When not set: its name here.", examples=["app"]
    )
    schedule: Cron | None = Field(
        default=None,
        description="When it is backed up. When not set: only by hand, or by a timer of your own.",
        examples=["0 3 * * *"],
    )
    apps: tuple[App, ...] = Field(
        default=(),
        description="What uses the database, and is stopped while a restored one is swapped in: Deployments, "
        "StatefulSets and CronJobs of `namespace`.",
        examples=[["deployment/cardboard", "cronjob/cardboard-report"]],
    )
    checks: Mapping[Text, Check] = Field(
        default_factory=dict, description="What a drill asks the restored database, by a name of your choice."
    )


class Postgres(DatabaseOptions):
    """PostgreSQL databases. What is set here holds for every database."""

    databases: Mapping[TargetName, Database] = Field(
        default_factory=dict, description="The databases, by the name each goes by in Backstay."
    )
