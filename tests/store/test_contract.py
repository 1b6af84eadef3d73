"""The contract of ``store.base``, over every kind of store. A new backend is right when it passes this file."""

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from backstay.core.errors import AlreadyExists, NotFound, StoreError, UsageError
from backstay.store.s3 import S3Store
from backstay.store.wrap import Metered, Retrying, Throttled, unwrapped
from tests.store.helpers import MIB, breaking, keys, leftovers, noise, pieces, read, together

NAMES = ["plain", "with space", "a+b", "100%41", "it's", "a=b&c;d", "~#?*", "dotted.name..x", "日本/語ü", "é", "😀"]
OF_K3S = {"k3s-cluster-id": "040d869a-243c-4dbb-8386-a067e844978a", "k3s-node-name": "server-1.example.org"}
BAD_KEYS = ["", "/a", "a/", "a//b", "../a", "a/./b", "a\\b", "a\nb", "x" * 1025]


class BrokenError(Exception):
    """What a source of bytes may raise."""


def test_what_was_put_is_there_at_once_and_the_same_everywhere(store):
    before = datetime.now(UTC) - timedelta(seconds=5)
    put = store.put("a/b", [b"hello ", b"", b"world"])
    assert read(store, "a/b") == b"hello world"
    assert (put.key, put.size_bytes) == ("a/b", 11)
    head, [listed] = store.head("a/b"), list(store.list(""))
    for info in (head, listed):
        assert (info.key, info.size_bytes, info.etag) == (put.key, put.size_bytes, put.etag)
        assert info.storage_class == "STANDARD"
    for info in (put, head, listed):
        assert before < info.modified_at < before + timedelta(seconds=60)
        assert info.etag


def test_an_empty_object(store):
    assert store.put("empty", []).size_bytes == 0
    assert store.head("empty").size_bytes == 0
    assert read(store, "empty") == b""
    assert read(store, "empty", start=0, length=10) == b""


@pytest.mark.parametrize("size", [8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20_000_000])
def test_large_objects_come_back_whole(store, size):
    data = noise(size)
    put = store.put("large", pieces(data))
    assert put.size_bytes == size
    assert read(store, "large") == data
    head = store.head("large")
    assert (head.size_bytes, head.etag) == (size, put.etag)
    assert next(store.list("large")).etag == put.etag
    assert leftovers(store) == []


def test_a_chunk_larger_than_a_part(store):
    data = noise(20_000_000)
    store.put("large", [data])
    assert read(store, "large") == data


def test_put_replaces(store):
    first = store.put("k", [b"one"])
    second = store.put("k", [b"two"])
    assert read(store, "k") == b"two"
    assert first.etag != second.etag == store.head("k").etag


@pytest.mark.parametrize("size", [5, 9 * MIB])
def test_create_refuses_a_taken_key_and_leaves_it(store, size):
    data = noise(size)
    store.put("k", pieces(data), create=True)
    with pytest.raises(AlreadyExists):
        store.put("k", pieces(noise(size, seed=8)), create=True)
    assert read(store, "k") == data
    assert leftovers(store) == []


@pytest.mark.parametrize("size", [5, 9 * MIB])
def test_match_refuses_another_etag(store, size):
    first = store.put("k", [b"one"])
    second = store.put("k", pieces(noise(size)), match=first.etag)
    with pytest.raises(AlreadyExists):
        store.put("k", pieces(noise(size, seed=8)), match=first.etag)
    assert read(store, "k") == noise(size)
    assert store.head("k").etag == second.etag
    assert leftovers(store) == []


@pytest.mark.parametrize("size", [5, 9 * MIB])
def test_match_refuses_a_key_that_is_gone(store, size):
    etag = store.put("k", [b"one"]).etag
    store.delete(["k"])
    with pytest.raises(AlreadyExists):
        store.put("k", pieces(noise(size)), match=etag)
    assert keys(store) == []
    assert leftovers(store) == []


