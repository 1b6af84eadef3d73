"""The fence and the leases over the S3 protocol: real etags, real conditional requests, killed at each request."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto.server import ThreadedMotoServer

from backstay.catalog import keys, lease
from backstay.catalog.intent import IntentState, read
from backstay.catalog.lease import Holder
from backstay.core.errors import LeaseHeld, LeaseLost
from backstay.store.s3 import S3Store
from backstay.store.s3_options import S3Options
from tests.catalog.fakes import CARDBOARD, STAMP, Killed, artifact, make_backup, make_catalog, run_backup

OLD = "20260210-030000"
ACCOUNT = {"access_key_id": "tester", "secret_access_key": "not-a-secret"}


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def bucket(endpoint):
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCOUNT["access_key_id"],
        aws_secret_access_key=ACCOUNT["secret_access_key"],
    )
    client.create_bucket(Bucket="catalog")
    client.close()
    return "catalog"


@pytest.fixture
def open_store(endpoint, bucket):
    opened = []

    def open_one(prefix):
        store = S3Store(S3Options(bucket, prefix=prefix, endpoint_url=endpoint, **ACCOUNT))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


class Dying:
    """A store whose process is killed before or after its n-th request."""

    def __init__(self, inner, number, *, done):
        self._inner = inner
        self._left = number
        self._done = done
        self.caps = inner.caps

    def put(self, key, chunks, **conditions):
        return self._request(lambda: self._inner.put(key, chunks, **conditions))

    def head(self, key):
        return self._request(lambda: self._inner.head(key))

    def delete(self, deleted):
        return self._request(lambda: self._inner.delete(deleted))

    def get(self, key, **part):
        return self._inner.get(key, **part)

    def list(self, prefix):
        return self._inner.list(prefix)

    def describe(self):
        return self._inner.describe()

    def _request(self, action):
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._done):
            raise Killed
        result = action()
        if self._left == 0:
            raise Killed
        return result


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_request_what_is_listed_is_whole_and_the_next_run_cleans_up(open_store, done):
    outcomes = set()
    for number in range(1, 30):
        store = open_store(f"kill-{done}-{number}")
        run_backup(make_catalog(store), make_backup(stamp=OLD))
        finished = False
        with suppress(Killed):
            run_backup(make_catalog(Dying(store, number, done=done)))
            finished = True
        make_catalog(store).clean(CARDBOARD)
        listed = list(make_catalog(store).backups())
        outcomes.add(len(listed))
        claimed = {one.key for backup in listed for one in backup.artifacts}
        present = {info.key for info in store.list("")}
        assert {key for key in present if not key.startswith(keys.OWN)} == claimed
        assert OLD in {backup.stamp for backup in listed}
        for key in present:
            if key.startswith(keys.INTENTS):
                assert read(store, CARDBOARD, STAMP)[0].state is IntentState.ABANDONED
        if finished:
            break
    assert finished
    assert outcomes == {1, 2}


def test_a_stalled_run_finds_out_by_its_etag(open_store):
    store = open_store("stalled")
    catalog = make_catalog(store)
    intent = catalog.begin(CARDBOARD, STAMP)
    intent.promise(*(one.key for one in make_backup().artifacts))
    store.put(artifact().key, (b"x",))
    assert len(make_catalog(open_store("stalled")).clean(CARDBOARD)) == 1
    with pytest.raises(LeaseLost):
        catalog.commit(make_backup(), intent)
    assert list(catalog.backups()) == []


def take(store, owner, ttl=timedelta(minutes=5)):
    holder = Holder(owner, "node-1", 1, "backup")
    return lease.acquire(store, CARDBOARD, holder, now=lambda: datetime.now(UTC), sleep=time.sleep, ttl=ttl)


def test_a_lease_is_held_renewed_released_and_taken_again(open_store):
    store = open_store("lease")
    with take(store, "a", ttl=timedelta(seconds=1.5)) as held:
        first = held.record.expires_at
        deadline = time.monotonic() + 20
        while held.record.expires_at == first and time.monotonic() < deadline:
            time.sleep(0.05)
        held.check()
        assert held.record.expires_at > first
        with pytest.raises(LeaseHeld, match="backup on node-1"):
            take(open_store("lease"), "b")
    assert take(store, "b").record.generation == 2
