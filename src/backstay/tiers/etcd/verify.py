"""Read a backup of etcd back: its checksum, its structure, its revision and its hash are those of the manifest."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from backstay.core.errors import Corrupt, NotFound, SnapshotDamaged
from backstay.core.model import Backup, Finding, Progress, Severity, State
from backstay.core.units import counted, format_count, format_size
from backstay.tiers.base import Source
from backstay.tiers.etcd import serverread
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.file.survey import Survey, survey
from backstay.tiers.etcd.file.trailer import check_trailer
from backstay.tiers.etcd.promised import differences
from backstay.tiers.etcd.restore.fetch import fetch, size_of
from backstay.tiers.etcd.scratch import spool_folder
from backstay.tiers.etcd.serverfiles import ABOUT
from backstay.tiers.etcd.serverpart import SERVER

Fetch = Callable[[Source, Path, Progress], Path]
Look = Callable[[Path, ControlPlane, Backup, Progress], Iterator[Finding]]
PROMISED = ("revision", "compact_revision", "hash_kv", "keys", "records", "size_bytes")


def readable(plane: ControlPlane, backup: Backup, source: Source, progress: Progress) -> Iterator[Finding]:
    """Findings, good and bad; raises what ``source`` raises."""
    return read_back(plane, source, progress, size_of(backup), fetch, look)


def read_back(
    plane: ControlPlane, source: Source, progress: Progress, size: int | None, fetch: Fetch, look: Look
) -> Iterator[Finding]:
    """What ``look`` finds in what ``fetch`` brings into the spool; damaged or gone in the store is one, too."""
    with spool_folder(plane, "verify") as folder:
        progress.phase("fetching", total_bytes=size)
        try:
            path = fetch(source, folder, progress)
        except (Corrupt, NotFound) as error:
            yield Finding(Severity.ERROR, error.message, error.code)
            return
        yield from look(path, plane, source.backup, progress)


def look(path: Path, plane: ControlPlane, backup: Backup, progress: Progress) -> Iterator[Finding]:
    """What the snapshot in ``path`` is, against what the manifest promises."""
    progress.phase("reading", total_bytes=path.stat().st_size)
    try:
        check_trailer(path)
        found = survey(path, prefix=plane.prefix.encode(), advance=progress.advance)
    except SnapshotDamaged as error:
        yield Finding(Severity.ERROR, error.message, error.code)
        return
    yield Finding(Severity.OK, f"checksum and structure whole, {format_size(found.size_bytes)}", "etcd.structure")
    yield from against(found, backup)


def against(found: Survey, backup: Backup) -> Iterator[Finding]:
    """A survey against the manifest."""
    words = f"{counted(found.keys, 'key')} of {counted(len(found.resources), 'resource')} at revision "
    words += format_count(found.revision)
    if backup.state is State.FOREIGN:
        yield Finding(Severity.WARNING, f"{words}; nothing says what it should hold", "etcd.contents")
        return
    wrong = list(differences(found, backup.contents, PROMISED))
    if wrong:
        yield Finding(Severity.ERROR, f"not what was backed up: {'; '.join(wrong)}", "etcd.contents")
    else:
        yield Finding(Severity.OK, f"{words}, HashKV {found.hash_kv}, each equal to the manifest", "etcd.contents")


def server_files(backup: Backup, source: Source) -> Iterator[Finding]:
    """The archive of what else a restore needs, read to its end; nothing where the backup has none."""
    if backup.artifact(SERVER) is not None:
        yield _server_files(source)


def _server_files(source: Source) -> Finding:
    count, about = 0, False
    try:
        for name, _ in serverread.names(source):
            count, about = count + 1, about or name == ABOUT
    except (tarfile.TarError, Corrupt) as error:
        return Finding(Severity.ERROR, f"the server files cannot be read: {error}", "etcd.server_files")
    if not about:
        return Finding(Severity.ERROR, f"the server files have no {ABOUT}", "etcd.server_files")
    return Finding(Severity.OK, f"server files: {counted(count - 1, 'file')}", "etcd.server_files")
