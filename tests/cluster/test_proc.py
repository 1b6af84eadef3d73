"""Programs as byte streams: their output, their last words, their ends."""

import os
import signal
import sys
import time

import pytest

from backstay.cluster.proc import Process, run, secret_file
from backstay.core.errors import ToolError, ToolMissing

ENV = {"PATH": os.environ["PATH"]}


def sh(script, **more):
    return Process(["sh", "-c", script], env=ENV, **more)


def test_output_is_whole_and_in_order():
    with sh("head -c 3000000 /dev/zero; echo end", stdout=True) as process:
        data = b"".join(process.output())
    assert data == bytes(3_000_000) + b"end\n"


def test_a_failure_is_told_in_the_programs_words():
    with sh("echo some; echo 'x: error: no such thing' >&2; exit 3", stdout=True) as process:
        chunks = process.output()
        assert next(chunks) == b"some\n"
        with pytest.raises(ToolError, match="sh ended with exit code 3: x: error: no such thing"):
            next(chunks)


def test_a_killed_program_says_by_what():
    with sh("kill -9 $$", stdout=True) as process, pytest.raises(ToolError, match="was ended by SIGKILL"):
        list(process.output())


def test_a_deadline_stops_it():
    with sh("sleep 60", stdout=True, deadline=0.3) as process, pytest.raises(ToolError, match=r"stopped after 0\.3 s"):
        list(process.output())


def test_leaving_early_ends_the_program():
    with sh("echo $$; while :; do echo x; done", stdout=True) as process:
        pid = int(next(process.output()).split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_feed_gives_everything_and_checks_the_end(tmp_path):
    with sh(f"cat > {tmp_path}/out", stdin=True) as process:
        process.feed([b"a" * 2_000_000, b"b"])
    assert (tmp_path / "out").read_bytes() == b"a" * 2_000_000 + b"b"


def test_an_error_of_the_source_never_looks_like_an_end(tmp_path):
    """The program must not see end-of-file after half of the data: it is killed first."""

    def cut():
        yield b"half\n"
        raise ValueError("network gone")

    script = f"import sys; sys.stdin.read(); open({str(tmp_path / 'took')!r}, 'w').close()"
    with (
        Process([sys.executable, "-c", script], env=ENV, stdin=True) as process,
        pytest.raises(ValueError, match="network gone"),
    ):
        process.feed(cut())
    time.sleep(0.1)
    assert not (tmp_path / "took").exists()


def test_a_program_that_stops_reading_is_asked_why():
    with sh("echo 'psql: error: enough' >&2; exit 3", stdin=True) as process, pytest.raises(ToolError, match="enough"):
        process.feed([b"x" * 65536] * 1000)


def test_a_missing_program():
    with pytest.raises(ToolMissing, match="no-such-program cannot be run"):
        run(["/nowhere/no-such-program"], env=ENV)


def test_its_words_are_bounded():
    with sh("head -c 10000000 /dev/zero | tr '\\0' x >&2; exit 1", stdout=True) as process:
        with pytest.raises(ToolError):
            list(process.output())
        assert sum(map(len, process.tail)) <= 40 * 4096


def test_a_secret_file_is_open_to_the_child_alone():
    with secret_file("s3cret\n") as (path, handle):
        with Process(["cat", path], env=ENV, stdout=True, pass_fds=(handle,)) as process:
            assert b"".join(process.output()) == b"s3cret\n"
        assert os.fstat(handle).st_mode & 0o077 == 0
    with Process(["cat", path], env=ENV, stdout=True) as process, pytest.raises(ToolError):
        list(process.output())


def test_ctrl_c_does_not_reach_the_program_directly():
    with sh("sleep 0.5; echo done", stdout=True) as process:
        assert os.getpgid(process._popen.pid) != os.getpgid(0)
        assert signal.getsignal(signal.SIGINT) is not None
        assert b"".join(process.output()) == b"done\n"
