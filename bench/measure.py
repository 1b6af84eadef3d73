"""Programs run as one pipeline, and what they used: time, peak memory, processor time; theirs and the servers'.

Linux only: memory is the high-water mark that the kernel keeps for each program's own image (proc(5), ``VmHWM``).
``ru_maxrss`` would not do: a child inherits its parent's.
"""

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

from backstay.core.errors import ToolError
from backstay.demo.seaweed import stop_group

POLL_SECONDS = 0.1  # seldom: looking takes processor time from what is measured
QUIET_CORES = 0.3  # of processor time used by others while nothing of ours runs
LOOK_SECONDS = 0.5
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Use:
    """One program of a pipeline. Processor seconds are with those of the children that it waited for."""

    name: str
    peak_bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class Run:
    """One pipeline, or several that follow each other, from the start of the first program to the end of the last.

    ``servers`` are processor seconds by name of the server; ``elsewhere`` those of the machine that went to others;
    ``steps`` the seconds of each pipeline.
    """

    seconds: float
    programs: tuple[Use, ...]
    servers: Mapping[str, float]
    elsewhere: float
    output: bytes
    steps: tuple[float, ...]

    @property
    def peak_bytes(self) -> int:
        """The peak of the largest program."""
        return max(program.peak_bytes for program in self.programs)

    @property
    def client_seconds(self) -> float:
        """Processor time of all programs."""
        return sum(program.cpu_seconds for program in self.programs)


def run(commands: Sequence[Sequence[str]], env: Mapping[str, str], servers: Mapping[str, int]) -> Run:
    """Run ``commands`` as ``a | b | c``; ``servers`` are process ids by name.

    Raises ``ToolError`` with the last words of a program that failed. What still runs when this is left is ended.
    """
    cpu, busy = {name: tree_seconds(pid) for name, pid in servers.items()}, _Busy()
    with ExitStack() as stack:
        started = time.monotonic()
        pipeline = [stack.enter_context(_Program(words)) for words in commands]
        source: int = subprocess.DEVNULL
        for program in pipeline:
            source = program.start(env, source)
        with os.fdopen(source, "rb") as pipe:
            output = _watch(pipeline, pipe.fileno())
        seconds = time.monotonic() - started
        programs = tuple(program.result() for program in pipeline)
    used = {name: tree_seconds(pid) - cpu[name] for name, pid in servers.items()}
    ours = sum(program.cpu_seconds for program in programs) + sum(used.values())
    return Run(seconds, programs, used, max(0.0, busy.seconds() - ours), output, (seconds,))


def joined(runs: Sequence[Run]) -> Run:
    """Pipelines that followed each other, as one."""
    return Run(
        seconds=sum(one.seconds for one in runs),
        programs=tuple(program for one in runs for program in one.programs),
        servers={name: sum(one.servers[name] for one in runs) for name in runs[0].servers},
        elsewhere=sum(one.elsewhere for one in runs),
        output=runs[-1].output,
        steps=tuple(seconds for one in runs for seconds in one.steps),
    )


def cores() -> int:
    """Cores that may be used."""
    return len(os.sched_getaffinity(0))


def wait_until_quiet(say: Callable[[str], None], patience: float) -> float:
    """Until others use little of the processors, or for ``patience`` seconds; says when it gives up.

    Returns the seconds that were waited in vain.
    """
    started = time.monotonic()
    while True:
        busy = _Busy()
        time.sleep(LOOK_SECONDS)
        cores = busy.seconds() / LOOK_SECONDS
        waited = time.monotonic() - started - LOOK_SECONDS
        if cores < QUIET_CORES:
            return waited
        if waited >= patience:
            say(f"  others use {cores:.1f} cores; measured all the same")
            return waited


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """``7.1 (6.9-7.6)``: the median and the extremes."""
    return f"{median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def tree_seconds(pid: int) -> float:
    """Processor time of a process, its living children, and those that it has waited for.

    A session that has just ended may be waited for between the two looks, and then be in neither: hence again.
    """
    while own := _stat(pid):
        children = [
            found for entry in Path("/proc").iterdir() if entry.name.isdigit() and (found := _stat(int(entry.name)))
        ]
        now = _stat(pid)
        if now is not None and now.waited == own.waited:
            return own.seconds + own.waited + sum(one.seconds + one.waited for one in children if one.parent == pid)
    return 0.0


@dataclass(frozen=True)
class _Stat:
    parent: int
    seconds: float
    waited: float


def _stat(pid: int) -> _Stat | None:
    """Fields 4 and 14 to 17 of /proc/PID/stat (proc(5)); the name, field 2, may hold anything."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    user, system, children_user, children_system = (int(value) / TICK for value in fields[11:15])
    return _Stat(int(fields[1]), user + system, children_user + children_system)


class _Busy:
    """Processor time that was not idle since this was made, over the whole machine (proc(5), /proc/stat)."""

    def __init__(self) -> None:
        self._began = self._now()

    def seconds(self) -> float:
        return self._now() - self._began

    def _now(self) -> float:
        user, nice, system, _idle, _iowait, *rest = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        return sum(map(int, (user, nice, system, *rest))) / TICK


class _Program:
    """One program of a pipeline, in a session of its own; leaving it ends it."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._process: subprocess.Popen[bytes] | None = None
        self._usage: Use | None = None
        self._peak = 0

    def start(self, env: Mapping[str, str], source: int) -> int:
        """Start it on ``source``, which is closed; the reading end of what it writes."""
        reader, writer = os.pipe()
        errors = os.memfd_create("stderr")
        try:
            self._process = subprocess.Popen(
                self._words, env=env, stdin=source, stdout=writer, stderr=errors, start_new_session=True
            )
        finally:
            os.close(writer)
            if source >= 0:
                os.close(source)
        self._errors = os.fdopen(errors, "rb")
        self.handle = os.pidfd_open(self._process.pid)  # readable once it has ended (pidfd_open(2))
        return reader

    def poll(self) -> bool:
        """Look at it; whether it still runs."""
        assert self._process is not None
        if self._usage is not None:
            return False
        self._peak = max(self._peak, _peak_bytes(self._process.pid))
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            return True
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._usage = Use(Path(self._words[0]).name, self._peak, usage.ru_utime + usage.ru_stime)
        return False

    def result(self) -> Use:
        """What it used. Raises ``ToolError`` when it failed."""
        assert self._process is not None
        assert self._usage is not None
        if self._process.returncode != 0:
            self._errors.seek(0)
            said = self._errors.read()[-2000:].decode(errors="replace").strip()
            raise ToolError(f"{' '.join(self._words[:4])} ended with {self._process.returncode}", hint=said)
        return self._usage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            stop_group(self._process, seconds=5)
            self._errors.close()
            os.close(self.handle)


def _watch(pipeline: Sequence[_Program], pipe: int) -> bytes:
    """Until all have ended; what the last one wrote. It is never much, or it goes to /dev/null."""
    os.set_blocking(pipe, False)
    output = b""
    while True:
        running = [program.handle for program in pipeline if program.poll()]
        while more := _read(pipe):
            output += more
        if not running:
            return output
        select.select(running, [], [], POLL_SECONDS)


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 1 << 20)
    except BlockingIOError:
        return b""


def _peak_bytes(pid: int) -> int:
    """0 for a process that has ended and waits to be collected."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
