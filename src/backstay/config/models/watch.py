"""``external``, ``drills``, ``alerts``, ``slo`` and ``cost``: what is proven, watched and promised."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from backstay.config.models.common import (
    Cron,
    Duration,
    FullPath,
    Model,
    Number,
    Positive,
    Secret,
    Size,
    Text,
    YesNo,
    matching,
)

EMAIL = r"[^@\s]+@[^@\s]+"
WITH_CREDENTIALS = re.compile(r"[a-z0-9+]+://[^/]*@", re.IGNORECASE)


def _url(value: str) -> str:
    if WITH_CREDENTIALS.match(value) and not value.startswith("ssh://git@"):
        raise ValueError("must not hold credentials: remove what stands before the '@'")
    return value


def _someone(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must not be empty")
    return value


Url = Annotated[Text, AfterValidator(_url), WithJsonSchema({"type": "string", "title": "URL"})]
Email = Annotated[
    str,
    AfterValidator(matching(EMAIL, "is not an e-mail address")),
    WithJsonSchema({"type": "string", "title": "e-mail address"}),
]


class Git(Model):
    """Repositories kept by a hosting service."""

    repositories: tuple[Url, ...] = Field(
        default=(),
        description="Their URLs, without credentials.",
        examples=[["https://github.com/example/homelab.git"]],
    )


class Terraform(Model):
    """Terraform's state."""

    state: Url | None = Field(
        default=None, description="Where it is.", examples=["s3://my-terraform-state/cluster/terraform.tfstate"]
    )


class External(Model):
    """What is protected elsewhere: watched, and part of the coverage map."""

    git: Git | None = Field(default=None, description="Git repositories, kept by a hosting service.")
    terraform: Terraform | None = Field(default=None, description="Terraform's state.")


class Drills(Model):
    """Drills restore a backup into scratch, check it and time it; only then is it proven."""

    schedule: Cron | None = Field(default=None, description="When drills run.", examples=["0 6 * * 0"])
    max_age: Duration | None = Field(
        default=None, description="A proof older than this no longer counts.", examples=["30d"]
    )
    kube_apiserver: FullPath | None = Field(
        default=None,
        description="The program kube-apiserver, with which drills of etcd and of objects serve what came back. "
        "When not set: that on PATH, if there is one.",
        examples=["/usr/local/bin/kube-apiserver"],
    )
    objects_in_cluster: YesNo = Field(
        default=False,
        description="Where there is no kube-apiserver, objects are drilled in the live cluster: what cannot act is "
        "created in namespaces of the drill's own, compared and removed; all else is tried by dry run.",
    )


class Slack(Model):
    """A Slack channel."""

    channel: Text = Field(description="Its name, in quotes because of the `#`.", examples=["#alerts"])
    webhook: Secret = Field(description="Where messages are posted.", examples=["secret:monitoring/slack-webhook"])


class Mail(Model):
    """E-mail."""

    to: Annotated[tuple[Email, ...], AfterValidator(_someone)] = Field(
        description="Who gets it.", examples=[["backup-alerts@example.com"]]
    )


class Alerts(Model):
    """Where alerts go."""

    slack: Slack | None = Field(default=None, description="A Slack channel to post to.")
    email: Mail | None = Field(default=None, description="Addresses to write to.")


class Slo(Model):
    """Objectives: what is promised, and reported against."""

    success_rate: Annotated[Number, Field(gt=0, le=100)] | None = Field(
        default=None, description="Percent of runs that succeed.", examples=[99]
    )
    rpo: Duration | None = Field(default=None, description="The most that may be lost, as time.", examples=["24h"])
    rto: Duration | None = Field(default=None, description="How long a restore may take.", examples=["30m"])
    alert_latency: Duration | None = Field(
        default=None, description="How soon a failure must be told.", examples=["5m"]
    )


class Cost(Model):
    """Limits on what backups may cost."""

    bucket_quota: Size | None = Field(default=None, description="The most a bucket should hold.", examples=["80GB"])
    velero_backup_quota: Size | None = Field(
        default=None, description="The most one Velero backup should hold.", examples=["400GB"]
    )
    requests_per_month: Positive | None = Field(
        default=None, description="The most S3 requests in a month.", examples=[10000]
    )
