"""Between a tier's plain bytes and the store: the ``Sink`` and ``Source`` that jobs hand to tiers."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from backstay.catalog.intent import Intent
from backstay.core.errors import AlreadyExists, CatalogError, Corrupt, NotFound
from backstay.core.model import Artifact, Backup
from backstay.jobs.context import Context, TargetSettings
from backstay.store.base import Store
from backstay.store.pipeline import Encoded, Encoding, Tally, check, decode, decompress
from backstay.tiers.base import File


class StoreSink:
    """Writes artifacts of one run: each key promised in the intent before its first byte is stored."""

    def __init__(self, store: Store, settings: TargetSettings, intent: Intent, started_at: datetime) -> None:
        self._lock_until = started_at + settings.lock_for if settings.lock_for else None
        self.started_at = started_at.replace(microsecond=0)
        self._store = store
        self._settings = settings
        self._intent = intent
        self._promising = threading.Lock()

    def reserve(self, files: Iterable[File]) -> None:
        """See ``tiers.base.Sink``. Raises ``LeaseLost``, and what the store raises."""
        keys = [self._place(file)[0] for file in files]
        with self._promising:
            self._intent.promise(*keys)

    def write(self, file: File, chunks: Iterable[bytes]) -> Artifact:
        """See ``tiers.base.Sink``. Raises what ``chunks`` and the store raise; then nothing is visible."""
        key, encoding = self._place(file)
        self.reserve((file,))
        encoded = Encoded(chunks, encoding)
        metadata = file.metadata
        try:
            stored = self._store.put(key, encoded.source, create=True, lock_until=self._lock_until, metadata=metadata)
        except AlreadyExists as error:
            with self._promising:
                self._intent.release(key)
            raise AlreadyExists(
                f"{key} was written by another program while the backup ran",
                hint="It was left as it is, and nothing of this run is kept. Run it again; let only one program make "
                "backups of this name.",
            ) from error
        artifact = encoded.artifact(file.role, key)
        if stored.size_bytes != artifact.size_bytes:
            raise Corrupt(
                f"{key}: {artifact.size_bytes:,} bytes were sent and {stored.size_bytes:,} are in the store",
                hint="The store lost some without an error. Nothing was committed. Run `backstay store check`.",
            )
        return artifact

    def adopt(self, file: File, read: Callable[[Iterator[bytes]], None]) -> Artifact | None:
        """See ``tiers.base.Sink``. Raises what ``read`` and the store raise, ``Corrupt`` for a damaged stream."""
        key, encoding = self._place(file)
        self.reserve((file,))
        try:
            self._store.head(key)
        except NotFound:
            return None
        stored, plain = Tally(), Tally()
        with self._store.get(key) as chunks:
            stream = stored.through(chunks)
            if encoding.compression != "none":
                stream = decompress(stream, encoding.compression, key)
            counted = plain.through(stream)
            read(counted)
            for _ in counted:  # sizes and sums are of all of it, whatever was wanted
                pass
        return Artifact(
            role=file.role,
            key=key,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            plain_size_bytes=plain.size_bytes,
            plain_sha256=plain.sha256,
            encoding=encoding.names,
        )

    def _place(self, file: File) -> tuple[str, Encoding]:
        """The key of a file, and how its bytes are encoded."""
        wanted = self._settings.encoding
        encoding = replace(
            wanted,
            compression=wanted.compression if file.compressed else "none",
            recipients=wanted.recipients if file.encrypted else (),
        )
        compressed, encrypted = encoding.suffixes
        if file.name:
            name = file.name.replace("{unix}", str(int(self.started_at.timestamp())))
            name = name.replace("{run}", f"{self.started_at:%Y%m%d%H%M%S}")
            entry = name.rpartition("/")[2]
            return self._settings.beside(name, file.apart) + compressed + encrypted, replace(encoding, entry=entry)
        return self._settings.key(self._intent.stamp, file.suffix) + compressed + file.part + encrypted, encoding


class StoreSource:
    """Reads the artifacts of one backup; see ``tiers.base.Source``."""

    def __init__(self, store: Store, backup: Backup, identities: Sequence[str]) -> None:
        self.backup = backup
        self._store = store
        self._identities = identities

    @contextmanager
    def open(self, role: str) -> Iterator[Iterator[bytes]]:
        """The plain bytes of an artifact, checked against the manifest as they end."""
        artifact = self.backup.artifact(role)
        if artifact is None:
            raise CatalogError(f"{self.backup.id} has no artifact {role!r}", hint="`backstay show` lists what it has.")
        with self._store.get(artifact.key) as stored:
            yield decode(stored, artifact, self._identities)


def source_of(context: Context, backup: Backup, store: Store) -> StoreSource:
    """A backup whose artifacts are in ``store``, to be read; identities are only asked for where one is encrypted."""
    encrypted = any("age" in artifact.encoding for artifact in backup.artifacts)
    return StoreSource(store, backup, tuple(context.identities()) if encrypted else ())


def check_stored(store: Store, artifact: Artifact) -> int:
    """Read an artifact's stored bytes to their end and return how many. Raises ``Corrupt``, ``NotFound``."""
    tally = Tally()
    with store.get(artifact.key) as chunks:
        for _ in tally.through(chunks):
            pass
    check(artifact, tally, None)
    return tally.size_bytes
