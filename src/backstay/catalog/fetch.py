"""Read many small records: those in the local cache from there, the others in parallel, in bounded batches."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from backstay.catalog import records
from backstay.catalog.cache import Cache
from backstay.core.errors import CatalogError, NotFound
from backstay.store.base import ObjectInfo, Store

BATCH = 256
WORKERS = 8
T = TypeVar("T")
Problem = Callable[[CatalogError], None]


def fetch(
    store: Store,
    infos: Iterable[ObjectInfo],
    decode: Callable[[ObjectInfo, bytes], T],
    *,
    cache: Cache | None = None,
    problem: Problem | None = None,
) -> Iterator[T]:
    """Each object decoded, in the order of ``infos``. One that is gone by now is left out.

    One that cannot be decoded is told to ``problem`` and left out, or its ``CatalogError`` raised when
    there is nobody to tell. At most ``BATCH`` records are in memory at a time.
    """
    rest = iter(infos)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="catalog") as pool:
        while batch := list(islice(rest, BATCH)):
            known = cache.get({info.key: info.etag for info in batch}) if cache else {}
            missing = [info for info in batch if info.key not in known]
            read = dict(zip(missing, pool.map(lambda info: _read(store, info), missing), strict=True))
            if cache:
                cache.put((info.key, info.etag, body) for info, body in read.items() if isinstance(body, bytes))
            for info in batch:
                body = known.get(info.key) or read.get(info)
                yield from _decoded(info, body, decode, problem)


def _read(store: Store, info: ObjectInfo) -> bytes | CatalogError | None:
    try:
        return records.read_bytes(store, info.key)
    except NotFound:
        return None
    except CatalogError as error:
        return error


def _decoded(
    info: ObjectInfo,
    body: bytes | CatalogError | None,
    decode: Callable[[ObjectInfo, bytes], T],
    problem: Problem | None,
) -> Iterator[T]:
    if body is None:
        return
    try:
        if isinstance(body, CatalogError):
            raise body
        found = decode(info, body)
    except CatalogError as error:
        if problem is None:
            raise
        problem(error)
        return
    yield found
