"""The probe behind ``store check``: what it says of good stores, weaker ones, and ones that lie."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from backstay.core.errors import Denied
from backstay.store.base import Caps
from backstay.store.check import ROOM, Ability, probe
from backstay.store.directory import DirectoryStore
from backstay.store.memory import MemoryStore
from backstay.store.wrap import Metered, Retrying, Wrapper
from tests.store.helpers import keys, leftovers

BASICS = ["read and write", "large objects", "whole or nothing", "ranges", "list after write", "delete", "clock"]
PROMISES = ["create if absent", "replace if unchanged", "conditions on large objects", "object lock"]


SOMETIMES = "conditions on large objects"  # SeaweedFS 4.48 lets two of several uploads in parts win now and then
UNLOCKED = Caps(conditional_create=True, conditional_match=True, object_lock=False)


@pytest.fixture(autouse=True)
def short_locks(monkeypatch):
    monkeypatch.setattr("backstay.store.check_promises.LOCK_SECONDS", 4)


def now():
    return datetime.now(UTC)


def check(store, **more):
    return {result.name: result for result in probe(store, **{"now": now, **more})}


def abilities(results):
    return {name: result.ability for name, result in results.items() if result.ability is not Ability.OK}


def test_directory(tmp_path):
    store = DirectoryStore(tmp_path)
    store.put("mine", [b"x"])
    results = check(store)
    assert list(results) == [*BASICS, *PROMISES, "clean up"]
    assert abilities(results) == {"object lock": Ability.DEGRADED}
    assert keys(store) == ["mine"]
    assert leftovers(store) == []


def test_seaweed(seaweed_store):
    results = check(Retrying(Metered(seaweed_store)))
    assert list(results) == [*BASICS, *PROMISES, "lifecycle", "clean up"]
    results.pop(SOMETIMES)
    assert abilities(results) == {"object lock": Ability.DEGRADED}
    assert keys(seaweed_store) == []
    assert leftovers(seaweed_store) == []


def test_seaweed_with_object_lock(seaweed_bucket, open_s3):
    store = open_s3(seaweed_bucket(object_lock=True, prefix="p"))
    results = check(store)
    results.pop(SOMETIMES)
    assert abilities(results) == {}
    assert keys(store) == []


def test_moto_forgets_the_locks_of_uploads_in_parts(moto_bucket, open_s3):
    store = open_s3(moto_bucket(object_lock=True))
    result = check(store)["object lock"]
    assert result.ability is Ability.FAILED
    assert "large" in result.seen
    assert keys(store) == []


def test_a_lifecycle_rule_that_deletes_backups(moto_bucket, open_s3):
    options = moto_bucket(prefix="p")
    store = open_s3(options)

    def rules(*prefixes, **more):
        rule = {"Status": "Enabled", "Expiration": {"Days": 3}, **more}
        return {"Rules": [{"ID": f"r{n}", "Filter": {"Prefix": p}, **rule} for n, p in enumerate(prefixes)]}

    for prefixes, more, expected in (
        (("q/", "pp"), {}, Ability.OK),
        (("q/", ""), {}, Ability.DEGRADED),
        (("q/", "p/backstay/"), {}, Ability.DEGRADED),
        (("p/",), {"Status": "Disabled"}, Ability.OK),
    ):
        store._client.put_bucket_lifecycle_configuration(
            Bucket=options.bucket, LifecycleConfiguration=rules(*prefixes, **more)
        )
        assert check(store)["lifecycle"].ability is expected, prefixes


def test_memory_without_conditions():
    store = MemoryStore(Caps(conditional_create=False, conditional_match=False, object_lock=False))
    results = check(store)
    assert abilities(results) == dict.fromkeys(PROMISES, Ability.DEGRADED)
    assert all(results[name].without for name in PROMISES)
    assert keys(store) == []


def test_memory_with_everything():
    clock = [now()]
    store = MemoryStore(now=lambda: clock[0])

    def sleep(seconds):
        clock[0] += timedelta(seconds=seconds)

    assert abilities(check(store, now=lambda: clock[0], sleep=sleep)) == {}
    assert keys(store) == []


class Boasting(MemoryStore):
    """Says that it obeys conditions, and looks at them before the bytes come."""

    def put(self, key, chunks, **conditions):
        claimed, self.caps = self.caps, Caps(conditional_create=False, conditional_match=False, object_lock=False)
        try:
            return super().put(key, chunks, **conditions)
        finally:
            self.caps = claimed


def test_a_race_shows_what_single_writers_do_not():
    results = check(Boasting(UNLOCKED))
    assert results["create if absent"].ability is Ability.DEGRADED
    assert "4 of 4 writers" in results["create if absent"].seen
    assert results["replace if unchanged"].ability is Ability.DEGRADED
    assert "one machine" in results["replace if unchanged"].without


class Lying(Wrapper):
    """Breaks one promise."""

    def __init__(self, lie, inner=None):
        super().__init__(inner or MemoryStore())
        self.lie = lie
        self.deleted = set()

    def put(self, key, chunks, **conditions):
        if self.lie == "conditions" or (self.lie == "large conditions" and "large" in key):
            return self.inner.put(key, chunks)
        if self.lie == "locks":
            conditions.pop("lock_until", None)
        if self.lie == "broken" and key.endswith("broken"):
            return self.inner.put(key, [b"half"])
        return self.inner.put(key, chunks, **conditions)

    @contextmanager
    def get(self, key, *, start=0, length=None):
        if self.lie == "bytes":
            yield iter([b"other"])
            return
        with self.inner.get(key, start=0 if self.lie == "ranges" else start, length=length) as chunks:
            yield (chunk[::-1] for chunk in chunks) if self.lie == "large" and "large" in key else chunks

    def list(self, prefix):
        found = list(self.inner.list(prefix))
        yield from found[:-1] if self.lie == "list" else found

    def delete(self, keys):
        if self.lie != "delete":
            self.inner.delete(keys)


@pytest.mark.parametrize(
    ("lie", "name", "ability"),
    [
        ("bytes", "read and write", Ability.FAILED),
        ("large", "large objects", Ability.FAILED),
        ("broken", "whole or nothing", Ability.FAILED),
        ("ranges", "ranges", Ability.FAILED),
        ("list", "list after write", Ability.FAILED),
        ("delete", "delete", Ability.FAILED),
        ("delete", "clean up", Ability.FAILED),
        ("conditions", "create if absent", Ability.DEGRADED),
        ("conditions", "replace if unchanged", Ability.DEGRADED),
        ("large conditions", "conditions on large objects", Ability.DEGRADED),
        ("locks", "object lock", Ability.FAILED),
    ],
)
def test_lies_are_found(lie, name, ability):
    results = check(Lying(lie), sleep=lambda _: None)
    assert results[name].ability is ability
    assert results[name].without


@pytest.mark.parametrize(
    ("off", "ability"), [(5, Ability.OK), (120, Ability.DEGRADED), (-120, Ability.DEGRADED), (3600, Ability.FAILED)]
)
def test_clocks(off, ability):
    store = MemoryStore(UNLOCKED, now=lambda: now() + timedelta(seconds=off))
    assert check(store)["clock"].ability is ability


def test_a_store_that_cannot_be_written_is_one_failed_line():
    class Closed(Wrapper):
        def put(self, key, chunks, **conditions):
            raise Denied("no right to write", hint="Ask for it.")

    results = check(Closed(MemoryStore()))
    assert list(results) == ["read and write", "clean up"]
    assert results["read and write"].seen == "no right to write"
    assert results["read and write"].without == "Ask for it."


def test_stopping_early_cleans_up_too():
    store = MemoryStore()
    results = probe(store, now=now)
    assert next(results).ability is Ability.OK
    assert keys(store) != []
    results.close()
    assert keys(store) == []


def test_what_a_killed_check_left_is_removed_after_a_day():
    clock = [now() - timedelta(days=2)]
    store = MemoryStore(now=lambda: clock[0])
    store.put(f"{ROOM}old/x", [b"x"])
    clock[0] = now()
    store.put(f"{ROOM}running/x", [b"x"])
    store.put("backstay/v1/format.json", [b"x"])
    list(probe(store, now=now, sleep=lambda seconds: clock.__setitem__(0, clock[0] + timedelta(seconds=seconds))))
    assert keys(store) == ["backstay/v1/format.json", f"{ROOM}running/x"]
