"""Streams, colour and the form of errors."""

import io
import json

import pytest

from backstay.cli.output import Output, Style, clean, colour_wanted
from backstay.core.errors import BackstayError, SourceError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


class Full(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def printed(env=None, stream=io.StringIO, **options):
    output = Output(stream(), stream(), env or {}, **options)
    return output, output.stdout, output.stderr


COLOUR = {
    "a terminal": (Terminal, {}, True),
    "a pipe": (io.StringIO, {}, False),
    "NO_COLOR": (Terminal, {"NO_COLOR": "1"}, False),
    "NO_COLOR empty says nothing": (Terminal, {"NO_COLOR": ""}, True),
    "FORCE_COLOR": (io.StringIO, {"FORCE_COLOR": "1"}, True),
    "FORCE_COLOR=0": (Terminal, {"FORCE_COLOR": "0"}, False),
    "NO_COLOR before FORCE_COLOR": (Terminal, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    "TERM=dumb": (Terminal, {"TERM": "dumb"}, False),
    "TERM=dumb but forced": (Terminal, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
}


@pytest.mark.parametrize("case", COLOUR)
def test_colour_is_decided_in_one_place(case):
    stream, env, wanted = COLOUR[case]
    assert colour_wanted(stream(), env) is wanted
    output, stdout, _ = printed(env, stream)
    output.data(output.paint("x", Style.GOOD))
    assert stdout.getvalue() == ("\x1b[32mx\x1b[0m\n" if wanted else "x\n")


def test_an_error_is_message_blank_line_hint():
    output, stdout, stderr = printed()
    output.error(SourceError("the dump ended early", hint="Nothing was stored.\nRun it again."))
    assert stderr.getvalue() == "error: the dump ended early\n\nhint: Nothing was stored.\n      Run it again.\n"
    assert stdout.getvalue() == ""


def test_the_lines_of_a_message_stand_below_each_other():
    output, _, stderr = printed()
    output.error(BackstayError("a: wrong\nb: wrong"))
    assert stderr.getvalue() == "error: a: wrong\n       b: wrong\n"


def test_a_long_hint_is_broken_on_a_terminal_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    error = BackstayError("no", hint="One two three four five six seven eight nine ten eleven.")
    output, _, stderr = printed({"NO_COLOR": "1"}, Terminal)
    output.error(error)
    assert stderr.getvalue() == "error: no\n\nhint: One two three four five six seven eight nine\n      ten eleven.\n"
    output, _, stderr = printed()
    output.error(error)
    assert stderr.getvalue().splitlines()[-1] == f"hint: {error.hint}"


def test_verbose_adds_what_else_is_known():
    output, _, stderr = printed(verbose=True)
    output.error(BackstayError("no", where="db:5432"))
    assert stderr.getvalue() == "error: no\n\nwhere: db:5432\n"


def test_an_error_as_json_has_code_and_context():
    output, stdout, stderr = printed(as_json=True)
    output.error(SourceError("no", hint="yes", where="db:5432"))
    assert stdout.getvalue() == ""
    assert json.loads(stderr.getvalue()) == {
        "message_type": "error",
        "code": "source.failed",
        "exit_code": 1,
        "message": "no",
        "hint": "yes",
        "context": {"where": "db:5432"},
    }


def test_quiet_leaves_data_warnings_and_errors():
    output, stdout, stderr = printed(quiet=True)
    output.say("meanwhile")
    output.result("done")
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "")
    output.data("asked for")
    output.warn("mind")
    assert (stdout.getvalue(), stderr.getvalue()) == ("asked for\n", "warning: mind\n")


def test_a_warning_is_a_line_of_the_stream_only_where_there_is_one():
    output, stdout, stderr = printed(as_json=True)
    output.warn("mind")
    assert (stdout.getvalue(), json.loads(stderr.getvalue())["message"]) == ("", "mind")
    output.lines = True
    output.warn("mind")
    assert json.loads(stdout.getvalue()) == {"message_type": "warning", "message": "mind"}


@pytest.mark.parametrize("keep", [True, False])
def test_what_came_from_elsewhere_cannot_steer_a_terminal(keep):
    assert clean("a\x1b]0;title\x07b\x9b2Jc\rd\te\nf", keep_paint=keep) == "a�]0;title�b�2Jc�d\te\nf"
    assert clean("\x1b[31mred\x1b[0m", keep_paint=keep) == ("\x1b[31mred\x1b[0m" if keep else "�[31mred�[0m")


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "hidden", ["\x1b[8m", "\x1b[30;40m", "\x1b[38;5;0m", "\x1b[m", "\u202e", "\u2066", "\u200f", "\u2028"]
)
def test_nothing_can_hide_or_reorder_what_is_shown(hidden, keep):
    assert clean(f"a{hidden}b", keep_paint=keep) == f"a\N{REPLACEMENT CHARACTER}{hidden[1:]}b"


def test_names_in_any_script_stay_as_they_are():
    name = "Käse · чат · שלום · مرحبا · 東京 · 👩\u200d👧"
    assert clean(name) == name


def test_json_is_never_altered_by_the_cleaning():
    output, stdout, _ = printed(as_json=True)
    output.line("result", name="a\x1b[31m\x7f\x9bé")
    assert json.loads(stdout.getvalue())["name"] == "a\x1b[31m\x7f\x9bé"


def test_a_reader_that_left_ends_the_printing_not_the_work():
    output = Output(Gone(), io.StringIO(), {})
    output.data("one")
    output.data("two")
    output.say("still here")
    assert output.stderr.getvalue() == "still here\n"


def test_a_full_disk_under_stdout_is_an_error():
    with pytest.raises(BackstayError, match="the output cannot be written: No space left on device"):
        Output(Full(), io.StringIO(), {}).data("one")


class Drawing:
    """A display that notes what is asked of it."""

    def __init__(self, stream):
        self.stream = stream

    def hide(self) -> None:
        self.stream.write("<hide>")

    def show(self) -> None:
        self.stream.write("<show>")


def test_a_display_stands_aside_for_every_line():
    output, stdout, _ = printed()
    display = output.display(lambda: Drawing(stdout))
    assert output.display(lambda: Drawing(stdout)) is display
    output.data("line")
    assert stdout.getvalue() == "<hide>line\n<show>"
