"""The wrappers: what they retry, count, delay and refuse, by a clock and dice of the test."""

import itertools
from contextlib import contextmanager

import pytest

from backstay.core.errors import AlreadyExists, Corrupt, Denied, NotFound, Unavailable
from backstay.store.directory import DirectoryStore
from backstay.store.memory import MemoryStore
from backstay.store.wrap import (
    Metered,
    ReadOnly,
    Retrying,
    Throttled,
    Usage,
    Wrapper,
    drop_folder,
    sweep,
    unfinished,
    unwrapped,
)
from tests.store.helpers import MIB, keys, noise, pieces, read
from tests.store.test_contract import race_to_create


class Failing(Wrapper):
    """Raises ``error`` at the requests whose numbers (from 1) are given; a put fails before or after it is done."""

    def __init__(self, inner, *numbers, error=Unavailable, after=False, cut=None):
        super().__init__(inner)
        self.numbers = set(numbers)
        self.asked = []
        self.error = error
        self.after = after
        self.cut = cut

    def _ask(self, verb):
        self.asked.append(verb)
        return len(self.asked) in self.numbers

    def put(self, key, chunks, **conditions):
        fails = self._ask("put")
        if fails and not self.after:
            if self.cut is not None:
                list(itertools.islice(chunks, self.cut))
            raise self.error("put")
        info = self.inner.put(key, chunks, **conditions)
        if fails:
            raise self.error("answer lost")
        return info

    @contextmanager
    def get(self, key, *, start=0, length=None):
        fails = self._ask(f"get {start} {length}")
        if fails and self.cut is None:
            raise self.error("get")
        with self.inner.get(key, start=start, length=length) as chunks:
            yield self._broken(chunks) if fails else chunks

    def _broken(self, chunks):
        yield from itertools.islice(chunks, self.cut)
        raise self.error("cut")

    def head(self, key):
        if self._ask("head"):
            raise self.error("head")
        return self.inner.head(key)

    def list(self, prefix):
        fails = self._ask("list")
        for number, info in enumerate(self.inner.list(prefix)):
            if fails and number == (self.cut or 0):
                raise self.error("list")
            yield info

    def delete(self, keys):
        if self._ask("delete"):
            raise self.error("delete")
        self.inner.delete(keys)


@pytest.fixture
def slept():
    return []


@pytest.fixture
def retrying(slept):
    def make(inner, attempts=4, **more):
        return Retrying(inner, attempts, delay_seconds=1.0, sleep=slept.append, uniform=lambda: 0.5, **more)

    return make


def test_delays_double_to_a_limit_and_are_told(slept):
    told = []
    store = Retrying(
        Failing(MemoryStore(), *range(1, 8)),
        8,
        delay_seconds=1.0,
        max_delay_seconds=10.0,
        sleep=slept.append,
        uniform=lambda: 0.5,
        told=lambda error, seconds: told.append((str(error), seconds)),
    )
    store.put("k", [b"x"])
    assert slept == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert told == [("put", seconds) for seconds in slept]


def test_the_last_error_comes_out(retrying, slept):
    failing = Failing(MemoryStore(), *range(1, 100))
    for action in (
        lambda store: store.put("k", [b"x"]),
        lambda store: store.head("k"),
        keys,
        lambda store: store.delete(["k"]),
        lambda store: read(store, "k"),
    ):
        failing.inner.put("k", [b"x"])
        failing.asked.clear()
        with pytest.raises(Unavailable):
            action(retrying(failing))
        assert len(failing.asked) == 4


@pytest.mark.parametrize("error", [NotFound, Corrupt, Denied, AlreadyExists])
def test_other_errors_are_not_retried(retrying, slept, error):
    failing = Failing(MemoryStore(), 1, error=error)
    with pytest.raises(error):
        retrying(failing).head("k")
    with pytest.raises(error):
        retrying(Failing(MemoryStore(), 1, error=error)).put("k", [b"x"])
    assert slept == []


