"""Members on other machines are seen wherever they run, also where etcd on this machine says nothing; and only those
are let be that were restored from the same backup before this one."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from backstay.cluster.processes import free_ports
from backstay.core.errors import RestoreError, SourceError
from backstay.tiers.etcd.api.messages import Header, Member
from backstay.tiers.etcd.controlplane import TlsFiles
from backstay.tiers.etcd.restore import members
from backstay.tiers.etcd.restore.members import Made, Other, endpoints_of
from tests.tiers.etcd.restore.conftest import stale
from tests.tiers.etcd.restore.machine import foreign, k3s, keys, plain, plan_of, restore, stopping
from tests.tiers.etcd.restore.test_refused import tree
from tests.tiers.etcd.restore.test_rejoin import servers


@pytest.fixture
def three_plain(tmp_path):
    """Three members of etcd as a service, and an older backup of them."""
    ports = free_ports(6)
    urls = {f"m{n}": f"http://127.0.0.1:{ports[2 * n + 1]}" for n in range(3)}
    machines = [plain(tmp_path / f"m{n}", f"m{n}", urls, (ports[2 * n], ports[2 * n + 1])) for n in range(3)]
    with stopping(*machines):
        for machine in machines:
            machine.systemctl("start", "etcd")
        for machine in machines:
            machine.wait_healthy()
        yield machines, stale(machines[0], tmp_path)


def test_servers_that_run_are_seen_while_etcd_here_is_down(tmp_path):
    with servers(tmp_path, 3) as (first, others, source):
        first.systemctl("stop", "k3s")
        for machine in others:
            machine.wait_healthy()  # the two of them are a majority
        before, asked = tree(first), first.asked()
        plan = plan_of(first, source)
        assert "The live cluster does not answer" in plan.notes[0]
        assert "WARNING: etcd runs on server-2 and server-3. Stop it there" in "\n".join(plan.notes)
        with pytest.raises(RestoreError, match="etcd still answers on server-2 and server-3") as caught:
            restore(first, source)
        assert "`systemctl stop k3s`" in caught.value.hint
        assert (tree(first), first.asked()) == (before, asked)
        for machine in others:
            machine.systemctl("stop", "k3s")
        assert "WARNING: etcd runs on" not in "\n".join(plan_of(first, source).notes)
        assert restore(first, source).ok


def test_the_third_member_while_the_first_two_run_from_the_same_backup(three_plain):
    machines, source = three_plain
    for machine in machines:
        machine.systemctl("stop", "etcd")
    for machine in machines[:2]:
        restore(machine, source)
    for machine in machines[:2]:
        machine.wait_healthy()
    plan = plan_of(machines[2], source)
    assert "WARNING: etcd runs on" not in "\n".join(plan.notes)
    with machines[0].ask_client() as client:
        status = client.status()
        ids = {url: member.id for member in client.members() for url in member.peer_urls}
    own = ids[f"http://127.0.0.1:{machines[2].peer}"]
    assert plan.details["made"] == {"cluster_id": f"{status.cluster_id:x}", "member_id": f"{own:x}"}
    assert restore(machines[2], source).ok
    machines[2].wait_healthy()
    with machines[2].ask_client() as client:
        assert client.status().cluster_id == status.cluster_id


def test_a_cluster_that_was_restored_from_the_same_backup_long_ago_must_be_stopped(three_plain):
    """Its id is the same; a member that began anew in it would have forgotten what it voted for."""
    machines, source = three_plain
    for machine in machines:
        machine.systemctl("stop", "etcd")
    for machine in machines:
        restore(machine, source)
    for machine in machines:
        machine.wait_healthy()
    machines[0].systemctl("stop", "etcd")
    assert "WARNING: etcd runs on m1 and m2" in "\n".join(plan_of(machines[0], source).notes)
    live = keys(machines[1])
    with pytest.raises(RestoreError, match="etcd still answers on m1 and m2"):
        restore(machines[0], source)
    assert keys(machines[1]) == live


def test_members_of_the_old_cluster_are_refused_beside_restored_ones(three_plain):
    machines, source = three_plain
    machines[0].systemctl("stop", "etcd")
    with pytest.raises(RestoreError, match="etcd still answers on m1 and m2"):
        restore(machines[0], source)


class TestEndpoints:
    TLS = TlsFiles("ca", "cert", "key")

    def of(self, clients=(), peers=(), here=(), tls=TLS):
        return endpoints_of(Other("m1", tuple(clients), tuple(peers)), SimpleNamespace(tls=tls), here)

    def test_client_urls_are_taken_where_they_lead_to_the_member(self):
        assert self.of(["https://10.0.0.2:4001"], ["https://10.0.0.2:2380"]) == ("https://10.0.0.2:4001",)

    def test_else_the_usual_port_of_the_peers_host(self):
        assert self.of(peers=["https://10.0.0.2:2380"]) == ("https://10.0.0.2:2379",)
        assert self.of(peers=["https://[fd00::2]:2380"]) == ("https://[fd00::2]:2379",)
        peers = ["https://10.0.0.2:2380", "https://10.0.0.2:7001", "https://server-2:2380"]
        assert self.of(peers=peers) == ("https://10.0.0.2:2379", "https://server-2:2379")
        assert self.of(peers=peers[:1], tls=None) == ("http://10.0.0.2:2379",)

    def test_a_client_url_that_only_its_own_machine_can_use_is_not_enough(self):
        found = self.of(["https://127.0.0.1:2379"], ["https://10.0.0.2:2380"])
        assert found == ("https://127.0.0.1:2379", "https://10.0.0.2:2379")

    def test_never_this_machine(self):
        peers = ["https://10.0.0.1:2380", "https://127.0.0.1:2380", "https://localhost:2380"]
        assert self.of(peers=peers, here={"10.0.0.1", "fd00::1"}) == ()


class Answers:
    """Stands for ``EtcdClient``: the members that answer by endpoint, and who was asked with what."""

    def __init__(self, ids, known=()):
        self.ids, self.known, self.asked = ids, known, []

    def __call__(self, url, tls):
        self.asked.append((url, tls))
        return _Answer(self.ids.get(url), self.known)


class _Answer:
    def __init__(self, found, known):
        self.found, self._known = found, known

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def status(self, *, seconds):
        if self.found is None:
            raise SourceError("it does not answer")
        return SimpleNamespace(header=Header(*self.found), cluster_id=self.found[0], member_id=self.found[1])

    def members(self, *, seconds):
        if self._known is None:
            raise SourceError("it does not answer any more")
        return self._known


class TestAnswering:
    """By endpoints on other machines, which the tests have not."""

    OTHER = Other("server-2-0a1b2c3d", (), ("https://10.0.0.2:2380",))
    THERE = "https://10.0.0.2:2379"

    @pytest.fixture
    def ask(self, tmp_path, monkeypatch):
        machine = k3s(tmp_path / "server-1")
        machine.tls = TlsFiles("ca", "cert", "key")
        (machine.root / "bin/hostname").write_text("#!/bin/sh\necho 10.0.0.1\n")
        (machine.root / "bin/hostname").chmod(0o755)

        def asked(ids, others=(self.OTHER,), known=(), made=None):
            client = Answers({url.replace("HERE", machine.endpoint): found for url, found in ids.items()}, known)
            monkeypatch.setattr(members, "EtcdClient", client)
            return members.answering(others, machine.plane, machine.system, made), client.asked

        asked.tls = machine.tls
        return asked

    def test_a_member_known_by_its_peer_url_alone(self, ask):
        up, asked = ask({self.THERE: (7, 2)})
        assert up == ["server-2"]
        assert (self.THERE, ask.tls) in asked
        assert ask({})[0] == []

    def test_this_very_machine_is_no_other(self, ask):
        """Another name then, and the same address."""
        other = replace(self.OTHER, client_urls=("https://10.0.0.9:2379",))
        assert ask({"HERE": (7, 1), "https://10.0.0.9:2379": (7, 1)}, [other])[0] == []
        here = replace(self.OTHER, peer_urls=("https://10.0.0.1:2380",))
        assert ask({"https://10.0.0.1:2379": (7, 1)}, [here])[0] == []

    def test_what_plays_the_part_of_etcd_has_no_ids(self, ask):
        assert ask({"HERE": (0, 0), self.THERE: (0, 0)})[0] == ["server-2"]

    @pytest.mark.parametrize(
        ("cluster", "known", "up"),
        [
            (7, (Member(1, "m1", (), (), False),), []),
            (7, (Member(1, "m1", (), ("https://10.0.0.1:2379",), False),), ["server-2"]),
            (7, (), ["server-2"]),
            (7, None, ["server-2"]),
            (8, (Member(1, "m1", (), (), False),), ["server-2"]),
        ],
    )
    def test_only_one_that_was_restored_and_waits_for_this_machine_may_run(self, ask, cluster, known, up):
        assert ask({self.THERE: (cluster, 2)}, known=known, made=Made(7, 1))[0] == up


def test_the_plan_of_a_snapshot_that_k3s_took_asks_too(server, source, monkeypatch):
    """Nothing names the members but the snapshot itself, which has no client URLs: seen at the run."""
    named = [{"name": "server-2-0a1b2c3d", "client_urls": [], "peer_urls": ["https://10.0.0.2:2380"]}]
    monkeypatch.setattr("backstay.tiers.etcd.restore.fetch.members_in", lambda _: named)
    real = members.EtcdClient
    answers = Answers({"http://10.0.0.2:2379": (7, 2)})
    monkeypatch.setattr(members, "EtcdClient", lambda url, tls: (answers if "10.0.0.2" in url else real)(url, tls))
    with pytest.raises(RestoreError, match="etcd still answers on server-2"):
        restore(server, foreign(source))
    assert server.asked() == ["start k3s"]
