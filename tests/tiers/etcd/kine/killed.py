"""A backup, a restore or its undoing in a process of its own that is killed (SIGKILL) at a place.

    python -m tests.tiers.etcd.kine.killed run|undo ROOT FOLDER AT before|after JOURNAL
    python -m tests.tiers.etcd.kine.killed backup FOLDER - PHASE COUNT -

AT is a step, or ``file-2`` for the second change of a name in the folder of the database. A backup is killed in a phase
once it has told of so many pieces. Exit 0: it ended before that.
"""

import itertools
import os
import pickle
import signal
import sys
from pathlib import Path

from backstay.core.model import NoProgress
from backstay.tiers.etcd.kine import backup as capture
from backstay.tiers.etcd.kine import swap
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore.ledger import StepsFile
from tests.tiers.etcd.kine.machine import Machine, plan_of, restoring
from tests.tiers.etcd.kine.stored import MemorySink, plane_of
from tests.tiers.etcd.restore.killed import kill_at


def main(verb, root, folder, at, when, journal):
    """Do it."""
    if verb == "backup":
        capture.backup(plane_of(Path(root)), MemorySink(), Killing(at, int(when)))
        return
    machine = Machine.load(Path(root) / "machine.json")
    source = pickle.loads((Path(folder) / "source").read_bytes())  # noqa: S301 - our own
    made = plan_of(machine, source)
    if at.startswith("file-"):
        kill_at_file(int(at.removeprefix("file-")))
    else:
        kill_at(at, when)
    work = restoring(machine, source, StepsFile(Path(journal)), made)
    work.run(source) if verb == "run" else work.undo()


class Killing(NoProgress):
    """Dies in a phase."""

    def __init__(self, phase, count):
        self.wanted, self.left, self.now = phase, count, ""

    def phase(self, name, *, total_bytes=None):
        self.now = name
        self.advance(0)

    def advance(self, n_bytes):
        if self.now == self.wanted:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


def kill_at_file(number):
    """Die before the ``number``-th change."""
    count = itertools.count(1)

    def dying(change):
        def changing(path, to):
            if next(count) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            change(path, to)

        return changing

    copies.move, swap._link, swap._rename = dying(copies.move), dying(swap._link), dying(swap._rename)


if __name__ == "__main__":
    main(*sys.argv[1:])
