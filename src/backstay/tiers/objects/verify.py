"""Read a backup of objects back: every object of the archive is the one that its list has, and no file says otherwise.

The archive and the list of items are read side by side; an index on the disk says which objects were there when the
other lists are held against them. Velero is known to list what is not in its archive: its backups are read so, too.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import ArchiveDamaged, Corrupt, NotFound
from backstay.core.model import Backup, Finding, Progress, Severity, State
from backstay.core.units import counted
from backstay.tiers.base import Source
from backstay.tiers.objects import itemlist, resourcelist, velerofiles
from backstay.tiers.objects.archive.index import Index
from backstay.tiers.objects.archive.paths import DAMAGED
from backstay.tiers.objects.archive.reader import Stored, objects, twice
from backstay.tiers.objects.itemlist import Line

MOST_RECORD = 16 << 20
SHOWN = 3
FINAL = frozenset({"Completed", "PartiallyFailed"})
TROUBLE = (Corrupt, NotFound, ArchiveDamaged)


def readable(backup: Backup, source: Source, progress: Progress, root: Path | None = None) -> Iterator[Finding]:
    """Findings, good and bad; raises what ``source`` raises, but for damage and what is gone. ``root`` is where the
    index of the objects may lie for the while."""
    if root is not None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with temp_folder("verify", root) as folder, Index(folder / "index") as index:
        found = _Found(index)
        try:
            differing = _read(backup, source, found, progress)
        except TROUBLE as error:
            yield Finding(Severity.ERROR, error.message, error.code)
            return
        yield from _archive(backup, found, differing)
        if backup.artifact(velerofiles.RESOURCE_LIST):
            yield from _guarded(_resource_list(source, found, _is_named(backup)))
        if backup.artifact(velerofiles.RECORD):
            yield from _guarded(_record(backup, source, found))
        for role in (velerofiles.VOLUME_INFO, velerofiles.RESULTS, velerofiles.LOGS):
            if backup.artifact(role):
                yield from _guarded(_drained(source, role))


def _is_veleros(backup: Backup) -> bool:
    """Whether Velero wrote the files, on its own or for Backstay."""
    return backup.state is State.FOREIGN or backup.source.get("engine") == "velero"


def _is_named(backup: Backup) -> Severity:
    """How bad it is that Velero listed what it did not write: the manifest of a backup it took for Backstay says so."""
    known = backup.state is State.PARTIAL and backup.source.get("engine") == "velero"
    return Severity.WARNING if known else Severity.ERROR


@dataclass
class _Found:
    """What is in the archive."""

    index: Index
    kinds: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    resources: dict[str, set[str]] = field(default_factory=dict)  # by the key of a resource list

    def add(self, stored: Stored) -> None:
        """Raises ``ArchiveDamaged`` for an object that was there before."""
        place = stored.place
        if not self.index.add(place.resource, place.namespace, place.name):
            raise twice(place)
        self.kinds[place.resource] += 1
        self.bytes += len(stored.json)
        self.resources.setdefault(stored.listed_as, set()).add(place.resource)

    @property
    def words(self) -> str:
        """``4,211 objects of 68 kinds``."""
        return f"{counted(self.kinds.total(), 'object')} of {counted(len(self.kinds), 'kind')}"


@dataclass
class _Differing:
    """Where two lists are not the same: how often, and the first few in words."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, words: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(words)

    @property
    def words(self) -> str:
        """``a; b; c; and 12 more``."""
        more = self.count - len(self.first)
        return "; ".join([*self.first, *([f"and {more:,} more"] if more else [])])


