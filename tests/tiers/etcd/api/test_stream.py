"""A snapshot over a bad network: cut, stalled, changed. No file is ever left, and each is told for what it is."""

import threading
import time

import pytest

from backstay.core.errors import SnapshotDamaged, SourceError
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.spool import receive
from backstay.tiers.etcd.api.trouble import Reason
from tests.fixtures.etcd import client_of, fill, single
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.tiers.etcd.api.fake import fake, part
from tests.tiers.etcd.api.tampering import TamperingProxy


def port_of(server):
    return int(server.endpoint.rpartition(":")[2])


def take(endpoint, folder, **more):
    """Ask a first question, so that the fault is met in the stream, then receive."""
    with EtcdClient(endpoint) as client:
        return receive(client, folder / "snapshot", advance=lambda _: None, expected_bytes=0, **more)


@pytest.fixture(scope="module")
def answer_bytes(plain):
    """How long the whole answer is on the wire, about."""
    with client_of(plain) as client:
        return sum(map(len, client.snapshot()))


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999])
def test_a_cut_connection_leaves_no_file(plain, answer_bytes, tmp_path, share):
    with FaultyProxy(port_of(plain)) as proxy:
        proxy.set(answer_bytes=int(answer_bytes * share))
        with pytest.raises(SourceError) as caught:
            take(proxy.url, tmp_path)
    assert caught.value.context["reason"] in {Reason.CUT, Reason.UNREACHABLE}
    assert proxy.url in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_near_the_very_end_it_is_whole_or_nothing(plain, tmp_path):
    """The last bytes are the checksum, gRPC's trailers and HTTP/2's own talk, which is not of the same length twice."""
    total = 0

    class Counting(TamperingProxy):
        def _answer(self, block, place):
            nonlocal total
            total = place + len(block)
            return block

    with Counting(port_of(plain)) as proxy:
        whole = take(proxy.url, tmp_path)
    reasons = []
    for from_end in range(0, 400, 20):
        (tmp_path / "snapshot").unlink(missing_ok=True)
        with FaultyProxy(port_of(plain)) as proxy:
            proxy.set(answer_bytes=total - from_end)
            try:
                came = take(proxy.url, tmp_path)
            except SourceError as error:
                reasons.append(error.context["reason"])
                came = None
        assert came == (whole if list(tmp_path.iterdir()) else None)
    assert len(reasons) > 5
    assert set(reasons) <= {Reason.CUT, Reason.UNREACHABLE}


def test_a_changed_byte_is_found(plain, answer_bytes, tmp_path):
    """Any place but the few of framing is one in the content, and only the checksum can tell."""
    kinds = []
    for step in range(1, 8):
        with TamperingProxy(port_of(plain), flip_at=answer_bytes * step // 8) as proxy:
            with pytest.raises((SnapshotDamaged, SourceError)) as caught:
                take(proxy.url, tmp_path, stall_seconds=2)
            kinds.append(type(caught.value))
    assert kinds.count(SnapshotDamaged) >= 5
    assert list(tmp_path.iterdir()) == []


def test_a_changed_checksum_is_found(tmp_path):
    stream = {"Maintenance/Snapshot": lambda: iter([part(b"x" * 512, 0), part(b"d" * 32, 0)])}
    with fake(stream=stream) as endpoint, pytest.raises(SnapshotDamaged, match="not what its checksum says") as caught:
        take(endpoint, tmp_path)
    assert "Nothing was stored" in caught.value.hint or "nothing was stored" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0005, 0.5, 0.99])
def test_a_stall_ends(plain, answer_bytes, tmp_path, share):
    begun = time.monotonic()
    with TamperingProxy(port_of(plain), hold_at=int(answer_bytes * share)) as proxy:
        with pytest.raises(SourceError, match="nothing came from .* for 1 s") as caught:
            take(proxy.url, tmp_path, stall_seconds=1)
        assert proxy.holding.is_set()
        assert time.monotonic() - begun < 10
    assert caught.value.context["reason"] == Reason.STALLED
    assert list(tmp_path.iterdir()) == []


def test_a_slow_caller_is_no_stall(client, tmp_path):
    waited = []

    def advance(_):
        if len(waited) < 3:
            waited.append(time.sleep(0.6))

    received = receive(client, tmp_path / "s", advance=advance, expected_bytes=0, stall_seconds=0.3)
    assert len(waited) == 3
    assert received.size_bytes == (tmp_path / "s").stat().st_size


def test_a_server_that_dies_in_the_middle_leaves_no_file(tmp_path):
    with single(tmp_path / "server") as server, client_of(server) as client:
        fill(client, 3000, 4000)
        seen = []

        def advance(size):
            seen.append(size)
            if len(seen) == 20:
                server.kill()

        spool = tmp_path / "spool"
        spool.mkdir()
        with pytest.raises(SourceError) as caught:
            receive(client, spool / "s", advance=advance, expected_bytes=0)
    assert caught.value.context["reason"] in {Reason.CUT, Reason.UNREACHABLE}
    assert list(spool.iterdir()) == []


def test_writes_meanwhile_do_not_disturb_it(tmp_path):
    with single(tmp_path / "server") as server, client_of(server) as client, client_of(server) as writer:
        fill(client, 1000, 4000)
        stop = threading.Event()

        def write():
            number = 10_000
            while not stop.is_set():
                fill(writer, 100, first=number)
                number += 100

        thread = threading.Thread(target=write)
        thread.start()
        try:
            taken = [
                receive(client, tmp_path / f"s{number}", advance=lambda _: None, expected_bytes=0)
                for number in range(3)
            ]
        finally:
            stop.set()
            thread.join(30)
    assert len({each.sha256_hex for each in taken}) == 3
    assert all(each.size_bytes % 512 == 32 for each in taken)
