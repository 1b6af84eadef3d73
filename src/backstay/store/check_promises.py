"""What Backstay uses where a store has it: conditional writes, object lock, lifecycle rules. Each probed by a rival."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from backstay.core.errors import AlreadyExists, Denied, Locked
from backstay.store.base import Store
from backstay.store.check_basics import LARGE_BYTES
from backstay.store.check_verdict import Probe, Verdict, degraded, failed, ok
from backstay.store.wrap.base import unwrapped

WRITERS = 4
ROUNDS = 3
RACE_SECONDS = 10.0
LOCK_SECONDS = 30  # long enough to send a large object, short enough to wait for
NO_LEASE = (
    "A lease is then written, waited for and read back. Two runs of one target that start within seconds of each other "
    "may both begin; let only one machine back it up."
)


class Promises:
    """Probes below ``prefix``; each leaves its objects for the clean-up at the end."""

    def __init__(self, store: Store, prefix: str, now: Callable[[], datetime], sleep: Callable[[float], None]) -> None:
        self._store = store
        self._prefix = prefix
        self._now = now
        self._sleep = sleep
        self._bucket: Any = getattr(unwrapped(store), "bucket", None)

    def probes(self) -> dict[str, Probe]:
        """Those that make sense for this store, by name, in the order to run them."""
        probes: dict[str, Probe] = {
            "create if absent": self.create_if_absent,
            "replace if unchanged": self.replace_if_unchanged,
            "conditions on large objects": self.conditions_on_large_objects,
            "object lock": self.object_lock,
        }
        if self._bucket is not None:
            probes["lifecycle"] = self.lifecycle
        return probes

    def create_if_absent(self) -> Verdict:
        """A second create, then several at the same moment."""
        if not self._store.caps.conditional_create:
            return degraded("this store is used without conditional writes", NO_LEASE)
        key = self._prefix + "create"
        self._store.put(key, (b"first",), create=True)
        if self._wins(key, iter((b"second",)), create=True):
            return degraded("a create overwrote what was there: the store ignores the condition", NO_LEASE)
        for number in range(ROUNDS):
            winners = self._race(f"{key}-{number}", create=True)
            if winners != 1:
                return degraded(f"{winners} of {WRITERS} writers created the same object", NO_LEASE)
        return ok(f"of {WRITERS} writers at once, one won")

    def replace_if_unchanged(self) -> Verdict:
        """A put under an old etag, then several under the same one."""
        if not self._store.caps.conditional_match:
            return degraded("this store is used without conditional writes", NO_LEASE)
        key = self._prefix + "match"
        old = self._store.put(key, (b"first",)).etag
        etag = self._store.put(key, (b"second",), match=old).etag
        if self._wins(key, iter((b"third",)), match=old):
            return degraded("a put under an old etag was accepted: the store ignores the condition", NO_LEASE)
        for number in range(ROUNDS):
            winners = self._race(key, match=etag)
            if winners != 1:
                return degraded(f"{winners} of {WRITERS} writers replaced the same object", NO_LEASE)
            etag = self._store.put(key, (f"round {number}".encode(),)).etag
        return ok(f"of {WRITERS} writers at once, one won")

    def conditions_on_large_objects(self) -> Verdict:
        """The same for an upload in parts, whose condition some servers overlook."""
        without = "Manifests and leases are small; large artifacts are never written twice under one name."
        if not self._store.caps.conditional_create:
            return degraded("this store is used without conditional writes", without)
        winners = self._race(self._prefix + "create-large", create=True, megabytes=LARGE_BYTES // 1024 // 1024)
        if winners != 1:
            return degraded(f"{winners} of {WRITERS} uploads in parts created the same object", without)
        return ok(f"of {WRITERS} uploads in parts at once, one won")

    def object_lock(self) -> Verdict:
        """A locked object, small and in parts, and a delete that must be refused."""
        if not self._store.caps.object_lock:
            return degraded(
                "objects are not locked", "Whoever has the keys to the store can delete backups before their time."
            )
        until = self._now() + timedelta(seconds=LOCK_SECONDS)
        weak = [name for name, size in (("small", 1), ("large", LARGE_BYTES)) if not self._is_kept(name, size, until)]
        left = (until - self._now()).total_seconds()
        self._sleep(max(0.0, left) + 1)
        if weak and left <= 0:
            return degraded(f"sending took longer than the lock of {LOCK_SECONDS} s", "Locks are set, not proven.")
        if weak:
            return failed(f"a locked {weak[0]} object could be deleted", "Do not rely on this store's locks.")
        return ok("locked objects could not be deleted")

    def lifecycle(self) -> Verdict:
        """Rules of the bucket that would delete backups behind Backstay's back."""
        try:
            rules = self._bucket.lifecycle_rules()
        except Denied as error:
            return degraded(error.message, "Rules that delete backups before their time would not be seen.")
        if rules is None:
            return degraded("the server has no lifecycle rules", "`prune` alone removes what is old or unfinished.")
        root = self._bucket.root
        deleting = [rule for rule in rules if _deletes(rule) and _overlap(_prefix_of(rule), root)]
        if deleting:
            return degraded(
                f"rule {deleting[0].get('ID', 'without a name')} deletes objects by age",
                "Backups may vanish before their retention allows it. Leave deleting to `prune`.",
            )
        return ok(f"none of the bucket's {len(rules)} rules deletes current backups")

    def _is_kept(self, name: str, size: int, until: datetime) -> bool:
        key = f"{self._prefix}lock-{name}"
        block = bytes(min(size, 1024 * 1024))
        self._store.put(key, (block for _ in range(size // len(block))), lock_until=until)
        if self._bucket is not None:
            return bool(self._bucket.keeps(key))
        try:
            self._store.delete([key])
        except Locked:
            return True
        return False

    def _wins(self, key: str, chunks: Iterator[bytes], **condition: Any) -> bool:
        try:
            self._store.put(key, chunks, **condition)
        except AlreadyExists:
            return False
        return True

    def _race(self, key: str, *, megabytes: int = 0, **condition: Any) -> int:
        """How many of several writers believe that they won."""
        start = threading.Barrier(WRITERS)

        def chunks(number: int) -> Iterator[bytes]:
            with suppress(threading.BrokenBarrierError):  # a rival was refused before it had to give bytes
                start.wait(RACE_SECONDS)
            yield bytes([number])
            for _ in range(megabytes):
                yield bytes(1024 * 1024)

        def write(number: int) -> bool:
            try:
                return self._wins(key, chunks(number), **condition)
            finally:
                start.abort()

        with ThreadPoolExecutor(WRITERS) as pool:
            return sum(pool.map(write, range(WRITERS)))


def _deletes(rule: Mapping[str, Any]) -> bool:
    """Whether a rule is on and removes current objects by age or date (S3: Expiration)."""
    expiration = rule.get("Expiration", {})
    return rule.get("Status") == "Enabled" and bool({"Days", "Date"} & set(expiration))


def _prefix_of(rule: Mapping[str, Any]) -> str:
    """What a rule applies to; the filter has three forms, one of them from before filters."""
    filter_ = rule.get("Filter", {})
    return str(filter_.get("Prefix") or filter_.get("And", {}).get("Prefix") or rule.get("Prefix") or "")


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