def _read(backup: Backup, source: Source, found: _Found, progress: Progress) -> _Differing | None:
    """Take the archive, and the list of items beside it; None for a backup without one."""
    total = backup.contents.get("bytes")
    limit = total if isinstance(total, int) and not _is_veleros(backup) else None  # Velero has all of it twice
    progress.phase("reading", total_bytes=limit)
    with source.open(velerofiles.OBJECTS) as chunks:
        # A little more than was promised, for the format's version; the pipeline bounds the archive itself.
        stored = _counted(objects(chunks, limit_bytes=limit + 1024 if limit is not None else None), found, progress)
        if backup.artifact(velerofiles.ITEMS) is None:
            for _ in stored:
                pass
            return None
        with source.open(velerofiles.ITEMS) as lines:
            return _side_by_side(stored, itemlist.read(lines))


def _counted(stream: Iterator[Stored], found: _Found, progress: Progress) -> Iterator[Stored]:
    for stored in stream:
        found.add(stored)
        progress.advance(len(stored.json))
        yield stored


def _side_by_side(stream: Iterator[Stored], lines: Iterator[Line]) -> _Differing:
    differing = _Differing()
    for stored, line in zip_longest(stream, lines):
        if stored is None:
            differing.add(f"{line.words} is listed and not there")
        elif line is None:
            differing.add(f"{stored.place.words} is there and not listed")
        elif itemlist.line_of(stored) != line:
            here = stored.place.words
            differing.add(f"{here} is not as listed" if here == line.words else f"{here} where {line.words} is listed")
    return differing


def _archive(backup: Backup, found: _Found, differing: _Differing | None) -> Iterator[Finding]:
    """The archive against the list of items and the manifest."""
    if backup.state is State.FOREIGN:
        yield Finding(
            Severity.WARNING, f"archive whole: {found.words}; nothing says what it should hold", "objects.contents"
        )
        return
    if differing is None:
        yield Finding(Severity.ERROR, "the backup has no list of items", "objects.items")
    elif differing.count:
        yield Finding(Severity.ERROR, f"not what was listed: {differing.words}", "objects.items")
    else:
        yield Finding(Severity.OK, f"archive whole, each of {found.words} equal to the list of items", "objects.items")
    wrong = list(_against(backup.contents, found))
    if wrong:
        yield Finding(Severity.ERROR, f"not what was backed up: {'; '.join(wrong)}", "objects.contents")
    else:
        yield Finding(Severity.OK, "objects of each kind as many as in the manifest", "objects.contents")


def _against(contents: Mapping[str, Any], found: _Found) -> Iterator[str]:
    """In what the archive is not what the manifest says."""
    for name, here in (("objects", found.kinds.total()), ("bytes", found.bytes)):
        if contents.get(name) != here:
            yield f"{here:,} {name}, expected {contents.get(name)}"
    recorded = contents.get("kinds")
    kinds = recorded if isinstance(recorded, dict) else {}
    for kind in sorted({*kinds, *found.kinds}):
        if kinds.get(kind, 0) != found.kinds.get(kind, 0):
            yield f"{kind}: {found.kinds.get(kind, 0)}, expected {kinds.get(kind, 0)}"


def _resource_list(source: Source, found: _Found, severity: Severity) -> Iterator[Finding]:
    """Velero's list of what a backup has, against what it has; ``severity`` is that of what is not there."""
    absent = _Differing()
    with source.open(velerofiles.RESOURCE_LIST) as chunks:
        for key, words in resourcelist.read(chunks):
            namespace, _, name = words.rpartition("/")
            if not any(found.index.mark(resource, namespace, name) for resource in found.resources.get(key, ())):
                absent.add(f"{key} {words}")
    if absent.count:
        yield Finding(severity, f"in the resource list, not in the archive: {absent.words}", "objects.resource_list")
    count, first = found.index.unmarked(SHOWN)
    if count:
        unlisted = _Differing(count, [f"{one.resource} {one.namespace}/{one.name}" for one in first])
        yield Finding(
            Severity.ERROR, f"in the archive, not in the resource list: {unlisted.words}", "objects.resource_list"
        )
    if not absent.count and not count:
        yield Finding(Severity.OK, "the resource list names exactly these objects", "objects.resource_list")


