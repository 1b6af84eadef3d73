"""Between a tier's plain bytes and the store: the ``Sink`` and ``Source`` that jobs hand to tiers."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from backstay.catalog.intent import Intent
from backstay.core.errors import CatalogError, Corrupt
from backstay.core.model import Artifact, Backup
from backstay.jobs.context import TargetSettings
from backstay.store.base import Store
from backstay.store.pipeline import Encoded, Tally, check, decode


class StoreSink:
    """Writes artifacts of one run: each key promised in the intent before its first byte is stored."""

    def __init__(self, store: Store, settings: TargetSettings, intent: Intent, started_at: datetime) -> None:
        self._lock_until = started_at + settings.lock_for if settings.lock_for else None
        self._store = store
        self._settings = settings
        self._intent = intent

    def write(self, role: str, suffix: str, chunks: Iterable[bytes]) -> Artifact:
        """See ``tiers.base.Sink``. Raises what ``chunks`` and the store raise; then nothing is visible."""
        encoding = self._settings.encoding
        key = self._settings.key(self._intent.stamp, suffix) + encoding.suffix
        self._intent.promise(key)
        encoded = Encoded(chunks, encoding)
        stored = self._store.put(key, encoded, create=True, lock_until=self._lock_until)
        artifact = encoded.artifact(role, key)
        if stored.size_bytes != artifact.size_bytes:
            raise Corrupt(
                f"{key}: {artifact.size_bytes:,} bytes were sent and {stored.size_bytes:,} are in the store",
                hint="The store lost some without an error. Nothing was committed. Run `backstay store check`.",
            )
        return artifact


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


def check_stored(store: Store, artifact: Artifact) -> int:
    """Read an artifact's stored bytes to their end and return how many. Raises ``Corrupt``, ``NotFound``."""
    tally = Tally()
    with store.get(artifact.key) as chunks:
        for _ in tally.through(chunks):
            pass
    check(artifact, tally, None)
    return tally.size_bytes
