"""Which member is chosen, and what is said of the others."""

import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.cluster.localetcd.server import EtcdServer
from backstay.core.errors import SourceError, UsageError
from backstay.tiers.etcd import wire
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.members import choose
from tests.fixtures.account import not_root
from tests.fixtures.etcd import cluster, fill, program
from tests.tiers.etcd.api.fake import fake, kine

CLUSTER = 0xABC


def answers(member, *, leader=1, learner=False, cluster_id=CLUSTER, errors=(), members=()):
    """What a made-up member says."""
    header = wire.message((1, cluster_id), (2, member), (3, 10), (4, 2))
    status = wire.message((1, header), (2, b"3.5.21"), (3, 4096), (4, leader), (5, 9), (6, 2), (10, int(learner)))
    status += b"".join(wire.message((8, error.encode())) for error in errors)
    listed = b"".join(
        wire.message((2, wire.message((1, number), (2, name), *((4, url.encode()) for url in urls))))
        for number, name, urls in members
    )
    return {"Maintenance/Status": status, "Cluster/MemberList": wire.message((1, header)) + listed}


def etcdctl(members, *words):
    tls = members.tls
    flags = [f"--endpoints={members.endpoints[0]}", f"--cacert={tls.ca}", f"--cert={tls.cert}", f"--key={tls.key}"]
    done = subprocess.run([program("etcdctl"), *flags, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_follower_is_chosen_and_the_others_are_known(secure):
    chosen = choose(secure.endpoints, secure.tls)
    assert chosen.endpoint in secure.endpoints
    assert not chosen.status.is_leader
    assert chosen.status.leader_id != 0
    assert chosen.trouble == ()
    assert not chosen.is_kine
    assert len(chosen.members) == 3
    assert {each.endpoint for each in chosen.others} == set(secure.endpoints) - {chosen.endpoint}
    leader = secure.endpoints[secure.leader()]
    assert chosen.endpoint != leader


def test_the_leader_is_chosen_where_there_is_no_choice(secure):
    leader = secure.endpoints[secure.leader()]
    chosen = choose([leader], secure.tls)
    assert chosen.endpoint == leader
    assert chosen.status.is_leader
    assert {each.endpoint for each in chosen.others} == set(secure.endpoints) - {leader}


def test_members_that_are_not_configured_are_found_and_compared(secure):
    with secure.client() as client:
        revision = fill(client, 10, first=7000)
    chosen = choose(secure.endpoints[:1], secure.tls)
    hashes = set()
    for endpoint in (chosen.endpoint, *(each.endpoint for each in chosen.others)):
        with EtcdClient(endpoint, secure.tls) as client:
            hashes.add(client.hash_kv(revision).hash)
    assert len(chosen.others) == 2
    assert len(hashes) == 1


def test_two_addresses_of_one_member_are_one(secure):
    first = secure.endpoints[0]
    chosen = choose([first, first.replace("127.0.0.1", "localhost")], secure.tls)
    assert len(chosen.others) == 2
    assert first not in {each.endpoint for each in chosen.others}


def test_a_single_member_has_no_others(plain):
    chosen = choose([plain.endpoint], None)
    assert chosen.endpoint == plain.endpoint
    assert (chosen.others, chosen.trouble, len(chosen.members)) == ((), (), 1)


def test_one_down_of_three(tmp_path):
    """The whole life of a cluster that loses members: one is told, two are told, and a snapshot still comes."""
    with cluster(tmp_path) as members:
        with members.client() as client:
            fill(client, 100)
        down = (members.leader() + 1) % 3
        members.servers[down].kill()
        chosen = choose(members.endpoints, members.tls)
        assert chosen.endpoint != members.endpoints[down]
        assert not chosen.status.is_leader
        assert len(chosen.others) == 1
        assert any(
            f"{members.endpoints[down]} cannot be reached: connection refused" in line for line in chosen.trouble
        )
        assert any(f"member m{down} was not asked" in line for line in chosen.trouble)

        left = members.endpoints.index(chosen.endpoint)
        for server in members.servers:
            if server is not members.servers[left]:
                server.kill()
        deadline = time.monotonic() + 30
        while (alone := choose(members.endpoints, members.tls)).status.leader_id != 0:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert alone.endpoint == members.endpoints[left]
        assert any("knows no leader" in line for line in alone.trouble)
        assert alone.others == ()
        with EtcdClient(alone.endpoint, members.tls) as client:
            assert len(b"".join(client.snapshot())) > 10_000

        members.servers[left].kill()
        with pytest.raises(SourceError, match="no endpoint of etcd can give a snapshot") as caught:
            choose(members.endpoints, members.tls)
        assert all(endpoint in caught.value.message for endpoint in members.endpoints)


def test_a_learner_is_never_chosen(tmp_path):
    # Or etcd would want five quiet seconds before it adds a member.
    with cluster(tmp_path / "cluster", options={"strict-reconfig-check": "false"}) as members:
        learner = EtcdServer(
            tmp_path / "learner", program=program("etcd"), name="learner", tls=members.certificates.server
        )
        etcdctl(members, "member", "add", "learner", "--learner", f"--peer-urls={learner.peer_url}")
        unstarted = choose(members.endpoints, members.tls)
        assert unstarted.trouble == ()
        assert sum(member.is_learner for member in unstarted.members) == 1

        initial = ",".join(f"{server.name}={server.peer_url}" for server in [*members.servers, learner])
        learner = EtcdServer(
            tmp_path / "learner",
            program=program("etcd"),
            name="learner",
            tls=members.certificates.server,
            initial_cluster=initial,
            fsync=False,
            options={"initial-cluster-state": "existing"},
        )
        learner.launch()
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    with EtcdClient(learner.endpoint, members.tls) as client:
                        assert client.status().is_learner
                    break
                except SourceError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            chosen = choose([learner.endpoint, *members.endpoints], members.tls)
            assert chosen.endpoint in members.endpoints
            assert len(chosen.others) == 2
            assert chosen.trouble == (f"{learner.endpoint} is a learner, which may be far behind",)
            with pytest.raises(SourceError, match="is a learner"):
                choose([learner.endpoint], members.tls)
            with EtcdClient(learner.endpoint, members.tls) as client, pytest.raises(SourceError, match="learner"):
                client.hash_kv()
        finally:
            learner.kill()


def refused(endpoints, tls=None):
    with pytest.raises(SourceError, match="no endpoint of etcd can give a snapshot") as caught:
        choose(endpoints, tls, seconds=1)
    return caught.value


@pytest.mark.parametrize("count", [1, 3])
def test_the_hint_is_that_of_what_is_wrong_with_each(papers, tmp_path, count):
    endpoints = [f"https://127.0.0.1:{number}" for number in range(1, count + 1)]
    error = refused(endpoints, replace(papers.client, ca=tmp_path / "ca.crt"))
    assert error.message.count("is missing") == 1
    assert error.hint.startswith("Is this machine a server of the cluster, and is the folder mounted?")
    assert error.hint.count("othing was") == 1
    (tmp_path / "ca.crt").write_text("no certificate")
    assert error.hint != refused(endpoints, replace(papers.client, ca=tmp_path / "ca.crt")).hint


def test_the_hint_of_certificates_that_are_closed(papers):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700 if os.geteuid() == 0 else 0)
        with not_root():
            error = refused(["https://127.0.0.1:1"], replace(papers.client, ca=Path(folder) / "ca.crt"))
        Path(folder).chmod(0o700)
    assert "is closed to this account" in error.message
    assert "must run as root" in error.hint


def test_the_hint_of_tls(guarded, strangers):
    error = refused([guarded.endpoint, guarded.endpoint.replace("127.0.0.1", "localhost")], strangers.client)
    assert "did not sign" in error.message
    assert error.hint.startswith("Name the CA of etcd itself")
    assert refused([guarded.endpoint.replace("https", "http")]).hint.startswith("Write the endpoint with https://")


def test_the_hint_where_each_has_another_trouble(guarded, strangers):
    running = "Is etcd (k3s, RKE2) running on this machine? Nothing was stored."
    assert refused([guarded.endpoint, "https://127.0.0.1:1"], strangers.client).hint == running
    assert refused(["http://127.0.0.1:1", "http://127.0.0.1:2"]).hint == running
    with fake(answers(2, learner=True)) as learner:
        assert refused([learner]).hint == "Name the endpoint of another member in etcd.endpoints. Nothing was stored."
        assert refused([learner, "http://127.0.0.1:1"]).hint == running
    assert refused([]).hint == "Set etcd.endpoints. Nothing was stored."


def test_two_clusters_are_an_error(secure):
    with fake(answers(1)) as endpoint, pytest.raises(SourceError, match="not of one cluster") as caught:
        choose([secure.endpoints[0], endpoint], secure.tls)
    assert secure.endpoints[0] in caught.value.message
    assert "abc" in caught.value.message


def test_kine_is_told_and_not_asked_further():
    with fake(**kine()) as endpoint:
        chosen = choose([endpoint], None)
    assert chosen.is_kine
    assert chosen.endpoint == endpoint
    assert (chosen.members, chosen.others, chosen.trouble) == ((), (), ())


def test_this_machine_comes_before_another(monkeypatch):
    """Of equals. The far one is this machine too, by a name that does not look so."""
    monkeypatch.setattr("backstay.tiers.etcd.api.members.is_loopback", lambda host: host == "127.0.0.1")
    with fake(answers(2)) as first, fake(answers(3)) as second:
        far = first.replace("127.0.0.1", "localhost")
        assert choose([far, second], None).endpoint == second
        assert choose([second, far], None).endpoint == second


def test_the_first_of_equals_is_taken():
    with fake(answers(2)) as first, fake(answers(3)) as second:
        assert choose([first, second], None).endpoint == first
        assert choose([second, first], None).endpoint == second


def test_one_that_knows_a_leader_comes_before_one_that_knows_none():
    with fake(answers(2, leader=0)) as lost, fake(answers(1, leader=1)) as leader:
        assert choose([lost, leader], None).endpoint == leader


def test_a_corrupt_member_is_not_chosen():
    said = ["memberID:2 alarm:CORRUPT "]
    with fake(answers(2, errors=said)) as corrupt, fake(answers(3, errors=said)) as sound:
        chosen = choose([corrupt, sound], None)
        assert chosen.endpoint == sound
        assert chosen.trouble == (f"{corrupt} is corrupt, as etcd itself found (alarm CORRUPT)",)
        with pytest.raises(SourceError, match="alarm CORRUPT"):
            choose([corrupt], None)


def test_members_that_cannot_be_asked_are_told():
    members = [(2, b"here", []), (3, b"", []), (4, b"far", ["http://10.0.0.9:2379"]), (5, b"odd", ["unix:///x"])]
    with fake(answers(9)) as other:
        members.append((6, b"moved", [other]))
        with fake(answers(2, members=members)) as endpoint:
            chosen = choose([endpoint], None)
    assert chosen.others == ()
    told = "\n".join(chosen.trouble)
    assert "member 3 has not started yet" in told
    assert "member far was not asked: http://10.0.0.9:2379 has no TLS" in told
    assert "member odd was not asked: 'unix:///x' is not an endpoint" in told
    assert f"member moved was not asked: {other} is another member" in told
    assert len(chosen.trouble) == 4


def test_endpoints_that_are_none_are_errors_of_the_configuration():
    with pytest.raises(UsageError, match="has no TLS"):
        choose(["http://10.0.0.1:2379"], None)
    with pytest.raises(SourceError, match="none is configured"):
        choose([], None)


def test_silent_ones_are_asked_at_the_same_time():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent, fake(answers(2)) as endpoint:
        port = silent.getsockname()[1]
        begun = time.monotonic()
        chosen = choose([*[f"http://127.0.0.1:{port}"] * 5, endpoint], None, seconds=1)
        assert time.monotonic() - begun < 4
    assert chosen.endpoint == endpoint
    assert len(chosen.trouble) == 5
    assert "did not answer" in chosen.trouble[0]
