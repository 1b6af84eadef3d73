"""Snapshots that k3s and RKE2 take by themselves: the files on this server, and the records the cluster keeps of all.

A record (ETCDSnapshotFile, k3s.cattle.io/v1) says where a snapshot is and whether it failed; it is read from etcd
itself. Sources: k3s-io/api, k3s.cattle.io/v1/types.go; k3s, pkg/etcd/snapshot.go, for the names of files.
"""

import json
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from backstay.core.errors import BackstayError, SourceError
from backstay.tiers.etcd.access import CLOSED, looking
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine.datastore import is_used

RECORDS = "k3s.cattle.io/etcdsnapshotfiles/"
MAX_RECORDS = 5000
_NAME = re.compile(r"(?P<base>.+)-(?P<unix>[0-9]{9,11})(\.zip)?", re.ASCII)


@dataclass(frozen=True)
class OwnSnapshot:
    """One snapshot that k3s took. ``taken_at`` is None where nothing says it; ``error`` is that of its record."""

    name: str
    node: str
    location: str  # file:///var/lib/... or s3://bucket/key
    taken_at: datetime | None
    size_bytes: int
    ready: bool = True
    error: str = ""


def own_snapshots(plane: ControlPlane) -> tuple[list[OwnSnapshot], list[str]]:
    """All that can be seen from this machine, newest first, and in a sentence what could not be. Nothing where this is
    no server of k3s or RKE2; where it runs on SQLite, there is no etcd to be asked for records."""
    if not plane.is_rancher:
        return [], []
    found: dict[tuple[str, str], OwnSnapshot] = {}
    troubles: list[str] = []
    for read in _readers(plane, troubles):  # a file that is there says more than its record
        try:
            found |= {(one.name, one.location): one for one in read(plane)}
        except BackstayError as error:
            troubles.append(_said(error))
    oldest = datetime.fromtimestamp(0, UTC)
    in_order = sorted(found.values(), key=lambda one: (one.taken_at or oldest, one.name), reverse=True)
    why = "; ".join(dict.fromkeys(troubles))
    return in_order, [f"not all snapshots of {plane.flavor.value} itself could be listed: {why}"] if why else []


def _readers(plane: ControlPlane, troubles: list[str]) -> "list[Callable[[ControlPlane], Iterator[OwnSnapshot]]]":
    """What there is to be read here; none where that cannot be told, which ``troubles`` then says."""
    try:
        with looking(plane.db_dir):
            if not plane.db_dir.is_dir():
                return []
        return [_files] if is_used(plane) else [_records, _files]
    except SourceError as error:
        troubles.append(_said(error))
        return []


def _said(error: BackstayError) -> str:
    return f"{error.message}; run as root to see them" if error.context.get("reason") == CLOSED else error.message


def _files(plane: ControlPlane) -> Iterator[OwnSnapshot]:
    found = []
    with looking(plane.snapshots_dir):
        try:
            there = sorted(plane.snapshots_dir.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return
        for path in there:
            if path.name.startswith(f"{plane.base}-"):
                continue
            with suppress(FileNotFoundError):  # k3s removes old ones at any moment
                about = path.lstat()
                if stat.S_ISREG(about.st_mode):
                    found.append(OwnSnapshot(path.name, plane.node, path.as_uri(), _time_in(path.name), about.st_size))
    yield from found


def _records(plane: ControlPlane) -> Iterator[OwnSnapshot]:
    prefix = f"{plane.prefix.rstrip('/')}/{RECORDS}".encode()
    error: BackstayError | None = None
    for endpoint in plane.endpoints:
        try:
            with EtcdClient(endpoint, plane.tls) as client:
                values = [item.value for item in client.range(prefix, limit=MAX_RECORDS)]
        except BackstayError as failed:
            error = failed
            continue
        for value in values:
            if (record := _record(value)) is not None:
                yield record
        return
    if error is not None:
        raise error


def _record(value: bytes) -> OwnSnapshot | None:
    """What a record says; None for what is none, or cannot be read: whoever may write to the API may have made it."""
    try:
        return _snapshot(json.loads(value))
    except (ValueError, RecursionError):
        return None


def _snapshot(document: Any) -> OwnSnapshot | None:
    """What the object says; None without a name and a place. Raises ``ValueError`` for a size or a place that is
    none."""
    spec, status = _mapping(document, "spec"), _mapping(document, "status")
    name, location = _text(spec, "snapshotName"), _text(spec, "location")
    if not name or not location:
        return None
    return OwnSnapshot(
        name=name,
        node=_text(spec, "nodeName"),
        location=_plain(location),
        taken_at=_moment(_text(status, "creationTime")) or _time_in(name),
        size_bytes=_size(status.get("size")),
        ready=status.get("readyToUse") is not False,
        error=_text(_mapping(status, "error"), "message"),
    )


def _plain(location: str) -> str:
    """A file's location as ``Path.as_uri`` writes it."""
    parts = urlsplit(location)
    return f"file://{unquote(parts.path)}" if parts.scheme == "file" else location


def _mapping(document: Any, name: str) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _text(document: Mapping[str, Any], name: str) -> str:
    found = document.get(name)
    return found if isinstance(found, str) else ""


def _size(found: Any) -> int:
    """A quantity of Kubernetes, which k3s writes as a plain number."""
    return int(found) if isinstance(found, int | str) and str(found).isdigit() else 0


def _time_in(name: str) -> datetime | None:
    match = _NAME.fullmatch(name)
    return datetime.fromtimestamp(int(match["unix"]), UTC) if match else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):  # the latter where UTC would be in the year 0
        return None
