"""What a store can really do, found out by doing it: the contract's essentials against the user's own store.

Everything is written below a throw-away prefix and removed at the end, also when the caller stops early. Nothing that
a server claims is taken for granted: a promise is probed by trying to break it.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.core.errors import StoreError
from backstay.store.base import Store
from backstay.store.check_basics import Basics
from backstay.store.check_promises import Promises
from backstay.store.check_verdict import Ability, Probe, Verdict, failed, ok

__all__ = ["Ability", "ProbeResult", "probe"]

ROOM = "backstay/v1/probe/"
STALE = timedelta(days=1)


@dataclass(frozen=True)
class ProbeResult:
    """One line of ``store check``: what was tried, what was seen, and what Backstay does without it."""

    name: str
    ability: Ability
    seen: str
    without: str = ""


def probe(
    store: Store,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
    token: Callable[[], str] = lambda: secrets.token_hex(6),
) -> Iterator[ProbeResult]:
    """Try everything, the simplest first; writes about 40 MB. Ends early when not even reading and writing work.

    A ``StoreError`` becomes a failed result. ``now`` is the clock that the store's is compared with.
    """
    prefix = f"{ROOM}{token()}/"
    basics, promises = Basics(store, prefix, now), Promises(store, prefix, now, sleep)
    try:
        first = _result("read and write", basics.read_and_write)
        yield first
        if first.ability is not Ability.FAILED:
            for name, each in {**basics.probes(), **promises.probes()}.items():
                yield _result(name, each)
    except GeneratorExit:
        _clean_up(store, prefix, now())
        raise
    yield _result("clean up", lambda: _clean_up(store, prefix, now()))


def _result(name: str, each: Probe) -> ProbeResult:
    try:
        verdict = each()
    except StoreError as error:
        verdict = failed(error.message, error.hint)
    return ProbeResult(name, verdict.ability, verdict.seen, verdict.without)


def _clean_up(store: Store, prefix: str, now: datetime) -> Verdict:
    """Remove what these probes wrote, and what an earlier check left that was killed."""
    ours = [info.key for info in store.list(ROOM) if info.key.startswith(prefix) or info.modified_at < now - STALE]
    store.delete(ours)
    left = [info.key for info in store.list(prefix)]
    if left:
        return failed(f"{left[0]} is still listed after it was deleted", "What is pruned would stay and cost money.")
    return ok(f"all {len(ours)} objects of this check removed")
