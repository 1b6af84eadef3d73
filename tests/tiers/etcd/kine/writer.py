"""A writer that does not stop, in a process of its own: kine under a Kubernetes that is at work.

    python -m tests.tiers.etcd.kine.writer DATABASE

Each transaction (``BEGIN IMMEDIATE``) writes ``ROWS`` keys of a batch and the number of that batch, so that whoever has
one of them must have them all, and no batch without all before it. Old ones are compacted away now and then. It writes
the number to its output when it begins and ends in order when its input does.
"""

import os
import select
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.tiers.etcd.kine.kine import Kine, state

ROWS = 5
VALUE_BYTES = 1500
COMPACT_EVERY = 200
COUNTER = "/registry/configmaps/writer/counter"


def main(path):
    kine, number = Kine(Path(path)), 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        number += 1
        kine.database.execute("BEGIN IMMEDIATE")
        for row in range(ROWS):
            kine.put(f"/registry/events/writer/{number:08d}-{row}", b"%08d" % number + os.urandom(VALUE_BYTES))
        kine.put(COUNTER, b"%08d" % number)
        if number > COMPACT_EVERY:
            for row in range(ROWS):
                kine.delete(f"/registry/events/writer/{number - COMPACT_EVERY:08d}-{row}")
        kine.database.execute("COMMIT")
        if number % COMPACT_EVERY == 0:
            kine.compact(kine.revision() - 1000)
    kine.close()


@contextmanager
def writing(path):
    """Such a writer for the length of a block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tiers.etcd.kine.writer", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
        assert process.poll() is None
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def batches(path):
    """Each batch in a database, with how many of its rows are there, and the number that was written with the last."""
    found, counter = {}, 0
    for name, (_, value) in state(path).items():
        if name.startswith("/registry/events/writer/"):
            batch = int(name.rpartition("/")[2].partition("-")[0])
            assert int(value[:8]) == batch
            found[batch] = found.get(batch, 0) + 1
        elif name == COUNTER:
            counter = int(value)
    return found, counter


def is_one_moment(path):
    """Whether a database is as the writer left it between two of its transactions."""
    found, counter = batches(path)
    first = max(1, counter - COMPACT_EVERY + 1)
    return set(found) == set(range(first, counter + 1)) and set(found.values()) <= {ROWS}


if __name__ == "__main__":
    main(sys.argv[1])
