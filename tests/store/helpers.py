"""What several tests of stores need."""

import random
from concurrent.futures import ThreadPoolExecutor

from backstay.store.directory import DirectoryStore
from backstay.store.s3 import S3Store
from backstay.store.wrap import unwrapped

MIB = 1024 * 1024


def read(store, key, **part):
    """All bytes of an object, or of a part of it."""
    with store.get(key, **part) as chunks:
        return b"".join(chunks)


def keys(store, prefix=""):
    """The keys of a list, in its order."""
    return [info.key for info in store.list(prefix)]


def noise(size, seed=7):
    """Bytes that look random and are the same each time."""
    return random.Random(seed).randbytes(size)


def pieces(data, size=300_000):
    """An iterator, to be taken once, over ``data`` in chunks."""
    return (data[at : at + size] for at in range(0, len(data), size))


def breaking(data, error, size=300_000):
    """``data`` in chunks and then ``error``, as a dump that fails."""
    yield from pieces(data, size)
    raise error


def leftovers(store):
    """What a put that failed left in the store without being an object."""
    backend = unwrapped(store)
    if isinstance(backend, S3Store):
        return list(backend.bucket.unfinished())
    if isinstance(backend, DirectoryStore):
        hidden = backend.root / ".backstay-tmp"
        return [path for path in hidden.iterdir() if path.name != "lock"] if hidden.exists() else []
    return []


def together(action, arguments, threads=8):
    """``action`` over all ``arguments`` by threads; results in order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(action, arguments, timeout=120))
