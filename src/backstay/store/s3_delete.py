"""Deleting from a bucket: a thousand keys a request where the server takes that, one by one where not."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from backstay.core.errors import Locked, NotFound, StoreError
from backstay.store.base import check_key
from backstay.store.s3_errors import not_deleted
from backstay.store.s3_options import S3Options

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AT_ONCE = 1000  # the limit of DeleteObjects
# Servers that want Content-MD5, which the client library no longer sends, or that lack the request.
NO_BATCH = frozenset({"MissingContentMD5", "InvalidRequest", "NotImplemented"})


class Deletion:
    """Removes keys of one bucket, and remembers whether the server takes many in one request."""

    def __init__(
        self,
        client: "S3Client",
        talk: Callable[[str, str], AbstractContextManager[None]],
        options: S3Options,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._talk = talk
        self._options = options
        self._now = now
        self._many_at_once = True

    def run(self, keys: Iterable[str]) -> None:
        """Remove the keys. Raises ``Locked`` before it touches any of the thousand that the locked one is among."""
        rest = iter(keys)
        while batch := [check_key(key) for key in islice(rest, AT_ONCE)]:
            if self._options.object_lock:
                for key in batch:
                    self._check_lock(key)
            if len(batch) == 1 or not self._many_at_once or not self._delete_batch(batch):
                for key in batch:
                    self._delete_one(key)

    def folder(self, folder: str) -> None:
        """Remove ``folder/`` where it is an object and nothing is below it."""
        bucket, key = self._options.bucket, f"{check_key(folder)}/"
        whole = self._options.root + key
        with self._talk("look into", key):
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=whole, MaxKeys=2).get("Contents", [])
        if any(one["Key"] != whole for one in found):
            return
        try:
            with self._talk("look up", key):  # in a bucket with versions a delete of nothing leaves a mark
                self._client.head_object(Bucket=bucket, Key=whole)
        except NotFound:
            return
        self._delete_one(key)

    def _delete_batch(self, keys: Sequence[str]) -> bool:
        """Delete with one request; ``False`` where the server does not take such requests."""
        objects = [{"Key": self._options.root + key} for key in keys]
        try:
            with self._talk("delete from", ""):
                answer = self._client.delete_objects(
                    Bucket=self._options.bucket, Delete={"Objects": cast("Any", objects), "Quiet": True}
                )
        except StoreError as error:
            if error.context.get("server_code") not in NO_BATCH:
                raise
            self._many_at_once = False
            return False
        failed = [error for error in answer.get("Errors", []) if error.get("Code") != "NoSuchKey"]
        if failed:
            raise not_deleted(self._options.url, failed)
        return True

    def _delete_one(self, key: str) -> None:
        try:
            with self._talk("delete", key):
                self._client.delete_object(Bucket=self._options.bucket, Key=self._options.root + key)
        except NotFound:
            return

    def _check_lock(self, key: str) -> None:
        """In a bucket with versions a delete always succeeds: it hides the object and frees nothing. Refuse it."""
        try:
            with self._talk("look up", key):
                found = self._client.head_object(Bucket=self._options.bucket, Key=self._options.root + key)
        except NotFound:
            return
        until: datetime | None = found.get("ObjectLockRetainUntilDate")
        if until is not None and until > self._now():
            raise Locked(
                f"{self._options.url}{key} is locked until {until:%Y-%m-%d %H:%M} UTC", until=until.isoformat()
            )
        if found.get("ObjectLockLegalHoldStatus") == "ON":
            raise Locked(f"{self._options.url}{key} is under a legal hold")