class _Metadata(msgspec.Struct):
    name: str = ""


class _Items(msgspec.Struct):
    itemsBackedUp: int = 0  # noqa: N815 - as Velero writes it


class _Status(msgspec.Struct):
    phase: str = ""
    formatVersion: str = ""  # noqa: N815
    errors: int = 0
    warnings: int = 0
    progress: _Items = msgspec.field(default_factory=_Items)


class _Record(msgspec.Struct):
    metadata: _Metadata
    apiVersion: str = ""  # noqa: N815
    kind: str = ""
    status: _Status = msgspec.field(default_factory=_Status)


def _record(backup: Backup, source: Source, found: _Found) -> Iterator[Finding]:
    """Velero's own record of the backup, against its folder, the archive and the manifest."""
    record = _read_record(source)
    status, foreign = record.status, _is_veleros(backup)
    wrong = [] if (record.apiVersion, record.kind) == ("velero.io/v1", "Backup") else ["it is not a Backup of Velero"]
    artifact = backup.artifact(velerofiles.RECORD)
    folder = artifact.key.split("/")[-2] if artifact and "/" in artifact.key else record.metadata.name
    if record.metadata.name != folder:
        wrong.append(f"it is of {record.metadata.name!r}, in the folder of {folder!r}")
    if status.phase not in FINAL and (not foreign or status.phase in {"Failed", "FailedValidation"}):
        wrong.append(f"its phase is {status.phase or 'not there'}")
    if not foreign:
        expected = "PartiallyFailed" if backup.state is State.PARTIAL else "Completed"
        if status.phase in FINAL and status.phase != expected:
            wrong.append(f"its phase is {status.phase}, expected {expected}")
        if status.formatVersion != velerofiles.FORMAT_VERSION:
            wrong.append(f"its formatVersion is {status.formatVersion!r}")
        if status.progress.itemsBackedUp != found.kinds.total():
            wrong.append(f"it says {counted(status.progress.itemsBackedUp, 'object')}")
    if wrong:
        yield Finding(Severity.ERROR, f"velero-backup.json: {'; '.join(wrong)}", "objects.record")
    elif foreign:
        yield _foreign_record(status, found)
    else:
        yield Finding(
            Severity.OK, f"velero-backup.json: {status.phase}, format {status.formatVersion}", "objects.record"
        )


def _foreign_record(status: _Status, found: _Found) -> Finding:
    """What Velero says of a backup of its own."""
    said, missing = [f"Velero calls it {status.phase or 'nothing yet'}"], 0
    if status.errors or status.warnings:
        said.append(f"{counted(status.errors, 'error')} and {counted(status.warnings, 'warning')}")
    if (missing := status.progress.itemsBackedUp - found.kinds.total()) > 0:
        said.append(f"it counted {counted(missing, 'object')} more than there are in the archive")
    good = status.phase == "Completed" and missing <= 0
    return Finding(Severity.OK if good else Severity.WARNING, ", ".join(said), "objects.record")


def _guarded(findings: Iterator[Finding]) -> Iterator[Finding]:
    """The same; what is damaged or gone is a finding, too."""
    try:
        yield from findings
    except TROUBLE as error:
        yield Finding(Severity.ERROR, error.message, error.code)


def _drained(source: Source, role: str) -> Iterator[Finding]:
    """Nothing to say of a file that is as it was written."""
    with source.open(role) as chunks:
        for _ in chunks:
            pass
    yield from ()


def _read_record(source: Source) -> _Record:
    data = bytearray()
    with source.open(velerofiles.RECORD) as chunks:
        for chunk in chunks:
            data += chunk
            if len(data) > MOST_RECORD:
                raise ArchiveDamaged(f"velero-backup.json has more than {MOST_RECORD:,} bytes", hint=DAMAGED)
    try:
        return msgspec.json.decode(data, type=_Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveDamaged(f"velero-backup.json is not what it should be: {error}", hint=DAMAGED) from error
