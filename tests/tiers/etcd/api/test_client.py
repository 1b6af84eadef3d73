"""One member asked: its state, its cluster, its keys, their hash, its snapshot."""

import hashlib
import re

import grpc
import pytest

from backstay.core.errors import SourceError
from backstay.tiers.etcd import wire
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.keys import end_of_prefix
from backstay.tiers.etcd.api.trouble import Reason
from tests.fixtures.etcd import client_of, fill, single
from tests.tiers.etcd.api.conftest import KEYS
from tests.tiers.etcd.api.fake import Fault, fake, kine, part


def test_status_of_one_member(client):
    status = client.status()
    assert re.fullmatch(r"3\.\d+\.\d+", status.version)
    assert status.is_leader
    assert status.member_id == status.leader_id != 0
    assert status.cluster_id not in {0, status.member_id}
    assert 0 < status.db_in_use_bytes <= status.db_size_bytes
    assert status.raft_index >= status.raft_applied_index > KEYS / 100
    assert status.errors == ()
    assert not status.is_learner
    assert not status.is_kine


def test_the_members_of_a_cluster(secure):
    with secure.client() as client:
        members, status = client.members(), client.status()
    assert {member.name for member in members} == {"m0", "m1", "m2"}
    assert {member.client_urls[0] for member in members} == set(secure.endpoints)
    assert status.member_id == next(member.id for member in members if member.name == "m0")
    assert not any(member.is_learner for member in members)


def test_the_hash_is_the_same_on_all_members(secure):
    with secure.client() as client:
        revision = fill(client, 100, first=5000)
    hashes = []
    for index in range(3):
        with secure.client(index) as client:
            hashes.append(client.hash_kv(revision))
    assert len({each.hash for each in hashes}) == 1
    assert {each.compact_revision for each in hashes} == {-1}
    assert {each.hash_revision for each in hashes} == {revision}
    assert len({each.member_id for each in hashes}) == 3


def test_the_hash_of_another_revision_is_another(client):
    assert client.hash_kv(3).hash != client.hash_kv(4).hash
    assert client.hash_kv().hash_revision == client.hash_kv().revision


def test_a_revision_in_the_future_has_no_hash(client):
    with pytest.raises(SourceError, match="future revision") as caught:
        client.hash_kv(10_000_000)
    assert caught.value.context["reason"] == Reason.FUTURE


def test_a_compacted_revision_has_no_hash(tmp_path):
    with single(tmp_path) as server, client_of(server) as client:
        revision = fill(client, 500)
        client.compact(revision)
        client.put(b"/registry/late", b"1")
        with pytest.raises(SourceError, match="compacted") as caught:
            client.hash_kv(revision - 1)
        assert client.hash_kv().compact_revision == revision
    assert caught.value.context["reason"] == Reason.COMPACTED


def test_a_snapshot_is_a_bbolt_file_and_its_checksum(client):
    size = client.status().db_size_bytes
    data = b"".join(client.snapshot())
    assert len(data) >= size + 32
    assert len(data) % 512 == 32
    assert data[16:20] == bytes.fromhex("edda0ced")  # bbolt's magic, little-endian
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]


def test_a_snapshot_can_be_left_early(client):
    blocks = client.snapshot()
    assert len(next(blocks)) == 32 * 1024
    blocks.close()
    assert client.status().version


def test_keys_are_written_read_and_deleted(tmp_path):
    with single(tmp_path) as server, client_of(server) as client:
        assert client.get(b"/a") is None
        first = client.put(b"/a", b"one")
        second = client.put(b"/a", b"two")
        found = client.get(b"/a")
        assert (found.key, found.value, found.version) == (b"/a", b"two", 2)
        assert (found.create_revision, found.mod_revision) == (first, second) == (2, 3)
        assert client.txn([(b"/a/1", b"x"), (b"/b", b"y")], deletes=[b"/a"]) == second + 1
        assert [each.key for each in client.range(b"/")] == [b"/a/1", b"/b"]
        assert {each.mod_revision for each in client.range(b"/")} == {second + 1}
        assert client.delete(b"/a", prefix=True) == second + 2
        assert client.count(b"") == 1
        client.put(b"\xff\xff", b"last")
        assert [each.key for each in client.range(b"\xff")] == [b"\xff\xff"]
        assert [each.key for each in client.range(b"")] == [b"/b", b"\xff\xff"]


@pytest.mark.parametrize("page_keys", [7, 499, 500, 501, 10_000])
def test_pages_lose_no_key_and_repeat_none(client, page_keys):
    prefix = b"/registry/configmaps/shop-3/"
    keys = [each.key for each in client.range(prefix, keys_only=True, page_keys=page_keys)]
    assert len(keys) == KEYS // 5
    assert keys == sorted(set(keys))
    assert all(key.startswith(prefix) for key in keys)


@pytest.mark.parametrize("limit", [1, 10, 25, 600, 601])
def test_a_limit_holds_over_pages(client, limit):
    found = list(client.range(b"/registry/configmaps/shop-3/", limit=limit, page_keys=1 if limit < 50 else 10))
    assert len(found) == min(limit, KEYS // 5)
    assert all(len(each.value) > 1000 for each in found)


def test_keys_only_brings_no_values(client):
    assert {each.value for each in client.range(b"/registry/", keys_only=True, limit=50)} == {b""}


def test_pages_are_of_one_state(tmp_path):
    with single(tmp_path) as server, client_of(server) as client:
        fill(client, 100)
        pages = client.range(b"/registry/", page_keys=10)
        seen = [next(pages)]
        client.delete(b"/registry/", prefix=True)
        seen += pages
        assert len(seen) == 100
        assert client.count(b"/registry/") == 0


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"", b"\0"), (b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"/registry/", b"/registry0")],
)
def test_the_end_of_a_prefix(prefix, end):
    assert end_of_prefix(prefix) == end


