"""Dumps that something else left under the names Backstay uses: no manifest, so little is known of them.

A script that runs ``pg_dump | gzip`` into ``<prefix>/<name>-YYYYmmdd-HHMMSS.sql.gz`` leaves such objects.
They can be listed and restored; what nobody wrote down about them is said, not guessed.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from backstay.catalog import keys
from backstay.core.model import Artifact, Backup, State, Target
from backstay.store.base import ObjectInfo, Store

ROLE = "dump"
UNKNOWN_SIZE = -1
WARNINGS = (
    "Not written by Backstay: there is no manifest, so nothing says what it should contain.",
    "No checksum was kept: damage shows only when it is read, and a dump that ended early only when it is restored.",
    "The time is the one in its name, taken as UTC; the point in time it shows is not known.",
    "Roles and other globals are not in it.",
)
_TAIL = re.compile(r"([0-9]{8}-[0-9]{6})\.sql\.gz", re.ASCII)


@dataclass(frozen=True)
class Naming:
    """Where the dumps of one target are: ``prefix`` without a closing slash, or empty; ``name`` begins each file."""

    prefix: str
    name: str

    @property
    def start(self) -> str:
        """What every such key begins with."""
        return f"{self.prefix}/{self.name}-" if self.prefix else f"{self.name}-"


def foreign(
    store: Store, naming: Naming, target: Target, claimed: Container[str], *, store_name: str = ""
) -> Iterator[Backup]:
    """The dumps under ``naming`` that belong to no run of Backstay, oldest first.

    ``claimed`` are the stamps that have a manifest or an intent. Sizes that are not known are -1, checksums
    empty texts.
    """
    for info in store.list(naming.start):
        match = _TAIL.fullmatch(info.key.removeprefix(naming.start))
        if match and keys.is_stamp(match[1]) and match[1] not in claimed and keys.is_artifact_key(info.key):
            yield _backup(info, target, match[1], store_name)


def _backup(info: ObjectInfo, target: Target, stamp: str, store_name: str) -> Backup:
    dump = Artifact(
        role=ROLE,
        key=info.key,
        size_bytes=info.size_bytes,
        sha256="",
        plain_size_bytes=UNKNOWN_SIZE,
        plain_sha256="",
        encoding=("gzip",),
    )
    return Backup(
        target=target,
        stamp=stamp,
        cluster="",
        state=State.FOREIGN,
        started_at=keys.moment_of(stamp),
        finished_at=info.modified_at,
        point_in_time=None,
        artifacts=(dump,),
        warnings=WARNINGS,
        restore_by_hand=("gunzip -c {dump.file} | psql --set ON_ERROR_STOP=1 --dbname NEW_DATABASE",),
        store=store_name,
    )
