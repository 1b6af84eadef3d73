"""Read a backup of k3s on SQLite back: its structure, its counts and its content's hash are those of the manifest."""

from collections.abc import Iterator
from pathlib import Path

from backstay.core.errors import SnapshotDamaged
from backstay.core.model import Backup, Finding, Progress, Severity, State
from backstay.core.units import counted, format_count, format_size
from backstay.tiers.base import Source
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine.census import Census, count, differences
from backstay.tiers.etcd.kine.database import check_integrity
from backstay.tiers.etcd.kine.datastore import ROLE
from backstay.tiers.etcd.kine.fetch import fetch
from backstay.tiers.etcd.restore.fetch import size_of
from backstay.tiers.etcd.verify import read_back

SHOWN = 8  # differences


def verify(plane: ControlPlane, backup: Backup, source: Source, progress: Progress) -> Iterator[Finding]:
    """Findings on the database, good and bad; raises what ``source`` raises of a store that cannot be asked."""
    return read_back(plane, source, progress, size_of(backup, ROLE), fetch, look)


def look(path: Path, plane: ControlPlane, backup: Backup, progress: Progress) -> Iterator[Finding]:
    """What the database in ``path`` is, against what the manifest promises."""
    progress.phase("reading", total_bytes=path.stat().st_size)
    try:
        check_integrity(path)
        found = count(path, plane.prefix.encode(), progress.advance)
    except SnapshotDamaged as error:
        yield Finding(Severity.ERROR, error.message, error.code)
        return
    yield Finding(Severity.OK, f"SQLite's integrity_check is ok, {format_size(found.size_bytes)}", "kine.structure")
    yield against(found, backup)


def against(found: Census, backup: Backup) -> Finding:
    """What was counted against the manifest."""
    words = f"{counted(found.keys, 'key')} of {counted(len(found.resources), 'resource')} at revision "
    words += format_count(found.revision)
    if backup.state is State.FOREIGN:
        return Finding(Severity.WARNING, f"{words}; nothing says what it should hold", "kine.contents")
    wrong = list(differences(found, backup.contents))
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        return Finding(Severity.ERROR, f"not what was backed up: {'; '.join(wrong[:SHOWN])}{more}", "kine.contents")
    return Finding(Severity.OK, f"{words}, and the content's sha256, each equal to the manifest", "kine.contents")
