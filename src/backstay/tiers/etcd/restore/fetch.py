"""The snapshot brought here and proven, before anything is stopped: whole, as promised, opened by the token."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.core.errors import BackstayError, RestoreError, SnapshotDamaged
from backstay.core.model import Backup, Progress
from backstay.core.units import format_count
from backstay.tiers.base import Source
from backstay.tiers.etcd import token
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.file import rewrite
from backstay.tiers.etcd.file.bolt import BoltFile
from backstay.tiers.etcd.file.keyspace import live
from backstay.tiers.etcd.file.survey import Survey, survey
from backstay.tiers.etcd.file.trailer import check_trailer
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
    """A folder that only root may look into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    sync_folder(folder.parent)


def fetch(source: Source, folder: Path, progress: Progress, role: str = ROLE, name: str = NAME) -> Path:
    """An artifact, the raw snapshot unless said otherwise, in ``folder``: mode 0600, on the disk, of the manifest's
    size and sha256. Raises what ``source`` does."""
    path, part = folder / name, folder / f"{name}.part"
    if source.backup.artifact(role) is None:
        raise RestoreError(f"{source.backup.id} has no {role} among its artifacts", hint=f"Is it of etcd? {UNTOUCHED}")
    with (
        os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        source.open(role) as chunks,
    ):
        for chunk in chunks:
            file.write(chunk)
            progress.advance(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(folder)
    return path


def prove(path: Path, backup: Backup, plane: ControlPlane, server_token: str, progress: Progress) -> Proven:
    """Its checksum and structure are whole, it is at the revision and has the keys and the hash that the manifest
    promises, and ``server_token`` (k3s, RKE2; empty elsewhere) opens it. Raises ``SnapshotDamaged``, ``RestoreError``.
    """
    with _untouched():
        check_trailer(path, progress.advance)
        found = survey(path, prefix=plane.prefix.encode(), advance=progress.advance)
        _compare(found, backup)
        if plane.is_rancher:
            _open(path, found, server_token, backup)
    return Proven(path, found.revision, found.hash_kv, found.keys, found.resources)


def bump(proven: Proven, by: int, backup: Backup, plane: ControlPlane) -> Proven:
    """The same snapshot with all revisions raised by ``by``, proven to hold the same keys. Raises as ``prove``."""
    path = proven.path.with_name(BUMPED)
    path.unlink(missing_ok=True)
    with _untouched():
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


def _open(path: Path, found: Survey, server_token: str, backup: Backup) -> None:
    """k3s keeps its certificates in the snapshot, closed with the token."""
    if not found.bootstrap_keys:
        raise RestoreError(
            f"{backup.id} holds no bootstrap data, so it was not taken from k3s or RKE2",
            hint="Is the flavor of this control plane right? Plain etcd and kubeadm are restored in another way.",
        )
    checked = token.check(_bootstrap(path), server_token)
    if not checked.opens:
        raise RestoreError(
            f"the server token does not open {backup.id}: {checked.why}",
            hint="Give the token that the cluster had when it was backed up. With another one k3s would stop half-way.",
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


def _bootstrap(path: Path) -> Mapping[str, bytes]:
    return {key.decode(errors="replace"): found.value for key, found in live(path, token.BOOTSTRAP.encode())}


@contextmanager
def _untouched() -> Iterator[None]:
    """Every failure in here comes before anything was stopped, and says so."""
    try:
        yield
    except BackstayError as error:
        if UNTOUCHED not in error.hint:
            error.hint = f"{error.hint} {UNTOUCHED}".strip()
        raise
