"""The etcd of Debian trixie (3.5.16): its hashes after every kind of compaction, its cluster, its restore tool."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.cluster.localetcd.programs import find, version_of
from backstay.cluster.localetcd.server import EtcdServer
from backstay.core.errors import ToolTooOld
from backstay.demo import controlplane
from backstay.store.memory import MemoryStore
from tests.fixtures import etcd as fixture
from tests.fixtures.etcd import client_of, fill, single
from tests.tiers.etcd.world import EtcdWorld, plane_of

LIBRARIES = "usr/lib/x86_64-linux-gnu"


@pytest.fixture(scope="session")
def debian(debian_rootfs, tmp_path_factory) -> Path:
    """A folder with etcd, etcdctl and etcdutl of Debian, which run with the libraries they were built for."""
    folder = tmp_path_factory.mktemp("debian-etcd")
    for name in ("etcd", "etcdctl", "etcdutl"):
        program = folder / name
        loader = debian_rootfs / "lib64/ld-linux-x86-64.so.2"
        found = debian_rootfs / "usr/bin" / name
        program.write_text(
            f'#!/bin/sh\nexec {loader} --library-path {debian_rootfs / LIBRARIES} --argv0 {name} {found} "$@"\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    assert version_of(folder / "etcd").startswith("3.5.")
    assert version_of(folder / "etcd") != "3.5.1"
    return folder


@pytest.fixture
def server(debian, tmp_path):
    with EtcdServer(tmp_path / "etcd", program=debian / "etcd", fsync=False) as made:
        yield made


def world_of(folder, debian, endpoints, **changes):
    return EtcdWorld(MemoryStore(), plane_of(folder, endpoints, bin=str(debian), **changes), folder)


def compactions(client):
    """States of a store, each with its compaction, that have had different hashes in one version or another."""
    fill(client, 200)
    yield "never compacted"
    for number in range(30):
        client.put(b"/registry/leases/a/x", b"%d" % number)
    tombstone = client.delete(b"/registry/leases/a/x")
    fill(client, 5, namespace="more")
    client.compact(tombstone)
    client.put(b"/registry/after", b"1")
    yield "compacted at a tombstone"
    client.delete(b"/registry/configmaps/shop-1/", prefix=True)
    at = fill(client, 50, namespace="again")
    client.compact(at)
    client.put(b"/registry/after", b"2")
    yield "compacted at the present revision, then one more write"
    last = client.delete(b"/registry/configmaps/shop-2/", prefix=True)
    client.compact(last)
    client.put(b"/registry/after", b"3")
    yield "compacted at a deletion of many"


def test_every_state_agrees_with_the_server_and_drills(server, debian, tmp_path):
    world = world_of(tmp_path, debian, [server.endpoint])
    with client_of(server) as client:
        states = 0
        for state in compactions(client):
            made = world.backup()
            assert made.contents["compared_with"] == ["default"], (state, made.warnings)
            outcome = world.drill(made)
            assert outcome.ok, (state, outcome.findings)
            states += 1
    assert states == 4
    assert made.source["server_version"] == version_of(debian / "etcd")


def test_three_members_with_tls(debian, tmp_path, monkeypatch):
    monkeypatch.setattr(fixture, "program", lambda name: debian / name)
    with fixture.cluster(tmp_path / "etcd") as members:
        with members.client() as client:
            controlplane.fill(client)
        world = world_of(tmp_path, debian, members.endpoints, tls=members.tls)
        made = world.backup()
        assert sorted(made.contents["compared_with"]) == ["m0", "m1", "m2"]
        assert made.source["member"] != f"m{members.leader()}"


def test_a_backup_of_an_older_etcd_restores_here_and_not_the_other_way(debian, tmp_path):
    older = find("etcd")
    with single(tmp_path / "old") as server:
        with client_of(server) as client:
            controlplane.fill(client)
            before = controlplane.fingerprint(client)
        world = world_of(tmp_path, debian, [server.endpoint])
        made = world.backup()
    assert made.source["server_version"] == version_of(older)
    assert world.drill(made).ok
    folder = tmp_path / "new"
    world.restore(made, to=str(folder / "data"))
    with EtcdServer(folder, program=debian / "etcd", fsync=False) as server, client_of(server) as client:
        assert controlplane.fingerprint(client) == before
    newer = replace(made, source={**made.source, "server_version": "3.6.1"})
    with pytest.raises(ToolTooOld, match=r"3\.6\.1"):
        world.drill(newer)


def test_nothing_of_it_is_left_running(debian):
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            assert bytes(debian) not in line