@pytest.mark.parametrize("size", [0, 5, 9 * MIB])
def test_metadata_is_kept_beside_the_object_where_there_is_a_place(store, size):
    data = noise(size)
    through_wrappers = Retrying(Metered(Throttled(store, 1e12)))
    first = store.put("k", pieces(data), create=True, metadata=OF_K3S)
    assert through_wrappers.put("wrapped", pieces(data), create=True, metadata=OF_K3S).size_bytes == size
    assert (first.size_bytes, read(store, "k"), read(store, "wrapped")) == (size, data, data)
    backend = unwrapped(store)
    if isinstance(backend, S3Store):
        for key in ("k", "wrapped"):
            assert OF_K3S.items() <= metadata_of(backend, key).items()
    store.put("k", pieces(data), match=first.etag)
    if isinstance(backend, S3Store):
        assert not OF_K3S.keys() & metadata_of(backend, "k").keys()


def metadata_of(store, key):
    """What any program finds beside an object."""
    options = store.options
    client = boto3.client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
    )
    with closing(client):
        return client.head_object(Bucket=options.bucket, Key=options.root + key)["Metadata"]


def test_create_and_match_together_make_no_sense(store):
    with pytest.raises(UsageError):
        store.put("k", [b"x"], create=True, match="etag")
    assert keys(store) == []


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, None), (0, 1), (0, 100), (0, 101), (7, 20), (99, 1), (99, 5), (50, None), (99, None)],
)
def test_ranges(store, start, length):
    data = noise(100)
    store.put("k", [data])
    assert read(store, "k", start=start, length=length) == data[start:][:length]


@pytest.mark.parametrize(("start", "length"), [(100, None), (100, 1), (1000, 5), (5, 0), (0, 0)])
def test_a_range_past_the_end_is_empty(store, start, length):
    store.put("k", [noise(100)])
    assert read(store, "k", start=start, length=length) == b""


def test_a_range_over_the_parts_of_a_large_object(store):
    data = noise(9 * MIB)
    store.put("k", pieces(data))
    assert read(store, "k", start=8 * MIB - 10, length=20) == data[8 * MIB - 10 :][:20]


@pytest.mark.parametrize("part", [{}, {"start": 5}, {"start": 0, "length": 0}, {"length": 3}])
def test_what_is_not_there_is_not_found(store, part):
    store.put("here/x", [b"x"])
    for key in ("absent", "here", "here/x/y"):
        with pytest.raises(NotFound), store.get(key, **part):
            pytest.fail("entered")
        with pytest.raises(NotFound):
            store.head(key)


@pytest.mark.parametrize("name", NAMES)
def test_names(store, name):
    store.put(f"names/{name}", [name.encode()])
    assert read(store, f"names/{name}") == name.encode()
    assert keys(store, f"names/{name}") == [f"names/{name}"]
    assert store.head(f"names/{name}").key == f"names/{name}"
    store.delete([f"names/{name}"])
    assert keys(store) == []


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_cannot_be(store, key):
    with pytest.raises(UsageError):
        store.put(key, [b"x"])
    with pytest.raises(UsageError), store.get(key):
        pass
    with pytest.raises(UsageError):
        store.head(key)
    with pytest.raises(UsageError):
        store.delete([key])


def test_list_is_sorted_by_key_and_takes_any_prefix(store):
    names = ["a-x", "a/x", "a/y-z", "a/y/z", "a0", "B", "b/1", "b/10", "b/2", "z", "é", "日/本", "😀"]
    together(lambda name: store.put(name, [b"x"]), reversed(names))
    for prefix in ("", "a", "a/", "a/y", "a-", "b/1", "b/10", "é", "nothing", "a/y/z", "a/y/z/", "../", "a/../a/"):
        assert keys(store, prefix) == sorted(name for name in names if name.startswith(prefix)), prefix


def test_list_goes_on_after_a_thousand(store):
    names = [*(f"many-more/{number}" for number in range(5)), *(f"many/{number:04d}" for number in range(1030))]
    together(lambda name: store.put(name, [b"x"]), names, threads=4)
    assert keys(store, "many") == names
    assert next(store.list("many/1")).key == "many/1000"
    store.delete(iter(names))
    assert keys(store) == []


