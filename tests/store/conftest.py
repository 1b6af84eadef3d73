"""One fixture, ``store``: an empty store of each kind. Real S3 joins where BACKSTAY_TEST_S3_URL names a bucket."""

import os
from urllib.parse import urlsplit

import pytest

from backstay.store.directory import DirectoryStore
from backstay.store.memory import MemoryStore
from backstay.store.s3 import S3Options, S3Store

REAL_S3 = os.environ.get("BACKSTAY_TEST_S3_URL", "")
KINDS = ["memory", "directory", "seaweed", "moto"]
ALL_KINDS = [*KINDS, *([pytest.param("real_s3", marks=pytest.mark.real_s3)] if REAL_S3 else [])]


# Of several uploads in parts under If-None-Match, SeaweedFS 4.48 lets more than one win now and then, moto all of them.
STRICT_KINDS = [kind for kind in ALL_KINDS if kind not in {"seaweed", "moto"}]


def opened(request, tmp_path):
    """An empty store of the kind that the test is for."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "directory":
        yield DirectoryStore(tmp_path)
    elif request.param == "real_s3":
        yield from real_s3()
    else:
        yield request.getfixturevalue(f"{request.param}_store")


@pytest.fixture(params=ALL_KINDS)
def store(request, tmp_path):
    """An empty store, of one kind after the other."""
    yield from opened(request, tmp_path)


@pytest.fixture(params=STRICT_KINDS)
def strict_store(request, tmp_path):
    """An empty store that obeys conditions also when the object is large."""
    yield from opened(request, tmp_path)


def real_s3():
    """The bucket of BACKSTAY_TEST_S3_URL, below a prefix of its own; keys and region as the AWS tools find them."""
    url = urlsplit(REAL_S3)
    options = S3Options(
        url.netloc,
        prefix=f"{url.path.strip('/')}/backstay-test-{os.urandom(6).hex()}".lstrip("/"),
        region=os.environ.get("AWS_REGION", "us-east-1"),
        endpoint_url=os.environ.get("BACKSTAY_TEST_S3_ENDPOINT"),
    )
    store = S3Store(options)
    try:
        yield store
    finally:
        store.delete([info.key for info in store.list("")])
        store.close()
