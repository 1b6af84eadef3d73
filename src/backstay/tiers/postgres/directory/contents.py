"""What is restored of a directory, in which order: its entries, sorted into what comes before, with and after rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backstay.core.errors import Corrupt
from backstay.core.model import Artifact, Backup
from backstay.tiers.base import Source
from backstay.tiers.postgres.directory import toc as archive
from backstay.tiers.postgres.directory.pgrestore import OF_THE_SERVER
from backstay.tiers.postgres.directory.toc import Entry, Section, Toc
from backstay.tiers.postgres.dumptext import COPY, quote_always
from backstay.tiers.postgres.selection import Selection
from backstay.tiers.postgres.timescale import EXTENSION

MAX_TOC_BYTES = 1 << 30
RIGHTS = {"ACL", "DEFAULT ACL"}  # last, so that an owner who took rights from itself can still be loaded for
ROWS, LARGE_OBJECTS = "TABLE DATA", "BLOBS"
EMPTY_OBJECTS = {"BLOB", "BLOB METADATA"}
OVER_KEYS = {"MATERIALIZED VIEW", "VIEW", "FUNCTION", "PROCEDURE"}
EARLY = {"INDEX", "CONSTRAINT"}  # may be built as soon as the rows of their one table are there


@dataclass(frozen=True)
class TableRows:
    """The rows of one table: the artifacts that hold them, in order, and what is built on them."""

    entry: Entry
    parts: tuple[Artifact, ...]
    indexes: tuple[Entry, ...] = ()
    constraints: tuple[Entry, ...] = ()

    @property
    def sql(self) -> str:
        """The table's name as SQL, quoted."""
        return f"{quote_always(self.entry.namespace or '')}.{quote_always(self.entry.tag or '')}"

    @property
    def columns(self) -> str:
        """``(a, b)``, from the statement that pg_restore would use; empty for a table without columns."""
        match = COPY.match((self.entry.copy or "").encode("utf-8", "surrogateescape"))
        return match[3].decode("utf-8", "surrogateescape") if match and match[3] else ""

    @property
    def size_bytes(self) -> int:
        """Of its text."""
        return sum(part.plain_size_bytes for part in self.parts)


@dataclass(frozen=True)
class Contents:
    """``first`` is what rows need; ``tables`` with what is built early on each; ``last`` everything else."""

    toc: Toc
    first: tuple[Entry, ...]
    tables: tuple[TableRows, ...]
    last: tuple[Entry, ...]
    large_objects: bool = False
    encoding: str = "UTF8"
    extension_rows: tuple[TableRows, ...] = field(default=())


def is_directory(backup: Backup) -> bool:
    """Whether the backup is in format ``directory``."""
    return backup.artifact("toc.dat") is not None


def read_toc(source: Source) -> Toc:
    """The table of contents of a backup. Raises ``Corrupt``, ``DumpIncomplete``, ``UnknownArchive``."""
    artifact = source.backup.artifact("toc.dat")
    if artifact is None or artifact.plain_size_bytes > MAX_TOC_BYTES:
        raise Corrupt(f"{source.backup.id} has no toc.dat that can be read", hint="Try an older backup.")
    with source.open("toc.dat") as chunks:
        data = b"".join(chunks)
    return archive.parse([data])


