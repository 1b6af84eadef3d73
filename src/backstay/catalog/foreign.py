"""Dumps that something else left under the names Backstay uses: no manifest, so little is known of them.

A script that runs ``pg_dump | gzip`` into ``<prefix>/<name>-YYYYmmdd-HHMMSS.sql.gz`` leaves such objects.
They can be listed and restored; what nobody wrote down about them is said, not guessed.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from shlex import quote

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
TAIL = ".sql.gz"
STAMP_LENGTH = len("20260211-154344")


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
    for info, stamp, tail in _unclaimed(store, naming, claimed):
        if tail == TAIL:
            yield _backup(info, target, stamp, store_name, store.describe() + info.key)


def strays(store: Store, naming: Naming, claimed: Container[str]) -> Iterator[ObjectInfo]:
    """Objects that are named like parts of a backup and belong to no run: litter, once it is a day old.

    Dumps that ``foreign`` lists are not among them. ``claimed`` is as there.
    """
    return (info for info, _, tail in _unclaimed(store, naming, claimed) if tail != TAIL)


def _unclaimed(store: Store, naming: Naming, claimed: Container[str]) -> Iterator[tuple[ObjectInfo, str, str]]:
    for info in store.list(naming.start):
        rest = info.key.removeprefix(naming.start)
        stamp, tail = rest[:STAMP_LENGTH], rest[STAMP_LENGTH:]
        if keys.is_stamp(stamp) and stamp not in claimed and keys.is_artifact_key(info.key):
            yield info, stamp, tail


def _backup(info: ObjectInfo, target: Target, stamp: str, store_name: str, url: str) -> Backup:
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
        restore_by_hand=(
            f"Fetch {url}",
            f"gunzip -c {quote(info.key.rpartition('/')[2])} | tail -n 5   (must show the end marker of pg_dump)",
            f"gunzip -c {quote(info.key.rpartition('/')[2])} | psql -X -v ON_ERROR_STOP=1 -d NEW_DATABASE",
        ),
        store=store_name,
    )
