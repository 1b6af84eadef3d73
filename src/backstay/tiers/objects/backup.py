"""A backup of Kubernetes objects: listed, written into Velero's archive as they come, and proven from the store.

The archive goes to the store while the lists are still running; nothing but small batches is held in memory. What the
backup has is kept in an index on the disk meanwhile. Nothing counts until the job has read all of it back; then
velero-backup.json is written, by which Velero knows it, and at last the manifest.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, Self

from backstay.cluster.base import Cluster, Item, Resource
from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import ArchiveDamaged, SourceError
from backstay.core.model import Artifact, Progress
from backstay.core.units import counted
from backstay.tiers.base import Captured, File, Sink
from backstay.tiers.objects import itemlist, velerofiles
from backstay.tiers.objects.archive.index import Index
from backstay.tiers.objects.archive.paths import Place, path_of
from backstay.tiers.objects.archive.reader import Checker
from backstay.tiers.objects.archive.writer import END, TarWriter
from backstay.tiers.objects.byhand import by_hand
from backstay.tiers.objects.capture import Account, Batch, Listing, related
from backstay.tiers.objects.related import Needs
from backstay.tiers.objects.selection import Chosen, choose, describe
from backstay.tiers.objects.settings import Schedule, World

CHUNK_BYTES = 1 << 20
MOST_FILE_NAME = 255  # bytes, of every common file system: Velero unpacks the archive before it restores any of it
SHORT_NAME = 60  # characters that are below that in any script
VERSION_FILE = ("metadata/version", velerofiles.FORMAT_VERSION.encode() + b"\n")


def preview(schedule: Schedule, world: World) -> dict[str, Any]:
    """What a backup would find, from the kinds and the namespaces alone; raises what it would raise at its start."""
    cluster = world.cluster()
    chosen = choose(cluster, schedule.selection)
    return {
        "title": f"{schedule.target}  Kubernetes {chosen.version} at {cluster.url}, {chosen.words}",
        "server": chosen.version,
        "where": cluster.url,
        "kinds": [one.name for one in chosen.kinds],
        "related": [one.name for one in chosen.related],
        "namespaces": sorted(chosen.namespaces),
        "omissions": list(chosen.omissions),
        "trouble": list(chosen.warnings),
    }


def backup(schedule: Schedule, world: World, sink: Sink, progress: Progress) -> Captured:
    """Take every object that is selected and store it. Raises ``SourceError``, ``ClusterUnreachable``,
    ``ClusterDenied``, and what the sink raises."""
    cluster = world.cluster()
    progress.phase("listing")
    chosen = choose(cluster, schedule.selection)
    world.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with temp_folder("objects", world.spool) as folder, _Run(schedule, world, chosen, sink, folder) as run:
        return run.run(cluster, progress)


@dataclass
class _Taken:
    """What is in the archive so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    namespaces: set[str] = field(default_factory=set)
    bytes: int = 0
    related: int = 0
    listed_as: dict[str, str] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    refused: dict[str, tuple[Place, str]] = field(default_factory=dict)  # by kind: the first, and why
    long_names: list[Place] = field(default_factory=list)

    def warnings(self) -> Iterator[str]:
        """A sentence on names that Velero is known to stumble over."""
        if self.long_names:
            more = f" (and {len(self.long_names) - 1:,} more)" if len(self.long_names) > 1 else ""
            yield (
                f"{self.long_names[0].words}{more}: the name is too long for a file: Velero cannot unpack this backup, "
                "Backstay can"
            )

    def omissions(self) -> Iterator[str]:
        """A sentence for each kind of which objects came that no archive can hold."""
        for kind, (place, why) in self.refused.items():
            more = self.refusals[kind] - 1
            also = f" (and {counted(more, 'other')} of {kind})" if more else ""
            yield f"{place.words}{also} cannot be kept: {why}"


