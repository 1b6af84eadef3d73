"""Backups that something else left under the names Backstay uses: no manifest, so little is known of them.

A script that runs ``pg_dump | gzip`` into ``<prefix>/<name>-YYYYmmdd-HHMMSS.sql.gz`` leaves such objects, and k3s its
own snapshots of etcd. They can be listed and restored; what nobody wrote down about them is said, not guessed.
"""

import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Protocol

from backstay.catalog import keys
from backstay.core.model import Artifact, Backup, State, Target, TierKind
from backstay.core.units import format_stamp
from backstay.store.base import ObjectInfo, Store

# Of the artifact that is the backup.
ROLES = {TierKind.POSTGRES: "dump", TierKind.ETCD: "snapshot", TierKind.OBJECTS: "objects"}
UNKNOWN_SIZE = -1
WARNINGS = (
    "Not written by Backstay: there is no manifest, so nothing says what it should contain.",
    "No checksum was kept: damage shows only when it is read, and a dump that ended early only when it is restored.",
    "The time is the one in its name, taken as UTC; the point in time it shows is not known.",
)
TAIL = ".sql.gz"
STAMP_LENGTH = len("20260211-154344")


@dataclass(frozen=True)
class Named:
    """What a key says by its form: the second of the run, and whether it is a backup as it stands. What has the form
    of Backstay's own files (``own``) and the stamp of one of its runs belongs to that run. ``more`` has role and key of
    each file that is there too, as it is."""

    stamp: str
    is_backup: bool
    own: bool = True
    encoding: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()


class Names(Protocol):
    """How the files of one target are named."""

    @property
    def start(self) -> str:
        """What every such key begins with."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to say of a foreign one."""

    def parse(self, key: str) -> Named | None:
        """What a key says; ``None`` for one that has nothing to do with the target."""

    def taken(self, stamp: str) -> tuple[str, ...]:
        """The keys of which one is there where another tool has made a backup of this second under Backstay's name."""

    def by_hand(self, url: str, named: Named) -> tuple[str, ...]:
        """How it is restored with stock tools."""


@dataclass(frozen=True)
class Naming:
    """Where the dumps of one database are: ``prefix`` without a closing slash, or empty; ``name`` begins each file."""

    prefix: str
    name: str
    warnings: tuple[str, ...] = (*WARNINGS, "Roles and other globals are not in it.")

    @property
    def start(self) -> str:
        """See ``Names.start``."""
        return f"{self.prefix}/{self.name}-" if self.prefix else f"{self.name}-"

    def parse(self, key: str) -> Named | None:
        """See ``Names.parse``."""
        rest = key.removeprefix(self.start)
        stamp, tail = rest[:STAMP_LENGTH], rest[STAMP_LENGTH:]
        return Named(stamp, tail == TAIL, encoding=("gzip",)) if keys.is_stamp(stamp) else None

    def taken(self, stamp: str) -> tuple[str, ...]:
        """See ``Names.taken``."""
        return (f"{self.start}{stamp}{TAIL}",)

    def by_hand(self, url: str, named: Named) -> tuple[str, ...]:  # noqa: ARG002 - there is one form
        """See ``Names.by_hand``."""
        file = quote(url.rpartition("/")[2])
        return (
            f"Fetch {url}",
            f"gunzip -c {file} | tail -n 5   (must show the end marker of pg_dump)",
            f"gunzip -c {file} | psql -X -v ON_ERROR_STOP=1 -d NEW_DATABASE",
        )


_SNAPSHOT = re.compile(r"(?P<base>.+)-(?P<unix>[0-9]{9,11})(?P<zip>\.zip)?(?P<rest>\..+)?", re.ASCII)


