"""Threads that work on one thing, and the board they take it from: how they end, in peace and in trouble."""

import threading
import time

import pytest

from backstay.core.errors import Interrupted
from backstay.tiers.postgres import board, crew
from backstay.tiers.postgres.board import Board
from backstay.tiers.postgres.crew import Crew

SECONDS = 10  # far more than any of this takes: a wait that gets this long has failed


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(crew, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(board, "BEAT_SECONDS", 0.01)


def threads_of(name):
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(name)]


def run_all(size, name, *works, beat=lambda: None):
    """A crew in which each of ``works`` runs, given the crew."""
    with Crew(size, name) as workers:
        for work in works:
            workers.start(lambda work=work: work(workers))
        workers.wait(beat)


def failing(message, after=0.0):
    def work(_workers):
        time.sleep(after)
        raise ValueError(message)

    return work


class TestCrew:
    def test_results_come_back_when_all_is_done(self):
        with Crew(2, "sums") as workers:
            futures = [workers.start(lambda n=n: n * n) for n in range(5)]
            workers.wait()
        assert [future.result() for future in futures] == [0, 1, 4, 9, 16]
        assert threads_of("sums") == []

    def test_the_first_error_is_the_one_that_is_raised(self):
        """What the others say when they are stopped is a consequence, and must not hide it."""
        stopped = threading.Event()

        def blocks(workers):
            with workers.stopped_by(stopped.set):
                assert stopped.wait(SECONDS)
            raise KeyError("was stopped")

        with pytest.raises(ValueError, match="the cause"):
            run_all(3, "failing", blocks, blocks, failing("the cause", after=0.05))
        assert stopped.is_set()
        assert threads_of("failing") == []

    def test_work_that_has_not_begun_is_not_begun_after_an_error(self):
        begun = []
        with pytest.raises(ValueError, match="no"):
            run_all(1, "queue", failing("no"), *[lambda _: begun.append(1)] * 20)
        assert begun == []

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
    def test_an_error_of_the_waiting_thread_stops_all(self, error):
        stopped, ended = threading.Event(), []

        def blocks(workers):
            with workers.stopped_by(stopped.set):
                assert stopped.wait(SECONDS)
            ended.append(1)

        def beat():
            raise error("now")

        begun = time.monotonic()
        with pytest.raises(error):
            run_all(2, "beaten", blocks, beat=beat)
        assert ended == [1]
        assert time.monotonic() - begun < SECONDS
        assert threads_of("beaten") == []

    def test_leaving_early_stops_all(self):
        def works(workers):
            while True:
                workers.check()
                time.sleep(0.001)

        def leave():
            with Crew(1, "left") as workers:
                workers.start(lambda: works(workers))
                raise ValueError("elsewhere")

        with pytest.raises(ValueError, match="elsewhere"):
            leave()
        assert threads_of("left") == []

    def test_stopped_before_it_can_be_stopped(self):
        """Who comes to a stopped crew is told at once, and its ``stop`` is never called."""
        calls = []
        with Crew(1, "late") as workers:
            workers.stop()
            with pytest.raises(Interrupted), workers.stopped_by(lambda: calls.append(1)):
                calls.append(2)
        assert calls == []

    def test_what_is_over_is_not_stopped(self):
        calls = []
        with Crew(1, "over") as workers:
            with workers.stopped_by(lambda: calls.append(1)):
                workers.check()
            workers.stop()
        assert calls == []

    def test_what_cannot_be_stopped_neither_spares_the_others_nor_hides_the_cause(self):
        stopped, inside = threading.Event(), threading.Barrier(3)

        def bad():
            raise OSError("cannot be stopped")

        def blocks(stop):
            def work(workers):
                with workers.stopped_by(stop):
                    inside.wait(SECONDS)
                    assert stopped.wait(SECONDS)

            return work

        def fails(_workers):
            inside.wait(SECONDS)
            raise ValueError("the cause")

        with pytest.raises(ValueError, match="the cause"):
            run_all(4, "stubborn", blocks(bad), blocks(stopped.set), fails)
        assert stopped.is_set()