class _Run:
    """One backup, from the first list to the last file."""

    def __init__(self, schedule: Schedule, world: World, chosen: Chosen, sink: Sink, folder: Path) -> None:
        self._schedule = schedule
        self._world = world
        self._chosen = chosen
        self._sink = sink
        self._files = velerofiles.files(schedule, world)
        self._name = velerofiles.backup_name(schedule, f"{sink.started_at:%Y%m%d%H%M%S}")
        self._taken = _Taken()
        self._account = Account()
        self._lock = Lock()
        self._check = Checker()
        self._index = Index(folder / "index")
        self._needs = Needs(lambda *names: self._index.find(*names) is not None)
        self._items: BinaryIO = (folder / "items").open("w+b", CHUNK_BYTES)
        self._log: BinaryIO = (folder / "log").open("w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._items.close()
        self._log.close()
        self._index.__exit__(kind, error, trace)

    def run(self, cluster: Cluster, progress: Progress) -> Captured:
        """List, write, and say what it is."""
        self._say(f"Backing up {cluster.url}, Kubernetes {self._chosen.version}: {self._chosen.words}")
        # The record is promised as it is written, and not before: one that is there until then is Velero's own.
        self._sink.reserve(file for role, file in self._files.items() if role != velerofiles.RECORD)
        labels, workers = self._schedule.selection.labels, self._world.workers
        with Listing(cluster, self._chosen, labels, workers, self._say) as listing:
            self._account = listing.account
            with closing(self._archive(cluster, listing.batches(), progress)) as stream:
                archive = self._sink.write(self._files[velerofiles.OBJECTS], stream)
        if not self._taken.kinds:
            raise SourceError(
                f"there is no object to back up: {'; '.join(self._omissions()) or 'nothing matches what is selected'}",
                hint="Nothing was stored. `backstay check` shows what is selected.",
            )
        progress.phase("storing lists")
        artifacts = (archive, *self._beside())
        return self._captured(cluster, artifacts)

    def _archive(self, cluster: Cluster, batches: Iterator[Batch], progress: Progress) -> Generator[bytes, None, None]:
        """The tar in chunks of about a megabyte."""
        tar = TarWriter(self._sink.started_at)
        parts, size = [tar.member(*VERSION_FILE)], 0
        with closing(self._with_others(cluster, batches)) as everything:
            for batch in everything:
                before = self._taken.bytes
                for kind, item in batch:
                    if member := self._member(tar, kind, item):
                        parts.append(member)
                        size += len(member)
                        if size >= CHUNK_BYTES:
                            yield b"".join(parts)
                            parts, size = [], 0
                progress.advance(self._taken.bytes - before)
                done, kinds = self._account.kinds_done, self._account.kinds
                progress.note(f"kinds {done}/{kinds}, {counted(self._taken.kinds.total(), 'object')}")
        yield b"".join((*parts, END))

    def _with_others(self, cluster: Cluster, batches: Iterator[Batch]) -> Generator[Batch, None, None]:
        """The Namespace objects first; or last, and only those of which an object was taken, where others were not
        asked for. What the objects need outside of namespaces when all of them have been seen."""
        chosen = self._chosen
        if chosen.with_namespaces and not chosen.deferred:
            yield [(chosen.namespace_kind, item) for item in chosen.namespaces.values()]
        yield from batches
        before = self._taken.kinds.total()
        yield from related(cluster, chosen, self._needs, self._account, self._world.workers, self._say)
        self._taken.related = self._taken.kinds.total() - before
        if chosen.with_namespaces and chosen.deferred:
            taken = sorted(self._taken.namespaces & chosen.namespaces.keys())
            yield [(chosen.namespace_kind, chosen.namespaces[name]) for name in taken]

    def _member(self, tar: TarWriter, kind: Resource, item: Item) -> bytes:
        """The member of the tar for an object, counted and listed; empty where it has no place there, which is said."""
        place = Place(kind.name, item.namespace, item.name)
        try:
            path = path_of(kind.name, item.namespace, item.name)
            stored = self._check(place, item.json)
            member = tar.member(path, item.json)
        except (ValueError, ArchiveDamaged) as error:
            self._taken.refused.setdefault(kind.name, (place, str(error)))
            self._taken.refusals[kind.name] += 1
            return b""
        if not self._index.add(kind.name, item.namespace, item.name):
            return b""  # a list that was gone on with may give an object again
        self._items.write(itemlist.write(itemlist.line_of(stored)))
        if len(item.name) > SHORT_NAME and len(path.rpartition("/")[2].encode()) > MOST_FILE_NAME:
            self._taken.long_names.append(place)
        self._taken.kinds[kind.name] += 1
        self._taken.bytes += len(item.json)
        self._taken.listed_as.setdefault(kind.name, stored.listed_as)
        if item.namespace:
            self._taken.namespaces.add(item.namespace)
        if self._chosen.related:
            self._needs.see(kind.name, item.json)
        return member

    def _beside(self) -> Iterator[Artifact]:
        """The other files, as far as they can be written before the archive has been read back."""
        omissions, warnings = self._omissions(), self._warnings()
        for level, lines in (("error", omissions), ("warning", warnings)):
            for line in lines:
                self._say(line, level)
        self._say(f"Backed up {counted(self._taken.kinds.total(), 'object')}")
        listed = velerofiles.resource_list(self._index, self._taken.listed_as)
        yield self._write(velerofiles.ITEMS, _content(self._items))
        yield self._write(velerofiles.RESOURCE_LIST, listed)
        yield self._write(velerofiles.VOLUME_INFO, [b"[]"])
        yield self._write(velerofiles.RESULTS, [velerofiles.results(omissions, warnings)])
        yield self._write(velerofiles.LOGS, _content(self._log))

    def _write(self, role: str, chunks: Iterable[bytes]) -> Artifact:
        return self._sink.write(self._files[role], chunks)

    def _captured(self, cluster: Cluster, artifacts: tuple[Artifact, ...]) -> Captured:
        chosen, taken = self._chosen, self._taken
        omissions, warnings = self._omissions(), self._warnings()
        objects = taken.kinds.total()
        ended = velerofiles.Ended(
            self._sink.started_at, self._world.now(), chosen.version, objects, omissions, warnings
        )
        record: tuple[File, bytes] = (
            self._files[velerofiles.RECORD],
            velerofiles.record(self._schedule, self._world, ended),
        )
        return Captured(
            point_in_time=None,
            tools={"kubernetes": chosen.version},
            source={
                "server": cluster.url,
                "version": chosen.version,
                "kinds_seen": len(chosen.kinds) + chosen.with_namespaces,
                "kinds_left_out": list(chosen.left_out),
                "selection": describe(self._schedule.selection),
                "velero_backup": self._name,
            },
            contents={
                "kind": "objects",
                "objects": objects,
                "kinds": dict(sorted(taken.kinds.items())),
                "namespaces": len(taken.namespaces | self._namespaces_taken()),
                "bytes": taken.bytes,
                "related": taken.related,
                "left_out": self._left_out(),
            },
            artifacts=artifacts,
            omissions=omissions,
            warnings=warnings,
            restore_by_hand=tuple(by_hand(self._name, self._world)),
            read_back=True,
            last=record,
        )

    def _namespaces_taken(self) -> set[str]:
        return {entry.name for entry in self._index.entries(self._chosen.namespace_kind.name, "")}

    def _left_out(self) -> dict[str, int]:
        """Objects that were seen and not taken, by the reason; namespaces count as one each."""
        return {
            "being_deleted": self._account.being_deleted + self._chosen.being_deleted,
            "labelled": self._account.labelled + self._chosen.labelled,
        }

    def _omissions(self) -> tuple[str, ...]:
        return (*self._chosen.omissions, *sorted((*self._account.omissions, *self._taken.omissions())))

    def _warnings(self) -> tuple[str, ...]:
        return (*self._chosen.warnings, *sorted((*self._account.warnings, *self._taken.warnings())))

    def _say(self, text: str, level: str = "info") -> None:
        """A line for the log; from any thread."""
        backup = f"{self._world.velero_namespace}/{self._name}"
        with self._lock:
            self._log.write(velerofiles.log_line(self._world.now(), text, backup, level))


def _content(file: BinaryIO) -> Iterator[bytes]:
    """All that was written into a file."""
    file.flush()
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
