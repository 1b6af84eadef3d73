"""Format ``directory``: one snapshot, the schema by pg_dump, every table's rows by many workers, straight to the store.

pg_dump writes a custom archive without the rows of the tables that are dumped here; it is read as it comes, so that
nothing of it is on a disk. The table of contents is then written as a ``toc.dat`` with an entry for each table, last.
"""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backstay.cluster.proc import Process
from backstay.core.errors import DumpIncomplete, ToolError, UnknownArchive
from backstay.core.model import Artifact, Progress
from backstay.core.units import format_count, format_size
from backstay.tiers.base import File, Sink
from backstay.tiers.postgres import facts as catalog
from backstay.tiers.postgres import rowhash
from backstay.tiers.postgres.crew import Crew
from backstay.tiers.postgres.database import DIRECTORY, Database
from backstay.tiers.postgres.directory import guide, segments
from backstay.tiers.postgres.directory.assemble import assemble, check_listing, exclusions
from backstay.tiers.postgres.directory.blobs import BLOBS, BlobPacker
from backstay.tiers.postgres.directory.copyout import CopyReader
from backstay.tiers.postgres.directory.custom import CustomArchive
from backstay.tiers.postgres.directory.segments import Segment
from backstay.tiers.postgres.directory.toc import Toc
from backstay.tiers.postgres.dumped import Dumped, check_large_objects, client_encoding
from backstay.tiers.postgres.dumptext import SETVAL, unescape
from backstay.tiers.postgres.programs import Program
from backstay.tiers.postgres.says import cut_short, not_dumped
from backstay.tiers.postgres.workers import worker_count

if TYPE_CHECKING:
    from psycopg import Connection as Session

END_OF_DATA = b"\\.\n\n\n"  # after the rows of a table (pg_dump.c, dumpTableData_copy)
NEWEST_KNOWN = 18  # of a newer pg_dump the archive is looked at before any row is stored
BEAT_SECONDS = 0.5
TOC = File("toc.dat", "/toc.dat", compressed=False)
GLOBALS = File("globals", "/globals.sql")
GUIDE = File("guide", "/RESTORE.md", compressed=False, encrypted=False)
SIZE_OF_LARGE_OBJECT = """SELECT lo_lseek64(handle, 0, 2), lo_close(handle)
FROM lo_open(%s, 262144) AS handle"""  # SEEK_END; INV_READ


