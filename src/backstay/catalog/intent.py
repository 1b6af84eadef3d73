"""The fence around a commit: what a run will write, said before it writes (docs/decisions/0004-intents.md).

    open --commit--> committing --manifest written--> (removed)
      \\--another run, or this one giving up--> abandoned --artifacts removed, a day passed--> (removed)

Each move is a conditional put, so of a run that stalled and of the one that cleans up after it exactly one
wins. ``committing`` carries the whole manifest: whoever finds it can finish the commit, nobody can undo it.
An ``abandoned`` intent stays for a day, because an upload of the stalled run may end after the cleaning.
Cleaning up is in sweep.py.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from backstay.catalog import keys, manifest, records, veleronames
from backstay.core.errors import AlreadyExists, CatalogError, LeaseLost, NotFound, StoreError
from backstay.core.model import Backup, Target
from backstay.core.units import exact_time
from backstay.store.base import Store

KIND = "intent"


class IntentState(StrEnum):
    """How far a run came."""

    OPEN = "open"
    COMMITTING = "committing"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class IntentRecord:
    """An intent as it is in the store. ``run`` is a random word that tells two runs apart."""

    target: Target
    stamp: str
    run: str
    state: IntentState
    begun_at: datetime
    changed_at: datetime
    keys: tuple[str, ...] = ()
    manifest: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """Where it is."""
        return keys.intent_key(self.target, self.stamp)

    def encode(self) -> bytes:
        """As stored."""
        fields: dict[str, Any] = {
            "id": f"{self.target}@{self.stamp}",
            "run": self.run,
            "state": self.state.value,
            "begun_at": exact_time(self.begun_at),
            "changed_at": exact_time(self.changed_at),
            "keys": self.keys,
        }
        return records.encode(KIND, fields if self.manifest is None else {**fields, "manifest": self.manifest})


def read(store: Store, target: Target, stamp: str) -> tuple[IntentRecord, str]:
    """An intent and its etag. Raises ``NotFound``; ``CatalogError`` also for a key that no run may write."""
    record = records.read(store, KIND, keys.intent_key(target, stamp))
    found = record.fields
    promised = found.texts("keys")
    if found.text("id") != f"{target}@{stamp}":
        found.fail("id", "is not what the key says")
    if not all(keys.is_artifact_key(key) for key in promised):
        found.fail("keys", "has one that no artifact may have")
    state = IntentState(found.choice("state", tuple(IntentState)))
    body = found.mapping("manifest") if state is IntentState.COMMITTING else None
    times = found.time("begun_at"), found.time("changed_at")
    return IntentRecord(target, stamp, found.text("run"), state, *times, promised, body), record.etag


class Intent:
    """The intent of the run that holds it: promise each key, write it, then commit or withdraw.

    Made by ``Catalog.begin``. Not safe to use from several threads at once.
    """

    def __init__(self, store: Store, record: IntentRecord, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._record = record
        try:
            self._etag = records.write(store, record.key, record.encode(), create=True)
        except AlreadyExists as error:
            raise same_second(record.target, record.stamp) from error

    @property
    def target(self) -> Target:
        """What the run backs up."""
        return self._record.target

    @property
    def stamp(self) -> str:
        """The stamp of the run."""
        return self._record.stamp

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys promised so far."""
        return self._record.keys

    def promise(self, *more: str) -> None:
        """Say that these keys will be written; write them only once this has returned.

        Raises ``CatalogError`` for a key that no artifact may have, ``LeaseLost`` when another run has taken
        over.
        """
        for key in more:
            if not keys.is_artifact_key(key):
                raise CatalogError(f"{key!r} cannot be the key of an artifact", hint="Nothing was written.")
        new = tuple(key for key in dict.fromkeys(more) if key not in self.keys)
        if new:
            self._move(keys=self.keys + new)

    def release(self, key: str) -> None:
        """Take back the promise of a key that another program has written: nobody removes it for this run."""
        self._move(keys=tuple(one for one in self.keys if one != key))

    def commit(self, backup: Backup) -> None:
        """Make ``backup`` exist: its manifest is written, this intent removed.

        Raises ``CatalogError`` when it is not the backup this intent announced or its id is taken,
        ``LeaseLost`` when another run has taken over; then it does not exist.
        """
        unpromised = {artifact.key for artifact in backup.artifacts} - set(self.keys)
        if (backup.target, backup.stamp) != (self.target, self.stamp) or unpromised:
            raise CatalogError(
                f"{backup.id} is not what the intent of {self.target}@{self.stamp} announced",
                hint="Nothing was committed.",
                unpromised=sorted(unpromised),
            )
        body = manifest.encode(backup)
        self._move(state=IntentState.COMMITTING, manifest=manifest.fields(backup))
        self._publish(keys.manifest_key(self.target, self.stamp), body)

    def withdraw(self) -> None:
        """Remove what this run wrote, and the intent. For a run that failed and has stopped writing.

        Raises ``LeaseLost`` when another run has taken over, and ``CatalogError`` once the commit is decided:
        its manifest may be in the store although the answer was an error.
        """
        if self._record.state is IntentState.COMMITTING:
            raise CatalogError(
                f"{self.target}@{self.stamp} is being committed and cannot be withdrawn",
                hint="Everything of it is stored. The next run of the target finishes the commit.",
            )
        self._move(state=IntentState.ABANDONED)
        veleronames.remove(self._store, self.keys)
        self._store.delete((self._record.key,))

    def _move(self, **changes: Any) -> None:
        moved = replace(self._record, changed_at=self._now(), **changes)
        self._etag = _put(self._store, moved, self._etag)
        self._record = moved

    def _publish(self, key: str, body: bytes) -> None:
        """Write the manifest and remove the intent. Both may have been done by a run that cleaned up."""
        try:
            records.put(self._store, key, body, create=True)
        except AlreadyExists as error:
            if not records.holds(self._store, key, body):
                raise CatalogError(f"there is another backup at {key}", hint="It was left as it is.") from error
        if self._removed_since():
            self._store.delete((key,))
            raise _taken(self._record)
        with suppress(StoreError):  # the backup exists; the next run removes the intent
            self._store.delete((self._record.key,))

    def _removed_since(self) -> bool:
        """Whether the backup was finished by another run and has even been removed again.

        That takes a process that stood still between two requests; the manifest it has just written would
        promise what is gone. A removal leaves its own intent until the last artifact is deleted.
        """
        try:
            return self._store.head(self._record.key).etag != self._etag
        except NotFound:
            return any(not records.exists(self._store, key) for key in self.keys[:1])


def _put(store: Store, record: IntentRecord, etag: str) -> str:
    try:
        return records.write(store, record.key, record.encode(), match=etag)
    except AlreadyExists as error:
        raise _taken(record) from error


def same_second(target: Target, stamp: str) -> CatalogError:
    """The error of a run whose stamp is in use."""
    return CatalogError(
        f"{target}@{stamp} is taken by another run of the same second", hint="Nothing was written. Run it again."
    )


def _taken(record: IntentRecord) -> LeaseLost:
    return LeaseLost(
        f"another run took over {record.target} while {record.target}@{record.stamp} was being written",
        hint="This run stood still for too long. It committed nothing; the other run cleans up after it.",
    )
