"""``volumes`` and ``objects``: what the cluster stores, and what it is told."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from backstay.config.models.common import Cron, Keep, Model, Name, Namespace, Prefix, Secret, matching

LONGHORN_TARGET = r"(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]@[a-z0-9-]+/[^@]*|nfs://[^@]+|cifs://[^@]+)"
SCHEDULE_NAME = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"


def _no_credentials(value: str) -> str:
    if re.match(r"[a-z0-9]+://[^/]*:[^/]*@", value):
        raise ValueError("must not hold credentials: remove them and set `credentials`")
    return value


LonghornTarget = Annotated[
    str,
    AfterValidator(_no_credentials),
    AfterValidator(matching(LONGHORN_TARGET, "is not a Longhorn backup target: write s3://bucket@region/folder")),
    WithJsonSchema({"type": "string", "title": "URL", "pattern": "^(s3|nfs|cifs)://"}),
]
ScheduleName = Annotated[
    str,
    AfterValidator(matching(SCHEDULE_NAME, "is not the name of a schedule: use lower-case letters, digits, '-', '.'")),
]


class Longhorn(Model):
    """Longhorn's own backups."""

    schedule: Cron | None = Field(default=None, description="When the recurring job runs.", examples=["0 5 * * *"])
    keep: Keep = Field(
        default_factory=Keep, description="How many backups of each volume stay.", examples=[{"count": 7}]
    )
    target: LonghornTarget | None = Field(
        default=None,
        description="Longhorn's backup target: `s3://bucket@region/folder`.",
        examples=["s3://my-backups@us-east-1/longhorn-backups"],
    )
    credentials: Secret | None = Field(
        default=None,
        description="The secret Longhorn itself uses, with the keys `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` "
        "and `AWS_ENDPOINTS`.",
        examples=["secret:longhorn-system/longhorn-s3-credentials"],
    )


class Volumes(Model):
    """Persistent volumes."""

    longhorn: Longhorn | None = Field(default=None, description="Volumes of Longhorn.")


class ObjectSchedule(Model):
    """One Velero schedule."""

    schedule: Cron = Field(description="When it runs.", examples=["0 2 * * *"])
    keep: Keep = Field(
        default_factory=Keep,
        description="How long its backups stay; Velero knows only `ttl`.",
        examples=[{"ttl": "720h"}],
    )


class Objects(Model):
    """Kubernetes objects, in Velero's own format."""

    store: Name | None = Field(
        default=None, description="The store they go to. When not set: the first of `stores`.", examples=["main"]
    )
    prefix: Prefix = Field(default="velero", description="Velero's folder in the store; nothing else belongs in it.")
    exclude_namespaces: tuple[Namespace, ...] = Field(
        default=(), description="Namespaces that are left out.", examples=[["kube-node-lease", "kube-public"]]
    )
    schedules: Mapping[ScheduleName, ObjectSchedule] = Field(
        default_factory=dict, description="The schedules, by name."
    )
