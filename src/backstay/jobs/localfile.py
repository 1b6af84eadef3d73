"""A restore from a file at hand, with no store: a downloaded artifact, alone or with its manifest.

The file's folder is read as a store of artifacts; lease and journal are kept in a folder of this machine, so that such
a restore is resumed and rolled back like any other. Without a manifest nothing is known of what the file should hold:
it is restored as a foreign dump, and what was loaded is counted, not compared.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from backstay.catalog import foreign, keys, manifest
from backstay.catalog import journal as journals
from backstay.catalog.records import RECORD_LIMIT
from backstay.core.errors import CatalogError, RestoreError, StoreError, UsageError
from backstay.core.model import Artifact, Backup, Plan, State, Target, TierKind
from backstay.core.units import format_stamp
from backstay.jobs.context import Context
from backstay.jobs.restore import Place
from backstay.store.base import Store, check_key
from backstay.store.pipeline import SUFFIXES

OpenFolder = Callable[[Path], Store]  # a folder as a store
_STAMP = re.compile(r"-(\d{8}-\d{6})\.", re.ASCII)
_ENCODINGS = {suffix: name for name, suffix in SUFFIXES.items()}
WARNING = "Restored from a file without a manifest: nothing says what it should contain."


@dataclass(frozen=True)
class LocalFile:
    """A file to restore from, with its manifest if there is one; both as full paths."""

    path: Path
    manifest: Path | None = None

    @property
    def details(self) -> dict[str, str]:
        """What a plan keeps, so that a later run finds the file again."""
        return {"file": str(self.path)} | ({"manifest": str(self.manifest)} if self.manifest else {})


def local_file(path: Path, manifest_path: Path | None = None) -> LocalFile:
    """Raises ``UsageError`` when there is no such file."""
    for one in (path, manifest_path):
        if one is None:
            continue
        try:
            there = one.is_file()
        except OSError as error:
            raise UsageError(f"{one} cannot be read: {error.strerror}", hint="Nothing has been changed.") from error
        if not there:
            words = f"{one} is a folder, not the file of a dump" if one.is_dir() else f"there is no file {one}"
            hint = "A folder of format directory is restored through a store: see docs/restore.md. "
            raise UsageError(words, hint=f"{hint if one.is_dir() else ''}Nothing has been changed.")
    return LocalFile(path.resolve(), manifest_path.resolve() if manifest_path else None)


def of_plan(plan: Plan) -> LocalFile | None:
    """The file that a plan was made for; ``None`` where it was made for a backup in a store. Raises ``UsageError``."""
    path, manifest_path = plan.details.get("file"), plan.details.get("manifest")
    if not isinstance(path, str):
        return None
    return local_file(Path(path), Path(manifest_path) if isinstance(manifest_path, str) else None)


def backup_of(file: LocalFile, target: Target) -> Backup:
    """The backup that the file is. Raises ``UsageError`` for a manifest of another target, ``CatalogError`` for one
    that is damaged."""
    check_key(file.path.name)
    return _promised(file, file.manifest, target) if file.manifest else _foreign(file, target)


@contextmanager
def place_of(file: LocalFile, state_folder: Path, open_folder: OpenFolder) -> Iterator[Place]:
    """Where the file is read, and where lease and journal of its restore are; closed at the end."""
    with closing(open_folder(file.path.parent)) as artifacts, state_store(state_folder, open_folder) as state:
        yield Place(artifacts, state)


@contextmanager
def state_store(folder: Path, open_folder: OpenFolder) -> Iterator[Store]:
    """The local folder of leases and journals, made for this user alone; closed at the end."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(open_folder(folder)) as store:
        yield store


