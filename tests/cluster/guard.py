"""The process that ends a test's control plane when the test process is gone, however that went, also by SIGKILL.

``control_plane`` starts this file as a program with a pipe as its input. When the pipe ends it kills every server that
works in the folder, and removes the folder. The ordinary end takes this way as well: there is one teardown.

    python -I -S guard.py FOLDER < pipe

Servers are known by their command lines, which name files in the folder: there is no moment in which one runs and its
id has not been noted yet.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

PROGRAMS = {b"kubernetes", b"etcd", b"velero", b"velero-plugin-for-aws"}
SECONDS = 30.0


def servers_in(folder: Path) -> list[int]:
    """The ids of the servers whose flags, or whose own names, name something below ``folder``."""
    mark = os.fsencode(f"{folder}/")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0].rpartition(b"/")[2] in PROGRAMS and any(mark in word for word in words):
                    found.append(int(entry.name))
    return found


def end(folder: Path) -> None:
    """Kill the servers of ``folder`` and remove it. Safe to call twice. Raises ``OSError`` when it cannot be done."""
    deadline = time.monotonic() + SECONDS
    while pids := servers_in(folder):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pids[0]} does not end")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    if folder.exists():
        shutil.rmtree(folder)


def main() -> None:
    """Wait for the end of the input; then ``end`` the folder that is named."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends us ends the owner too, and then there is work to do
    while os.read(0, 4096):
        pass
    end(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