@dataclass
class DirectoryDump:
    """One run. ``session`` holds the snapshot and the locks on ``tables``; when it is lost the run fails."""

    database: Database
    pg_dump: Program
    psql: Program
    facts: catalog.Facts
    tables: list[segments.Table]
    session: "Session[tuple[Any, ...]]"
    snapshot: str
    sink: Sink
    progress: Progress
    artifacts: list[Artifact] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)

    def run(self) -> Dumped:
        """Dump into the sink. Raises ``SourceError``, ``DumpIncomplete``, ``UnknownArchive``, and what the sink
        raises; then no thread or program of it is left."""
        self._lock = threading.Lock()
        tables = self.tables
        workers = worker_count(self.session, self.database.workers)
        self._server_version = self.session.info.server_version
        parts = segments.cut(tables, workers, self._server_version)
        self._readable = threading.Event()
        if self.pg_dump.version[0] <= NEWEST_KNOWN:
            self._readable.set()
        self.rows = {table.name: 0 for table in tables}
        self._to_hash = deque(parts if self.database.content else [])
        self._sums = {table.name: 0 for table in tables}
        self._meter = _Meter(self.progress, parts)
        large = [BLOBS] if self.facts.large_objects else []
        self.sink.reserve([TOC, GLOBALS, GUIDE, *large, *(part.file for part in parts)])
        packer = BlobPacker(self._size_of)
        todo = deque(parts)
        with Crew(workers + 1, "dump") as crew:
            skeleton = crew.start(lambda: self._skeleton(crew, tables, packer))
            for _ in range(min(workers, len(parts))):
                crew.start(lambda: self._work(crew, todo))
            crew.wait(self._still_there)
        self._still_there()
        check_large_objects(self.database, self.facts, packer.count)
        return self._finish(skeleton.result(), tables, parts, packer)

    def _finish(self, toc: Toc, tables: list[segments.Table], parts: list[Segment], packer: BlobPacker) -> Dumped:
        whole = assemble(toc, tables, packer.files, self.database.target)
        data = whole.encode()
        check_listing(self.database, data, len(whole.entries), whole.version[:2])
        self.artifacts.append(self.sink.write(TOC, [data]))
        cuts = any(part.of > 1 for part in parts)
        return Dumped(
            format=DIRECTORY,
            artifacts=tuple(sorted(self.artifacts, key=lambda artifact: artifact.key)),
            rows=self.rows,
            sequences=_sequences(toc),
            large_objects=packer.count,
            globals_file=GLOBALS,
            by_hand=guide.steps(self.artifacts, cuts=cuts),
            guide=GUIDE,
            files={table.name: table.file for table in tables},
            hashes={name: rowhash.as_text(total) for name, total in self._sums.items()}
            if self.database.content
            else {},
            tools={"psql": self.psql.version_text},
        )

    def _work(self, crew: Crew, todo: deque[Segment]) -> None:
        """Dump one segment after another, until there is none left."""
        encoding = f"SET client_encoding = '{client_encoding(self.facts)}'"
        with (
            CopyReader(self.database, self.psql.path, self.snapshot, [encoding], self._server_version) as reader,
            crew.stopped_by(reader.stop),
        ):
            while not self._readable.wait(BEAT_SECONDS):
                crew.check()
            for segment in crew.taken(todo):
                rows = _Rows(segment, self._meter, reader)
                try:
                    artifact = self.sink.write(segment.file, rows)
                except ToolError as error:
                    raise self._failed(error, rows) from error
                self._done(artifact, segment.table.name, rows.count)
                self._meter.finished(segment, rows)
            self._hash(crew, reader)

    def _hash(self, crew: Crew, reader: CopyReader) -> None:
        """Read tables again, for a hash over their rows; where that is asked for."""
        for segment in crew.taken(self._to_hash):
            try:
                query = rowhash.query(segment.table.sql, segment.range)
                found = reader.number(segment.table.sql, query, rowhash.SETTINGS)
            except ToolError as error:
                raise not_dumped(self.database, str(error)) from error
            with self._lock:
                self._sums[segment.table.name] += found

    def _skeleton(self, crew: Crew, tables: list[segments.Table], packer: BlobPacker) -> Toc:
        """Everything but the rows: pg_dump's archive, with the data that only pg_dump knows to dump."""
        argv = [
            self.pg_dump.path,
            "--format=custom",
            "--compress=0",
            "--no-password",
            f"--encoding={client_encoding(self.facts)}",
            f"--snapshot={self.snapshot}",
            f"--lock-wait-timeout={int(self.database.lock_timeout * 1000)}",
            *exclusions(tables),
        ]
        with self.database.connection.environment(self.database.dbname) as (env, handles):
            try:
                with Process(argv, env=env, stdout=True, pass_fds=handles) as process, crew.stopped_by(process.stop):
                    archive = CustomArchive(process.output())
                    self._readable.set()
                    self._data(crew, archive, packer)
            except ToolError as error:
                self._if_snapshot_is_lost(error)
                raise not_dumped(self.database, str(error)) from error
            except UnknownArchive:
                raise
            except DumpIncomplete as error:
                raise cut_short(self.database, str(error)) from error
        return archive.toc

    def _data(self, crew: Crew, archive: CustomArchive, packer: BlobPacker) -> None:
        """The data in the archive: configuration tables of extensions, and large objects."""
        blocks = archive.blocks()
        for block in blocks:
            crew.check()
            if block.is_large_objects:
                chunks = packer.tar(_first_and_rest(block, blocks), archive.toc.version, self.progress.advance)
                artifact = self.sink.write(BLOBS, chunks)
                self._done(artifact, "", 0)
                return
            name = f"{block.entry.oid}.dat"
            artifact = self.sink.write(File(name, f"/{name}"), block.chunks())
            self._done(artifact, "", 0)

    def _done(self, artifact: Artifact, table: str, rows: int) -> None:
        with self._lock:
            self.artifacts.append(artifact)
            if table:
                self.rows[table] += rows

    def _failed(self, error: ToolError, rows: "_Rows") -> Exception:
        self._if_snapshot_is_lost(error)
        if not rows.size_bytes:
            return not_dumped(self.database, str(error))
        return cut_short(self.database, str(error), f"{format_size(rows.size_bytes)} of {rows.segment.table.name}")

    def _if_snapshot_is_lost(self, error: ToolError) -> None:
        """Raise what became of the session that held the snapshot, where another one could not find it."""
        if "snapshot" in str(error):
            self.session.execute("SELECT 1")

    def _still_there(self) -> None:
        """The session with the snapshot and the locks answers, and nobody wants to stop, which the progress tells."""
        self.session.execute("SELECT 1")
        self.progress.advance(0)

    def _size_of(self, oid: int) -> int:
        row = self.session.execute(SIZE_OF_LARGE_OBJECT, (oid,)).fetchone()
        return int(row[0]) if row else 0


