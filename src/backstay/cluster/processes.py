"""Programs asked about themselves, ports, servers that answer yet, and processes known only by their id: kept in a file
that may be older than the process that has it now."""

import http.client
import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from backstay.core.errors import ToolError

ANSWER_SECONDS = 30


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


def asked(program: Path, word: str) -> subprocess.CompletedProcess[str]:
    """What a program answers to one word about itself, such as ``--version``, whatever its exit code.

    In an environment of its own: variables of the caller's would change what some of them do. Raises ``ToolError``.
    """
    try:
        return subprocess.run(
            [program, word],
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": "/"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(f"{program} does not run: {error}", hint="Is it for another kind of machine?") from error


def is_ok(connection: http.client.HTTPConnection, path: str) -> bool:
    """Whether a server answers 200 to a GET of ``path``; not when it does not answer yet. Closes the connection."""
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
