"""A store whose requests can be watched, stopped and interleaved: what no real store does on demand."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backstay.catalog.catalog import Catalog
from backstay.core.errors import AlreadyExists, NotFound
from backstay.core.model import Artifact, Backup, State, Target, TierKind
from backstay.store.base import Caps, ObjectInfo

NOW = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)
STAMP = "20260211-154344"
CARDBOARD = Target(TierKind.POSTGRES, "cardboard")
FULL = Caps(conditional_create=True, conditional_match=True, object_lock=False)
WEAK = Caps(conditional_create=False, conditional_match=False, object_lock=False)
SHA = hashlib.sha256(b"x").hexdigest()


class Killed(BaseException):
    """The process is gone: nothing catches this, and no request after it reaches the store."""


@dataclass
class DictStore:
    """Objects in memory; ``before`` and ``after`` are called around each request with its verb and key."""

    caps: Caps = FULL
    objects: dict[str, bytes] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda _verb, _key: None
    after: Callable[[str, str], None] = lambda _verb, _key: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    modified_at: datetime = NOW
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(
        self, key, chunks: Iterable[bytes], *, create=False, match=None, lock_until=None, metadata=None
    ) -> ObjectInfo:
        assert lock_until is None
        data = b"".join(chunks)
        with self._request("put", key), self._lock:
            if create and key in self.objects:
                raise AlreadyExists(f"{key} exists")
            if match is not None and (key not in self.objects or self._info(key).etag != match):
                raise AlreadyExists(f"{key} has changed")
            self.objects[key] = data
            return self._info(key)

    @contextmanager
    def get(self, key, *, start=0, length=None) -> Iterator[Iterator[bytes]]:
        with self._request("get", key):
            data = self._bytes(key)[start:]
        yield iter([data[:length]])

    def head(self, key) -> ObjectInfo:
        with self._request("head", key):
            self._bytes(key)
            return self._info(key)

    def list(self, prefix) -> Iterator[ObjectInfo]:
        with self._request("list", prefix):
            found = [self._info(key) for key in sorted(self.objects) if key.startswith(prefix)]
        yield from found

    def delete(self, keys) -> None:
        for key in keys:
            with self._request("delete", key):
                self.objects.pop(key, None)

    def describe(self) -> str:
        return "memory://tests/"

    def close(self) -> None:
        pass

    @contextmanager
    def _request(self, verb: str, key: str) -> Iterator[None]:
        self.requests.append((verb, key))
        self.before(verb, key)
        yield
        self.after(verb, key)

    def _bytes(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFound(f"{key} is not there")
        return self.objects[key]

    def _info(self, key: str) -> ObjectInfo:
        data = self.objects[key]
        return ObjectInfo(key, len(data), self.modified_at, hashlib.sha256(data).hexdigest()[:32])


@dataclass
class Clock:
    """A clock that is moved by hand."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **period: float) -> None:
        self.at += timedelta(**period)


class Ids:
    """``r1``, ``r2``, ..."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self) -> str:
        self.given += 1
        return f"r{self.given}"


IDS = Ids()


def make_catalog(store, *, now=lambda: NOW, cluster="homelab", **more) -> Catalog:
    return Catalog(store, name=more.pop("name", "main"), cluster=cluster, now=now, new_id=IDS, **more)


def artifact(target: Target = CARDBOARD, stamp: str = STAMP, role: str = "dump", suffix: str = ".sql.gz") -> Artifact:
    key = f"postgres-backups/{target.name}/{target.name}-{stamp}{suffix}"
    return Artifact(role, key, 1, SHA, 1, SHA, ("gzip",))


def make_backup(target: Target = CARDBOARD, stamp: str = STAMP, **changes) -> Backup:
    begun = datetime.strptime(stamp, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    facts = {
        "target": target,
        "stamp": stamp,
        "cluster": "homelab",
        "state": State.COMPLETE,
        "started_at": begun,
        "finished_at": begun + timedelta(seconds=5),
        "point_in_time": begun + timedelta(seconds=1),
        "artifacts": (artifact(target, stamp), artifact(target, stamp, "globals", "-globals.sql.gz")),
        "contents": {"tables": {"public.orders": 118}},
    }
    return Backup(**{**facts, **changes})


def run_backup(catalog: Catalog, backup: Backup | None = None) -> Backup:
    """What a job does: announce, promise and write each artifact, commit."""
    backup = backup or make_backup()
    intent = catalog.begin(backup.target, backup.stamp)
    for one in backup.artifacts:
        intent.promise(one.key)
        catalog.store.put(one.key, (b"x",))
    catalog.commit(backup, intent)
    return backup
