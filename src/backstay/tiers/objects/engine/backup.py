"""A backup of Kubernetes objects that Velero takes and Backstay keeps: asked for, waited for, read back, committed.

Velero writes the files at the keys that Backstay's own would have, and they are promised in the intent once Velero has
taken the request: a run that is killed is cleaned up like any other, and never touches a backup that Velero took on its
own. Prune removes the files, too; Velero drops its Backup by itself once the bucket does not list the folder any more
(pkg/controller/backup_sync_controller.go, ``deleteOrphanedBackups``).
"""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from backstay.cluster.base import Cluster, Object
from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import SourceError
from backstay.core.model import Artifact, Progress
from backstay.core.units import counted
from backstay.tiers.base import Captured, File, Sink
from backstay.tiers.objects import velerofiles
from backstay.tiers.objects.archive.index import Index
from backstay.tiers.objects.byhand import by_hand
from backstay.tiers.objects.engine.api import Velero
from backstay.tiers.objects.engine.request import spec_of
from backstay.tiers.objects.engine.taken import Taken, few, said, whole
from backstay.tiers.objects.labels import label_value
from backstay.tiers.objects.selection import Chosen, choose, describe
from backstay.tiers.objects.settings import ByVelero, Schedule, World

CHUNK_BYTES = 1 << 20
ENGINE = "velero"
# What Velero writes beside: of volumes and of what goes on in the background. None of it is always there.
MORE = {
    "pod-volume-backups": "-podvolumebackups.json",
    "volume-snapshots": "-volumesnapshots.json",
    "item-operations": "-itemoperations.json",
    "csi-snapshots": "-csi-volumesnapshots.json",
    "csi-classes": "-csi-volumesnapshotclasses.json",
    "csi-contents": "-csi-volumesnapshotcontents.json",
}
NEEDED = (velerofiles.OBJECTS, velerofiles.RECORD)


def preview(schedule: Schedule, world: World, by: ByVelero) -> dict[str, Any]:
    """As ``tiers.objects.backup.preview``; also raises what says that Velero cannot do it now."""
    cluster = world.cluster()
    Velero(cluster, world.velero_namespace, by.location).check()
    chosen = choose(cluster, schedule.selection)
    where = f"Velero in {world.velero_namespace}, location {by.location}"
    return {
        "title": f"{schedule.target}  by {where}: Kubernetes {chosen.version} at {cluster.url}, {chosen.words}",
        "server": chosen.version,
        "where": cluster.url,
        "engine": ENGINE,
        "kinds": [one.name for one in chosen.kinds],
        "related": [one.name for one in chosen.related],
        "namespaces": sorted(chosen.namespaces),
        "omissions": list(chosen.omissions),
        "trouble": list(chosen.warnings),
    }


def backup(schedule: Schedule, world: World, by: ByVelero, sink: Sink, progress: Progress) -> Captured:
    """Have Velero take every object that is selected. Raises ``SourceError`` with its words when it does not,
    ``ClusterUnreachable``, ``ClusterDenied``, ``ArchiveDamaged``, and what the sink raises."""
    cluster = world.cluster()
    velero = Velero(cluster, world.velero_namespace, by.location)
    location = velero.check()
    chosen = choose(cluster, schedule.selection)
    name = velerofiles.backup_name(schedule, f"{sink.started_at:%Y%m%d%H%M%S}")
    files = files_of(schedule, world)
    progress.phase("waiting for Velero")
    velero.start(name, label_value(schedule.name), spec_of(schedule, chosen, by.location))
    sink.reserve(files.values())
    made = velero.wait(name, world.now, by.timeout, progress)
    world.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        temp_folder("objects", world.spool) as folder,
        Index(folder / "index") as index,
        (folder / "items").open("w+b", CHUNK_BYTES) as items,
    ):
        read = _Read(sink, files, Taken(index, items), location)
        progress.phase("reading what Velero wrote")
        artifacts = read.all(name)
        return _captured(schedule, world, by, cluster, chosen, name, made, read, artifacts)


