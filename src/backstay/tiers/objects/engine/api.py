"""What Backstay asks of a Velero in the cluster: its location, its schedules, a Backup, and how that goes on.

Sources: Velero, pkg/apis/velero/v1 (phases, fields), pkg/controller/backup_queue_controller.go (``Queued``).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.core.errors import ClusterError, ObjectExists, ObjectNotFound, SourceError
from backstay.core.model import Progress
from backstay.core.units import format_span

WATCH_SECONDS = 30.0
TAKEN_UP = timedelta(minutes=10)  # a server that is down takes nothing up; one that runs does within seconds
NOT_TAKEN_UP = frozenset({"", "New"})
DONE = frozenset({"Completed", "PartiallyFailed"})
OVER = DONE | {"Failed", "FailedValidation"}
INSTALL = "Install Velero, or say `engine: backstay` in objects: Backstay then takes the objects itself."


def _kind(plural: str, kind: str) -> Resource:
    return Resource("velero.io", "v1", plural, kind, namespaced=True)


BACKUPS = _kind("backups", "Backup")
LOCATIONS = _kind("backupstoragelocations", "BackupStorageLocation")
SCHEDULES = _kind("schedules", "Schedule")


class _Status(msgspec.Struct):
    phase: str = ""


class _Phase(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


def schedule_trouble(cluster: Cluster, namespace: str, name: str) -> list[str]:
    """A sentence where Velero has a Schedule of this name that runs: both would back up. Nothing where it cannot be
    asked, as where there is no Velero."""
    try:
        found = cluster.get(SCHEDULES, name, namespace)
    except ClusterError:
        return []
    if (found.get("spec") or {}).get("paused"):
        return []
    how = f"velero -n {namespace} schedule pause {name}"
    return [f"Velero has a Schedule {namespace}/{name} that runs, so both back it up. Pause it: {how}"]


class Velero:
    """A Velero that runs in ``namespace``, with one of its locations."""

    def __init__(self, cluster: Cluster, namespace: str, location: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.location = location

    def check(self) -> Object:
        """Its location, which can be written to. Raises ``SourceError`` where Velero or the location is not there or
        not available, with Velero's own words."""
        if not any(one.name == BACKUPS.name for one in self._cluster.discover().resources):
            raise SourceError(f"Velero is not installed: {self._cluster.url} has no {BACKUPS.name}", hint=INSTALL)
        try:
            found = self._cluster.get(LOCATIONS, self.location, self._namespace)
        except ObjectNotFound as error:
            raise SourceError(
                f"Velero has no storage location {self._namespace}/{self.location}",
                hint="`velero backup-location get` lists them: set objects.velero_location and "
                "objects.velero_namespace.",
            ) from error
        status = found.get("status") or {}
        if status.get("phase") == "Unavailable":
            raise SourceError(
                f"Velero's storage location {self.location} is not available: "
                f"{status.get('message') or 'it does not say why'}",
                hint="Nothing was backed up. `velero backup-location get` shows when it is available again.",
            )
        if (found.get("spec") or {}).get("accessMode") == "ReadOnly":
            raise SourceError(
                f"Velero's storage location {self.location} is set to be read only", hint="Nothing was backed up."
            )
        return found

    def start(self, name: str, schedule: str, spec: dict[str, Any]) -> None:
        """Make the Backup. Raises ``SourceError`` when there is one of this name: it is not ours, and is left alone,
        unless an attempt of ours went before whose answer was lost."""
        labels = {"velero.io/schedule-name": schedule, "velero.io/storage-location": self.location}
        metadata = {"name": name, "namespace": self._namespace, "labels": labels}
        body = {"apiVersion": BACKUPS.api_version, "kind": BACKUPS.kind, "metadata": metadata, "spec": spec}
        try:
            self._cluster.create(BACKUPS, body)
        except ObjectExists as error:
            if error.context.get("resent"):
                return
            raise SourceError(
                f"Velero has a backup {name} already: a Schedule of its own began one in this second",
                hint="It was left as it is. Pause Velero's Schedule of this name.",
            ) from error

    def wait(self, name: str, now: Callable[[], datetime], timeout: timedelta, progress: Progress) -> Object:
        """The Backup once its files are in the store: ``Completed`` or ``PartiallyFailed``. Raises ``SourceError`` with
        Velero's words when it failed, is deleted, is not begun in ten minutes or not over after ``timeout``."""
        begun = now()
        while True:
            phase = None
            for event in self._cluster.watch(
                BACKUPS, namespace=self._namespace, fields=f"metadata.name={name}", seconds=WATCH_SECONDS
            ):
                if event.type == "DELETED":
                    break
                phase = _told(event.object, progress)
                if phase in OVER:
                    return _good(event.object, name)
                if now() - begun > timeout:
                    break
            if phase is None:
                raise SourceError(f"Velero's backup {name} was deleted while it ran", hint="Run it again.")
            self._patience(name, phase, now() - begun, timeout)

    def _patience(self, name: str, phase: str, waited: timedelta, timeout: timedelta) -> None:
        if waited > timeout:
            raise SourceError(
                f"Velero's backup {name} is not over after {format_span(waited)}: it is {phase or 'New'}",
                hint="Velero goes on with it. objects.velero_timeout says how long Backstay waits.",
            )
        if phase in NOT_TAKEN_UP and waited > TAKEN_UP and not self._busy():
            raise SourceError(
                f"Velero has not begun the backup {name} in {format_span(waited)}",
                hint=f"Is its server running? kubectl -n {self._namespace} get deployment velero",
            )

    def _busy(self) -> bool:
        """Whether another backup runs: until 1.17 those that wait for it are New as well."""
        decode = msgspec.json.Decoder(_Phase).decode
        return any(
            decode(item.json).status.phase == "InProgress"
            for item in self._cluster.list(BACKUPS, namespace=self._namespace)
        )


def _told(found: Object, progress: Progress) -> str:
    """Its phase, which is shown with how far it is."""
    status = found.get("status") or {}
    phase, far = str(status.get("phase") or ""), status.get("progress") or {}
    total = far.get("totalItems", 0)
    count = f", {far.get('itemsBackedUp', 0):,}/{total:,} objects" if total else ""
    progress.note(f"Velero: {phase or 'New'}{count}")
    return phase


def _good(found: Object, name: str) -> Object:
    status = found.get("status") or {}
    if status.get("phase") in DONE:
        return found
    words = [*status.get("validationErrors", ()), *filter(None, [status.get("failureReason")])]
    raise SourceError(
        f"Velero's backup {name} is {status.get('phase')}: {'; '.join(map(str, words)) or 'it does not say why'}",
        hint="Nothing was stored by Backstay. `velero backup describe` and the log of Velero's server say more.",
    )