@pytest.mark.parametrize("chunks", [[b"a", b"b"], (b"a", b"b")])
def test_chunks_that_can_be_taken_again_are_sent_again(retrying, chunks):
    store = retrying(Failing(MemoryStore(), 1, 2, cut=1))
    store.put("k", chunks)
    assert read(store, "k") == b"ab"


def test_a_stream_is_sent_again_only_while_it_is_untouched(retrying, slept):
    store = retrying(Failing(MemoryStore(), 1, 2))
    store.put("k", pieces(b"abc", 1))
    assert read(store, "k") == b"abc"
    broken = retrying(Failing(MemoryStore(), 1, cut=1))
    with pytest.raises(Unavailable):
        broken.put("k", pieces(b"abc", 1))
    assert keys(broken) == []
    assert len(slept) == 2


@pytest.mark.parametrize("conditions", [{"create": True}, {"match": "first"}])
def test_a_conditional_put_whose_answer_was_lost_succeeded(retrying, conditions):
    inner = MemoryStore()
    if "match" in conditions:
        conditions = {"match": inner.put("k", [b"before"]).etag}
    store = retrying(Failing(inner, 1, after=True))
    info = store.put("k", [b"lease of ", b"run 1"], **conditions)
    assert info == inner.head("k")
    assert read(inner, "k") == b"lease of run 1"


def test_a_conditional_put_that_a_rival_won_failed(retrying):
    inner = MemoryStore()

    class Rival(Failing):
        def put(self, key, chunks, **conditions):
            if not self.asked:
                self.inner.put(key, [b"lease of run 2"])
            return super().put(key, chunks, **conditions)

    with pytest.raises(AlreadyExists):
        retrying(Rival(inner, 1)).put("k", [b"lease of run 1"], create=True)
    assert read(inner, "k") == b"lease of run 2"


def test_a_taken_key_at_the_first_attempt_is_taken_even_with_the_same_bytes(retrying):
    inner = MemoryStore()
    inner.put("k", [b"same"])
    with pytest.raises(AlreadyExists):
        retrying(inner).put("k", [b"same"], create=True)


@pytest.mark.parametrize(("start", "length"), [(0, None), (5, None), (5, 3 * MIB), (0, 4 * MIB), (MIB, MIB)])
def test_a_read_goes_on_where_it_was_cut(retrying, start, length):
    data = noise(5 * MIB)
    inner = MemoryStore()
    inner.put("k", [data])
    failing = Failing(inner, 1, 2, 3, 4, cut=1)
    assert read(retrying(failing), "k", start=start, length=length) == data[start:][:length]
    if length is None or length > MIB:
        assert len(failing.asked) > 2
        assert failing.asked[1].startswith(f"get {start + MIB} ")


def test_a_read_that_gets_no_further_ends(retrying, slept):
    inner = MemoryStore()
    inner.put("k", [noise(3 * MIB)])
    with pytest.raises(Unavailable):
        read(retrying(Failing(inner, *range(1, 100), cut=0)), "k")
    assert len(slept) == 3


def test_entering_a_read_of_nothing_is_not_found(retrying):
    with pytest.raises(NotFound), retrying(Failing(MemoryStore(), 1)).get("k"):
        pytest.fail("entered")


def test_a_list_goes_on_after_the_last_key(retrying):
    inner = MemoryStore()
    names = [f"{number:03d}" for number in range(20)]
    for name in names:
        inner.put(name, [b"x"])
    failing = Failing(inner, 1, 2, 3, cut=7)
    assert keys(retrying(failing)) == names
    assert failing.asked == ["list"] * 4
    failing = Failing(inner, 1, cut=0)
    assert keys(retrying(failing)) == names


def test_delete_is_repeated_with_all_its_keys(retrying):
    inner = MemoryStore()
    for name in "abc":
        inner.put(name, [b"x"])
    retrying(Failing(inner, 1, 2)).delete(iter("abc"))
    assert keys(inner) == []


