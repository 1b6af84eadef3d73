"""Looking into a snapshot without a cluster: what is in it, the objects of one kind, and one object whole.

An object that was deleted by mistake comes back out of here; nothing has to be reset for it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import Undecodable, UsageError
from backstay.core.model import Backup, Progress, State
from backstay.tiers.base import Source
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.file.census import OTHER, resource
from backstay.tiers.etcd.file.keyspace import live
from backstay.tiers.etcd.file.metabucket import heading
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.file.trailer import check_trailer
from backstay.tiers.etcd.kube.decode import Decoded, decode
from backstay.tiers.etcd.kube.envelope import encrypted
from backstay.tiers.etcd.kube.names import GROUPS, STORED_AS, CustomType
from backstay.tiers.etcd.kube.objects import Entry, Row, Selected, custom_types, listing, select, type_of
from backstay.tiers.etcd.restore.fetch import NAME, ROLE, fetch, size_of
from backstay.tiers.etcd.scratch import spool_folder

DEFINITIONS = "apiextensions.k8s.io/customresourcedefinitions"
MAX_NAME = 200  # bytes of a file's name; a file system takes 255, and something is put behind it
_STORED = {name: place for place, name in STORED_AS.items()}


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that is whole by its checksum. ``at`` looks at an earlier revision that it still has."""

    path: Path
    prefix: str
    at: int | None = None

    def resources(self) -> Mapping[str, int]:
        """How many live keys there are of each kind. Raises ``SnapshotDamaged``, and ``UsageError`` for a revision that
        is not in the snapshot."""
        if self.at is None:
            return survey(self.path, prefix=self.prefix.encode()).resources
        found = Counter(_kind_of(key, f"{self.prefix}/".encode()) for key, *_ in self._rows(""))
        return dict(sorted(found.items()))

    def entries(self, word: str, namespace: str | None, name: str | None = None) -> Iterator[Entry]:
        """A line for each object of a kind, as people call it (``po``, ``deployments.apps``). Raises ``UsageError``."""
        return listing(self.objects(word, namespace, name))

    def objects(self, word: str, namespace: str | None, name: str | None = None) -> Iterator[Selected]:
        """The objects of a kind, not read yet. Raises ``UsageError`` for a word that is no kind."""
        kind = self._kind(word)
        for place in _places(kind):
            rows = self._rows(f"{self.prefix}/{place}/")
            yield from select(rows, of_type=kind, namespace=namespace, name=name, prefix=self.prefix)

    def read(self, found: Selected) -> Decoded:
        """One object. Raises ``Undecodable``, also for what is encrypted at rest."""
        try:
            return decode(found.value)
        except Undecodable as error:
            key, hint = encrypted(found.value), error.hint
            if key:
                hint = "Restore the cluster, or read it through an API server that has the key."
            message = f"{found.resource} cannot be read: {error.message}{f', with {key}' if key else ''}"
            raise Undecodable(message, hint=hint, **error.context) from error

    def _kind(self, word: str) -> str:
        """What is meant: a kind of Kubernetes', one that the snapshot defines, or one that only has keys in it."""
        custom = self._custom()
        found = type_of(word, custom)
        if found is not None and (found in GROUPS or any(found == one.label for one in custom)):
            return found
        known = {kind: count for kind, count in self.resources().items() if kind != OTHER}
        kind = next((kind for kind in (found, word) if kind in known), None)
        if kind is None:
            raise UsageError(
                f"{word} is not a kind of object in this snapshot",
                hint=f"It has {', '.join(list(known)[:12])}{', ...' if len(known) > 12 else ''}.",
            )
        return kind

    def _custom(self) -> tuple[CustomType, ...]:
        return custom_types(self._rows(f"{self.prefix}/{DEFINITIONS}/"), prefix=self.prefix)

    def _rows(self, prefix: str) -> Iterator[Row]:
        return ((key, item.value, item.mod_revision) for key, item in live(self.path, prefix.encode(), at=self.at))


def _kind_of(key: bytes, prefix: bytes) -> str:
    """As a survey counts it."""
    if not key.startswith(prefix):
        return OTHER
    first, _, rest = key.removeprefix(prefix).partition(b"/")
    return resource(first, rest.partition(b"/")[0])


def _places(kind: str) -> list[str]:
    """Where objects of a kind may be stored: by their name, or below the name of their group."""
    plural, _, group = kind.partition(".")
    group = group or GROUPS.get(kind, "")
    below = [f"{group}/{plural}"] if "." in group else []
    return [_STORED.get(kind, plural), *below] if kind in GROUPS else below or [_STORED.get(kind, kind)]


def called(backup: Backup, role: str, otherwise: str) -> str:
    """The name for the file in the spool: that of the artifact, so that errors name what somebody can look at."""
    artifact = backup.artifact(role)
    name = artifact.key.rpartition("/")[2] if artifact else ""
    fits = name.isprintable() and 0 < len(name.encode(errors="replace")) <= MAX_NAME
    return name if fits and name not in {".", ".."} else otherwise


def naming(backup: Backup, name: str) -> str:
    """What a message calls it: a file at hand and what others stored by ``name``, else the backup."""
    return name if backup.state is State.FOREIGN else backup.id


def require_revision(name: str, at: int, revision: int, compacted: int) -> None:
    """``at`` is one that a state has which ends at ``revision``. Raises ``UsageError``."""
    first = max(compacted, 0)
    if not first <= at <= revision:
        since = f"its revisions before {first:,} are compacted" if at < first else f"it ends at {revision:,}"
        raise UsageError(
            f"{name} has no revision {at:,}: {since}",
            hint=f"It has {first:,} to {revision:,}: give --at one of these, or leave it out for the last.",
        )


@contextmanager
def fetched(plane: ControlPlane, source: Source, progress: Progress, at: int | None = None) -> Iterator[Snapshot]:
    """The snapshot of a backup for the length of a block, in the spool. Raises what the source does, and
    ``SnapshotDamaged``, and ``UsageError`` for a revision that it has not."""
    with spool_folder(plane, "get") as folder:
        progress.phase("fetching", total_bytes=size_of(source.backup))
        name = called(source.backup, ROLE, NAME)
        path = fetch(source, folder, progress, name=name)
        check_trailer(path)
        if at is not None:
            require_revision(naming(source.backup, name), at, *heading(path))
        yield Snapshot(path, plane.prefix.rstrip("/"), at)
