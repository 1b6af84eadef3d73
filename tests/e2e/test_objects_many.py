"""Many objects of one kind in one namespace: while they change, and while the server forgets what a list began with."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backstay.cluster.client import connect
from backstay.cluster.kubeconfig import Access
from backstay.core.model import State
from backstay.store.directory import DirectoryStore
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.objects.settings import Selection
from tests.cluster.control_plane import ControlPlane
from tests.e2e.test_cluster_client import MAPS, config_map
from tests.tiers.objects.capturing import Capturing

MANY, RESTLESS = 10_000, 100


def fill(cluster, namespace, names):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: cluster.create(MAPS, config_map(namespace, name, is_of=name)), names))


@pytest.fixture(scope="module")
def plane(kubernetes_program, tmp_path_factory):
    """Without its cache in memory: a list is of etcd's past, which can be compacted away."""
    folder = tmp_path_factory.mktemp("many") / "plane"
    with ControlPlane(folder, controllers=False, api_flags=("--watch-cache=false",)) as plane:
        yield plane


@pytest.fixture
def cluster(plane):
    with connect(Access(kubeconfig=plane.kubeconfig)) as cluster:
        yield cluster


def made_namespace(plane, name):
    plane.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def test_a_list_whose_past_is_compacted_goes_on_and_says_so(plane, cluster):
    namespace = made_namespace(plane, "compacted")
    fill(cluster, namespace, [f"map-{number:04}" for number in range(900)])
    said, seen = [], []
    for item in cluster.list(MAPS, namespace=namespace, inconsistent=said.append):
        if not seen:
            with EtcdClient(plane.etcd_endpoint) as etcd:
                etcd.compact(etcd.put(b"/not-of-kubernetes", b"x"))
        seen.append(item.name)
    assert seen == [f"map-{number:04}" for number in range(900)]
    assert said == ["the list of configmaps took longer than the server keeps its past; its rest is newer"]


def restlessly(cluster, namespace, stop):
    """Change, make and delete objects until told to stop; how many times."""
    turns = 0
    while not stop.is_set():
        name = f"restless-{turns % RESTLESS:03}"
        cluster.replace(MAPS, config_map(namespace, name, is_of=name, turn=str(turns)))
        cluster.create(MAPS, config_map(namespace, f"new-{turns:05}", is_of=f"new-{turns:05}"))
        if turns >= RESTLESS:
            cluster.delete(MAPS, f"new-{turns - RESTLESS:05}", namespace)
        turns += 1
    return turns


def test_ten_thousand_in_one_namespace_while_some_of_them_change(plane, cluster, tmp_path):
    namespace, steady = made_namespace(plane, "full"), [f"steady-{number:05}" for number in range(MANY - RESTLESS)]
    fill(cluster, namespace, [*steady, *(f"restless-{number:03}" for number in range(RESTLESS))])
    (tmp_path / "store").mkdir()
    selection = Selection(namespaces=(namespace,), resources=("configmaps",))
    world = Capturing(cluster, tmp_path, DirectoryStore(tmp_path / "store"), selection)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool, connect(Access(kubeconfig=plane.kubeconfig)) as other:
        turns = pool.submit(restlessly, other, namespace, stop)
        try:
            made = world.backup()
        finally:
            stop.set()
        assert turns.result() > 10
    assert (made.state, made.warnings) == (State.COMPLETE, ())
    start = f"resources/configmaps/namespaces/{namespace}/"
    archive = {path.removeprefix(start)[:-5]: body for path, body in world.archive(made).items()}
    assert {name for name in archive if name.startswith("steady-")} == set(steady)
    assert len([name for name in archive if name.startswith("restless-")]) == RESTLESS
    maps = [body for name, body in archive.items() if name.startswith(("steady-", "restless-", "new-"))]
    assert {body["data"]["is_of"] == body["metadata"]["name"] for body in maps} == {True}
    assert world.verify(made).ok
