"""What no store can be used without: whole objects, ranges, lists and deletes that agree with what was done."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from backstay.core.errors import NotFound
from backstay.core.units import format_duration
from backstay.store.base import Store
from backstay.store.check_verdict import Probe, Verdict, degraded, failed, ok

LARGE_BYTES = 9 * 1024 * 1024  # more than one part of a multipart upload
SMALL_SKEW = timedelta(seconds=60)
LARGE_SKEW = timedelta(minutes=15)  # S3 refuses requests that are further off
# A folder server lists dnd/ before dnd-test; S3 does not, since - sorts before /.
NAMES = ("list/a-1", "list/a/1", "list/a/2", "list/b", "list/é")


class Basics:
    """Probes below ``prefix``; each leaves its objects for the clean-up at the end."""

    def __init__(self, store: Store, prefix: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._prefix = prefix
        self._now = now

    def probes(self) -> dict[str, Probe]:
        """All but ``read_and_write``, by name, in the order to run them."""
        return {
            "large objects": self.large_objects,
            "whole or nothing": self.whole_or_nothing,
            "ranges": self.ranges,
            "list after write": self.list_after_write,
            "delete": self.delete,
            "clock": self.clock,
        }

    def read_and_write(self) -> Verdict:
        """A small object, written, read, looked up."""
        key, data = self._prefix + "small", b"backstay was here\n"
        put = self._store.put(key, (data,))
        if self._read(key) != data:
            return failed("other bytes came back than were written", "No backup in this store could be trusted.")
        head = self._store.head(key)
        if (head.size_bytes, head.etag) != (len(data), put.etag):
            return failed("the store does not know the object it was just given", "No backup could be trusted.")
        return ok("an object came back as it was written")

    def large_objects(self) -> Verdict:
        """An upload in parts."""
        key, block = self._prefix + "large", bytes(range(256)) * 4096
        self._store.put(key, (block for _ in range(LARGE_BYTES // len(block))))
        with self._store.get(key) as chunks:
            same = self._same(chunks, block)
        if not same or self._store.head(key).size_bytes != LARGE_BYTES:
            return failed("an upload in parts came back changed", "No backup of more than 8 MB could be trusted.")
        return ok("an upload in parts came back as it was written")

    def whole_or_nothing(self) -> Verdict:
        """An upload that breaks off in the middle."""
        key = self._prefix + "broken"
        try:
            self._store.put(key, _breaking())
        except BreakOff:
            pass
        else:
            return failed("a stream that failed was taken for complete", "Half a dump would look like a backup.")
        if key in self._keys("broken"):
            return failed("an upload that broke off is visible", "Half a dump would look like a backup.")
        return ok("an upload that broke off left nothing visible")

    def ranges(self) -> Verdict:
        """Parts of an object, also past its end."""
        key, data = self._prefix + "ranges", bytes(range(200))
        self._store.put(key, (data,))
        for start, length in ((0, 10), (190, 100), (50, None), (200, 5)):
            if self._read(key, start=start, length=length) != data[start:][:length]:
                return failed(f"the bytes from {start} on are not those written", "A broken read cannot be taken up.")
        return ok("reads may begin and end anywhere")

    def list_after_write(self) -> Verdict:
        """A list must agree with what was just written, in order."""
        wanted = [self._prefix + name for name in NAMES]
        for key in reversed(wanted):
            self._store.put(key, (b"x",))
        if self._keys("list/") != wanted:
            return failed("what was just written is not listed, or not in order", "Backups would be overlooked.")
        if self._keys("list/a/") != wanted[1:3]:
            return failed("a list holds keys that were not asked for", "Backups would be mistaken for others.")
        return ok("objects are listed at once and in order")

    def delete(self) -> Verdict:
        """Deleted objects must be gone at once; absent ones are no error."""
        keys = [self._prefix + f"delete/{number}" for number in range(3)]
        for key in keys:
            self._store.put(key, (b"x",))
        self._store.delete([*keys, self._prefix + "delete/absent"])
        try:
            self._store.head(keys[0])
        except NotFound:
            pass
        else:
            return failed("a deleted object can still be looked up", "What is pruned would stay and cost money.")
        if self._keys("delete/"):
            return failed("deleted objects are still listed", "Backups that are gone would be listed.")
        return ok("deleted objects are gone at once")

    def clock(self) -> Verdict:
        """The store's clock against this machine's."""
        before = self._now()
        stored = self._store.put(self._prefix + "clock", (b"x",)).modified_at
        after = self._now()
        # Whole seconds are all that S3 tells.
        skew = max(before - timedelta(seconds=1) - stored, stored - after, timedelta(0))
        seen = f"the store's clock is {format_duration(skew)} off"
        if skew >= LARGE_SKEW:
            return failed(seen, "S3 refuses requests that are 15 minutes off. Set the clocks (NTP).")
        if skew >= SMALL_SKEW:
            return degraded(seen, "Ages of litter are wrong by as much. Set the clocks (NTP).")
        return ok("the store's clock and this machine's agree to a minute")

    def _keys(self, name: str) -> list[str]:
        return [info.key for info in self._store.list(self._prefix + name)]

    def _read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        with self._store.get(key, start=start, length=length) as chunks:
            return b"".join(chunks)

    def _same(self, chunks: Iterator[bytes], block: bytes) -> bool:
        """Whether ``chunks`` are ``block`` again and again."""
        at = 0
        for chunk in chunks:
            first = at % len(block)
            repeated = block[first:] + block * (len(chunk) // len(block) + 1)
            if chunk != repeated[: len(chunk)]:
                return False
            at += len(chunk)
        return at == LARGE_BYTES


class BreakOff(Exception):
    """Ends a stream on purpose."""


def _breaking() -> Iterator[bytes]:
    for _ in range(LARGE_BYTES // 1024 // 1024):
        yield bytes(1024 * 1024)
    raise BreakOff
