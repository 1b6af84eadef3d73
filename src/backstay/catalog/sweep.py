"""Clean up after runs that were killed: finish the commit they had decided, or remove what they wrote.

The fence that makes this safe beside a run that only stalled is in intent.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from backstay.catalog import intent, keys, manifest, records, veleronames
from backstay.catalog.intent import IntentRecord, IntentState
from backstay.core.errors import AlreadyExists, CatalogError, Locked, NotFound
from backstay.core.model import Target
from backstay.core.units import counted
from backstay.store.base import Store

TOMBSTONE_AGE = timedelta(days=1)


class Swept(StrEnum):
    """What became of an intent that its run left behind."""

    FINISHED = "finished"  # its commit was decided: the manifest was written now
    CLOSED = "closed"  # its backup was committed already
    REMOVED = "removed"  # its artifacts were removed
    REFUSED = "refused"  # it cannot be read, or the store forbids it; left as it is


@dataclass(frozen=True)
class Sweep:
    """One intent cleaned up; ``problem`` says why it could not be."""

    target: Target
    stamp: str
    result: Swept
    keys: tuple[str, ...] = ()
    problem: str = ""

    @property
    def message(self) -> str:
        """What was done, in a sentence for people."""
        run = f"the run of {self.target}@{self.stamp}"
        objects = counted(len(self.keys), "object")
        return {
            Swept.FINISHED: f"finished {run} that was cut short: all of it was stored, and it is a backup now",
            Swept.CLOSED: f"closed {run} that was cut short: it is a backup",
            Swept.REMOVED: f"cleaned up after {run} that was cut short ({objects})",
            Swept.REFUSED: f"what {run} left could not be cleaned up: {self.problem}",
        }[self.result]


def sweep(store: Store, target: Target, stamp: str, now: datetime) -> Sweep | None:
    """Finish or undo what another run left. ``None`` when there was nothing to do, or that run still goes on.

    The caller holds the lease of ``target``, or knows that the run is older than any run can be.
    """
    try:
        record, etag = intent.read(store, target, stamp)
    except NotFound:
        return None
    except CatalogError as error:
        return Sweep(target, stamp, Swept.REFUSED, problem=error.message)
    try:
        if record.state is IntentState.COMMITTING:
            return _finish(store, record)
        if records.exists(store, keys.manifest_key(target, stamp)):
            store.delete((record.key,))
            return Sweep(target, stamp, Swept.CLOSED)
        return _undo(store, record, etag, now)
    except (CatalogError, Locked) as error:  # a manifest that cannot be read; an artifact that is locked for now
        return Sweep(target, stamp, Swept.REFUSED, problem=error.message)


def _finish(store: Store, record: IntentRecord) -> Sweep:
    key = keys.manifest_key(record.target, record.stamp)
    try:
        fields = record.manifest or {}
        manifest.from_fields(records.Fields(fields, key))
        records.put(store, key, records.encode(manifest.KIND, fields), create=True)
        result = Swept.FINISHED
    except AlreadyExists:
        result = Swept.CLOSED
    store.delete((record.key,))
    return Sweep(record.target, record.stamp, result)


def _undo(store: Store, record: IntentRecord, etag: str, now: datetime) -> Sweep | None:
    fresh = record.state is IntentState.OPEN
    if fresh:
        abandoned = replace(record, state=IntentState.ABANDONED, changed_at=now)
        try:
            records.write(store, record.key, abandoned.encode(), match=etag)
        except AlreadyExists:
            return None  # the run moved on, so it lives
    veleronames.remove(store, record.keys)
    if not fresh and now - record.changed_at >= TOMBSTONE_AGE:
        store.delete((record.key,))
    return Sweep(record.target, record.stamp, Swept.REMOVED, record.keys) if fresh else None


def stamps(store: Store, target: Target) -> Iterator[str]:
    """The stamps of the intents of ``target``, oldest first."""
    return (stamp for _, _, stamp in keys.list_records(store, keys.INTENTS, target))
