"""As ``tests.jobs.killed``, around a Deployment ``web`` of a real cluster: killed at a request to the API server, or at
one that writes the journal. Requests are counted once there is a journal.

    python -m tests.e2e.killed_apps VERB ROOT HOST PORT BIN DBNAME KUBECONFIG NAMESPACE AT before|after ONLY REF
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

from backstay.cluster.appsincluster import AppsInCluster, Waits
from backstay.cluster.client import Access, connect
from backstay.store.directory import DirectoryStore
from backstay.tiers.postgres.connection import Connection
from backstay.tiers.postgres.database import Database
from tests.fixtures.faults import FaultyStore, kill
from tests.fixtures.world import TickingClock, World
from tests.jobs.killed import restored

COUNTED = ("put backstay/v1/restores/", "cluster ")


class CountedCluster:
    """Passes everything on, once the store has counted it."""

    def __init__(self, client, store):
        self._client = client
        self._store = store

    def __getattr__(self, verb):
        def ask(*arguments, **more):
            if self._store.requests:
                with self._store.request("cluster", verb):
                    return getattr(self._client, verb)(*arguments, **more)
            return getattr(self._client, verb)(*arguments, **more)

        return ask


def main(
    verb: str, root: str, host: str, port: str, bin_dir: str, dbname: str, kubeconfig: str, namespace: str,
    at: str, when: str, only: str, ref: str,
) -> None:  # fmt: skip
    """Do the job."""
    password = os.environ["KILLED_PASSWORD"]
    connection = Connection(host, int(port), "postgres", lambda: password)
    store = FaultyStore(DirectoryStore(Path(root)), kill, int(at), after=when == "after", only=only or COUNTED)
    database = Database(dbname, dbname, connection, bin=bin_dir, namespace=namespace, apps=("deployment/web",))
    with connect(Access(kubeconfig=kubeconfig)) as client:
        apps = AppsInCluster(lambda: CountedCluster(client, store), Waits(ready=0.0, pause=0.3))
        clock = TickingClock(timedelta(seconds=int(os.environ["KILLED_AHEAD"])))
        world = World(store, {dbname: database}, apps=apps, now=clock)
        restored(world, verb, dbname, ref)


if __name__ == "__main__":
    main(*sys.argv[1:])
