"""What concerns a bucket as a whole rather than one object: that it exists, its rules, and uploads left unfinished."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from backstay.core.errors import Denied, Locked, NotFound, StoreError, StoreMissing
from backstay.store.s3_options import S3Options

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNKNOWN_REQUEST = frozenset({405, 501})


class Bucket:
    """The bucket of ``options``; ``talk(verb, key)`` turns the library's errors into those of ``core.errors``."""

    def __init__(
        self,
        client: "S3Client",
        talk: Callable[[str, str], AbstractContextManager[None]],
        options: S3Options,
    ) -> None:
        self._client = client
        self._talk = talk
        self._options = options

    @property
    def root(self) -> str:
        """What every key of the store begins with."""
        return self._options.root

    def check(self) -> None:
        """Raise ``StoreMissing`` if there is no such bucket."""
        try:
            with self._talk("look up", ""):
                self._client.head_bucket(Bucket=self._options.bucket)
        except NotFound as error:  # the answer to a head has no body that could name the bucket
            raise StoreMissing(
                f"the bucket {self._options.bucket} does not exist",
                hint="Check its name, or make it: backstay store init.",
            ) from error

    def create(self) -> bool:
        """Make the bucket, with object lock if the options ask for it; ``False`` if it is there and open to us.

        Looks first: S3 in us-east-1 answers a second creation like the first.
        """
        try:
            self.check()
        except StoreMissing:
            pass
        else:
            return False
        region = self._options.region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        lock = {"ObjectLockEnabledForBucket": True} if self._options.object_lock else {}
        with self._talk("create the bucket of", ""):
            self._client.create_bucket(Bucket=self._options.bucket, **cast("Any", where | lock))
        return True

    def lifecycle_rules(self) -> Sequence[Mapping[str, Any]] | None:
        """The lifecycle rules as the server keeps them; ``None`` where it knows of no such thing."""
        try:
            with self._talk("read the lifecycle rules of", ""):
                answer = self._client.get_bucket_lifecycle_configuration(Bucket=self._options.bucket)
        except StoreError as error:
            if error.context.get("server_code") == "NoSuchLifecycleConfiguration":
                return []
            if error.context.get("status") in UNKNOWN_REQUEST:
                return None
            raise
        return answer["Rules"]

    def keeps(self, key: str) -> bool:
        """Whether the server itself refuses to delete this version of an object; it is gone if not."""
        where = {"Bucket": self._options.bucket, "Key": self._options.root + key}
        with self._talk("look up", key):
            version = self._client.head_object(**cast("Any", where)).get("VersionId", "null")
        try:
            with self._talk("delete", key):
                self._client.delete_object(**cast("Any", where), VersionId=version)
        except (Denied, Locked):
            return True
        return False

    def unfinished(self, prefix: str = "") -> Iterator[tuple[str, str, datetime]]:
        """Uploads of keys that begin with ``prefix``, begun and not finished: key, upload id, begun at."""
        root = self._options.root
        paginator = self._client.get_paginator("list_multipart_uploads")
        pages = iter(paginator.paginate(Bucket=self._options.bucket, Prefix=root + prefix))
        while True:
            with self._talk("list the unfinished uploads of", ""):
                page = next(pages, None)
            if page is None:
                return
            for found in page.get("Uploads", []):
                if found["Key"].startswith(root + prefix):  # a server that ignores the prefix shows what is others'
                    yield found["Key"].removeprefix(root), found["UploadId"], found["Initiated"]

    def sweep(self, before: datetime, prefix: str) -> int:
        """Remove the uploads of keys that begin with ``prefix``, begun before a time and never finished: their parts
        are invisible, and cost money."""
        stale = [(key, upload_id) for key, upload_id, begun in self.unfinished(prefix) if begun < before]
        return sum(self._abort(key, upload_id) for key, upload_id in stale)

    def _abort(self, key: str, upload_id: str) -> bool:
        """Whether there was still something to abort."""
        try:
            with self._talk("abort the upload of", key):
                self._client.abort_multipart_upload(
                    Bucket=self._options.bucket, Key=self._options.root + key, UploadId=upload_id
                )
        except StoreError as error:
            if error.context.get("server_code") == "NoSuchUpload":
                return False
            raise
        return True