def files_of(schedule: Schedule, world: World) -> dict[str, File]:
    """Every file that Velero may write, and Backstay's list of items, by role."""
    name = velerofiles.backup_name(schedule)
    more = {role: File(role, name=f"backups/{name}/{name}{end}") for role, end in MORE.items()}
    return velerofiles.files(schedule, world) | more


class _Read:
    """Velero's files, read from the store as they are adopted."""

    def __init__(self, sink: Sink, files: Mapping[str, File], taken: Taken, location: Object) -> None:
        self.taken = taken
        self.lists: dict[str, bytes] = {}
        self._sink = sink
        self._files = files
        self._location = location

    def all(self, name: str) -> tuple[Artifact, ...]:
        """Every file there is. Raises ``SourceError`` where the archive is not at its place in the store."""
        found = []
        for role, file in self._files.items():
            if role == velerofiles.ITEMS:
                continue
            artifact = self._sink.adopt(file, self._reader(role))
            if artifact is not None:
                found.append(artifact)
            elif role in NEEDED:
                raise self._elsewhere(name)
        items = self._sink.write(self._files[velerofiles.ITEMS], _content(self.taken.items))
        return (*found, items)

    def _reader(self, role: str) -> Any:
        if role == velerofiles.OBJECTS:
            return self.taken.archive
        return lambda chunks: self.lists.__setitem__(role, whole(chunks) if role in _READ else _drained(chunks))

    def _elsewhere(self, name: str) -> SourceError:
        place = (self._location.get("spec") or {}).get("objectStorage") or {}
        where = "/".join(filter(None, [place.get("bucket"), place.get("prefix")]))
        return SourceError(
            f"Velero says that the backup {name} is over, and it is not in the store",
            hint=f"Velero's location writes to {where}: objects.store and objects.prefix must be the same place.",
        )


_READ = frozenset({velerofiles.RESOURCE_LIST, velerofiles.RESULTS})


def _drained(chunks: Iterator[bytes]) -> bytes:
    for _ in chunks:
        pass
    return b""


def _content(file: BinaryIO) -> Iterator[bytes]:
    file.flush()
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _captured(
    schedule: Schedule,
    world: World,
    by: ByVelero,
    cluster: Cluster,
    chosen: Chosen,
    name: str,
    made: Object,
    read: _Read,
    artifacts: tuple[Artifact, ...],
) -> Captured:
    taken, objects = read.taken, read.taken.kinds.total()
    if not objects:
        raise SourceError("there is no object in Velero's backup", hint="`backstay check` shows what is selected.")
    results = read.lists.get(velerofiles.RESULTS, b"{}")
    return Captured(
        point_in_time=None,
        tools={"kubernetes": chosen.version},
        source={
            "engine": ENGINE,
            "location": by.location,
            "server": cluster.url,
            "version": chosen.version,
            "kinds_seen": len(chosen.kinds) + chosen.with_namespaces,
            "kinds_left_out": list(chosen.left_out),
            "selection": describe(schedule.selection),
            "velero_backup": name,
        },
        contents={
            "kind": "objects",
            "objects": objects,
            "kinds": dict(sorted(taken.kinds.items())),
            "namespaces": len(taken.namespaces),
            "bytes": taken.size_bytes,
        },
        artifacts=artifacts,
        omissions=(*chosen.omissions, *_omissions(made, results, read)),
        warnings=(*chosen.warnings, *said(results, "warnings")),
        restore_by_hand=tuple(by_hand(name, world)),
        read_back=True,
    )


def _omissions(made: Object, results: bytes, read: _Read) -> list[str]:
    """Velero's errors, and what it lists and did not write."""
    status = made.get("status") or {}
    errors = said(results, "errors")
    if not errors and status.get("phase") != "Completed":
        count = counted(int(status.get("errors") or 0), "error")
        errors = [f"Velero calls it {status.get('phase')} with {count}, which are in its log"]
    listed = read.lists.get(velerofiles.RESOURCE_LIST)
    return few(errors) + (read.taken.absent(listed) if listed else [])
