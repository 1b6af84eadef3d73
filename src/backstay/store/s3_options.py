"""Everything that can be said about an S3 store: where it is, who asks, and how objects are written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from backstay.core.errors import ConfigError, UsageError
from backstay.core.model import EMPTY
from backstay.store.base import check_key

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# Infrequent-access classes bill every object as at least 128 KB, and a manifest must be cheap to read.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
STORAGE_CLASS_FROM_BYTES = 128 * 1024


@dataclass(frozen=True)
class S3Options:
    """One bucket, or the part of it below ``prefix``. Raises ``ConfigError`` when the options contradict each other.

    Without keys the usual chain of the AWS tools is asked: environment, shared files, web identity, instance role.
    ``path_style`` is the default where an endpoint is given. ``conditional=False`` is for servers that do not know
    ``If-None-Match`` and ``If-Match``: the store then looks first and writes after, and its ``caps`` say so.
    ``storage_class`` applies to objects of 128 KiB and more. ``max_attempts`` is for one HTTP request whose body is
    in memory (docs/decisions/0003).
    """

    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    endpoint_url: str | None = None
    path_style: bool | None = None
    ca_file: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    sse: Literal["AES256", "aws:kms"] | None = None
    kms_key_id: str | None = None
    storage_class: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    max_attempts: int = 3
    conditional: bool = True
    object_lock: bool = False
    lock_mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"

    def __post_init__(self) -> None:
        for wrong, message, hint in self._faults():
            if wrong:
                raise ConfigError(message, hint=hint)
        if self.root:
            try:
                check_key(self.root.rstrip("/"))
            except UsageError as error:
                raise ConfigError(f"the store's prefix {self.prefix!r} is not a path within a bucket") from error

    @property
    def sign_payload(self) -> bool:
        """Whether each body is hashed for its signature, which costs client and server as much as compressing it: only
        where nothing else keeps others on the way from changing it. TLS does, and on loopback there is nobody."""
        where = urlsplit(self.endpoint_url or "https://")
        return where.scheme != "https" and where.hostname not in LOOPBACK

    @property
    def root(self) -> str:
        """What every key in the bucket begins with: the prefix with one ``/`` at its end, or nothing."""
        stripped = self.prefix.strip("/")
        return f"{stripped}/" if stripped else ""

    @property
    def url(self) -> str:
        """``s3://bucket/prefix/``."""
        return f"s3://{self.bucket}/{self.root}"

    @property
    def addressing_style(self) -> Literal["path", "virtual"]:
        """How the bucket is named in a request: in the path or in the host name."""
        path_style = self.endpoint_url is not None if self.path_style is None else self.path_style
        return "path" if path_style else "virtual"

    def _faults(self) -> list[tuple[bool, str, str]]:
        endpoint = urlsplit(self.endpoint_url or "https://none")
        return [
            (
                not self.bucket or "/" in self.bucket,
                f"{self.bucket!r} is not the name of a bucket",
                "give the bucket and the prefix within it as two settings",
            ),
            (
                endpoint.scheme not in {"http", "https"} or not endpoint.hostname,
                f"the endpoint {self.endpoint_url!r} is not an http or https address",
                "for example https://minio.home.arpa:9000",
            ),
            (
                endpoint.username is not None,
                "the endpoint holds a user name or a password",
                "give the keys by reference; an address is shown in logs",
            ),
            (
                bool(self.access_key_id) != bool(self.secret_access_key),
                "only one of the two S3 keys is given",
                "give the access key id and the secret access key, or neither",
            ),
            (
                self.kms_key_id is not None and self.sse != "aws:kms",
                "a KMS key is given but the encryption is not aws:kms",
                "set the server-side encryption to aws:kms, or leave the key out",
            ),
            (
                self.storage_class in ARCHIVE_CLASSES,
                f"objects written straight to {self.storage_class} cannot be read back when they are needed",
                "write to STANDARD or STANDARD_IA and let a lifecycle rule move old artifacts",
            ),
        ]
