"""The local cache: a copy that may be lost, damaged or busy without anybody noticing more than time."""

import os
import sqlite3
import stat
import threading
from multiprocessing import get_context

import pytest

from backstay.catalog.cache import ManifestCache
from tests.catalog.fakes import CARDBOARD, DictStore, make_backup, make_catalog, run_backup

URL = "s3://bucket/prefix/"
ROWS = [("backstay/a", "e1", b"one"), ("backstay/b", "e2", b"two"), ("other/c", "e3", b"three")]


@pytest.fixture
def cache(tmp_path):
    with ManifestCache(tmp_path / "cache", URL) as cache:
        yield cache


def reopened(cache):
    return ManifestCache(cache.path.parent, URL)


def test_what_was_put_is_found_under_the_same_etag_only(cache):
    cache.put(ROWS)
    assert cache.get({"backstay/a": "e1", "backstay/b": "e2", "backstay/x": "e1"}) == {
        "backstay/a": b"one",
        "backstay/b": b"two",
    }
    assert cache.get({"backstay/a": "e9"}) == {}


def test_it_outlives_the_process_and_is_one_file_for_each_store(cache, tmp_path):
    cache.put(ROWS)
    cache.close()
    with reopened(cache) as again, ManifestCache(tmp_path / "cache", "s3://other/") as other:
        assert again.get({"backstay/a": "e1"}) == {"backstay/a": b"one"}
        assert other.get({"backstay/a": "e1"}) == {}


def test_only_its_owner_can_read_it(cache):
    before = os.umask(0)
    try:
        cache.put(ROWS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700


def test_a_changed_object_replaces_the_old_one(cache):
    cache.put(ROWS)
    cache.put([("backstay/a", "e5", b"five")])
    assert cache.get({"backstay/a": "e5"}) == {"backstay/a": b"five"}


def test_what_has_gone_from_the_store_is_forgotten(cache):
    cache.put(ROWS)
    cache.retain("backstay/", ["backstay/b"])
    assert cache.get({"backstay/a": "e1", "backstay/b": "e2", "other/c": "e3"}) == {
        "backstay/b": b"two",
        "other/c": b"three",
    }


def test_more_keys_than_one_statement_takes(cache):
    cache.put((f"k{number}", "e", b"x") for number in range(2500))
    assert len(cache.get({f"k{number}": "e" for number in range(2500)})) == 2500


@pytest.mark.parametrize("damage", ["garbage", "truncated", "other form", "no table", "empty"])
def test_a_damaged_file_is_built_again(cache, damage):
    cache.put((f"k{number}", "e", b"x" * 1000) for number in range(200))
    cache.close()
    data = cache.path.read_bytes()
    if damage == "garbage":
        cache.path.write_bytes(b"this is no database" * 100)
    elif damage == "truncated":
        cache.path.write_bytes(data[: len(data) // 3])
    elif damage == "empty":
        cache.path.write_bytes(b"")
    else:
        change = "PRAGMA user_version = 99" if damage == "other form" else "DROP TABLE entry"
        database = sqlite3.connect(cache.path)
        database.execute(change)
        database.commit()
        database.close()
    with reopened(cache) as again:
        assert again.get({"k1": "e9"}) == {}
        again.put(ROWS)
        assert again.get({"backstay/a": "e1"}) == {"backstay/a": b"one"}
    with reopened(cache) as once_more:
        assert once_more.get({"backstay/a": "e1"}) == {"backstay/a": b"one"}


def test_a_folder_that_cannot_be_made_is_as_good_as_an_empty_cache(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with ManifestCache(tmp_path / "file" / "cache", URL) as cache:
        cache.put(ROWS)
        assert cache.get({"backstay/a": "e1"}) == {}


def test_a_busy_file_is_left_whole(cache, monkeypatch):
    monkeypatch.setattr("backstay.catalog.cache.BUSY_SECONDS", 0.05)
    cache.put(ROWS)
    cache.close()
    holder = sqlite3.connect(cache.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with reopened(cache) as blocked:
        assert blocked.get({"backstay/a": "e1"}) == {}
        blocked.put([("backstay/z", "e", b"z")])
    holder.execute("ROLLBACK")
    holder.close()
    with reopened(cache) as again:
        assert again.get({"backstay/a": "e1"}) == {"backstay/a": b"one"}


def fill(folder, name):
    with ManifestCache(folder, URL) as cache:
        for number in range(20):
            cache.put([(f"{name}-{number}", "e", b"x")])


def test_several_processes_share_it(tmp_path):
    context = get_context("spawn")
    writers = [context.Process(target=fill, args=(tmp_path, f"p{number}")) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
        writer.close()
    with ManifestCache(tmp_path, URL) as cache:
        wanted = {f"p{writer}-{number}": "e" for writer in range(3) for number in range(20)}
        assert set(cache.get(wanted)) == set(wanted)


def test_several_threads_share_it(cache):
    def work(name):
        for number in range(30):
            cache.put([(f"{name}-{number}", "e", b"x")])
            assert cache.get({f"{name}-{number}": "e"})

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(cache.get({f"t{one}-{number}": "e" for one in range(4) for number in range(30)})) == 120


def test_a_second_list_reads_no_manifest_from_the_store(cache):
    store = DictStore()
    for day in range(1, 9):
        run_backup(make_catalog(store), make_backup(stamp=f"2026010{day}-030000"))
    first = list(make_catalog(store, cache=cache).backups())
    store.requests.clear()
    assert list(make_catalog(store, cache=cache).backups()) == first
    assert [verb for verb, _ in store.requests] == ["list"]


def test_a_removed_backup_leaves_the_cache_too(cache):
    store = DictStore()
    catalog = make_catalog(store, cache=cache)
    doomed = run_backup(catalog, make_backup(stamp="20260101-030000"))
    run_backup(catalog, make_backup(stamp="20260102-030000"))
    assert len(list(catalog.backups())) == 2
    catalog.remove(doomed)
    assert [backup.stamp for backup in catalog.backups(CARDBOARD)] == ["20260102-030000"]
    assert [backup.stamp for backup in catalog.backups()] == ["20260102-030000"]
    rows = sqlite3.connect(cache.path)
    assert rows.execute("SELECT count(*) FROM entry").fetchone() == (1,)
    rows.close()
