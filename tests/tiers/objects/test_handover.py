"""Batches between threads: none is lost, none waits for ever, and what is held stays bounded."""

import threading

import pytest

from backstay.tiers.objects.handover import Closed, Handover

PATIENCE = 10


def started(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(thread):
    thread.join(PATIENCE)
    return not thread.is_alive()


def test_everything_arrives_from_several_threads():
    handover = Handover(4, 100)

    def produce(start):
        for number in range(start, 1000, 4):
            handover.put(number, 30)
        handover.done()

    threads = [started(lambda start=start: produce(start)) for start in range(4)]
    assert sorted(handover) == list(range(1000))
    assert all(map(ended, threads))


def test_who_puts_waits_while_too_much_is_waiting():
    handover = Handover(1, 100)
    handover.put("a", 100)
    thread = started(lambda: handover.put("b", 1))
    thread.join(0.1)
    assert thread.is_alive()
    batches = iter(handover)
    assert next(batches) == "a"
    assert ended(thread)
    assert next(batches) == "b"


def test_a_batch_above_the_bound_goes_alone():
    handover = Handover(1, 10)
    handover.put("large", 1000)
    handover.done()
    assert list(handover) == ["large"]


def test_the_end_of_the_taker_stops_who_waits():
    handover, seen = Handover(1, 10), []

    def produce():
        try:
            handover.put("a", 10)
            handover.put("b", 10)
        except Closed:
            seen.append("closed")

    thread = started(produce)
    thread.join(0.1)
    handover.close()
    assert ended(thread)
    assert seen == ["closed"]
    with pytest.raises(Closed):
        handover.put("c", 1)


def test_an_error_ends_the_taking_and_the_putting():
    handover = Handover(2, 100)
    started(lambda: handover.fail(KeyError("bug")))
    with pytest.raises(KeyError):
        list(handover)
    with pytest.raises(Closed):
        handover.put("a", 1)
