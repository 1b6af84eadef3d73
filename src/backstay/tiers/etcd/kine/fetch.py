"""A stored database brought here and proven: whole, as the manifest says, opened by the server token."""

from functools import partial
from pathlib import Path

from backstay.core.errors import RestoreError, SnapshotDamaged
from backstay.core.model import Backup, Progress, State
from backstay.tiers.base import Source
from backstay.tiers.etcd import token
from backstay.tiers.etcd.facts import bootstrap_of
from backstay.tiers.etcd.kine.census import Census, count, differences
from backstay.tiers.etcd.kine.database import check_integrity
from backstay.tiers.etcd.kine.datastore import ROLE
from backstay.tiers.etcd.kine.rows import live
from backstay.tiers.etcd.restore.fetch import fetch as fetch_artifact

NAME = "state.db"


def fetch(source: Source, folder: Path, progress: Progress, name: str = NAME) -> Path:
    """The database in ``folder``. Raises what ``source`` does, and ``SourceError`` where it cannot be written."""
    return fetch_artifact(source, folder, progress, ROLE, name)


def prove(path: Path, backup: Backup, prefix: bytes, server_token: str) -> Census:
    """Its structure is whole, it holds what the manifest promises, and ``server_token`` opens it.

    Raises ``SnapshotDamaged``, and ``RestoreError`` for the token.
    """
    check_integrity(path)
    found = count(path, prefix)
    wrong = [] if backup.state is State.FOREIGN else list(differences(found, backup.contents))
    if wrong:
        raise SnapshotDamaged(
            f"the database of {backup.id} is not what was backed up: {'; '.join(wrong)}",
            hint="Try an older backup; `backstay verify` tells which are whole.",
        )
    checked = token.check(bootstrap_of(partial(live, path)), server_token)
    if not checked.opens:
        raise RestoreError(
            f"the server token does not open {backup.id}: {checked.why}",
            hint="Give the token that the cluster had when it was backed up. k3s would not start with another one.",
        )
    return found
