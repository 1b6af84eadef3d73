"""Progress: bars, a line a minute, a line of JSON a second, or nothing; and how work in threads is stopped."""

import io
import json
import threading

import pytest

from backstay.cli.bar import Bar, Bars, bar_line
from backstay.cli.output import Output
from backstay.cli.progress import JsonProgress, Meter, PlainProgress, progress
from backstay.cli.session import Options, Session
from backstay.core.errors import Interrupted


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock():
    return Clock()


def output_to(stream=io.StringIO, **options):
    return Output(io.StringIO(), stream(), {"TERM": "xterm"}, **options)


def dump(meter, clock, seconds):
    """A dump of so many seconds, at 1 MB/s of 100 MB."""
    meter.phase("dumping", total_bytes=100_000_000)
    for second in range(seconds):
        clock.seconds += 1
        meter.note(f"tables {second}/{seconds}")
        meter.advance(1_000_000)


def test_a_line_a_minute_where_nobody_watches(clock):
    output = output_to()
    dump(PlainProgress("postgres/a", clock, threading.Event(), output), clock, 130)
    assert output.stderr.getvalue().splitlines() == [
        "postgres/a: dumping 59 %, 59 MB, 983 kB/s, tables 59/130",
        "postgres/a: dumping 100 %, 119 MB, 992 kB/s, tables 119/130",
    ]
    assert output.stdout.getvalue() == ""


def test_nothing_for_what_is_done_within_a_minute(clock):
    output = output_to()
    dump(PlainProgress("postgres/a", clock, threading.Event(), output), clock, 59)
    assert output.stderr.getvalue() == ""


def test_a_line_of_json_a_second_at_most(clock):
    output = output_to(as_json=True)
    meter = JsonProgress("postgres/a", clock, threading.Event(), output)
    meter.phase("dumping", total_bytes=1000)
    for _ in range(10):
        clock.seconds += 0.25
        meter.advance(25)
    lines = [json.loads(line) for line in output.stdout.getvalue().splitlines()]
    assert [line["done_bytes"] for line in lines] == [100, 200]
    assert lines[0] == {
        "message_type": "progress",
        "target": "postgres/a",
        "phase": "dumping",
        "done_bytes": 100,
        "total_bytes": 1000,
        "bytes_per_second": 100,
        "note": "",
    }


def test_the_bar(clock):
    bar = Bar("postgres/a", clock, threading.Event(), 60)
    bar.phase("dumping", total_bytes=141_000_000)
    clock.seconds = 3.1
    bar.advance(96_000_000)
    bar.note("tables 17/23")
    assert bar_line(bar, 100) == (
        "  dumping    |##################         |  68 %     96 MB   31 MB/s   ETA 1 s   tables 17/23"
    )
    assert bar_line(bar, 120, labelled=True).startswith("  postgres/a  dumping    |")
    assert len(bar_line(bar, 40)) == 40


def test_the_bar_of_an_unknown_total_is_only_figures(clock):
    bar = Bar("postgres/a", clock, threading.Event(), 60)
    bar.phase("comparing")
    bar.note("tables 3/4\x1b[2J")
    assert bar_line(bar, 100) == "  comparing  tables 3/4�[2J"


def test_an_estimate_that_was_low_stops_at_all_of_it(clock):
    bar = Bar("postgres/a", clock, threading.Event(), 60)
    bar.phase("dumping", total_bytes=10)
    bar.advance(20)
    assert bar.fraction == 1.0
    assert "| 100 %" in bar_line(bar, 100)


def test_bars_are_drawn_on_a_terminal_and_gone_at_the_end():
    output = output_to(Terminal)
    session = Session(Options(), output, threading.Event())
    with progress(session, "postgres/a") as bar:
        bar.phase("dumping", total_bytes=100)
        bar.advance(50)
        output.say("a line that stays")
        assert isinstance(output.display(lambda: pytest.fail("made already")), Bars)
    shown = output.stderr.getvalue()
    assert "dumping" in shown
    assert "a line that stays\n" in shown
    assert shown.endswith("\x1b[2K")


@pytest.mark.parametrize(
    ("stream", "options", "flags", "kind"),
    [
        (io.StringIO, Options(), {}, "PlainProgress"),
        (io.StringIO, Options(), {"as_json": True}, "JsonProgress"),
        (Terminal, Options(), {"as_json": True}, "JsonProgress"),
        (Terminal, Options(no_progress=True), {}, "SilentProgress"),
        (Terminal, Options(no_progress=True), {"as_json": True}, "SilentProgress"),
        (Terminal, Options(), {"quiet": True}, "SilentProgress"),
        (Terminal, Options(), {}, "Bar"),
    ],
)
def test_which_kind(stream, options, flags, kind):
    session = Session(options, output_to(stream, **flags), threading.Event())
    with progress(session, "postgres/a") as made:
        assert type(made).__name__ == kind


class Silent(Meter):
    def tell(self) -> None:
        pass


def test_work_in_other_threads_is_stopped_at_its_next_word(clock):
    stop = threading.Event()
    meter = Silent("postgres/a", clock, stop, 60)
    stop.set()
    meter.advance(1)  # the main thread has its KeyboardInterrupt, and cleans up undisturbed
    seen = []

    def work() -> None:
        try:
            meter.advance(1)
        except Interrupted as error:
            seen.append(error.exit_code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert seen == [130]
