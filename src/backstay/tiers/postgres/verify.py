"""Checking what is in the store against the manifest, without a server: does it decrypt, parse, and hold every row?"""

from collections.abc import Iterator

from backstay.core.errors import CannotDecrypt, Corrupt, DumpIncomplete, NotFound
from backstay.core.model import Backup, Finding, Progress, Severity
from backstay.core.units import counted
from backstay.tiers.base import Source
from backstay.tiers.postgres.directory import verify as directory
from backstay.tiers.postgres.directory.contents import is_directory
from backstay.tiers.postgres.dumptext import DumpReader

SHOWN = 5


def readable(backup: Backup, source: Source, progress: Progress) -> Iterator[Finding]:
    """Read every artifact to its end; parse the dump and compare its counts with ``contents``."""
    if is_directory(backup):
        yield from directory.readable(backup, source, progress)
        return
    for artifact in backup.artifacts:
        progress.phase(f"reading {artifact.role}", total_bytes=max(0, artifact.plain_size_bytes) or None)
        reader = DumpReader() if artifact.role == "dump" else None
        try:
            with source.open(artifact.role) as chunks:
                for chunk in reader.through(chunks) if reader else chunks:
                    progress.advance(len(chunk))
        except CannotDecrypt:
            raise  # not a fault of the backup: the caller says which key is missing
        except (Corrupt, DumpIncomplete, NotFound) as error:
            yield Finding(Severity.ERROR, error.message, error.code)
            continue
        checked = ", sha256 equal" if artifact.sha256 else "; no sha256 was recorded"
        yield Finding(Severity.OK, f"{artifact.role}: decrypts, decompresses{checked}", "readable")
        if reader:
            yield from _counts(backup, reader)


def _counts(backup: Backup, reader: DumpReader) -> Iterator[Finding]:
    found = reader.contents
    expected = {n: e["rows"] for n, e in backup.contents.get("tables", {}).items() if "rows" in e}
    if not backup.contents:
        words = f"{_size(found.rows, len(found.tables))}, end marker present; no manifest to compare with"
        yield Finding(Severity.WARNING, words, "postgres.rows")
        return
    wrong = [
        f"{name}: {found.tables.get(name)} instead of {expected.get(name)} rows"
        for name in sorted(set(expected) | set(found.tables))
        if found.tables.get(name) != expected.get(name)
    ]
    if wrong:
        yield Finding(Severity.ERROR, "; ".join(wrong[:SHOWN]), "postgres.rows")
    else:
        words = f"{_size(found.rows, len(expected))}, each equal to the manifest; end marker present"
        yield Finding(Severity.OK, words, "postgres.rows")


def _size(rows: int, tables: int) -> str:
    return f"{counted(rows, 'row')} in {counted(tables, 'table')}"