@contextmanager
def state_of_unfinished(
    context: Context, target: Target, state_folder: Path, open_folder: OpenFolder
) -> Iterator[Store]:
    """Where the restore of ``target`` that did not end has its journal: the local folder, or a configured store.

    The local folder is asked first: the stores may be what is out of reach. A restore that failed early counts only
    while it is the newest of all, wherever they are. Raises ``RestoreError`` when there is none.
    """
    with ExitStack() as stack:
        found: list[tuple[journals.JournalRecord, Store]] = []
        if state_folder.is_dir():
            local = stack.enter_context(state_store(state_folder, open_folder))
            found += [(record, local) for record in filter(None, (journals.pending(local, target),))]
        if not any(record.needs_a_person for record, _ in found):
            found += _in_stores(context, target, needed=not found)
        newest = max(found, key=lambda one: (one[0].needs_a_person, one[0].stamp), default=None)
        if newest is None or not newest[0].resumable:
            raise RestoreError(f"there is no unfinished restore of {target}", hint="Nothing was changed.")
        yield newest[1]


def _in_stores(context: Context, target: Target, *, needed: bool) -> Iterator[tuple[journals.JournalRecord, Store]]:
    """The pending journal of each store; one that does not answer is passed over unless its word is ``needed``."""
    for catalog in context.catalogs:
        try:
            record = journals.pending(catalog.store, target)
        except StoreError:
            if needed:
                raise
            continue
        if record is not None:
            yield record, catalog.store


def _promised(file: LocalFile, path: Path, target: Target) -> Backup:
    """From the manifest: the artifact with the file's name, or else the dump, read from the file."""
    data = path.read_bytes() if path.stat().st_size <= RECORD_LIMIT else b""
    try:
        named, _, stamp = str(json.loads(data)["id"]).partition("@")
        key = keys.manifest_key(target, stamp)
    except (ValueError, KeyError, TypeError, UsageError):
        raise CatalogError(f"{path} is not a manifest", hint="Nothing has been changed.") from None
    if named != str(target):
        raise UsageError(
            f"{path} is the manifest of a backup of {named}, not of {target}",
            hint=f"Name {named}, or leave --manifest out. Nothing has been changed.",
        )
    backup = manifest.decode(data, key)
    by_name = next((one for one in backup.artifacts if one.key.rpartition("/")[2] == file.path.name), None)
    role = foreign.ROLES[target.tier]
    found = by_name or backup.artifact(role)
    if found is None or found.role != role:
        raise UsageError(f"{file.path} is not the file that {path} promises", hint="Nothing has been changed.")
    return replace(backup, artifacts=(replace(found, key=file.path.name),))


def _foreign(file: LocalFile, target: Target) -> Backup:
    facts = file.path.stat()
    changed = datetime.fromtimestamp(facts.st_mtime, UTC)
    stamp = _stamp_in(file.path.name, target) or format_stamp(changed)
    dump = Artifact(
        role=foreign.ROLES[target.tier],
        key=file.path.name,
        size_bytes=facts.st_size,
        sha256="",
        plain_size_bytes=foreign.UNKNOWN_SIZE,
        plain_sha256="",
        encoding=encodings(file.path.name),
    )
    return Backup(
        target=target,
        stamp=stamp,
        cluster="",
        state=State.FOREIGN,
        started_at=keys.moment_of(stamp),
        finished_at=changed,
        point_in_time=None,
        artifacts=(dump,),
        warnings=(WARNING,),
    )


def _stamp_in(name: str, target: Target) -> str:
    """When it was made, by its name: as dumps have it, or as k3s names snapshots. Empty where it does not say."""
    if target.tier is TierKind.ETCD:
        named = foreign.SnapshotNaming("", "").parse(name)
        return named.stamp if named else ""
    match = _STAMP.search(name)
    return match[1] if match and keys.is_stamp(match[1]) else ""


def encodings(name: str) -> tuple[str, ...]:
    """What the suffixes of a file say was done to it, in order: ``x.sql.gz.age`` is gzip, then age."""
    found: list[str] = []
    while (suffix := Path(name).suffix) in _ENCODINGS:
        found.insert(0, _ENCODINGS[suffix])
        name = name.removesuffix(suffix)
    return tuple(found)