class _Rows:
    """The rows of one segment, and the end of the table's data after the last; ``count`` of them, as the server says,
    and ``size_bytes`` so far. They can be gone through again, which asks the server again: so a store that was away
    for a moment does not end the dump."""

    def __init__(self, segment: Segment, meter: "_Meter", reader: CopyReader) -> None:
        self.segment = segment
        self.count = 0
        self.size_bytes = 0
        self.told = 0
        self._meter = meter
        self._reader = reader

    def __iter__(self) -> Iterator[bytes]:
        chunk = b"\n"
        self.size_bytes = 0
        for chunk in self._reader.rows(self.segment.table.sql, self.segment.copy):
            self.size_bytes += len(chunk)
            self._meter.passed(self, len(chunk))
            yield chunk
        self.count = self._reader.count
        if not chunk.endswith(b"\n") or bool(self.count) != bool(self.size_bytes):
            raise DumpIncomplete(f"the rows of {self.segment.table.name} came without their end or their number")
        if self.segment.is_last:
            yield END_OF_DATA


class _Meter:
    """Progress in bytes of table size. Text is more or less than what a table takes; at its end a segment has told
    just its own size."""

    def __init__(self, progress: Progress, parts: list[Segment]) -> None:
        self._progress = progress
        self._left = {part.table.name: part.of for part in parts}
        self._tables = len(self._left)
        self._rows = 0
        self._lock = threading.Lock()
        progress.phase("dumping", total_bytes=sum(part.size_bytes for part in parts) or None)

    def passed(self, rows: _Rows, size: int) -> None:
        now = min(size, rows.segment.size_bytes - rows.told)
        if now > 0:
            rows.told += now
            self._progress.advance(now)

    def finished(self, segment: Segment, rows: _Rows) -> None:
        self._progress.advance(segment.size_bytes - rows.told)
        with self._lock:
            self._rows += rows.count
            self._left[segment.table.name] -= 1
            done = sum(not left for left in self._left.values())
            self._progress.note(f"tables {done}/{self._tables}, {format_count(self._rows)} rows")


def _first_and_rest(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _sequences(toc: Toc) -> dict[str, tuple[int, bool]]:
    found = {}
    for entry in toc.entries:
        if entry.desc == "SEQUENCE SET" and (
            match := SETVAL.match((entry.defn or "").encode("utf-8", "surrogateescape"))
        ):
            found[unescape(match[1])] = (int(match[2]), match[3] == b"true")
    return found
