"""Restore (or undo, or join again) in a process of its own that is killed (SIGKILL) before or after it records a step.

    python -m tests.tiers.etcd.restore.killed run|undo|to MACHINE FOLDER AT before|after JOURNAL
    python -m tests.tiers.etcd.restore.killed rejoin MACHINE - AT before|after -

AT is a step, or ``rename-2`` for the second renaming of a folder. Exit 0: it ended before that step.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from backstay.core.model import NoProgress
from backstay.tiers.etcd.restore import copies, ledger
from backstay.tiers.etcd.restore.ledger import StepsFile
from backstay.tiers.etcd.restore.rejoin import Rejoin, plan_rejoin
from backstay.tiers.etcd.restore.run import Restore
from tests.tiers.etcd.restore.machine import STAMP, Machine, load_source, plan_of


def main(verb: str, machine: str, folder: str, at: str, when: str, journal: str) -> None:
    """Do it."""
    server = Machine.load(Path(machine))
    kill_at(at, when)
    if verb == "rejoin":
        Rejoin(server.plane, plan_rejoin(server.plane, server.system, STAMP), server.system, NoProgress()).run()
        return
    source = load_source(Path(folder))
    options = {"to": str(Path(folder).with_name("to"))} if verb == "to" else {}
    work = Restore(
        server.plane, plan_of(server, source, **options), server.system, StepsFile(Path(journal)), NoProgress()
    )
    work.undo() if verb == "undo" else work.run(source)


def kill_at(at: str, when: str) -> None:
    """Every journal, in the store or on the machine, is written by this function: the first to write the step dies."""
    if at.startswith("rename-"):
        kill_at_rename(int(at.removeprefix("rename-")))
        return
    write = ledger._write

    def writing(path: Path, text: str) -> None:
        reached = f'"{at}"' in text
        if reached and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, text)
        if reached:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger._write = writing


def kill_at_rename(number: int) -> None:
    """Die before the ``number``-th renaming."""
    move, count = copies.move, itertools.count(1)

    def moving(path: Path, to: Path) -> None:
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        move(path, to)

    copies.move = moving


if __name__ == "__main__":
    main(*sys.argv[1:])
