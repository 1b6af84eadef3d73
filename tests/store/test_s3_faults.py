"""What the network does to an S3 store: connections cut, answers lost, servers busy. Through a proxy, on SeaweedFS."""

import subprocess
import sys
import threading
import time

import pytest

from backstay.core.errors import AlreadyExists, Corrupt, Unavailable
from tests.store.helpers import MIB, keys, leftovers, noise, pieces, read


@pytest.fixture
def options(seaweed_bucket, seaweed_proxy):
    """A fresh bucket behind the proxy, with one attempt for each request."""
    return seaweed_bucket(endpoint_url=seaweed_proxy.url, max_attempts=1, read_timeout_seconds=3.0)


@pytest.fixture
def direct(options, seaweed, open_s3):
    """The same bucket without the proxy."""
    return open_s3(options, endpoint_url=seaweed.endpoint_url)


def test_a_read_that_is_cut_is_unavailable_and_gives_no_wrong_byte(options, direct, open_s3, seaweed_proxy):
    data = noise(5 * MIB)
    direct.put("k", [data])
    seaweed_proxy.set(answer_bytes=3 * MIB)
    got = []
    with pytest.raises(Unavailable, match="broke"), open_s3(options).get("k") as chunks:
        got.extend(chunks)
    assert 0 < len(b"".join(got)) < len(data)
    assert data.startswith(b"".join(got))


@pytest.mark.parametrize("size", [1000, 9 * MIB, 30 * MIB])
def test_a_write_that_is_cut_leaves_nothing(options, direct, open_s3, seaweed_proxy, size):
    store = open_s3(options)
    seaweed_proxy.set(request_bytes=900 if size == 1000 else 2 * MIB)
    with pytest.raises(Unavailable):
        store.put("k", pieces(noise(size)))
    seaweed_proxy.heal()
    assert keys(direct) == []


def test_an_upload_whose_parts_fail_is_aborted(options, direct, open_s3, seaweed_proxy):
    store = open_s3(options, read_timeout_seconds=60.0)  # or a slow part fails first, and the abort is what is refused

    def chunks():
        yield from pieces(noise(17 * MIB))
        seaweed_proxy.set(refuse=True, times=1)
        yield from pieces(noise(17 * MIB))

    with pytest.raises(Unavailable):
        store.put("k", chunks())
    seaweed_proxy.heal()
    assert keys(direct) == []
    assert leftovers(direct) == []


def test_when_even_the_abort_fails_the_error_says_so(options, direct, open_s3, seaweed_proxy):
    store = open_s3(options)

    def chunks():
        yield from pieces(noise(17 * MIB))
        seaweed_proxy.set(refuse=True)
        yield from pieces(noise(17 * MIB))

    with pytest.raises(Unavailable) as caught:
        store.put("k", chunks())
    assert "unfinished upload remains" in caught.value.hint
    assert keys(direct) == []
    assert len(leftovers(direct)) == 1


@pytest.mark.parametrize("fault", [{"busy": True, "times": 2}, {"refuse": True, "times": 2}])
@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_single_requests_are_sent_again(options, open_s3, seaweed_proxy, fault, size):
    store = open_s3(options, max_attempts=4)
    seaweed_proxy.set(**fault)
    store.put("k", pieces(noise(size)))
    seaweed_proxy.set(**fault)
    assert read(store, "k") == noise(size)


def test_a_busy_store_is_unavailable(options, open_s3, seaweed_proxy):
    store = open_s3(options)
    seaweed_proxy.set(busy=True)
    for action in (lambda: store.put("k", [b"x"]), lambda: store.head("k"), lambda: keys(store)):
        with pytest.raises(Unavailable):
            action()


def test_a_store_that_never_answers_is_unavailable_in_bounded_time(options, open_s3, seaweed_proxy):
    store = open_s3(options, read_timeout_seconds=0.5)
    seaweed_proxy.set(delay_seconds=30)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        store.head("k")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("size", [1000, 9 * MIB])
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("create", [True, False])
def test_an_answer_lost_after_the_store_obeyed_is_not_a_failure(
    options, direct, open_s3, seaweed_proxy, size, attempts, create
):
    store = open_s3(options, max_attempts=attempts)
    last = "PUT /" if size == 1000 else f"POST /{options.bucket}/k?uploadId="
    seaweed_proxy.set(lose_answer=last.encode(), times=1)
    info = store.put("k", pieces(noise(size)), create=create)
    assert read(direct, "k") == noise(size)
    assert info.size_bytes == size
    assert info.etag == direct.head("k").etag
    assert leftovers(direct) == []
    assert seaweed_proxy.seen[-1].startswith("HEAD") or attempts > 1


def test_an_answer_lost_while_a_rival_wrote_the_same_is_still_the_rivals(options, direct, open_s3, seaweed_proxy):
    """Equal bytes do not make it ours: two runs must not both believe that they hold a lease."""
    store = open_s3(options, max_attempts=3)
    direct.put("k", [b"same"])
    seaweed_proxy.set(lose_answer=b"PUT /", times=1)
    with pytest.raises(AlreadyExists):
        store.put("k", [b"same"], create=True)


def test_when_it_cannot_be_known_the_error_says_so(options, direct, open_s3, seaweed_proxy):
    store = open_s3(options)
    seaweed_proxy.set(lose_answer=b" /" + options.bucket.encode(), times=None)
    with pytest.raises(Unavailable) as caught:
        store.put("k", [b"x"])
    assert "is not known" in caught.value.hint


def test_an_object_that_shrinks_while_it_is_read_is_corrupt_or_whole(direct):
    """Several chunks of one answer never mix two objects."""
    direct.put("k", [b"a" * 3 * MIB])
    stop = threading.Event()

    def rewrite():
        while not stop.is_set():
            direct.put("k", [b"b" * MIB])
            direct.put("k", [b"a" * 3 * MIB])

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(20):
            try:
                assert read(direct, "k") in (b"a" * 3 * MIB, b"b" * MIB)
            except (Corrupt, Unavailable):
                continue
    finally:
        stop.set()
        writer.join(30)


def test_memory_does_not_grow_with_the_object(seaweed_bucket):
    options = seaweed_bucket()
    code = """
import os, resource, sys
from backstay.store.s3 import S3Options, S3Store
store = S3Store(S3Options(sys.argv[1], endpoint_url=sys.argv[2], access_key_id=sys.argv[3],
                          secret_access_key=sys.stdin.read()))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
block, before = os.urandom(1 << 20), peak()
store.put("k", (block for _ in range(300)))
with store.get("k") as chunks:
    assert sum(map(len, chunks)) == 300 << 20
print(peak() - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, options.bucket, options.endpoint_url, options.access_key_id],
        input=options.secret_access_key,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 64
