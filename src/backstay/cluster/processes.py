"""Ports, and processes known only by their id: kept in a file that may be older than the process that has it now."""

import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process has this id. A child of ours that has ended is reaped, and does not count."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command_line(pid: int) -> str:
    """The command line of process ``pid``; empty when there is no such process."""
    if not alive(pid):
        return ""
    if Path("/proc/self/cmdline").exists():  # not every machine that has this has ps
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return b" ".join(words).decode(errors="replace")
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout


def mentions(pid: int, text: str) -> bool:
    """Whether the command line of process ``pid`` holds ``text``: whether it is the one that was meant."""
    return text in command_line(pid)


def free_ports(count: int) -> list[int]:
    """So many TCP ports of 127.0.0.1 that nothing listens on now, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