def test_delete(store):
    for name in ("a/1", "a/2", "b"):
        store.put(name, [b"x"])
    store.delete(["a/1", "absent", "a/absent", "absent/too", "b/below"])
    assert keys(store) == ["a/2", "b"]
    store.delete([])
    store.delete(["a/2", "a/2"])
    assert keys(store) == ["b"]
    with pytest.raises(NotFound):
        store.head("a/2")


@pytest.mark.parametrize("error", [BrokenError("the dump failed"), KeyboardInterrupt(), OSError("of the source")])
@pytest.mark.parametrize("size", [0, 1000, 9 * MIB, 30 * MIB])
def test_an_error_in_the_middle_leaves_nothing(store, size, error):
    with pytest.raises(type(error)) as caught:
        store.put("k", breaking(noise(size), error))
    assert caught.value is error
    assert keys(store) == []
    assert leftovers(store) == []


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_an_error_in_the_middle_leaves_what_was_there(store, size):
    store.put("k", [b"good"])
    with pytest.raises(BrokenError):
        store.put("k", breaking(noise(size), BrokenError()))
    assert read(store, "k") == b"good"
    assert leftovers(store) == []


def test_nothing_is_visible_before_the_end(store):
    seen = []

    def chunks():
        for piece in pieces(noise(17 * MIB)):
            seen.append(keys(store))
            yield piece

    store.put("k", chunks())
    assert len(seen) > 50
    assert all(found == [] for found in seen)
    assert keys(store) == ["k"]


def race_to_create(store, size, rounds):
    writers, starts = 4, threading.Barrier(4, timeout=60)

    def write(number):
        starts.wait()
        try:
            store.put("k", pieces(noise(size, seed=number)), create=True)
        except AlreadyExists:
            return None
        return number

    for _ in range(rounds):
        won = [number for number in together(write, range(writers), threads=writers) if number is not None]
        assert len(won) == 1
        assert read(store, "k") == noise(size, seed=won[0])
        store.delete(["k"])
    assert leftovers(store) == []


def test_of_writers_that_create_one_wins(store):
    race_to_create(store, 20, rounds=5)


def test_of_writers_that_create_a_large_object_one_wins(strict_store):
    race_to_create(strict_store, 9 * MIB, rounds=1)


def test_of_writers_that_match_one_wins(store):
    writers, starts = 4, threading.Barrier(4, timeout=60)
    etag = store.put("k", [b"first"]).etag

    def write(number):
        starts.wait()
        try:
            return store.put("k", [f"writer {number} after {etag}".encode()], match=etag).etag
        except AlreadyExists:
            return None

    for _ in range(5):
        won = [new for new in together(write, range(writers), threads=writers) if new is not None]
        assert len(won) == 1
        [etag] = won
        assert store.head("k").etag == etag


def test_a_read_may_stop_early(store):
    store.put("k", [noise(3 * MIB)])
    for _ in range(20):
        with store.get("k") as chunks:
            assert next(chunks)
    with pytest.raises(BrokenError), store.get("k") as chunks:
        raise BrokenError
    assert read(store, "k") == noise(3 * MIB)


def test_many_threads_at_once(store):
    def cycle(number):
        data = noise(1000 + number, seed=number)
        store.put(f"t/{number}", [data])
        return read(store, f"t/{number}") == data

    assert all(together(cycle, range(40)))
    assert len(keys(store, "t/")) == 40


def test_a_lock_that_cannot_be_kept_is_refused(store):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    if store.caps.object_lock:
        store.put("k", [b"x"], lock_until=tomorrow)
        assert read(store, "k") == b"x"
        return
    with pytest.raises(StoreError, match="does not lock"):
        store.put("k", [b"x"], lock_until=tomorrow)
    assert keys(store) == []


def test_describe_is_a_url_without_secrets(store):
    assert "://" in store.describe()
    assert store.describe().endswith("/")
    assert "secret" not in repr(getattr(store, "options", "")).replace("secret_access_key", "")
