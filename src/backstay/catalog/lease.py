"""One writer for each target: a lease in the store, taken and kept by conditional puts.

A lease says who works on the target until when. Its holder renews it at a third of its time to live; one
that is not renewed in time is lost, and may be taken by another run under the next generation. Times are
compared with the clock of this machine, so clocks may differ by less than the time to live; what a lease
cannot prevent beyond that, the fence of intent.py does. Releasing writes the state ``released``: deleting
could remove another's lease.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from backstay.catalog import keys, records
from backstay.core.errors import AlreadyExists, BackstayError, LeaseHeld, LeaseLost, NotFound
from backstay.core.model import Target
from backstay.core.units import exact_time
from backstay.store.base import Store

KIND = "lease"
TTL = timedelta(minutes=5)
SETTLE_SECONDS = 3.0  # how long two writers may take to see each other where the store cannot compare


@dataclass(frozen=True)
class Holder:
    """Who asks for a lease: ``owner`` is a random word; host, pid and purpose are for people."""

    owner: str
    host: str
    pid: int
    purpose: str


@dataclass(frozen=True)
class LeaseRecord:
    """A lease as it is in the store."""

    holder: Holder
    generation: int
    acquired_at: datetime
    expires_at: datetime
    released: bool = False

    def encode(self) -> bytes:
        """As stored."""
        fields = {
            "state": "released" if self.released else "held",
            "owner": self.holder.owner,
            "generation": self.generation,
            "acquired_at": exact_time(self.acquired_at),
            "expires_at": exact_time(self.expires_at),
            "host": self.holder.host,
            "pid": self.holder.pid,
            "purpose": self.holder.purpose,
        }
        return records.encode(KIND, fields)

    def free_at(self, now: datetime) -> bool:
        """Whether another run may take it."""
        return self.released or now >= self.expires_at


def read(store: Store, target: Target) -> tuple[LeaseRecord, str]:
    """The lease of ``target`` and its etag. Raises ``NotFound``, ``CatalogError``."""
    record = records.read(store, KIND, keys.lease_key(target))
    found = record.fields
    holder = Holder(
        owner=found.text("owner"),
        host=found.text("host", empty=True),
        pid=found.integer("pid"),
        purpose=found.text("purpose", empty=True),
    )
    lease = LeaseRecord(
        holder,
        generation=found.integer("generation", least=1),
        acquired_at=found.time("acquired_at"),
        expires_at=found.time("expires_at"),
        released=found.choice("state", ("held", "released")) == "released",
    )
    return lease, record.etag


class Lease:
    """A lease that this run holds; a context manager that renews it in a thread and releases it at the end.

    Made by ``acquire``. ``check`` before every step that must not be done by two.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        record: LeaseRecord,
        etag: str,
        ttl: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self.target = target
        self.record = record
        self._store = store
        self._etag = etag
        self._ttl = ttl
        self._now = now
        self._lost: BackstayError | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {target}", daemon=True)

    def check(self) -> None:
        """Raise ``LeaseLost`` unless the lease is still this run's."""
        if self._lost is not None or self._now() >= self.record.expires_at:
            raise LeaseLost(
                f"this run no longer holds {self.target}: the lease could not be renewed in time",
                hint="Nothing more is written by it. Run it again once the store answers.",
            ) from self._lost

    def renew(self) -> None:
        """Move the end of the lease. Raises ``LeaseLost``, and what the store raises."""
        with self._lock:
            self.check()
            self._write(replace(self.record, expires_at=self._now() + self._ttl))

    def release(self) -> None:
        """Let go of the lease, if it is still this run's."""
        with self._lock:
            if self._lost is None and not self.record.released:
                self._write(replace(self.record, released=True))

    def _write(self, record: LeaseRecord) -> None:
        try:
            self._etag = records.write(self._store, keys.lease_key(self.target), record.encode(), match=self._etag)
        except AlreadyExists as error:
            self._lost = error
            raise LeaseLost(
                f"another run has taken over {self.target}",
                hint="This run stood still past its lease. Nothing more is written by it.",
            ) from error
        self.record = record

    def _beat(self) -> None:
        """Renew until told to stop. A store that fails is tried again until the lease has run out."""
        wait = self._ttl.total_seconds() / 3
        while not self._stop.wait(wait):
            try:
                self.renew()
                wait = self._ttl.total_seconds() / 3
            except LeaseLost as error:
                self._lost = self._lost or error
                return
            except BackstayError:
                wait = self._ttl.total_seconds() / 10

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(BackstayError):  # what was done is done, and a lease that is not released runs out
            self.release()


def acquire(
    store: Store,
    target: Target,
    holder: Holder,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    ttl: timedelta = TTL,
) -> Lease:
    """Take the lease of ``target``. Raises ``LeaseHeld`` when another run has it.

    ``sleep`` (seconds) is called only for a store without conditional put: there the writer waits and looks
    whether its lease is still the one in the store, which is weaker.
    """
    key = keys.lease_key(target)
    try:
        last, etag = read(store, target)
    except NotFound:
        last, etag = None, None
    moment = now()
    if last is not None and not last.free_at(moment):
        raise _held(target, last)
    record = LeaseRecord(holder, last.generation + 1 if last else 1, moment, moment + ttl)
    try:
        etag = records.write(store, key, record.encode(), create=etag is None, match=etag)
    except AlreadyExists as error:
        raise _held(target, _read_or(store, target, None)) from error
    if not (store.caps.conditional_create and store.caps.conditional_match):
        sleep(SETTLE_SECONDS)
        seen = _read_or(store, target, record)
        if seen is None or seen.holder.owner != holder.owner:
            raise _held(target, seen)
    return Lease(store, target, record, etag, ttl, now)


def _read_or(store: Store, target: Target, default: LeaseRecord | None) -> LeaseRecord | None:
    try:
        return read(store, target)[0]
    except NotFound:
        return default


def _held(target: Target, record: LeaseRecord | None) -> LeaseHeld:
    if record is None:
        return LeaseHeld(f"another run is working on {target}", hint="Nothing was done. Try again.")
    holder = record.holder
    return LeaseHeld(
        f"{holder.purpose or 'another run'} on {holder.host} (pid {holder.pid}) is working on {target} "
        f"since {_second(record.acquired_at)}",
        hint="Nothing was done. If that run is dead, its lease ends at "
        f"{_second(record.expires_at)} and the next run takes over and cleans up.",
        owner=holder.owner,
        generation=record.generation,
    )


def _second(moment: datetime) -> str:
    return exact_time(moment.replace(microsecond=0))
