"""The snapshot brought here and proven, before anything is stopped: whole, as promised, opened by the token."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.core.errors import BackstayError, RestoreError, SnapshotDamaged, SourceError
from backstay.core.model import Backup, Progress
from backstay.core.units import format_count, format_size
from backstay.tiers.base import Source
from backstay.tiers.etcd import token
from backstay.tiers.etcd.api.spool import FULL, RESERVE_BYTES
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.facts import bootstrap_of, look_into
from backstay.tiers.etcd.file import rewrite
from backstay.tiers.etcd.file.bolt import BoltFile
from backstay.tiers.etcd.file.survey import Survey, survey
from backstay.tiers.etcd.file.trailer import check_trailer
from backstay.tiers.etcd.restore.preflight import COPIES, require_space
from backstay.tiers.etcd.restore.services import sync_folder

ROLE = "snapshot"
NAME = "snapshot.db"
BUMPED = "snapshot-bumped.db"
UNTOUCHED = "Nothing was stopped and nothing changed."


@dataclass(frozen=True)
class Proven:
    """A snapshot on this machine, and what is in it."""

    path: Path
    revision: int
    hash_kv: int
    keys: int
    resources: Mapping[str, int]

    def facts(self) -> dict[str, Any]:
        """As plain data for a journal."""
        return {
            "file": self.path.name,
            "revision": self.revision,
            "hash_kv": self.hash_kv,
            "keys": self.keys,
            "resources": dict(self.resources),
        }

    @classmethod
    def of(cls, folder: Path, facts: Mapping[str, Any]) -> "Proven | None":
        """The inverse of ``facts``; None where there are none. The file may be gone."""
        if not facts:
            return None
        return cls(folder / facts["file"], facts["revision"], facts["hash_kv"], facts["keys"], facts["resources"])


def make_folder(folder: Path) -> None:
    """A folder that only root may look into. Raises ``RestoreError``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        sync_folder(folder.parent)
    except OSError as error:
        raise RestoreError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="Is there room, and may it be written to? This run changed nothing.",
        ) from error


def size_of(backup: Backup, role: str = ROLE) -> int | None:
    """Bytes that ``fetch`` will write, where that is known."""
    artifact = backup.artifact(role)
    return artifact.plain_size_bytes if artifact and artifact.plain_size_bytes > 0 else None


def fetch(source: Source, folder: Path, progress: Progress, role: str = ROLE, name: str = NAME) -> Path:
    """An artifact, the raw snapshot unless said otherwise, in ``folder``: mode 0600, on the disk, of the manifest's
    size and sha256. ``folder`` is one made for this: errors name the one above, which is still there then.

    Raises what ``source`` does, and ``SourceError`` where there is no room or it cannot be written; no file is left.
    """
    path, part = folder / name, folder / f"{name}.part"
    artifact = source.backup.artifact(role)
    if artifact is None:
        raise RestoreError(f"{source.backup.id} has no {role} among its artifacts", hint=f"Is it of etcd? {UNTOUCHED}")
    known, written = artifact.plain_size_bytes > 0, 0  # else it is at least as large as it is stored
    size = artifact.plain_size_bytes if known else artifact.size_bytes
    disk = _Disk(folder, source.backup.id, size, is_known=known)
    with disk.explained():
        part.unlink(missing_ok=True)  # of a killed run; its room counts
        disk.require_room()
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with source.open(role) as chunks:
            for chunk in chunks:
                with disk.explained():
                    disk.require_room(written, len(chunk))
                    _write_all(descriptor, chunk)
                written += len(chunk)
                progress.advance(len(chunk))
        with disk.explained():
            os.fsync(descriptor)
            part.replace(path)
            sync_folder(folder)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    finally:
        os.close(descriptor)
    return path


@dataclass(frozen=True)
class _Disk:
    """Where ``size_bytes`` are written that come from backup ``id``, at least where that is not known, and its errors
    as ``SourceError``."""

    folder: Path
    id: str
    size_bytes: int
    is_known: bool = True

    def require_room(self, written: int = 0, more: int = 0) -> None:
        """Room for what is to come after ``written`` bytes, ``more`` of it at once, and a reserve, which nothing is to
        touch: the disk may be that of a running etcd."""
        free = _free(self.folder)
        if free is not None and free < max(self.size_bytes - written, more) + RESERVE_BYTES:
            raise self._full(f"{format_size(free)} are free", max(self.size_bytes, written + more))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What the file system says in the block comes out as ``SourceError``."""
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise self._full(str(error.strerror).lower(), self.size_bytes) from error
            raise SourceError(
                f"{self.id} cannot be written to {self.folder.parent}: {error.strerror}",
                hint="No file is left. Nothing was changed.",
            ) from error

    def _full(self, why: str, size: int) -> SourceError:
        needed, least = size + RESERVE_BYTES, "" if self.is_known else "at least "
        return SourceError(
            f"there is no room for {self.id} in {self.folder.parent}: {why}",
            hint=f"It needs {least}{format_size(needed)} there: {format_size(size)} and a reserve. Make room. "
            "No file is left. Nothing was changed.",
            needed_bytes=needed,
        )


def _free(folder: Path) -> int | None:
    """Bytes; None for a file system that counts nothing."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize if found.f_blocks else None


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def prove(path: Path, backup: Backup, plane: ControlPlane, server_token: str, progress: Progress) -> Proven:
    """Its checksum and structure are whole, it is at the revision and has the keys and the hash that the manifest
    promises, and ``server_token`` (k3s, RKE2; empty elsewhere) opens it; there is room for what k3s and RKE2 make of
    it. Raises ``SnapshotDamaged``, ``RestoreError``.
    """
    with _untouched(path.parent):
        check_trailer(path, progress.advance)
        found = survey(path, prefix=plane.prefix.encode(), advance=progress.advance)
        _compare(found, backup)
        if plane.is_rancher:
            _open(path, found, server_token, backup, plane)
            _require_rest(path, COPIES - 1, plane)
    return Proven(path, found.revision, found.hash_kv, found.keys, found.resources)