def test_read_only(tmp_path):
    inner = DirectoryStore(tmp_path)
    inner.put("k", [b"x"])
    store = ReadOnly(inner)
    taken = []
    refused = [
        lambda: store.put("k", (taken.append(chunk) or chunk for chunk in [b"y"])),
        lambda: store.delete(["k"]),
        lambda: sweep(store, inner.head("k").modified_at, ""),
        lambda: sweep(Retrying(Metered(store)), inner.head("k").modified_at, ""),
        lambda: drop_folder(Retrying(store), "folder"),
    ]
    for action in refused:
        with pytest.raises(Denied, match="reading only"):
            action()
    assert taken == []
    store.delete([])
    assert read(store, "k") == b"x"
    assert keys(store) == ["k"]
    assert store.head("k") == inner.head("k")


def test_metered():
    store = Metered(MemoryStore())
    before = store.usage
    store.put("a", pieces(noise(1000), 300))
    store.put("b", [b"xy"])
    with pytest.raises(AlreadyExists):
        store.put("b", [b"xyz"], create=True)
    read(store, "a", start=10, length=90)
    store.head("a")
    assert keys(store) == ["a", "b"]
    store.delete(iter(["a", "b"]))
    assert store.usage == Usage(
        puts=3, gets=1, heads=1, lists=1, deletes=1, listed_objects=2, deleted_objects=2,
        written_bytes=1005, read_bytes=90,
    )  # fmt: skip
    assert before == Usage()


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds


def test_throttled_each_way_to_its_rate():
    clock = Clock()
    store = Throttled(MemoryStore(), 1000, clock=clock, sleep=clock.sleep)
    data = noise(20_000)
    store.put("k", pieces(data, 500))
    assert clock.now == pytest.approx(120.0, abs=1.0)
    clock.now = 200.0
    with store.get("k", length=10_000) as chunks:
        assert b"".join(chunks) == data[:10_000]
    assert clock.now == pytest.approx(210.0, abs=1.1)


def test_an_idle_time_is_made_up_for_only_once():
    clock = Clock()
    store = Throttled(MemoryStore(), 1000, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    began = clock.now
    store.put("k", pieces(noise(10_000), 100))
    assert 8.9 <= clock.now - began <= 10


@pytest.mark.parametrize(
    "wrap",
    [
        Metered,
        Retrying,
        lambda store: Throttled(store, 1e9),
        lambda store: Retrying(Metered(Throttled(store, 1e9))),
    ],
)
def test_wrappers_keep_the_contract(wrap, tmp_path):
    inner = DirectoryStore(tmp_path)
    store = wrap(inner)
    assert unwrapped(store) is inner
    assert store.caps == inner.caps
    assert store.describe() == inner.describe()
    race_to_create(store, 20, rounds=3)
    etag = store.put("a/b", pieces(noise(3 * MIB))).etag
    assert store.head("a/b").etag == etag
    assert read(store, "a/b", start=1, length=2 * MIB) == noise(3 * MIB)[1 : 2 * MIB + 1]
    store.put("a/b", [b"x"], match=etag)
    with pytest.raises(AlreadyExists):
        store.put("a/b", [b"y"], match=etag)
    with pytest.raises(NotFound), store.get("absent"):
        pass
    assert keys(store, "a/") == ["a/b"]
    (tmp_path / ".backstay-tmp" / "stale").write_bytes(b"")
    future = store.head("a/b").modified_at.replace(year=2100)
    assert (unfinished(store, future, ""), sweep(store, future, "")) == (1, 1)
    store.delete(["a/b"])
    store.close()
    assert keys(store) == []


def test_wrappers_keep_what_can_be_replayed():
    """A list stays a list through the wrappers, so that an outer one may send it again."""
    inner = Failing(MemoryStore(), 1, cut=1)
    store = Retrying(Metered(Throttled(inner, 1e9)), sleep=lambda _: None)
    store.put("k", [b"a", b"b"])
    assert read(store, "k") == b"ab"


def test_sweeping_a_store_that_leaves_nothing():
    store = Retrying(MemoryStore())
    moment = store.put("k", [b"x"]).modified_at
    assert (unfinished(store, moment, ""), sweep(store, moment, "")) == (0, 0)
