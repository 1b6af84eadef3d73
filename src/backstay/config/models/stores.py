"""``stores`` and ``encryption``: where artifacts live, and who can read them."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from backstay.config.models.common import Model, Positive, Rate, Secret, Text, YesNo, check_folder, check_prefix
from backstay.config.secrets import SecretRef

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
ENDPOINT = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+/?", re.ASCII)
S3_ONLY = (
    "region",
    "endpoint",
    "path_style",
    "ca_file",
    "credentials",
    "sse",
    "kms_key",
    "storage_class",
    "tags",
    "conditional_writes",
    "object_lock",
    "lifecycle",
)
AGE_RECIPIENT = re.compile(r"age1[0-9a-z]{20,}", re.ASCII)
SSH_RECIPIENT = re.compile(r"ssh-(ed25519|rsa) [A-Za-z0-9+/=]{40,}( .*)?", re.ASCII)

StorageClass = Literal[
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "EXPRESS_ONEZONE",
    "REDUCED_REDUNDANCY",
]


def check_store_url(url: str) -> str:
    """``s3://bucket/folder`` or ``file:///path``. Raises ``ValueError``, which never repeats credentials."""
    scheme, separator, rest = url.partition("://")
    before = rest.partition("/")[0]  # a secret may have a slash, so that the '@' comes only after it
    if "@" in before or (":" in before and "@" in rest):
        raise ValueError("must not hold credentials: remove what stands before the '@' and set `credentials`")
    if scheme == "s3" and separator:
        bucket, _, prefix = rest.partition("/")
        if BUCKET.fullmatch(bucket) is None:
            raise ValueError(f"{bucket!r} is not the name of a bucket: 3 to 63 of a-z, 0-9, '.' and '-'")
        check_folder(prefix.removesuffix("/"))
        return url
    if scheme == "file" and separator:
        if not rest.startswith("/") or "\0" in rest:
            raise ValueError("must have a full path: file:///srv/backups has three slashes")
        return url
    raise ValueError(f"{url!r} is not the URL of a store: write s3://bucket/folder or file:///path")


def _endpoint(value: str) -> str:
    if "@" in value:
        raise ValueError("must not hold credentials: remove what stands before the '@' and set `credentials`")
    if ENDPOINT.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not an endpoint: write https://host or https://host:port")
    return value


def _recipient(value: str) -> str:
    if value.upper().startswith(("AGE-SECRET-KEY-", "-----BEGIN")):
        raise ValueError("is a private key: only public keys belong here; keep the private one out of the cluster")
    if AGE_RECIPIENT.fullmatch(value) is None and SSH_RECIPIENT.fullmatch(value) is None:
        raise ValueError(f"{value[:20]!r} is not a public key: write age1..., ssh-ed25519 ... or ssh-rsa ...")
    return value


def _identity(value: SecretRef) -> SecretRef:
    if value.scheme not in {"file", "cmd"}:
        raise ValueError("must be file:/path or cmd:program: the private key must never be in the cluster")
    return value


def _key_prefix(value: str) -> str:
    check_prefix(value.removesuffix("/"))
    return value


KeyPrefix = Annotated[
    str, AfterValidator(_key_prefix), WithJsonSchema({"type": "string", "title": "beginning of keys"})
]
StoreUrl = Annotated[
    str, AfterValidator(check_store_url), WithJsonSchema({"type": "string", "title": "URL", "pattern": "^(s3|file)://"})
]
Endpoint = Annotated[
    str, AfterValidator(_endpoint), WithJsonSchema({"type": "string", "title": "URL", "pattern": "^https?://"})
]
Recipient = Annotated[str, AfterValidator(_recipient), WithJsonSchema({"type": "string", "title": "public key"})]


class ObjectLock(Model):
    """Forbids deleting or replacing what a backup wrote, for a time."""

    mode: Literal["governance", "compliance"] = Field(
        default="governance",
        description="`governance`: those with a special permission may still delete. `compliance`: nobody may.",
    )
    days: Positive = Field(description="For how many days after it was written.", examples=[7])


class LifecycleRule(Model):
    """A rule that the bucket itself applies."""

    prefix: KeyPrefix = Field(
        default="",
        description="What the keys it is for begin with, below the store's own folder.",
        examples=["velero/"],
    )
    transition_after_days: Positive | None = Field(
        default=None, description="Move objects to `storage_class` after so many days.", examples=[90]
    )
    storage_class: StorageClass | None = Field(default=None, description="Where they move to.", examples=["GLACIER_IR"])
    expire_after_days: Positive | None = Field(
        default=None,
        description="Delete objects after so many days. Must be longer than anything there is kept for.",
        examples=[400],
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.transition_after_days is None) != (self.storage_class is None):
            raise ValueError("`transition_after_days` and `storage_class` belong together: give both or none")
        if self.transition_after_days is None and self.expire_after_days is None:
            raise ValueError("does nothing: give `transition_after_days` with `storage_class`, or `expire_after_days`")
        return self


