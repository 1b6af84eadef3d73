"""The files beside Velero's archive: its own record of the backup, its lists, its log.

velero-backup.json is what makes a folder a backup to Velero, which takes it into its cluster within a minute; so it is
the last to be written. Sources: Velero, pkg/persistence/object_store.go, pkg/apis/velero/v1/backup_types.go,
pkg/util/results/result.go; and what a running Velero 1.18 was seen to ask for.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backstay.core.units import exact_time
from backstay.tiers.base import File
from backstay.tiers.objects.archive.index import Index
from backstay.tiers.objects.labels import label_value, velero_selector
from backstay.tiers.objects.selection import cluster_scope
from backstay.tiers.objects.settings import Schedule, World

OBJECTS, ITEMS, RECORD = "objects", "items", "velero-backup"
RESOURCE_LIST, VOLUME_INFO, RESULTS, LOGS = "resource-list", "volume-info", "results", "logs"
# One copy of each object, at the path without a version: "1.1.0" would promise a second one beside it.
FORMAT_VERSION = "1.0.0"
CHUNK_BYTES = 1 << 16


def backup_name(schedule: Schedule, run: str = "{run}") -> str:
    """``k3s-daily-20260211154344``, as Velero names the backups of a schedule."""
    return f"{schedule.name}-{run}"


def files(schedule: Schedule, world: World) -> dict[str, File]:
    """Every file of a backup by its role. Where files are encrypted, Velero could not read them and would take the
    folder for a broken backup: then they lie in a folder apart. The list of items is Backstay's own."""
    name = backup_name(schedule)
    apart = "encrypted" if world.encrypted else ""
    ends = {
        OBJECTS: ".tar",
        RESOURCE_LIST: "-resource-list.json",
        VOLUME_INFO: "-volumeinfo.json",
        RESULTS: "-results",
        LOGS: "-logs",
    }
    found = {role: File(role, name=f"backups/{name}/{name}{end}", apart=apart) for role, end in ends.items()}
    found[ITEMS] = File(ITEMS, name=f"{name}.ndjson", apart="items")
    found[RECORD] = File(RECORD, name=f"backups/{name}/velero-backup.json", compressed=False, apart=apart)
    return found


@dataclass(frozen=True)
class Ended:
    """How a run ended: what Velero's record says of it."""

    started_at: datetime
    finished_at: datetime
    version: str  # of the API server: v1.37.2
    objects: int
    omissions: Sequence[str]
    warnings: Sequence[str]


def record(schedule: Schedule, world: World, ended: Ended) -> bytes:
    """velero-backup.json: the Backup as Velero would have made it, with what is known now."""
    started = ended.started_at.replace(microsecond=0)
    status: dict[str, Any] = {
        "version": 1,
        "formatVersion": FORMAT_VERSION,
        "phase": "PartiallyFailed" if ended.omissions else "Completed",
        "startTimestamp": exact_time(started),
        "completionTimestamp": exact_time(max(started, ended.finished_at.replace(microsecond=0))),
        "progress": {"totalItems": ended.objects, "itemsBackedUp": ended.objects},
        "errors": len(ended.omissions),
        "warnings": len(ended.warnings),
    }
    if schedule.ttl is not None:
        status["expiration"] = exact_time(started + schedule.ttl)
    metadata = {
        "name": backup_name(schedule, f"{started:%Y%m%d%H%M%S}"),
        "namespace": world.velero_namespace,
        "labels": {
            "velero.io/schedule-name": label_value(schedule.name),
            "velero.io/storage-location": "default",
        },
        "annotations": _version_annotations(ended.version),
        "creationTimestamp": exact_time(started),
    }
    made = {
        "kind": "Backup",
        "apiVersion": "velero.io/v1",
        "metadata": metadata,
        "spec": spec(schedule),
        "status": {key: value for key, value in status.items() if value != 0},
    }
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


def resource_list(index: Index, listed_as: Mapping[str, str]) -> Iterator[bytes]:
    """``{"apps/v1/Deployment": ["shop/web"], ...}`` of what is in the archive, in pieces. ``listed_as`` gives the key
    of each resource."""
    resources: dict[str, list[str]] = {}
    for resource in index.resources():
        resources.setdefault(listed_as[resource], []).append(resource)
    held, comma = bytearray(b"{"), b""
    for key in sorted(resources):
        held += comma + msgspec.json.encode(key) + b":["
        first = True
        for resource in resources[key]:
            for entry in index.entries(resource):
                name = f"{entry.namespace}/{entry.name}" if entry.namespace else entry.name
                held += (b"" if first else b",") + msgspec.json.encode(name)
                first = False
                if len(held) > CHUNK_BYTES:
                    yield bytes(held)
                    held.clear()
        held += b"]"
        comma = b","
    yield bytes(held + b"}")


def results(omissions: Iterable[str], warnings: Iterable[str]) -> bytes:
    """Errors and warnings, as ``velero backup describe`` shows them."""
    found = {"errors": list(omissions), "warnings": list(warnings)}
    made = {kind: {"velero": lines} if lines else {} for kind, lines in found.items()}
    return json.dumps(made, ensure_ascii=False).encode()


def log_line(at: datetime, text: str, backup: str, level: str = "info") -> bytes:
    """A line of Velero's log (logrus, text): ``time="..." level=info msg="..." backup=velero/...``."""
    said = json.dumps(text, ensure_ascii=False)
    return f'time="{exact_time(at.replace(microsecond=0))}" level={level} msg={said} backup={backup}\n'.encode()


def spec(schedule: Schedule) -> dict[str, Any]:
    """The spec of a Backup of Velero's that takes what the schedule does."""
    selection = schedule.selection
    lists = {
        "includedNamespaces": list(selection.namespaces or ("*",)),
        "excludedNamespaces": list(selection.exclude_namespaces),
        "includedResources": list(selection.resources),
        "excludedResources": list(selection.exclude_resources),
        "labelSelector": velero_selector(selection.labels),
        "ttl": "" if schedule.ttl is None else _go_duration(schedule.ttl),
    }
    scope = cluster_scope(selection)
    return {
        **{key: value for key, value in lists.items() if value},
        **({} if scope is None else {"includeClusterResources": scope}),  # without it: what others need
        "storageLocation": "default",
        "snapshotVolumes": False,
        "defaultVolumesToFsBackup": False,
        "hooks": {},
        "metadata": {},
    }


def _go_duration(duration: timedelta) -> str:
    """``720h0m0s``, as Go writes it."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s"


def _version_annotations(version: str) -> dict[str, str]:
    """Which Kubernetes it came from."""
    major, _, rest = version.removeprefix("v").partition(".")
    return {
        "velero.io/source-cluster-k8s-gitversion": version,
        "velero.io/source-cluster-k8s-major-version": major,
        "velero.io/source-cluster-k8s-minor-version": rest.partition(".")[0],
    }
