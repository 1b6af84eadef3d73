"""The process that ends a scratch server when the one that made it is gone, however that went.

``scratch`` starts this file as a program (standard library only, no site-packages, so that it is small and quick)
with a pipe as its input. It reads until the pipe ends: when the owner closes it, or when the owner is no more, also by
SIGKILL. Then it stops whatever PostgreSQL, etcd or kube-apiserver runs on the folder, removes the folder, and ends.
The ordinary end takes this way as well: there is one teardown, nothing for it to race with, and a second Ctrl-C cannot
cut it short.

    python -I -S guard.py FOLDER < pipe
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["end", "servers_in"]

QUIT_SECONDS = (
    10.0  # an immediate shutdown kills its own children after 5 s (postmaster.c, SIGKILL_CHILDREN_AFTER_SECS)
)
KILL_SECONDS = 20.0
REMOVE_SECONDS = 30.0  # how long something may go on writing below the folder
PAUSE_SECONDS = 0.02
PROGRAMS = ("postgres", "initdb", "etcd", "kube-apiserver")


def end(folder: Path) -> None:
    """Stop the servers in ``folder`` (immediate shutdown, then SIGKILL) and remove it with all that is in it.

    Safe to call twice and when there is nothing. Raises ``OSError`` when it cannot be done.
    """
    _stop(folder)
    # The data first and the small files last: cut short, the folder can still be recognised by its owner file.
    _remove(folder / "data")
    _remove(folder)


def servers_in(folder: Path) -> list[int]:
    """The ids of the ``postgres``, ``initdb`` and ``etcd`` programs that work on ``folder``/data, and of
    ``kube-apiserver`` with its files in ``folder``/api.

    By their command lines, not by postmaster.pid: there is a while in which a server runs and has not written it.
    """
    data = folder / "data"
    marks = (f" -D {data} ", f" --pgdata={data} ", f" --data-dir={data} ", f" --cert-dir={folder / 'api'} ")
    return [
        pid
        for pid, line in _command_lines()
        if any(mark in line for mark in marks) and any(name in line for name in PROGRAMS)
    ]


def _stop(folder: Path) -> None:
    """Until none is left. A killed ``initdb`` takes the ``postgres`` that it feeds with it, by the end of its input."""
    asked: set[int] = set()
    begun = time.monotonic()
    while pids := servers_in(folder):
        waited = time.monotonic() - begun
        if waited > KILL_SECONDS:
            raise TimeoutError(f"process {pids[0]} does not end")
        for pid in pids if waited > QUIT_SECONDS else set(pids) - asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if waited > QUIT_SECONDS else signal.SIGQUIT)
        asked.update(pids)
        time.sleep(PAUSE_SECONDS)


def _remove(folder: Path) -> None:
    """Also while the last children of a stopped server still write there."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while os.path.lexists(folder):
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


def _command_lines() -> Iterator[tuple[int, str]]:
    """Every process and its words, with a space before and after each; ended ones have none."""
    if not Path("/proc/self/cmdline").exists():
        import subprocess

        command = ["ps", "-ww", "-A", "-o", "pid=,command="]
        said = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
        for line in os.fsdecode(said).splitlines():
            pid, _, words = line.strip().partition(" ")
            yield int(pid), f" {words} "
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 - a thousand Path objects at every look
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:  # noqa: PTH123 - as above
                yield int(name), " " + os.fsdecode(file.read().replace(b"\0", b" ")) + " "


def main() -> None:
    """Wait for the end of the input; then ``end`` the folder that is named."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends us ends the owner too, and then there is work to do
    while os.read(0, 4096):
        pass
    end(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