class TestBoard:
    def done_by_one(self, tasks):
        work, done = Board(), []
        for size, name in tasks:
            work.add(size, lambda name=name: done.append(name))
        work.work(lambda: None)
        return done

    def test_the_largest_first_and_equals_in_their_order(self):
        assert self.done_by_one([(1, "a"), (5, "b"), (5, "c"), (0, "d"), (9, "e")]) == ["e", "b", "c", "a", "d"]

    def test_nothing_to_do(self):
        assert self.done_by_one([]) == []

    def test_a_task_that_adds_tasks(self):
        work, done = Board(), []

        def first():
            done.append("first")
            work.add(1, lambda: done.append("small"))
            work.add(9, lambda: done.append("large"))

        work.add(5, first)
        work.add(4, lambda: done.append("second"))
        work.work(lambda: None)
        assert done == ["first", "large", "second", "small"]

    def test_who_has_nothing_to_do_waits_for_what_may_come(self):
        """Both tasks must run at once to get past the barrier: the second worker may not have gone home."""
        work, together = Board(), threading.Barrier(2)

        def first():
            time.sleep(0.1)  # the other has looked at an empty board by now
            work.add(1, lambda: together.wait(SECONDS))
            together.wait(SECONDS)

        work.add(1, first)
        with Crew(2, "waiting") as workers:
            for _ in range(2):
                workers.start(lambda: work.work(workers.check))
            workers.wait()
        assert not together.broken

    def test_idle_is_who_has_nothing_to_do(self):
        work, seen = Board(), []

        def look(expected):
            until = time.monotonic() + SECONDS
            while work.idle() != expected and time.monotonic() < until:
                time.sleep(0.001)
            seen.append(work.idle())

        def first():
            look(2)
            together = threading.Barrier(2)
            work.add(1, lambda: (together.wait(SECONDS), together.wait(SECONDS)))
            together.wait(SECONDS)
            look(1)
            together.wait(SECONDS)

        assert work.idle() == 0
        work.add(1, first)
        with Crew(3, "idle") as workers:
            for _ in range(3):
                workers.start(lambda: work.work(workers.check))
            workers.wait()
        assert seen == [2, 1]
        assert work.idle() == 0

    def test_many_workers_do_every_task_once(self):
        work, done, lock = Board(), [], threading.Lock()

        def task(name, depth):
            def run():
                with lock:
                    done.append(name)
                for branch in range(3 if depth else 0):
                    work.add(depth, task(f"{name}{branch}", depth - 1))

            return run

        work.add(1, task("x", 4))
        with Crew(8, "many") as workers:
            for _ in range(8):
                workers.start(lambda: work.work(workers.check))
            workers.wait()
        assert len(done) == len(set(done)) == 1 + 3 + 9 + 27 + 81

    def test_an_error_ends_all_workers(self):
        work, begun, calls = Board(), threading.Barrier(3), []

        def goes_on(workers):
            begun.wait(SECONDS)
            while True:
                workers.check()
                time.sleep(0.001)

        def fails(_workers):
            begun.wait(SECONDS)
            raise ValueError("the cause")

        def run():
            with Crew(4, "ended") as workers:
                for size, task in ((3, fails), (3, goes_on), (3, goes_on), (1, lambda _: calls.append("never"))):
                    work.add(size, lambda task=task: task(workers))
                for _ in range(3):
                    workers.start(lambda: work.work(workers.check))
                workers.wait()

        with pytest.raises(ValueError, match="the cause"):
            run()
        assert calls == []
        assert threads_of("ended") == []

    def test_a_check_that_fails_ends_a_worker_that_waits(self):
        """It waits for what a running task may still add; that task itself is not disturbed."""
        work, inside, over = Board(), threading.Event(), threading.Event()

        def task():
            inside.set()
            assert over.wait(SECONDS)

        def check():
            if inside.is_set():
                raise Interrupted("over")

        work.add(1, task)
        first = threading.Thread(target=work.work, args=(lambda: None,))
        first.start()
        assert inside.wait(SECONDS)
        with pytest.raises(Interrupted):
            work.work(check)
        assert first.is_alive()
        over.set()
        first.join(SECONDS)
        assert not first.is_alive()
