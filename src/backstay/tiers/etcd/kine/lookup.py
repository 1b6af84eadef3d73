"""Looking into a backup of k3s on SQLite without a cluster: as ``etcd.lookup``, over the rows of a database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backstay.core.model import Progress
from backstay.tiers.base import Source
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine.census import count
from backstay.tiers.etcd.kine.database import check_integrity
from backstay.tiers.etcd.kine.datastore import ROLE
from backstay.tiers.etcd.kine.fetch import NAME, fetch
from backstay.tiers.etcd.kine.rows import heading, live
from backstay.tiers.etcd.kube.objects import Row
from backstay.tiers.etcd.lookup import Snapshot, called, naming, require_revision
from backstay.tiers.etcd.restore.fetch import size_of
from backstay.tiers.etcd.scratch import spool_folder


class Database(Snapshot):
    """A ``Snapshot`` that is a database of kine: its rows and counts come from SQL, the rest is the same."""

    def resources(self) -> Mapping[str, int]:
        """See ``Snapshot.resources``. Raises ``SnapshotDamaged``."""
        return super().resources() if self.at is not None else count(self.path, self.prefix.encode()).resources

    def _rows(self, prefix: str) -> Iterator[Row]:
        return live(self.path, prefix.encode(), at=self.at)


@contextmanager
def fetched(plane: ControlPlane, source: Source, progress: Progress, at: int | None = None) -> Iterator[Database]:
    """The database of a backup for the length of a block, in the spool. Raises what the source does, and
    ``SnapshotDamaged``, and ``UsageError`` for a revision that it has not."""
    with spool_folder(plane, "get") as folder:
        progress.phase("fetching", total_bytes=size_of(source.backup, ROLE))
        name = called(source.backup, ROLE, NAME)
        path = fetch(source, folder, progress, name)
        check_integrity(path)
        if at is not None:
            require_revision(naming(source.backup, name), at, *heading(path))
        yield Database(path, plane.prefix.rstrip("/"), at)
