"""``volumes`` and ``objects``: what the cluster stores, and what it is told."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from backstay.config.models.common import (
    Cron,
    Duration,
    FullPath,
    Keep,
    Model,
    Name,
    Namespace,
    Prefix,
    Secret,
    Text,
    YesNo,
    matching,
)

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
NAMESPACE_PATTERN = r"[a-z0-9*?]([a-z0-9*?-]{0,61}[a-z0-9*?])?"
RESOURCE_PATTERN = r"[a-z0-9*?]([a-z0-9.*?-]{0,251}[a-z0-9*?])?"
NamespacePattern = Annotated[
    str,
    AfterValidator(matching(NAMESPACE_PATTERN, "is not a namespace: use lower-case letters, digits, '-', or '*'")),
]
ResourcePattern = Annotated[
    str,
    AfterValidator(
        matching(RESOURCE_PATTERN, "is not a kind as `kubectl api-resources` names it: write deployments.apps or pods")
    ),
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


class ObjectChoices(Model):
    """Which objects are taken; a schedule can say it again for itself."""

    include_namespaces: tuple[NamespacePattern, ...] | None = Field(
        default=None,
        description="Only these namespaces; `*` in a name stands for any text. When not set: all.",
        examples=[["shop", "team-*"]],
    )
    exclude_namespaces: tuple[NamespacePattern, ...] = Field(
        default=(), description="Namespaces that are left out.", examples=[["kube-node-lease", "kube-public"]]
    )
    include_resources: tuple[ResourcePattern, ...] | None = Field(
        default=None,
        description="Only these kinds, as `kubectl api-resources` names them. When not set: all, but events.",
        examples=[["deployments.apps", "secrets"]],
    )
    exclude_resources: tuple[ResourcePattern, ...] = Field(
        default=(), description="Kinds that are left out.", examples=[["leases.coordination.k8s.io"]]
    )
    selector: Text | None = Field(
        default=None, description="Only objects whose labels match, as in `kubectl -l`.", examples=["app=shop"]
    )
    cluster_scoped: YesNo | None = Field(
        default=None,
        description="Whether objects that are in no namespace are taken. When not set: all of them where neither "
        "namespaces nor labels are chosen, and otherwise those that the chosen objects need: volumes of claims, "
        "definitions of custom resources, cluster roles of accounts, priority classes.",
        examples=[True],
    )


class ObjectSchedule(ObjectChoices):
    """One target: `objects/<name>`. Its backups are named as Velero names those of a schedule."""

    schedule: Cron | None = Field(default=None, description="When it runs.", examples=["0 2 * * *"])
    keep: Keep = Field(
        default_factory=Keep,
        description="How long its backups stay. `ttl` also tells Velero when they expire, which knows no other rule; "
        "not with `engine: velero`, whose backups only `backstay prune` removes.",
        examples=[{"ttl": "720h"}],
    )
    rpo: Duration | None = Field(
        default=None, description="How old the newest backup may be. When not set: `slo.rpo`.", examples=["24h"]
    )
    rto: Duration | None = Field(
        default=None, description="How long a restore may take. When not set: `slo.rto`.", examples=["30m"]
    )


class Objects(ObjectChoices):
    """Kubernetes objects, in Velero's own format."""

    store: Name | None = Field(
        default=None, description="The store they go to. When not set: the first of `stores`.", examples=["main"]
    )
    prefix: Prefix = Field(default="velero", description="Velero's folder in the store; nothing else belongs in it.")
    engine: Literal["backstay", "velero"] = Field(
        default="backstay",
        description="Who takes the backups: `backstay` itself, or the Velero of the cluster, which Backstay then asks "
        "for each and checks. Restores, checks and drills are Backstay's own either way.",
    )
    velero_location: Name = Field(
        default="default",
        description="The storage location that Velero writes to, where it takes the backups: it must be `prefix` in "
        "`store`.",
    )
    velero_timeout: Duration = Field(
        default=timedelta(hours=4), description="How long Velero may take for a backup.", examples=["4h"]
    )
    velero_namespace: Namespace = Field(
        default="velero", description="Where Velero runs, or would: its view of a backup names it."
    )
    workers: Annotated[int, Field(ge=1, le=32)] = Field(
        default=4, description="How many kinds are read at once, and how many objects are restored at once."
    )
    schedules: Mapping[ScheduleName, ObjectSchedule] = Field(
        default_factory=dict,
        description="What is backed up, by the name of Velero's schedule: `objects/<name>` is a target. What is set "
        "above holds for all of them.",
    )


class Kubernetes(Model):
    """How the cluster is reached: for objects, and for workloads that a restore stops."""

    kubeconfig: FullPath | None = Field(
        default=None,
        description="The kubeconfig file. When not set: KUBECONFIG, the service account of the pod, ~/.kube/config, "
        "or that of k3s.",
        examples=["/etc/rancher/k3s/k3s.yaml"],
    )
    context: Text | None = Field(
        default=None, description="The context in it. When not set: its current one.", examples=["homelab"]
    )
