"""What ran: the configuration on each change, the runs that failed, and the backups that prune has removed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from backstay.catalog import keys, records
from backstay.core.errors import BackstayError, NotFound
from backstay.core.model import Backup, State, Target
from backstay.core.units import exact_time, format_stamp
from backstay.store.base import Store

KIND = "failure"
RETIRED_KIND = "retired"
MESSAGE_LIMIT = 2000  # characters


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error: when it began, and what it said."""

    target: Target
    stamp: str
    failed_at: datetime
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Retired:
    """A backup that prune removed; ``noted_at`` is when, by the clock of the store."""

    target: Target
    stamp: str
    state: State
    noted_at: datetime


def record_config(store: Store, text: str, now: datetime) -> str | None:
    """Keep the configuration as it ran, if it differs from the one kept last; returns its key.

    ``text`` holds secrets only by reference. With it a bare machine can start from the store alone. Raises
    ``AlreadyExists`` when another one was kept in the same second.
    """
    body = text.encode()
    newest = max((info.key for info in store.list(keys.CONFIG)), default=None)
    if newest is not None and records.holds(store, newest, body):
        return None
    key = keys.config_key(format_stamp(now))
    records.write(store, key, body, create=True)
    return key


def record_failure(store: Store, target: Target, stamp: str, error: BackstayError, now: datetime) -> Failure:
    """Keep that the run of ``target`` begun at ``stamp`` failed. Only the error's own words are kept, shortened.

    Written without a condition: a second failure of the same second replaces the first.
    """
    failure = Failure(target, stamp, now, error.code, error.message[:MESSAGE_LIMIT], error.hint[:MESSAGE_LIMIT])
    fields = {
        "id": f"{target}@{stamp}",
        "state": "failed",
        "failed_at": exact_time(failure.failed_at),
        "code": failure.code,
        "message": failure.message,
        "hint": failure.hint,
    }
    store.put(keys.failure_key(target, stamp), (records.encode(KIND, fields),))
    return failure


def failures(store: Store, target: Target, since: datetime | None = None) -> Iterator[Failure]:
    """The failed runs of ``target`` begun since, oldest first. Raises ``CatalogError`` for a damaged record."""
    for stamp in _stamps(store, target, format_stamp(since) if since else ""):
        key = keys.failure_key(target, stamp)
        try:
            found = records.decode(KIND, records.read_bytes(store, key), key)
        except NotFound:
            continue
        yield Failure(
            target,
            stamp,
            failed_at=found.time("failed_at"),
            code=found.text("code", empty=True),
            message=found.text("message", empty=True),
            hint=found.text("hint", empty=True),
        )


def forget_failures(store: Store, target: Target, before: datetime) -> int:
    """Remove the records of failed runs begun before; returns how many."""
    limit = format_stamp(before)
    gone = [keys.failure_key(target, stamp) for stamp in _stamps(store, target) if stamp < limit]
    store.delete(gone)
    return len(gone)


def retire(store: Store, backup: Backup, now: datetime) -> None:
    """Note that ``backup`` was there, before it is removed. Written without a condition: one cut short notes it again.

    Raises ``UsageError`` for a foreign one, which is never removed.
    """
    fields = {
        "id": backup.id,
        "state": backup.state.value,
        "started_at": exact_time(backup.started_at),
        "finished_at": exact_time(backup.finished_at),
        "size_bytes": backup.size_bytes,
        "retired_at": exact_time(now),
    }
    key = keys.retired_key(backup.target, backup.stamp, backup.state)
    store.put(key, (records.encode(RETIRED_KIND, fields),))


def retired(store: Store, target: Target | None = None) -> Iterator[Retired]:
    """The removed backups that are still remembered, of one target or all, sorted by key; from the list alone."""
    for info in store.list(keys.target_prefix(keys.RETIRED, target) if target else keys.RETIRED):
        parsed = keys.parse_retired(info.key)
        if parsed and target in {None, parsed[0]}:
            yield Retired(*parsed, info.modified_at)


def forget_retired(store: Store, target: Target, before: datetime) -> int:
    """Remove the notes of removed backups begun before; returns how many."""
    limit = format_stamp(before)
    gone = [one for one in retired(store, target) if one.stamp < limit]
    store.delete(keys.retired_key(target, one.stamp, one.state) for one in gone)
    return len(gone)


def _stamps(store: Store, target: Target, least: str = "") -> Iterator[str]:
    listed = keys.list_records(store, keys.FAILURES, target)
    return (stamp for _, _, stamp in listed if stamp >= least)
