"""The objects of a bucket in the order of their keys, a thousand to a request, as a stream.

S3 lists in the order of UTF-8 bytes (API reference, ListObjectsV2). SeaweedFS walks its folders instead, so that all of
``dnd/`` comes before ``dnd-test/``, although ``-`` sorts before ``/``: there the whole list is taken, then sorted.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from backstay.core.errors import StoreError
from backstay.store.base import ObjectInfo
from backstay.store.keys import is_key
from backstay.store.s3_answers import object_info
from backstay.store.s3_options import S3Options

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNSORTED_SERVERS = ("SeaweedFS",)

Talk = Callable[[str, str], AbstractContextManager[None]]


class Listing:
    """Lists of one bucket. ``foreign`` is told of each key that no store may hold."""

    def __init__(
        self, client: "S3Client", talk: Talk, options: S3Options, foreign: Callable[[str], None] | None
    ) -> None:
        self._client = client
        self._talk = talk
        self._options = options
        self._foreign = foreign

    def run(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with ``prefix``. Raises ``StoreError`` if the server breaks the order."""
        pages = self._pages(prefix)
        first = next(pages, None)
        if first is None:
            return
        objects: Iterator[ObjectInfo] = chain.from_iterable(self._objects(page) for page in chain([first], pages))
        if _server(first).startswith(UNSORTED_SERVERS):
            objects = iter(sorted(objects, key=attrgetter("key")))
        last = ""
        for info in objects:
            if info.key <= last:
                raise StoreError(
                    f"{self._options.url} lists {info.key} after {last}, out of order",
                    hint="Nothing was changed. This S3 server cannot be used as a store; please report it.",
                )
            last = info.key
            yield info

    def _pages(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        paginator = self._client.get_paginator("list_objects_v2")
        pages = iter(paginator.paginate(Bucket=self._options.bucket, Prefix=self._options.root + prefix))
        while True:
            with self._talk("list", prefix):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _objects(self, page: Mapping[str, Any]) -> Iterator[ObjectInfo]:
        for found in page.get("Contents", []):
            key = found["Key"].removeprefix(self._options.root)
            if is_key(key):
                yield object_info(key, found, found["Size"], found["LastModified"])
            elif self._foreign is not None:
                self._foreign(key)


def _server(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("server", ""))
