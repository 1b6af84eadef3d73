"""A folder for what is started once and must be gone afterwards: servers of drills, also when this process is killed.

Each has a guard (``guard``) that outlives whoever made it. In it is ``owner``: a first line that marks this very folder
as ours, then a line for each process that answers for it (the owner and its guard): its id, and when it was born. Both
hold a lock on that file for as long as they live, so a folder whose ``owner`` can be locked has been left by both: by a
power cut, or because both were killed. ``sweep`` removes those.
"""

import fcntl
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path

from backstay.cluster import guard
from backstay.core.errors import ToolError

MARK = "backstay scratch server 1"
OWNER_BYTES = 1000  # longer than any
GUARD_SECONDS = 120.0  # removing a large cluster takes a while
# What to do next, by a word of what the server or the system said.
STEPS = {
    "No space left": "Free some space there, or choose another folder for it.",
    "Disk quota": "Free some space there, or choose another folder for it.",
    "annot allocate memory": "The machine has too little free memory; drill into a server given with --server.",
    "could not access file": "A library named in shared_preload_libraries is not installed for this version.",
    "Permission denied": "Choose a folder that this account may write to.",
    "Read-only": "Choose a folder that this account may write to.",
}


def sweep(root: Path) -> list[str]:
    """Remove the scratch folders below ``root`` that nobody answers for any more, and stop the servers in them.

    Returns the paths of those removed, by name; none when ``root`` is not there. A folder of a living run, of
    another account, without our mark, or copied from one of ours is not touched. Raises ``ToolError`` when one cannot
    be removed, after the others are.
    """
    removed: list[str] = []
    failed: list[str] = []
    for owner in sorted(root.absolute().glob("*/owner")):
        try:
            if _remove_orphan(owner):
                removed.append(str(owner.parent))
        except (OSError, subprocess.SubprocessError) as error:
            failed.append(f"{owner.parent}: {error}")
    if failed:
        raise ToolError(
            f"a scratch server that was left behind cannot be removed: {failed[0]}",
            hint="It is of no use to anybody: end what runs there and remove the folder by hand.",
            failed=failed,
            removed=removed,
        )
    return removed


def _remove_orphan(owner: Path) -> bool:
    """Whether the folder of this file was one, and is gone. The lock is ours meanwhile: two sweeps do not meet."""
    folder = owner.parent
    try:
        handle = os.open(owner, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone by now, a link, or of another account
        return False
    with os.fdopen(handle, errors="replace") as file:
        about = os.fstat(handle)
        if about.st_uid != os.geteuid() or not stat.S_ISREG(about.st_mode) or folder.is_symlink():
            return False
        mark, *processes = file.read(OWNER_BYTES).splitlines() or [""]
        if mark != f"{MARK} {folder.name}":
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held; or no locks here, and then nothing is certain
            return False
        if not owner.exists() or any(map(_lives, processes)):
            return False
        guard.end(folder)
        return True


@contextmanager
def guarded(root: Path, label: str) -> Iterator[Path]:
    """A new folder below ``root`` for the length of a block, with its owner file and its guard, which ends the servers
    that run on ``data`` in it and removes it. ``label`` begins its name. Raises ``ToolError``."""
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.")[:40] or "scratch"
    folder = root / f"{name}-{secrets.token_hex(4)}"
    with ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            owner = held.enter_context((folder / "owner").open("xb", buffering=0))
            process = _start_guard(owner, folder)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise not_made("folder for a scratch server", root, error) from error
            raise
        try:
            yield folder
        except BaseException as error:
            try:
                _finish(process, folder)
            except ToolError as second:
                error.add_note(f"{second.message}. {second.hint}")
            raise
        _finish(process, folder)


def _start_guard(owner: FileIO, folder: Path) -> "subprocess.Popen[bytes]":
    """Fill the owner file and start the guard, which holds the lock on it together with us."""
    with suppress(OSError):  # no locks on this file system: then no sweep will take the folder for an orphan, either
        fcntl.flock(owner, fcntl.LOCK_EX)
    owner.write(f"{MARK} {folder.name}\n{os.getpid()} {_born(os.getpid())}\n".encode())
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
        pass_fds=[owner.fileno()],
        start_new_session=True,  # out of reach of the terminal: neither Ctrl-C nor its closing ends it
    )
    try:
        owner.write(f"{process.pid} {_born(process.pid)}\n".encode())
        os.fsync(owner.fileno())  # it is read after a power cut
    except BaseException:
        _finish(process, folder)
        raise
    return process


def _finish(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Let the guard remove the folder, and wait for it; where it did not, because it was killed, do it ourselves."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(GUARD_SECONDS)
        guard.end(folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(
            f"the scratch server in {folder} could not be removed: {error}",
            hint=f"It holds a copy of what was restored. Is process {process.pid} still removing it? If not, end the "
            "server that runs there and remove the folder.",
        ) from error


def _born(pid: int) -> str:
    """When a process was started, in words that no other process ever had; empty when there is none, or it has ended.

    On Linux the boot and the clock ticks since (proc(5), /proc/pid/stat, fields 3 and 22), else what ps says.
    """
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {fields[19]}" if fields[0] != "Z" else ""


def _lives(line: str) -> bool:
    """Whether the process of this line of an owner file is still there."""
    pid, _, born = line.strip().partition(" ")
    return pid.isdigit() and born != "" and _born(int(pid)) == born


def not_made(what: str, root: Path, error: Exception) -> ToolError:
    """The error for a server or a folder that could not be made, with the line that says why and what to do."""
    said = (error.hint if isinstance(error, ToolError) else "") or str(error) or type(error).__name__
    lines = said.splitlines()
    telling = [line for line in lines if re.search("fatal|panic|error", line, re.IGNORECASE)] or lines
    reason = re.sub(r"^[\d-]+ [\d:.]+ \w+ \[\d+\] ", "", telling[0].strip())  # without the log's time and process id
    step = next((step for word, step in STEPS.items() if word in said), "")
    return ToolError(
        f"no {what} could be made below {root}: {reason}",
        hint=f"{step} Nothing of it is left behind, and nothing else was touched.".strip(),
        said=lines,
    )
