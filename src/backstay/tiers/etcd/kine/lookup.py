"""Looking into a backup of k3s on SQLite without a cluster: as ``etcd.lookup``, over the rows of a database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backstay.core.model import Progress
from backstay.tiers.base import Source
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine.census import count
from backstay.tiers.etcd.kine.database import check_integrity
from backstay.tiers.etcd.kine.fetch import fetch, size_of
from backstay.tiers.etcd.kine.rows import live
from backstay.tiers.etcd.kube.objects import Row
from backstay.tiers.etcd.lookup import Snapshot
from backstay.tiers.etcd.scratch import spool_folder


class Database(Snapshot):
    """A ``Snapshot`` that is a database of kine: its rows and counts come from SQL, the rest is the same."""

    def resources(self) -> Mapping[str, int]:
        """See ``Snapshot.resources``. Raises ``SnapshotDamaged``."""
        return count(self.path, self.prefix.encode()).resources

    def _rows(self, prefix: str) -> Iterator[Row]:
        return live(self.path, prefix.encode(), at=self.at)


@contextmanager
def fetched(plane: ControlPlane, source: Source, progress: Progress, at: int | None = None) -> Iterator[Database]:
    """The database of a backup for the length of a block, in the spool. Raises what the source does, and
    ``SnapshotDamaged``."""
    with spool_folder(plane, "get") as folder:
        progress.phase("fetching", total_bytes=size_of(source.backup))
        path = fetch(source, folder, progress)
        check_integrity(path)
        yield Database(path, plane.prefix.rstrip("/"), at)
