"""Leases: one holder at a time, whatever threads, clocks and a failing store do."""

import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from backstay.catalog import keys, lease
from backstay.catalog.lease import Holder
from backstay.core.errors import CatalogError, LeaseHeld, LeaseLost, Unavailable
from tests.catalog.fakes import CARDBOARD, FULL, NOW, WEAK, Clock, DictStore

TTL = timedelta(minutes=5)


def holder(owner="a", purpose="backup"):
    return Holder(owner, host="node-1", pid=4711, purpose=purpose)


def no_sleep(_seconds):
    pytest.fail("a store with conditional puts needs no waiting")


def acquire(store, owner="a", now=lambda: NOW, sleep=no_sleep, ttl=TTL):
    return lease.acquire(store, CARDBOARD, holder(owner), now=now, sleep=sleep, ttl=ttl)


def test_the_second_is_told_who_holds_it_since_when_and_until_when():
    store = DictStore()
    acquire(store)
    with pytest.raises(LeaseHeld) as raised:
        acquire(store, "b")
    assert raised.value.exit_code == 11
    for fact in ("backup on node-1 (pid 4711)", "postgres/cardboard", "2026-02-11T15:43:44Z"):
        assert fact in raised.value.message
    assert "2026-02-11T15:48:44Z" in raised.value.hint


def test_a_released_lease_is_taken_at_once_under_the_next_generation():
    store = DictStore()
    with acquire(store):
        pass
    second = acquire(store, "b")
    assert second.record.generation == 2
    assert keys.lease_key(CARDBOARD) in store.objects


def test_an_expired_lease_is_taken_and_its_holder_finds_out():
    store, clock = DictStore(), Clock()
    dead = acquire(store, now=clock)
    clock.pass_by(minutes=5, seconds=-1)
    dead.check()
    with pytest.raises(LeaseHeld):
        acquire(store, "b", now=clock)
    clock.pass_by(seconds=1)
    with pytest.raises(LeaseLost):
        dead.check()
    assert acquire(store, "b", now=clock).record.generation == 2
    with pytest.raises(LeaseLost):
        dead.renew()


def test_a_holder_whose_clock_is_behind_finds_out_when_it_renews_or_releases():
    store, clock = DictStore(), Clock()
    slow = acquire(store, now=lambda: NOW)
    clock.pass_by(minutes=6)
    taken = acquire(store, "b", now=clock)
    slow.check()  # by its own clock it still has it: what stops it is the store
    with pytest.raises(LeaseLost, match="taken over"):
        slow.renew()
    with pytest.raises(LeaseLost):
        slow.check()
    slow.release()
    assert lease.read(store, CARDBOARD)[0] == taken.record


def test_renewing_moves_the_end():
    store, clock = DictStore(), Clock()
    held = acquire(store, now=clock)
    clock.pass_by(minutes=4)
    held.renew()
    clock.pass_by(minutes=4)
    held.check()
    with pytest.raises(LeaseHeld):
        acquire(store, "b", now=clock)


def test_the_thread_renews_while_the_work_goes_on_and_stops_with_it():
    store, clock = DictStore(), Clock()
    renewed = threading.Event()
    held = acquire(store, now=clock, ttl=timedelta(seconds=0.3))
    store.after = lambda verb, _key: renewed.set() if verb == "put" else None
    with held:
        assert renewed.wait(10)
    assert held.record.released
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lease")]


def test_a_store_that_fails_for_a_while_is_tried_again():
    store, clock = DictStore(), Clock()
    held = acquire(store, now=clock, ttl=timedelta(seconds=0.3))
    failures, renewed = [], threading.Event()

    def fail_twice(verb, _key):
        if verb == "put" and len(failures) < 2:
            failures.append(verb)
            raise Unavailable("no answer")
        if verb == "put":
            renewed.set()

    store.before = fail_twice
    with held:
        assert renewed.wait(10)
        held.check()
    assert len(failures) == 2