def test_more_operations_than_etcd_takes_are_refused(client):
    with pytest.raises(SourceError, match="too many operations"):
        client.txn([(f"/{number}".encode(), b"") for number in range(129)])


def test_no_space_is_told_and_a_snapshot_still_comes(tmp_path):
    with single(tmp_path, options={"quota-backend-bytes": "1000000"}) as server, client_of(server) as client:
        with pytest.raises(SourceError, match="database space exceeded") as caught:
            fill(client, 3000)
        assert caught.value.context["reason"] == Reason.NO_SPACE
        assert "defragmented" in caught.value.hint
        assert [(alarm.name, alarm.member_id) for alarm in client.alarms()] == [("NOSPACE", client.status().member_id)]
        assert "NOSPACE" in client.status().errors[0]
        data = b"".join(client.snapshot())
        assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    # The alarm outlives a restart, and does not make the member look dead.
    with single(tmp_path) as server, client_of(server) as client:
        assert client.alarms()[0].name == "NOSPACE"


def test_a_store_without_alarms_has_none(client):
    assert client.alarms() == ()


def test_kine_is_told_from_etcd():
    with fake(**kine()) as endpoint, EtcdClient(endpoint) as client:
        assert client.status().is_kine
        assert client.status().version == "3.5.13"
        with pytest.raises(SourceError, match="does not support Maintenance/Snapshot") as caught:
            list(client.snapshot())
        assert caught.value.context["reason"] == Reason.NOT_SUPPORTED
        assert "kine" in caught.value.hint
        with pytest.raises(SourceError, match="does not support Maintenance/HashKV"):
            client.hash_kv()


def test_what_only_later_versions_say():
    header = wire.message((1, 7), (2, 9), (3, 100), (4, 2))
    status = wire.message((1, header), (2, b"3.6.5"), (3, 4096), (4, 8), (8, b"one"), (8, b"two"), (9, 2048), (10, 1))
    status += wire.message((11, b"3.6.0"), (12, 2 * 1024**3), (13, b""))
    hashed = wire.message((1, header), (2, 0xFFFFFFFF), (3, 50), (4, 90))
    with fake({"Maintenance/Status": status, "Maintenance/HashKV": hashed}) as endpoint, EtcdClient(endpoint) as client:
        said, found = client.status(), client.hash_kv()
    assert (said.storage_version, said.quota_bytes, said.errors) == ("3.6.0", 2 * 1024**3, ("one", "two"))
    assert said.is_learner
    assert not said.is_leader
    assert (found.hash, found.compact_revision, found.hash_revision, found.revision) == (0xFFFFFFFF, 50, 90, 100)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([], "ended early: 0 of 0 bytes"),
        ([part(b"x" * 512, 512)], "ended early: 512 of 1,056 bytes"),
        ([part(b"x" * 512, 0)], "ended early: 512 of 544 bytes"),
        ([part(b"x" * 512, 512), part(b"x" * 512, 0)], "ended early: 1,024 of 1,056 bytes"),
        ([part(b"x" * 512, 0), part(b"d" * 31, 0)], "ended early: 543 of 544 bytes"),
        ([part(b"x" * 512, 0), part(b"d" * 33, 0)], "ended early: 545 of 544 bytes"),
        ([part(b"x" * 500, 0), part(b"d" * 32, 0)], "not whole pages"),
    ],
)
def test_a_stream_that_ends_well_and_is_short_is_an_error(parts, words):
    stream = {"Maintenance/Snapshot": lambda: iter(parts)}
    with fake(stream=stream) as endpoint, EtcdClient(endpoint) as client, pytest.raises(SourceError) as caught:
        list(client.snapshot())
    assert words in caught.value.message
    assert caught.value.context["reason"] == Reason.CUT


def test_an_answer_that_is_no_message_is_an_error():
    answers = {"Maintenance/Status": b"\x0a\xff"}
    stream = {"Maintenance/Snapshot": lambda: iter([b"\x1a\xff"])}
    with fake(answers, stream) as endpoint, EtcdClient(endpoint) as client:
        with pytest.raises(SourceError, match="no message of etcd"):
            client.status()
        with pytest.raises(SourceError, match="no message of etcd") as caught:
            list(client.snapshot())
    assert caught.value.context["reason"] == Reason.GARBLED


@pytest.mark.parametrize(
    ("code", "words", "reason", "hint"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied", Reason.DENIED, "root"),
        (grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: user name is empty", Reason.DENIED, "root"),
        (grpc.StatusCode.UNIMPLEMENTED, "unknown service etcdserverpb.Maintenance", Reason.NOT_SUPPORTED, "kine"),
        (grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader", Reason.OTHER, "log"),
        (grpc.StatusCode.DATA_LOSS, "etcdserver: corrupt cluster", Reason.OTHER, "log"),
    ],
)
def test_what_etcd_refuses_is_told_in_its_words(code, words, reason, hint):
    answers = {"Maintenance/Status": Fault(code, words)}
    with fake(answers) as endpoint, EtcdClient(endpoint) as client, pytest.raises(SourceError) as caught:
        client.status()
    assert words.removeprefix("etcdserver: ") in caught.value.message
    assert endpoint in caught.value.message
    assert caught.value.context["reason"] == reason
    assert hint in caught.value.hint


def test_a_key_that_is_not_there_is_none_and_not_the_next_one(tmp_path):
    with single(tmp_path) as server, client_of(server) as client:
        client.put(b"/a", b"1")
        client.put(b"/c", b"3")
        assert client.get(b"/b") is None
        found = client.get(b"/c")
        assert found is not None
        assert found.value == b"3"
