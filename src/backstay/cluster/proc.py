"""Stock programs as byte streams: pg_dump out of, psql into; with a deadline, and the end of what they said.

A program is always given as a list of arguments, never as a shell line, and secrets reach it by ``secret_file``
(a file that exists only in memory) or the environment, never by its arguments.
"""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from backstay.core.errors import ToolError, ToolMissing

CHUNK_BYTES = 1 << 20
TAIL_LINES = 40
MOMENT_MILLISECONDS = 50
STOP_SECONDS = 10.0


class Process:
    """A running program. Use as a context manager: leaving it always ends the program and collects it.

    ``deadline`` is in seconds; when it passes the program is stopped and ``check`` raises ``ToolError``.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        deadline: float | None = None,
        pass_fds: Sequence[int] = (),
        stdin: bool = False,
        stdout: bool = False,
    ) -> None:
        self.name = Path(argv[0]).name
        self._argv = list(argv)
        self._env = dict(env)
        self._deadline = deadline
        self._pass_fds = tuple(pass_fds)
        self._pipes = (stdin, stdout)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._expired = False

    def __enter__(self) -> Self:
        stdin, stdout = (subprocess.PIPE if wanted else subprocess.DEVNULL for wanted in self._pipes)
        try:
            self._popen = subprocess.Popen(
                self._argv,
                env=self._env,
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                pass_fds=self._pass_fds,
                bufsize=0,
                start_new_session=True,  # Ctrl-C reaches Backstay alone, which ends its programs in order
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise ToolMissing(
                f"{self._argv[0]} cannot be run: {error.strerror}", hint="Install it, or correct its path."
            ) from error
        for pipe in (self._popen.stdin, self._popen.stdout):
            _widen(pipe)
        self._listener = threading.Thread(target=self._listen, name=f"{self.name} stderr", daemon=True)
        self._listener.start()
        self._timer = threading.Timer(self._deadline, self._expire) if self._deadline else None
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._timer:
            self._timer.cancel()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._listener.join(timeout=STOP_SECONDS)

    def output(self) -> Iterator[bytes]:
        """What the program writes, in chunks of up to 1 MiB; then ``check``.

        Little is kept waiting for more: what came is given once nothing follows for a moment.
        """
        buffer, got = memoryview(bytearray(CHUNK_BYTES)), 1
        while got:
            size = 0
            while size < CHUNK_BYTES and (not size or self._has_more()) and (got := self.read_into(buffer[size:])):
                size += got
            if size:
                yield bytes(buffer[:size])
        self.check()

    def _has_more(self) -> bool:
        """Whether there is something to read now or very soon; also at the end of it all."""
        pipe = self._popen.stdout
        assert pipe is not None, "opened without stdout"  # noqa: S101 - a mistake in this program, not in its input
        poller = select.poll()
        poller.register(pipe.fileno(), select.POLLIN)
        return bool(poller.poll(MOMENT_MILLISECONDS))

    def read_into(self, buffer: memoryview) -> int:
        """Read what the program has written, at least one byte and at most what fits; 0 at its end.

        Programs write to a pipe in small pieces. Who collects them before working on them spares much of the work.
        """
        pipe = self._popen.stdout
        assert pipe is not None, "opened without stdout"  # noqa: S101 - a mistake in this program, not in its input
        return pipe.readinto(buffer)  # type: ignore[attr-defined,no-any-return]

    def write(self, data: bytes) -> None:
        """Give the program something to read, for a dialogue. Raises ``ToolError`` when it has ended."""
        pipe = self._popen.stdin
        assert pipe is not None, "opened without stdin"  # noqa: S101 - a mistake in this program, not in its input
        try:
            _write_all(pipe, data)
        except BrokenPipeError:
            self.check()
            raise self.failure("ended before it was asked") from None

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write ``chunks`` to the program and close its input; then ``check``. An error of ``chunks`` passes through
        after the program was stopped, so that it never takes a cut stream for a whole one."""
        pipe = self._popen.stdin
        assert pipe is not None, "opened without stdin"  # noqa: S101 - a mistake in this program, not in its input
        try:
            for chunk in chunks:
                _write_all(pipe, chunk)
        except BrokenPipeError:
            self._popen.wait(STOP_SECONDS)  # it ended by itself: its own words say why
        except BaseException:
            self._kill()
            raise
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        self.check()

    def check(self) -> None:
        """Wait for the end; raise ``ToolError`` unless the program ended with 0."""
        code = self._popen.wait()
        self._listener.join(timeout=STOP_SECONDS)
        if self._expired:
            raise ToolError(
                f"{self.name} was stopped after {self._deadline:g} s without finishing",
                hint="Raise the timeout if the work is really that long; else look for locks or a stalled network.",
                tail=self.tail,
            )
        if code != 0:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise self.failure(how, code)

    def failure(self, how: str, code: int = 0) -> ToolError:
        """The error that says how it ended, with its last words."""
        return ToolError(f"{self.name} {how}: {self.last_words}", tail=self.tail, returncode=code)

    def stop(self) -> None:
        """End the program; safe to call twice, and from another thread."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()

    @property
    def tail(self) -> list[str]:
        """The last lines the program wrote to stderr."""
        return list(self._tail)

    @property
    def last_words(self) -> str:
        """The lines of the tail that say what went wrong, on one line."""
        telling = [line for line in self._tail if "error" in line.lower() or "fatal" in line.lower()]
        return " / ".join((telling or list(self._tail))[-3:]) or "it said nothing"

    def _listen(self) -> None:
        pipe = self._popen.stderr
        assert pipe is not None, "stderr is always a pipe"  # noqa: S101 - a mistake in this program, not in its input
        with pipe:
            for line in _bounded_lines(pipe):
                self._tail.append(line)

    def _expire(self) -> None:
        self._expired = True
        self.stop()

    def _kill(self) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait(STOP_SECONDS)


def run(argv: Sequence[str], *, env: Mapping[str, str], deadline: float = 60.0) -> str:
    """Run a short program and return what it printed (at most 1 MiB). Raises ``ToolMissing`` or ``ToolError``."""
    text = b""
    with Process(argv, env=env, deadline=deadline, stdout=True) as process:
        for chunk in process.output():
            text = (text + chunk)[:CHUNK_BYTES]
    return text.decode("utf-8", "replace")


@contextlib.contextmanager
def secret_file(text: str) -> Iterator[tuple[str, int]]:
    """A file with ``text`` that only child processes given its descriptor can open: ``(path for them, descriptor)``.

    On Linux it lives in anonymous memory and is gone with the process, however that ends.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("backstay", 0)
        path = f"/proc/self/fd/{handle}"
    else:  # pragma: no cover - not Linux
        handle, path = tempfile.mkstemp(prefix="backstay-")
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, text.encode())
        yield path, handle
    finally:
        os.close(handle)
        if not path.startswith("/proc/"):  # pragma: no cover - not Linux
            Path(path).unlink(missing_ok=True)


def _widen(pipe: IO[bytes] | None) -> None:
    """A pipe of 1 MiB instead of 64 KiB: sixteen times fewer switches between the two processes."""
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # over the user's limit: only slower
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, CHUNK_BYTES)


def _write_all(pipe: IO[bytes], chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[pipe.write(view) :]


def _bounded_lines(pipe: IO[bytes]) -> Iterator[str]:
    """Lines as text, none longer than 4 KiB: a program's words must not fill the memory."""
    held = b""
    while data := pipe.read(65536):
        *lines, held = (held + data).split(b"\n")
        yield from (line[:4096].decode("utf-8", "replace").rstrip() for line in lines if line.strip())
        held = held[:4096]
    if held.strip():
        yield held.decode("utf-8", "replace").rstrip()
