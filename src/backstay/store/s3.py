"""A bucket of any S3 server as a store. The only module that knows the client library, which it loads when opened.

Choices that matter for servers other than AWS: checksums the client adds of itself are off (several servers refuse
them; Backstay keeps its own SHA-256), and the endpoint comes from the configuration only, never the environment.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from backstay.core.errors import AlreadyExists, ConfigError, Corrupt, NotFound, StoreError
from backstay.core.model import EMPTY
from backstay.store.base import Caps, ObjectInfo, check_key
from backstay.store.keys import check_put
from backstay.store.s3_answers import expected_bytes, object_info, server_time
from backstay.store.s3_bucket import Bucket
from backstay.store.s3_delete import Deletion
from backstay.store.s3_errors import from_response, from_transport
from backstay.store.s3_list import Listing
from backstay.store.s3_options import STORAGE_CLASS_FROM_BYTES, S3Options
from backstay.store.s3_upload import Budget, Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Options", "S3Store", "create_bucket"]

READ_BYTES = 1024 * 1024
CONNECTIONS = 16


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def random_mark() -> str:
    """A name for one put that no other has."""
    return secrets.token_hex(8)


class S3Store:
    """One bucket, or the part of it below the prefix; keys are relative to that.

    A key in the bucket that no store may hold (a folder marker that ends in ``/``, ``a//b``) was put there by
    something else, and could be neither read nor deleted through here: ``list`` tells ``foreign`` of it and goes on.
    ``now`` serves where a server does not say its own time.
    """

    def __init__(
        self,
        options: S3Options,
        *,
        foreign: Callable[[str], None] | None = None,
        now: Callable[[], datetime] = utc_now,
        mark: Callable[[], str] = random_mark,
    ) -> None:
        self.options = options
        self.caps = Caps(options.conditional, options.conditional, options.object_lock)
        self._client = _connect(options)
        self.bucket = Bucket(self._client, self._talk, options)
        self._listing = Listing(self._client, self._talk, options, foreign)
        self._now = now
        self._mark = mark
        self._budget = Budget()
        self._bucket_seen = False
        self._deletion = Deletion(self._client, self._talk, options, now)

    def put(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        create: bool = False,
        match: str | None = None,
        lock_until: datetime | None = None,
        metadata: Mapping[str, str] = EMPTY,
    ) -> ObjectInfo:
        """As ``Store.put``. ``modified_at`` is the server's clock at its answer."""
        check_put(self.caps, key, create=create, match=match, lock_until=lock_until)
        check = partial(self._check_condition, key, create=create, match=match)
        condition: dict[str, str] = {}
        if not self.options.conditional:
            check()
        elif create:
            condition = {"IfNoneMatch": "*"}
        elif match is not None:
            condition = {"IfMatch": f'"{match}"'}
        upload = Upload(
            self._client,
            lambda verb: self._talk(verb, key),
            self._where(key),
            mark=self._mark(),
            attributes=lambda size: self._attributes(size, lock_until, metadata),
            condition=condition,
            check=check,
            budget=self._budget,
            digest=lock_until is not None,
        )
        try:
            sent = upload.run(chunks)
        except NotFound as error:
            if match is None:
                raise
            raise AlreadyExists(f"{self.describe()}{key} is gone, and was to be replaced") from error
        written = {"StorageClass": self._attributes(sent.size_bytes, None).get("StorageClass"), **sent.answer}
        return object_info(key, written, sent.size_bytes, server_time(sent.answer, self._now()))

    @contextmanager
    def get(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[Iterator[bytes]]:
        """As ``Store.get``; a start at or past the end gives no bytes, and a lost connection is ``Unavailable``."""
        check_key(key)
        answer = self._open(key, start, length) if length != 0 else None
        if answer is None:
            self.head(key)
            yield iter(())
            return
        try:
            expected = expected_bytes(f"{self.describe()}{key}", answer, start, length)
            yield self._read(key, answer["Body"], expected)
        finally:
            answer["Body"].close()

    def head(self, key: str) -> ObjectInfo:
        """As ``Store.head``. A bucket that is not there is ``StoreMissing``, which costs one request, once."""
        check_key(key)
        try:
            with self._talk("look up", key):
                found = self._client.head_object(**self._where(key))
        except NotFound:
            if not self._bucket_seen:
                self.bucket.check()
                self._bucket_seen = True
            raise
        self._bucket_seen = True
        return object_info(key, found, found["ContentLength"], found["LastModified"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``Store.list``: one request for each 1,000 objects, made as they are taken."""
        return self._listing.run(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """As ``Store.delete``, in requests of 1,000. In a bucket with versions, the earlier ones stay until a
        lifecycle rule removes them; in one with object lock, a key under retention is refused as ``Locked``."""
        self._deletion.run(keys)

    def drop_folder(self, folder: str) -> None:
        """Remove a folder that is an object of its own, if nothing is in it: SeaweedFS keeps one when the last object
        in it is removed, and people make them by hand."""
        self._deletion.folder(folder)

    def describe(self) -> str:
        """``s3://bucket/prefix/``."""
        return self.options.url

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def unfinished(self, before: datetime, prefix: str) -> int:
        """How many uploads ``sweep`` would remove."""
        return sum(begun < before for _, _, begun in self.bucket.unfinished(prefix))

    def sweep(self, before: datetime, prefix: str) -> int:
        """Remove the uploads of keys that begin with ``prefix`` that killed writers began before a time. Returns how
        many. Other programs may have uploads of their own in the bucket: ``prefix`` says what is ours."""
        return self.bucket.sweep(before, prefix)

    def _where(self, key: str) -> dict[str, Any]:
        return {"Bucket": self.options.bucket, "Key": self.options.root + key}

    def _attributes(
        self, size_bytes: int, lock_until: datetime | None, metadata: Mapping[str, str] = EMPTY
    ) -> dict[str, Any]:
        """How a new object is to be kept."""
        options = self.options
        large = size_bytes >= STORAGE_CLASS_FROM_BYTES
        wanted = {
            "ServerSideEncryption": options.sse,
            "SSEKMSKeyId": options.kms_key_id,
            "StorageClass": options.storage_class if large else None,
            "Tagging": urlencode(options.tags) or None,
            "ObjectLockMode": options.lock_mode if lock_until else None,
            "ObjectLockRetainUntilDate": lock_until,
            "Metadata": dict(metadata) or None,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def _check_condition(self, key: str, *, create: bool, match: str | None) -> None:
        """Look whether the key is free, or as it was; another writer may be faster than this and what follows."""
        if not create and match is None:
            return
        try:
            found = self.head(key).etag
        except NotFound:
            found = None
        if found != match:
            raise AlreadyExists(f"cannot write {self.describe()}{key}: another write came first")

    def _open(self, key: str, start: int, length: int | None) -> Mapping[str, Any] | None:
        """The answer with its body unread; ``None`` when the range begins at or past the end."""
        end = "" if length is None else start + length - 1
        asked: dict[str, Any] = {} if start == 0 and length is None else {"Range": f"bytes={start}-{end}"}
        try:
            with self._talk("read", key):
                return self._client.get_object(**self._where(key), **asked)
        except StoreError as error:
            if error.context.get("status") == 416:  # Range Not Satisfiable
                return None
            raise

    def _read(self, key: str, body: Any, expected: int) -> Iterator[bytes]:
        left = expected
        while left:
            with self._talk("read", key):
                chunk = body.read(min(READ_BYTES, left))
            if not chunk:
                raise Corrupt(f"{self.describe()}{key} ended {left} bytes before its end")
            left -= len(chunk)
            yield chunk

    @contextmanager
    def _talk(self, verb: str, key: str) -> Iterator[None]:
        """Around every use of the client library: only errors of ``core.errors`` come out."""
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        what = f"{verb} {self.describe()}{key}"
        try:
            yield
        except ClientError as error:
            raise from_response(error.response, what) from error
        except (BotoCoreError, HTTPError, OSError) as error:
            endpoint = self.options.endpoint_url or f"S3 in {self.options.region}"
            reason = getattr(error, "kwargs", {}).get("error", error)
            raise from_transport(type(error).__name__, str(reason), what, endpoint) from error


def create_bucket(options: S3Options) -> bool:
    """Make the bucket of ``options``; ``False`` if it was there already and belongs to these credentials."""
    store = S3Store(options)
    try:
        return store.bucket.create()
    finally:
        store.close()


def _connect(options: S3Options) -> "S3Client":
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    if options.ca_file and not Path(options.ca_file).is_file():
        raise ConfigError(f"the CA file {options.ca_file} does not exist")
    settings: dict[str, Any] = {
        "connect_timeout": options.connect_timeout_seconds,
        "read_timeout": options.read_timeout_seconds,
        "retries": {"mode": "standard", "total_max_attempts": options.max_attempts},
        "s3": {"addressing_style": options.addressing_style, "payload_signing_enabled": options.sign_payload},
        "max_pool_connections": CONNECTIONS,
        "tcp_keepalive": True,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "ignore_configured_endpoint_urls": True,
    }
    try:
        client = botocore.session.get_session().create_client(
            "s3",
            region_name=options.region,
            endpoint_url=options.endpoint_url,
            verify=options.ca_file,
            aws_access_key_id=options.access_key_id,
            aws_secret_access_key=options.secret_access_key,
            aws_session_token=options.session_token,
            config=Config(**settings),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"the S3 store cannot be opened: {error}") from error
    return cast("S3Client", client)