@dataclass(frozen=True)
class SnapshotNaming:
    """Where snapshots of etcd are: ``<prefix>/<name>-<node>-<unix seconds>[.zip]``, as k3s names them (k3s,
    pkg/etcd/snapshot.go). ``base`` is the name that Backstay's own begin with."""

    prefix: str
    base: str
    warnings: tuple[str, ...] = (
        *WARNINGS[:1],
        "Nothing was compared with the cluster when it was taken; it has a checksum of its own inside.",
        "It opens only with the server token of its cluster, which is not in it.",
    )

    @property
    def start(self) -> str:
        """See ``Names.start``; with the folder that is kept apart (``<prefix>-server/``)."""
        return self.prefix

    def parse(self, key: str) -> Named | None:
        """See ``Names.parse``."""
        folder, _, name = key.rpartition("/")
        match = _SNAPSHOT.fullmatch(name)
        if match is None or folder not in {self.prefix, *self._more}:
            return None
        own = match["base"].startswith(f"{self.base}-")
        if folder != self.prefix and not own:
            return None
        stamp = format_stamp(datetime.fromtimestamp(int(match["unix"]), UTC))
        whole = not own and not match["rest"]
        return Named(stamp, whole, own, ("zip",) if match["zip"] else ()) if keys.is_stamp(stamp) else None

    def taken(self, stamp: str) -> tuple[str, ...]:  # noqa: ARG002 - k3s has names of its own
        """See ``Names.taken``."""
        return ()

    @property
    def _more(self) -> tuple[str, str]:
        """Folders in which there is more to a snapshot."""
        return (f"{self.prefix}/.metadata", f"{self.prefix}-server") if self.prefix else (".metadata", "server")

    def by_hand(self, url: str, named: Named) -> tuple[str, ...]:
        """See ``Names.by_hand``."""
        file = url.rpartition("/")[2]
        unpack = (f"unzip -p {quote(file)} > {quote(file.removesuffix('.zip'))}",) if named.encoding else ()
        return (
            f"Fetch {url}",
            "k3s: stop k3s on every server; on one of them, with the token of that cluster in server/token:",
            f"k3s server --cluster-reset --cluster-reset-restore-path=$PWD/{quote(file)}",
            *unpack,
            f"etcd alone: etcdutl snapshot restore {quote(file.removesuffix('.zip'))} --data-dir NEW_FOLDER",
        )


def foreign(
    store: Store, names: Names, target: Target, claimed: Container[str], *, store_name: str = ""
) -> Iterator[Backup]:
    """The backups under these names that belong to no run of Backstay, oldest first.

    ``claimed`` are the stamps that have a manifest or an intent. Sizes that are not known are -1, checksums
    empty texts. Two of the same second (of two servers) get different stamps: the later in the list, the next second.
    """
    found = [(info, named) for info, named in _unclaimed(store, names, claimed) if named.is_backup]
    taken: set[str] = set()
    for info, named in sorted(found, key=lambda one: (one[1].stamp, one[0].key)):
        stamp = _free(named.stamp, lambda stamp: stamp in taken or stamp in claimed)
        taken.add(stamp)
        yield _backup(info, named, target, stamp, store_name, names.warnings, names.by_hand(_url(store, info), named))


def strays(store: Store, names: Names, claimed: Container[str]) -> Iterator[ObjectInfo]:
    """Objects that are named like parts of a backup and belong to no run: litter, once it is a day old.

    What ``foreign`` lists is not among them. ``claimed`` is as there.
    """
    return (info for info, named in _unclaimed(store, names, claimed) if named.own and not named.is_backup)


def _unclaimed(store: Store, names: Names, claimed: Container[str]) -> Iterator[tuple[ObjectInfo, Named]]:
    for info in store.list(names.start):
        named = names.parse(info.key)
        if named is not None and keys.is_artifact_key(info.key) and not (named.own and named.stamp in claimed):
            yield info, named


def _free(stamp: str, taken: Callable[[str], bool]) -> str:
    while taken(stamp):
        stamp = format_stamp(keys.moment_of(stamp) + timedelta(seconds=1))
    return stamp


def _url(store: Store, info: ObjectInfo) -> str:
    return store.describe() + info.key


def _backup(
    info: ObjectInfo,
    named: Named,
    target: Target,
    stamp: str,
    store_name: str,
    warnings: Sequence[str],
    by_hand: Sequence[str],
) -> Backup:
    whole = _artifact(ROLES[target.tier], info.key, info.size_bytes, named.encoding)
    return Backup(
        target=target,
        stamp=stamp,
        cluster="",
        state=State.FOREIGN,
        started_at=keys.moment_of(stamp),
        finished_at=info.modified_at,
        point_in_time=None,
        artifacts=(whole, *(_artifact(role, key, UNKNOWN_SIZE) for role, key in named.more)),
        warnings=tuple(warnings),
        restore_by_hand=tuple(by_hand),
        store=store_name,
    )


def _artifact(role: str, key: str, size_bytes: int, encoding: tuple[str, ...] = ()) -> Artifact:
    return Artifact(role, key, size_bytes, "", UNKNOWN_SIZE, "", encoding)
