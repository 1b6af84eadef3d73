"""Checking a directory in the store against its manifest, without a server: every file read, every row counted."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from backstay.core.errors import Corrupt, DumpIncomplete, NotFound
from backstay.core.model import Artifact, Backup, Finding, Progress, Severity
from backstay.core.units import counted, format_count
from backstay.tiers.base import Source
from backstay.tiers.postgres.crew import Crew
from backstay.tiers.postgres.directory.blobs import BLOBS, unpack
from backstay.tiers.postgres.directory.contents import read_toc, sort
from backstay.tiers.postgres.directory.dump import END_OF_DATA
from backstay.tiers.postgres.selection import Selection
from backstay.tiers.postgres.workers import cores

SHOWN = 5
FAULTS = (Corrupt, DumpIncomplete, NotFound)


def readable(backup: Backup, source: Source, progress: Progress) -> Iterator[Finding]:
    """See ``Tier.verify``. Raises ``CannotDecrypt``: that is no fault of the backup."""
    try:
        toc = read_toc(source)
        sort(toc, backup, Selection())
    except FAULTS as error:
        yield Finding(Severity.ERROR, error.message, error.code)
    else:
        words = f"toc.dat: {counted(len(toc.entries), 'entry', 'entries')}, each with its file"
        yield Finding(Severity.OK, words, "readable")
    progress.phase("reading", total_bytes=sum(max(0, one.plain_size_bytes) for one in backup.artifacts) or None)
    reading = _Reading(source, progress)
    with Crew(cores(), "verify") as crew:
        for artifact in sorted(backup.artifacts, key=lambda one: one.size_bytes, reverse=True):
            crew.start(lambda artifact=artifact: reading.one(crew, artifact))  # type: ignore[misc]
        crew.wait(lambda: progress.advance(0))  # raises when somebody wants to stop
    yield from sorted(reading.faults, key=lambda fault: fault.message)
    if not reading.faults:
        count = counted(len(backup.artifacts), "file")
        yield Finding(Severity.OK, f"{count}: decrypted, decompressed, sha256 equal", "readable")
        yield from _counts(backup, reading)


@dataclass
class _Reading:
    """What was seen of each file: newlines, and how it ended. Filled from several threads."""

    source: Source
    progress: Progress
    lines: dict[str, int] = field(default_factory=dict)
    ends: dict[str, bytes] = field(default_factory=dict)
    large_objects: int = 0
    faults: list[Finding] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def one(self, crew: Crew, artifact: Artifact) -> None:
        """Read one artifact to its end."""
        try:
            with self.source.open(artifact.role) as chunks:
                if artifact.role == BLOBS.role:
                    self._large_objects(chunks)
                else:
                    self._rows(crew, artifact, chunks)
        except FAULTS as error:
            with self.lock:
                self.faults.append(Finding(Severity.ERROR, error.message, error.code))

    def _rows(self, crew: Crew, artifact: Artifact, chunks: Iterator[bytes]) -> None:
        lines, end = 0, b""
        for chunk in chunks:
            crew.check()
            lines += chunk.count(b"\n")
            end = (end + chunk)[-len(END_OF_DATA) - 1 :]
            self.progress.advance(len(chunk))
        self.lines[artifact.role], self.ends[artifact.role] = lines, end

    def _large_objects(self, chunks: Iterator[bytes]) -> None:
        for _, data in unpack(chunks):
            self.large_objects += 1
            for chunk in data:
                self.progress.advance(len(chunk))
        for _ in chunks:  # what follows the last member of a tar file is padding, but its checksum counts too
            pass


def _counts(backup: Backup, reading: _Reading) -> Iterator[Finding]:
    """The rows of every table, and that none of its parts is missing at the end."""
    found: dict[str, int] = {}
    cut = set()
    for role in sorted(reading.lines):
        file = role.partition(".part")[0]
        found[file] = found.get(file, 0) + reading.lines[role]
        last = reading.ends[role]
        cut.discard(file)
        if not (last == END_OF_DATA or last.endswith(b"\n" + END_OF_DATA)):
            cut.add(file)
    tables = {name: entry for name, entry in backup.contents.get("tables", {}).items() if "file" in entry}
    wrong = [
        f"{name}: {format_count(found.get(entry['file'], 0) - 3)} instead of {format_count(entry['rows'])} rows"
        for name, entry in tables.items()
        if found.get(entry["file"], -1) - END_OF_DATA.count(b"\n") != entry["rows"]
    ]
    wrong += [f"{name}: the end of its rows is missing" for name, entry in tables.items() if entry["file"] in cut]
    if backup.contents.get("large_objects", 0) != reading.large_objects:
        wrong.append(f"{reading.large_objects:,} large objects instead of {backup.contents.get('large_objects'):,}")
    if wrong:
        yield Finding(Severity.ERROR, "; ".join(wrong[:SHOWN]), "postgres.rows")
        return
    rows = sum(entry["rows"] for entry in tables.values())
    words = f"{counted(rows, 'row')} in {counted(len(tables), 'table')}, each equal to the manifest"
    yield Finding(Severity.OK, words, "postgres.rows")
