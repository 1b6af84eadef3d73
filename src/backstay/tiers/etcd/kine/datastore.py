"""Whether a server keeps its state in SQLite, and whether a backup is of one that does.

Source: k3s-io/k3s, pkg/cluster/managed.go (assignManagedDriver): an etcd that is initialised on the disk is used in any
case; without one, and with nothing else configured, it is kine on ``server/db/state.db``.
"""

from collections.abc import Mapping

from backstay.core.model import Backup
from backstay.tiers.etcd.access import looking
from backstay.tiers.etcd.controlplane import ControlPlane

KIND = "kine"  # Backup.contents["kind"] of this package's backups
ROLE = "sqlite"  # of the artifact that is the database


def is_used(plane: ControlPlane) -> bool:
    """Whether this machine's server runs on SQLite: the file is there, and no data of etcd. Raises ``SourceError``
    where this account may not look."""
    with looking(plane.db_dir):
        return plane.is_rancher and plane.sqlite_file.is_file() and not (plane.etcd_dir / "member").exists()


def is_of(backup: Backup) -> bool:
    """Whether a backup holds a database of kine rather than a snapshot of etcd."""
    return backup.contents.get("kind") == KIND or backup.artifact(ROLE) is not None


def number(contents: Mapping[str, object], name: str) -> int | None:
    """A count of a manifest; None where it has none."""
    found = contents.get(name)
    return found if isinstance(found, int) else None
