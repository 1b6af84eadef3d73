"""Run one job in a process of its own that is killed at a given request to the store.

    python -m tests.jobs.killed VERB ROOT HOST PORT BIN DBNAME AT before|after ONLY [BACKUP-ID]

In the environment are the superuser's password, KILLED_PASSWORD, and KILLED_AHEAD, the seconds its clock is ahead.
Exit 0: the job ended before that request.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

from backstay.core.model import NoProgress
from backstay.jobs import backup, restore
from backstay.store.directory import DirectoryStore
from backstay.tiers.postgres.connection import Connection
from backstay.tiers.postgres.database import Database
from tests.fixtures.faults import FaultyStore, kill
from tests.fixtures.world import TickingClock, World


def main(
    verb: str, root: str, host: str, port: str, bin_dir: str, dbname: str, at: str, when: str, only: str, ref: str = ""
) -> None:
    """Do the job."""
    password = os.environ["KILLED_PASSWORD"]
    ahead = timedelta(seconds=int(os.environ["KILLED_AHEAD"]))
    connection = Connection(host, int(port), "postgres", lambda: password)
    store = FaultyStore(DirectoryStore(Path(root)), kill, int(at), after=when == "after", only=only)
    world = World(store, {dbname: Database(dbname, dbname, connection, bin=bin_dir)}, now=TickingClock(ahead))
    if verb == "backup":
        backup.run(world.context, world.target(dbname), NoProgress())
        return
    restored(world, verb, dbname, ref)


def restored(world: World, verb: str, dbname: str, ref: str) -> None:
    """Restore the backup ``ref``; with ``rollback`` undo what an earlier process has left of that."""
    context = world.context
    if verb == "rollback":
        restore.rollback(context, world.target(dbname), world.store, NoProgress())
        return
    made = context.catalogs.find(ref)
    plan = restore.plan(context, made, {})
    restore.run(context, plan, made, restore.place_of(context, made), NoProgress())


if __name__ == "__main__":
    main(*sys.argv[1:])