def bump(proven: Proven, by: int, backup: Backup, plane: ControlPlane) -> Proven:
    """The same snapshot with all revisions raised by ``by``, proven to hold the same keys. Raises as ``prove``."""
    path = proven.path.with_name(BUMPED)
    with _untouched(path.parent):
        path.unlink(missing_ok=True)
        if plane.is_rancher:
            _require_rest(proven.path, COPIES, plane)
        _Disk(path.parent, backup.id, proven.path.stat().st_size).require_room()
        rewrite.rewrite(proven.path, path, bump=by)
        path.chmod(0o600)
        check_trailer(path)
        found = survey(path, prefix=plane.prefix.encode())
        if (found.revision, found.keys, found.resources) != (proven.revision + by, proven.keys, proven.resources):
            raise RestoreError(f"{backup.id} with its revisions raised does not hold the same keys")
    return Proven(path, found.revision, found.hash_kv, found.keys, found.resources)


def _compare(found: Survey, backup: Backup) -> None:
    """With what the manifest recorded when it was taken; a foreign snapshot promises nothing."""
    names = {"revision": found.revision, "compact_revision": found.compact_revision, "keys": found.keys}
    pairs = [(name, backup.contents.get(name), here) for name, here in {**names, "hash_kv": found.hash_kv}.items()]
    wrong = [
        f"{name} {format_count(here)}, recorded {format_count(promised)}"
        for name, promised, here in pairs
        if isinstance(promised, int) and promised != here
    ]
    if wrong:
        raise SnapshotDamaged(
            f"the snapshot of {backup.id} is not what was backed up: {'; '.join(wrong)}",
            hint="Try an older backup; `backstay verify` tells which are whole.",
        )


def _require_rest(path: Path, copies: int, plane: ControlPlane) -> None:
    """Room for so many of the snapshot beside it: what a reset makes of it, and the plan could not tell where nobody
    knew the size. Raises ``RestoreError``."""
    free = _free(path.parent)
    if free is not None:
        require_space(copies * path.stat().st_size, free, plane.db_dir)


def _open(path: Path, found: Survey, server_token: str, backup: Backup, plane: ControlPlane) -> None:
    """k3s keeps its certificates in the snapshot, closed with the token."""
    if not found.bootstrap_keys:
        raise RestoreError(
            f"{backup.id} holds no bootstrap data, so it was not taken from k3s or RKE2",
            hint="Is the flavor of this control plane right? Plain etcd and kubeadm are restored in another way.",
        )
    checked = token.check(bootstrap_of(look_into(path, plane)), server_token)
    if not checked.opens:
        raise RestoreError(
            f"the server token does not open {backup.id}: {checked.why}",
            hint="Give the token that the cluster had when it was backed up, with --token REF. With another k3s would "
            "stop half-way.",
        )


def members_in(path: Path) -> list[dict[str, Any]]:
    """The members that the snapshot's cluster had: name and URLs (server/etcdserver/api/membership, storev2.go)."""
    with BoltFile(path) as bolt:
        bucket = bolt.buckets().get(b"members")
        values = [value for _, value in bolt.items(bucket)] if bucket else []
    found = []
    for value in values:
        try:
            fields = json.loads(value)
        except ValueError:
            continue
        urls = {"client_urls": fields.get("clientURLs") or [], "peer_urls": fields.get("peerURLs") or []}
        found.append({"name": str(fields.get("name", "")), **urls})
    return found


@contextmanager
def _untouched(folder: Path) -> Iterator[None]:
    """Every failure in here comes before anything was stopped, and says so; also of the files made in ``folder``."""
    try:
        yield
    except OSError as error:
        room = f"Make room in {folder.parent}. " if error.errno in FULL else ""
        raise RestoreError(
            f"the snapshot could not be checked in {folder.parent}: {error.strerror}", hint=f"{room}{UNTOUCHED}"
        ) from error
    except BackstayError as error:
        if "Nothing was" not in error.hint:
            error.hint = f"{error.hint} {UNTOUCHED}".strip()
        raise