def sort(toc: Toc, backup: Backup, selection: Selection) -> Contents:
    """Everything that ``selection`` wants. Raises ``Corrupt`` when a table's file is not in the backup."""
    files = _files(backup)
    lacking = _needing_keys(toc) if selection else frozenset[int]()
    wanted = [entry for entry in toc.entries if _is_wanted(entry, selection) and entry.dump_id not in lacking]
    early: dict[str, list[Entry]] = {}
    for entry in wanted:
        if entry.desc in EARLY and entry.section == Section.POST_DATA and entry.dependencies:
            early.setdefault(entry.dependencies[0], []).append(entry)
    rows = [_table(entry, files, early, backup) for entry in wanted if entry.desc == ROWS]
    own = {entry.dump_id for entry in toc.entries if entry.desc == "TABLE"}
    tables = tuple(table for table in rows if _definition(table.entry) in own)
    built = {entry.dump_id for table in tables for entry in (*table.indexes, *table.constraints)}
    others = [entry for entry in wanted if entry.desc not in {ROWS, LARGE_OBJECTS} and entry.dump_id not in built]
    first = [entry for entry in others if _comes_first(entry)]
    taken = {entry.dump_id for entry in first}
    return Contents(
        toc=toc,
        first=tuple(first),
        tables=tables,
        last=tuple(entry for entry in others if entry.dump_id not in taken),
        large_objects=any(entry.desc == LARGE_OBJECTS for entry in wanted),
        encoding=_encoding(toc),
        extension_rows=tuple(table for table in rows if _definition(table.entry) not in own),
    )


def _is_wanted(entry: Entry, selection: Selection) -> bool:
    kind = entry.desc or ""
    if kind in OF_THE_SERVER or _is_of_timescale(entry):
        return False
    if selection and kind == "INDEX":
        return selection.wants_index((entry.defn or "").encode("utf-8", "surrogateescape"))
    return selection.wants(kind, entry.tag or "", entry.namespace or "")


def _is_of_timescale(entry: Entry) -> bool:
    """The extension itself, which has been made before at the recorded version."""
    return (entry.desc, entry.tag) in {("EXTENSION", EXTENSION), ("COMMENT", f"EXTENSION {EXTENSION}")}


def _comes_first(entry: Entry) -> bool:
    """Definitions, and large objects while they are empty, which newer versions list among the data."""
    return (entry.section == Section.PRE_DATA and entry.desc not in RIGHTS) or entry.desc in EMPTY_OBJECTS


def _needing_keys(toc: Toc) -> frozenset[int]:
    """What groups by the key of a table, and so comes after rows, and all that depends on it: a copy of some tables has
    not the keys of the others."""
    found = {entry.dump_id for entry in toc.entries if entry.section == Section.POST_DATA and entry.desc in OVER_KEYS}
    for entry in toc.entries:
        if any(needed.isdecimal() and int(needed) in found for needed in entry.dependencies):
            found.add(entry.dump_id)
    return frozenset(found)


def _files(backup: Backup) -> Mapping[str, Sequence[Artifact]]:
    """The artifacts of each file of rows, parts in the order of their names."""
    found: dict[str, list[Artifact]] = {}
    for artifact in sorted(backup.artifacts, key=lambda artifact: artifact.role):
        found.setdefault(artifact.role.partition(".part")[0], []).append(artifact)
    return found


def _table(
    entry: Entry, files: Mapping[str, Sequence[Artifact]], early: Mapping[str, list[Entry]], backup: Backup
) -> TableRows:
    if entry.file not in files:
        raise Corrupt(f"{backup.id} has no file {entry.file} with the rows of {entry.tag}", hint="Try an older backup.")
    built = early.get(entry.dependencies[0], []) if entry.dependencies else []
    return TableRows(
        entry,
        tuple(files[entry.file]),
        indexes=tuple(one for one in built if one.desc == "INDEX"),
        constraints=tuple(one for one in built if one.desc == "CONSTRAINT"),
    )


def _definition(entry: Entry) -> int:
    """The dump id of the table's definition; of a table that an extension made, that of something else, or none."""
    first = entry.dependencies[0] if entry.dependencies else ""
    return int(first) if first.isdecimal() else 0


def _encoding(toc: Toc) -> str:
    """From the entry that sets it: ``SET client_encoding = 'UTF8';``."""
    said = next((entry.defn or "" for entry in toc.entries if entry.desc == "ENCODING"), "")
    return said.partition("'")[2].partition("'")[0] or "UTF8"
