"""The table of contents of a pg_dump archive: read from a custom archive or a ``toc.dat``, written as a ``toc.dat``.

Versions 1.14 (PostgreSQL 12 to 15), 1.15 (16) and 1.16 (17, 18); the layout is that of ReadHead and ReadToc in
PostgreSQL's pg_backup_archiver.c. What is not understood here is kept as it was read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

from backstay.core.errors import DumpIncomplete, UnknownArchive
from backstay.tiers.postgres.directory.bytereader import ByteReader

MAGIC = b"PGDMP"
KNOWN = ((1, 14), (1, 15), (1, 16))
CUSTOM, DIRECTORY = 1, 3  # a toc.dat calls itself a tar archive (pg_backup_directory.c, _CloseArchive)
NO_COMPRESSION = 0  # said of the archive as a whole; pg_restore finds that of each file by its name
MAX_ENTRIES = 10_000_000


class Section(IntEnum):
    """When an entry is restored (pg_backup.h, teSection)."""

    NONE = 1
    PRE_DATA = 2
    DATA = 3
    POST_DATA = 4


@dataclass(frozen=True)
class Entry:
    """One entry. ``oid`` and ``catalog`` are those of the object and of its system catalog, as texts; ``file`` is the
    name of its data in the directory, without the suffix of a compression."""

    dump_id: int
    had_dumper: int
    catalog: str | None
    oid: str | None
    tag: str | None
    desc: str | None
    section: int
    defn: str | None
    drop: str | None
    copy: str | None
    namespace: str | None
    tablespace: str | None
    tableam: str | None
    relkind: int
    owner: str | None
    with_oids: str | None
    dependencies: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True)
class Toc:
    """A whole table of contents. ``time`` is seconds, minutes, hours, day, month, year, daylight saving; ``names`` are
    the database, the server's version and pg_dump's."""

    version: tuple[int, int, int]
    int_bytes: int
    offset_bytes: int
    time: tuple[int, ...]
    names: tuple[str | None, ...]
    entries: tuple[Entry, ...]

    @property
    def last_id(self) -> int:
        """The highest dump id; new entries go above it."""
        return max((entry.dump_id for entry in self.entries), default=0)

    def encode(self) -> bytes:
        """The bytes of a ``toc.dat``."""
        out = _Writer(self.int_bytes)
        out.raw(MAGIC + bytes([*self.version, self.int_bytes, self.offset_bytes, DIRECTORY]))
        out.raw(bytes([NO_COMPRESSION])) if self.version[:2] >= (1, 15) else out.number(NO_COMPRESSION)
        for number in self.time:
            out.number(number)
        for name in self.names:
            out.text(name)
        out.number(len(self.entries))
        for entry in self.entries:
            _write_entry(out, entry, self.version)
        return b"".join(out.parts)

    def with_data(self, added: Sequence[Entry]) -> "Toc":
        """With more entries of data: after everything they need, before what needs them."""
        last = max((at for at, entry in enumerate(self.entries) if entry.section == Section.PRE_DATA), default=-1)
        return replace(self, entries=(*self.entries[: last + 1], *added, *self.entries[last + 1 :]))

    def attaching_in_turn(self) -> "Toc":
        """With every INDEX ATTACH waiting for the one before it, whoever restores it with many jobs.

        PostgreSQL (measured: 15, 17 and 18, in 2 to 6 of 1,000) may leave the index of a partitioned table invalid for
        good when one session attaches to it while another attaches to an index below it.
        """
        attaching = [entry for entry in self.entries if entry.desc == "INDEX ATTACH"]
        before = {entry.dump_id: str(first.dump_id) for first, entry in pairwise(attaching)}
        return replace(self, entries=tuple(_waiting(entry, before.get(entry.dump_id)) for entry in self.entries))


def _waiting(entry: Entry, other: str | None) -> Entry:
    if other is None or other in entry.dependencies:
        return entry
    return replace(entry, dependencies=(*entry.dependencies, other))


def read(reader: ByteReader, *, expect: int = DIRECTORY) -> Toc:
    """Read head and entries; ``expect`` is the format it must be of.

    Raises ``UnknownArchive``, and ``DumpIncomplete`` for what is no archive or ends early.
    """
    if reader.take(len(MAGIC)) != MAGIC:
        raise DumpIncomplete("this is not an archive of pg_dump")
    version = (reader.byte(), reader.byte(), reader.byte())
    if version[:2] not in KNOWN:
        raise UnknownArchive(f"the archive is of version {version[0]}.{version[1]}, which is not known here")
    reader.int_bytes, offset_bytes, kind = reader.byte(), reader.byte(), reader.byte()
    if kind != expect or not 1 <= reader.int_bytes <= 8:
        raise DumpIncomplete(f"the archive is of format {kind}, not {expect}")
    _ = reader.byte() if version[:2] >= (1, 15) else reader.number()  # its compression
    time = tuple(reader.number() for _ in range(7))
    names = tuple(reader.text() for _ in range(3))
    count = reader.number()
    if not 0 <= count <= MAX_ENTRIES:
        raise DumpIncomplete(f"the archive claims {count:,} entries: it is damaged")
    entries = tuple(_read_entry(reader, version, offset_bytes, kind) for _ in range(count))
    return Toc(version, reader.int_bytes, offset_bytes, time, names, entries)


def parse(data: Iterable[bytes]) -> Toc:
    """A whole ``toc.dat``. Raises ``DumpIncomplete`` also when something follows."""
    reader = ByteReader(data)
    toc = read(reader)
    if not reader.at_end():
        raise DumpIncomplete("toc.dat goes on after its last entry: it is damaged")
    return toc


def _read_entry(reader: ByteReader, version: tuple[int, int, int], offset_bytes: int, kind: int) -> Entry:
    entry = Entry(
        dump_id=reader.number(),
        had_dumper=reader.number(),
        catalog=reader.text(),
        oid=reader.text(),
        tag=reader.text(),
        desc=reader.text(),
        section=reader.number(),
        defn=reader.text(),
        drop=reader.text(),
        copy=reader.text(),
        namespace=reader.text(),
        tablespace=reader.text(),
        tableam=reader.text(),
        relkind=reader.number() if version[:2] >= (1, 16) else 0,
        owner=reader.text(),
        with_oids=reader.text(),
        dependencies=tuple(iter(reader.text, None)),
    )
    if kind == CUSTOM:
        reader.take(1 + offset_bytes)  # where its data is in the file: not known in a stream
        return entry
    return replace(entry, file=reader.text() or "")


class _Writer:
    def __init__(self, int_bytes: int) -> None:
        self.parts: list[bytes] = []
        self._int_bytes = int_bytes

    def raw(self, data: bytes) -> None:
        self.parts.append(data)

    def number(self, value: int) -> None:
        self.parts.append(bytes([value < 0]) + abs(value).to_bytes(self._int_bytes, "little"))

    def text(self, value: str | None) -> None:
        if value is None:
            self.number(-1)
            return
        data = value.encode("utf-8", "surrogateescape")
        self.number(len(data))
        self.raw(data)


def _write_entry(out: _Writer, entry: Entry, version: tuple[int, int, int]) -> None:
    out.number(entry.dump_id)
    out.number(entry.had_dumper)
    for value in (entry.catalog, entry.oid, entry.tag, entry.desc):
        out.text(value)
    out.number(entry.section)
    for value in (entry.defn, entry.drop, entry.copy, entry.namespace, entry.tablespace, entry.tableam):
        out.text(value)
    if version[:2] >= (1, 16):
        out.number(entry.relkind)
    for value in (entry.owner, entry.with_oids, *entry.dependencies, None):
        out.text(value)
    out.text(entry.file)