def test_a_store_that_fails_until_the_end_loses_the_lease():
    store, clock = DictStore(), Clock()
    held = acquire(store, now=clock, ttl=timedelta(seconds=0.1))
    tried = threading.Event()

    def fail(verb, _key):
        if verb == "put":
            clock.pass_by(seconds=0.2)
            tried.set()
            raise Unavailable("no answer")

    store.before = fail
    with held:
        assert tried.wait(10)
        with pytest.raises(LeaseLost, match="could not be renewed"):
            held.check()


def test_work_that_failed_keeps_its_own_error_when_the_release_fails_too():
    store = DictStore()
    held = acquire(store)

    def fail(verb, _key):
        raise Unavailable("no answer")

    def work():
        with held:
            store.before = fail
            raise KeyError("the work")

    with pytest.raises(KeyError, match="the work"):
        work()


@pytest.mark.parametrize("caps", [FULL, WEAK], ids=["conditional puts", "none"])
def test_of_many_that_ask_at_once_one_gets_it(caps):
    """On a store without conditional puts every writer waits until all have written, and reads back."""
    for _ in range(20 if caps is FULL else 3):
        store = DictStore(caps=caps)
        start, written = threading.Barrier(8), threading.Barrier(8)
        won, held = [], []

        def ask(owner, store=store, start=start, written=written, won=won, held=held):
            start.wait(10)
            try:
                won.append(acquire(store, owner, sleep=lambda _seconds: settle(written)))
            except LeaseHeld:
                held.append(owner)
                written.abort()

        threads = [threading.Thread(target=ask, args=(f"r{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(won) == 1
        assert len(held) == 7
        assert lease.read(store, CARDBOARD)[0].holder.owner == won[0].record.holder.owner


def settle(written):
    try:
        written.wait(0.3)
    except threading.BrokenBarrierError:
        threading.Event().wait(0.3)


def test_without_conditional_puts_the_one_that_was_overwritten_finds_out_by_reading_back():
    store = DictStore(caps=WEAK)
    written, overwritten = threading.Event(), threading.Event()
    outcome = []

    def wait_for_the_other(seconds):
        assert seconds == lease.SETTLE_SECONDS
        written.set()
        assert overwritten.wait(10)

    def first():
        try:
            acquire(store, "first", sleep=wait_for_the_other)
        except LeaseHeld as error:
            outcome.append(error.context["owner"])

    other = threading.Thread(target=first)

    def let_the_other_write(verb, _key):
        if verb == "put":
            store.before = lambda _verb, _key: None
            other.start()
            assert written.wait(10)

    store.before = let_the_other_write  # both have looked and seen nothing before either writes
    won = acquire(store, "second", sleep=lambda _seconds: overwritten.set() or other.join(10))
    won.check()
    assert outcome == ["second"]


def test_of_two_that_saw_no_lease_the_slower_is_told_who_was_faster():
    store = DictStore()

    def faster(verb, _key):
        if verb == "put":
            store.before = lambda _verb, _key: None
            acquire(store, "faster")

    store.before = faster
    with pytest.raises(LeaseHeld, match="backup on node-1") as raised:
        acquire(store, "slower")
    assert raised.value.context["owner"] == "faster"


def test_an_expired_lease_asked_for_by_many_goes_to_one():
    store, clock = DictStore(), Clock()
    acquire(store, "dead", now=clock)
    clock.pass_by(minutes=6)
    won = []

    def ask(owner):
        with suppress(LeaseHeld):
            won.append(acquire(store, owner, now=clock))

    threads = [threading.Thread(target=ask, args=(f"r{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [one.record.generation for one in won] == [2]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"format": "backstay/lease", "version": 1, "state": "held"}'])
def test_a_damaged_lease_is_an_error_that_names_it(body):
    store = DictStore()
    store.objects[keys.lease_key(CARDBOARD)] = body
    with pytest.raises(CatalogError, match=r"backstay/v1/leases/postgres/cardboard\.json"):
        acquire(store)
