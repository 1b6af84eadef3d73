"""Records: changed under a condition, read up to a limit."""

import pytest

from backstay.catalog import records
from backstay.core.errors import AlreadyExists, CatalogError, NotFound
from tests.catalog.fakes import FULL, WEAK, DictStore

KEY = "backstay/v1/x.json"


@pytest.fixture(params=[FULL, WEAK], ids=["conditional puts", "none"])
def store(request):
    return DictStore(caps=request.param)


def test_create_refuses_what_exists_and_says_so_also_without_conditional_puts(store):
    records.put(store, KEY, b"one", create=True)
    with pytest.raises(AlreadyExists):
        records.put(store, KEY, b"two", create=True)
    assert store.objects[KEY] == b"one"


def test_match_refuses_what_has_changed_or_gone(store):
    etag = records.put(store, KEY, b"one")
    newer = records.put(store, KEY, b"two", match=etag)
    with pytest.raises(AlreadyExists):
        records.put(store, KEY, b"three", match=etag)
    assert store.objects[KEY] == b"two"
    store.delete([KEY])
    with pytest.raises(AlreadyExists):
        records.put(store, KEY, b"three", match=newer)
    assert store.objects == {}


def test_a_change_between_the_two_requests_of_a_read_makes_the_next_put_fail(store):
    records.put(store, KEY, records.encode("x", {"a": 1}))

    def change(verb, _key):
        if verb == "head":
            store.after = lambda _verb, _key: None
            store.objects[KEY] = records.encode("x", {"a": 2})

    store.after = change
    record = records.read(store, "x", KEY)
    with pytest.raises(AlreadyExists):
        records.put(store, KEY, b"three", match=record.etag)


def test_write_is_well_when_its_own_bytes_are_there_and_only_then(store):
    etag = records.write(store, KEY, b"mine", create=True)
    assert records.write(store, KEY, b"mine", create=True) == etag
    with pytest.raises(AlreadyExists):
        records.write(store, KEY, b"another's", create=True)


def test_an_object_over_the_limit_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(records, "RECORD_LIMIT", 10)
    store = DictStore(objects={KEY: b"x" * 11, "small": b"x" * 10})
    assert records.read_bytes(store, "small") == b"x" * 10
    with pytest.raises(CatalogError, match="larger than 10 bytes"):
        records.read_bytes(store, KEY)


def test_what_is_not_there_is_not_found(store):
    with pytest.raises(NotFound):
        records.read(store, "x", KEY)
    assert not records.exists(store, KEY)
    assert records.holds(store, KEY, b"") is None


@pytest.mark.parametrize("value", [True, "1", None, -1, 2**63, float("inf"), [1]])
def test_a_number_is_a_number(value):
    fields = records.Fields({"n": value}, KEY)
    for read in (fields.number, fields.integer):
        with pytest.raises(CatalogError, match=KEY):
            read("n")
