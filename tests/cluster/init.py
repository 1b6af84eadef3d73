"""The first process of a node's namespaces: when it ends, the kernel ends every other one, so nothing can be left.

    unshare --pid --net --mount ... python -I -S init.py FOLDER WORDS... < pipe

It starts the command WORDS, reaps what has no other parent, and waits for the end of its input (the owner has closed
it, or is no more, also by SIGKILL) or of the command. Then it kills every process of the namespace, unmounts what was
mounted below FOLDER, removes the cgroups that bear FOLDER's name, and FOLDER.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
DETACH = 2  # MNT_DETACH, sys/mount.h
PAUSE_SECONDS = 0.1
END_SECONDS = 30.0
# Kubernetes and containerd write here whatever they are told; in these namespaces, to memory.
OWN_FOLDERS = ("/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet")


def cgroups_of(name: str) -> list[Path]:
    """The cgroups of this name and all below them, the innermost first; in every hierarchy of version 1, and in 2."""
    tops = [*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")]
    found = [Path(place) for top in tops for place, _, _ in os.walk(top, topdown=False)]
    return [place for place in found if not place.is_symlink()]


def remove_cgroups(name: str) -> None:
    """Remove them. Those that still have a process stay, and are tried again for a while."""
    deadline = time.monotonic() + END_SECONDS
    while (left := cgroups_of(name)) and time.monotonic() < deadline:
        for place in left:
            with contextlib.suppress(OSError):
                place.rmdir()
        time.sleep(PAUSE_SECONDS / 5)


def mount_own_folders() -> list[str]:
    """Memory over ``OWN_FOLDERS``; returns those that had to be made."""
    made = []
    for folder in OWN_FOLDERS:
        if not Path(folder).exists():
            Path(folder).mkdir(parents=True)
            made.append(folder)
        _call("mount", b"tmpfs", folder.encode(), b"tmpfs", 0, b"mode=755")
    return made


def end(folder: Path, made: list[str]) -> None:
    """See the module's words; from the kill on, nothing of it can be interrupted by what ran here."""
    deadline = time.monotonic() + END_SECONDS
    while _others() and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        _reap()
        time.sleep(PAUSE_SECONDS / 5)
    for place in _mounts_below([str(folder), *OWN_FOLDERS]):
        with contextlib.suppress(OSError):
            _call("umount2", place.encode(), DETACH)
    for place in made:
        with contextlib.suppress(OSError):
            Path(place).rmdir()
    remove_cgroups(folder.name)
    if not _mounts_below([str(folder)]):
        shutil.rmtree(folder, ignore_errors=True)


def _others() -> list[int]:
    return [int(name.name) for name in Path("/proc").iterdir() if name.name.isdigit() and int(name.name) != os.getpid()]


def _reap() -> set[int]:
    """The children that have ended since it was asked before, of whatever made them."""
    ended: set[int] = set()
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    return ended


def _mounts_below(folders: list[str]) -> list[str]:
    """Mount points at or below these folders, the newest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [line.split()[4] for line in lines]
    return [place for place in reversed(places) if any(f"{place}/".startswith(f"{folder}/") for folder in folders)]


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", str(arguments))


def main() -> None:
    """Start the command, wait, end everything."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    _call("mount", b"none", b"/", None, 0x104000, None)  # MS_REC | MS_SHARED: kubelet's mounts reach containerd
    made = mount_own_folders()
    try:
        command = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, close_fds=False)
        while True:
            ready, _, _ = select.select([0], [], [], PAUSE_SECONDS)
            if ready and not os.read(0, 4096):
                break
            if command.pid in _reap():
                break
    finally:
        end(folder, made)


if __name__ == "__main__":
    main()
