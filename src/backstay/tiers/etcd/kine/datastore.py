"""Whether a server keeps its state in SQLite, and whether a backup is of one that does.

Source: k3s-io/k3s, pkg/cluster/managed.go (assignManagedDriver): an etcd that is initialised on the disk is used in any
case; without one, and with nothing else configured, it is kine on ``server/db/state.db``.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from backstay.core.errors import SourceError
from backstay.core.model import Backup
from backstay.tiers.etcd.controlplane import ControlPlane

KIND = "kine"  # Backup.contents["kind"] of this package's backups
ROLE = "sqlite"  # of the artifact that is the database
CLOSED = "closed"  # context["reason"] of the error for what only root may look at


def is_used(plane: ControlPlane) -> bool:
    """Whether this machine's server runs on SQLite: the file is there, and no data of etcd. Raises ``SourceError``
    where this account may not look."""
    with looking(plane.db_dir):
        return plane.is_rancher and plane.sqlite_file.is_file() and not (plane.etcd_dir / "member").exists()


@contextmanager
def looking(path: Path) -> Iterator[None]:
    """Files of a server, below ``path``, are looked at in the block: what the system says against that comes out as
    ``SourceError`` (Path.is_file and the like raise where a folder above may not be entered)."""
    try:
        yield
    except PermissionError as error:
        found = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        barrier = next((place for place in (found, *found.parents) if os.path.lexists(place)), found)
        raise SourceError(
            f"{barrier} is closed to this account",
            hint="Only root may look into the data of etcd, so Backstay must run as root for this tier. "
            "Nothing was changed.",
            reason=CLOSED,
        ) from error
    except OSError as error:
        raise SourceError(
            f"{error.filename or path} cannot be looked at: {error.strerror}",
            hint="See the system's log for what its disk says. Nothing was changed.",
        ) from error


def is_of(backup: Backup) -> bool:
    """Whether a backup holds a database of kine rather than a snapshot of etcd."""
    return backup.contents.get("kind") == KIND or backup.artifact(ROLE) is not None


def number(contents: Mapping[str, object], name: str) -> int | None:
    """A count of a manifest; None where it has none."""
    found = contents.get(name)
    return found if isinstance(found, int) else None