class Store(Model):
    """A place for artifacts and for the catalog of them: a bucket, a folder of one, or a folder on a disk."""

    url: StoreUrl = Field(
        description="`s3://bucket`, `s3://bucket/folder` or `file:///path`.", examples=["s3://my-backups"]
    )
    region: Text | None = Field(
        default=None,
        description="The bucket's region. When not set: `AWS_REGION`, then us-east-1.",
        examples=["us-east-1"],
    )
    endpoint: Endpoint | None = Field(
        default=None,
        description="The server, when it is not Amazon's: `https://host:port`.",
        examples=["https://s3.example.com"],
    )
    path_style: YesNo | None = Field(
        default=None,
        description="Put the bucket in the path and not in the host name. When not set: yes if `endpoint` is set.",
        examples=[True],
    )
    ca_file: Text | None = Field(
        default=None,
        description="A PEM file with the authority that signed the server's certificate.",
        examples=["/etc/ssl/certs/home-ca.pem"],
    )
    credentials: Secret | None = Field(
        default=None,
        description="A secret with the keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and if needed "
        "`AWS_SESSION_TOKEN` and `AWS_ENDPOINTS`. When not set: what the AWS tools would use (environment, "
        "`~/.aws`, the role of the machine or of the service account).",
        examples=["secret:backstay/backup-s3-credentials"],
    )
    sse: Literal["AES256", "aws:kms"] | None = Field(
        default=None,
        description="Encryption by the server. When not set: what the bucket's own default is.",
        examples=["aws:kms"],
    )
    kms_key: Text | None = Field(
        default=None,
        description="The key's ARN or id, with `sse: aws:kms`.",
        examples=["arn:aws:kms:us-east-1:111122223333:key/1234abcd"],
    )
    storage_class: StorageClass = Field(
        default="STANDARD",
        description="The class artifacts are written in.",
    )
    tags: Mapping[Text, str] = Field(
        default_factory=dict,
        description="Tags put on every artifact, at most ten.",
        max_length=10,
        examples=[{"owner": "platform"}],
    )
    object_lock: ObjectLock | None = Field(
        default=None,
        description="Protection of what was written against deletion; the bucket must have object lock enabled.",
        examples=[{"mode": "governance", "days": 7}],
    )
    conditional_writes: YesNo = Field(
        default=True,
        description="Whether the server refuses a write when the object exists or has changed. `backstay store check` "
        "tells; where it does not, set `false`: leases are then checked by reading back, which is weaker.",
    )
    bandwidth_limit: Rate | None = Field(
        default=None, description="The most bytes sent and received in a second.", examples=["20MB/s"]
    )
    lifecycle: tuple[LifecycleRule, ...] = Field(
        default=(),
        description="Rules for the bucket itself to apply; retention is Backstay's work, by `keep`.",
        examples=[[{"prefix": "velero/", "transition_after_days": 90, "storage_class": "GLACIER_IR"}]],
    )

    @property
    def bucket(self) -> str:
        """The bucket's name; empty for a folder on a disk."""
        return self.url.removeprefix("s3://").partition("/")[0] if self.url.startswith("s3://") else ""

    @property
    def prefix(self) -> str:
        """The folder in the bucket, without a slash at either end; empty for none."""
        return self.url.removeprefix("s3://").partition("/")[2].rstrip("/") if self.bucket else ""

    @property
    def path(self) -> str:
        """The full path of a folder on a disk; empty for a bucket."""
        return "" if self.bucket else self.url.removeprefix("file://")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.path:
            given = [f"`{name}`" for name in S3_ONLY if name in self.model_fields_set]
            if given:
                raise ValueError(f"is a folder on a disk, which has no {', '.join(given)}")
        if self.kms_key is not None and self.sse != "aws:kms":
            raise ValueError("`kms_key` needs `sse: aws:kms`")
        return self


class Encryption(Model):
    """Encryption before anything leaves the machine, in the format of age (age-encryption.org)."""

    recipients: tuple[Recipient, ...] = Field(
        default=(),
        description="Public keys that can decrypt: `age1...` or an ssh public key. "
        "Empty: the store's own encryption is all there is.",
        examples=[["age1thelinethatagekeygenprintsaspublickey"]],
    )
    identity: Annotated[Secret, AfterValidator(_identity)] | None = Field(
        default=None,
        description="Where a restore finds the private key: `file:/path` or `cmd:program`. "
        "Backups do not need it; keep it out of the cluster.",
        examples=["file:/root/backstay-identity.txt"],
    )
