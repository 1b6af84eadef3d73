"""Lists that fail, hang, repeat or end early: what is said of them, and that nothing waits for ever."""

import json
import threading
import tracemalloc

import pytest

from backstay.cluster.base import Item
from backstay.core.errors import (
    ClusterDenied,
    ClusterError,
    ClusterUnreachable,
    Denied,
    ObjectNotFound,
    SourceError,
)
from backstay.core.model import NoProgress, State
from backstay.tiers.objects import backup as capture
from backstay.tiers.objects.settings import Schedule, Selection, World
from tests.tiers.objects.capturing import Capturing, ListSink, filled
from tests.tiers.objects.fake_cluster import (
    CONFIGMAPS,
    NAMESPACES,
    FakeCluster,
    kind,
)


@pytest.fixture
def world(tmp_path):
    return Capturing(filled(), tmp_path)


def test_a_kind_that_may_not_be_listed_is_named(world):
    world.cluster.fail("list", "secrets", ClusterDenied("may not list secrets"))
    made = world.backup()
    assert made.state is State.PARTIAL
    assert made.omissions == ("secrets: may not list secrets",)
    assert world.json(made, "velero-backup")["status"]["phase"] == "PartiallyFailed"
    assert world.json(made, "velero-backup")["status"]["errors"] == 1
    assert world.json(made, "results")["errors"] == {"velero": list(made.omissions)}
    assert world.verify(made).ok


def test_a_list_that_breaks_keeps_what_came(world):
    world.cluster.fail("list", "configmaps", ClusterError("etcdserver: request timed out"), after=4)
    made = world.backup()
    assert made.omissions == ("configmaps: its list ended after 4 objects: etcdserver: request timed out",)
    assert made.contents["kinds"]["configmaps"] == 4


def test_a_group_that_does_not_answer_is_named_unless_nothing_of_it_is_wanted(world):
    world.cluster.failed = {"example.org/v1": "503 no endpoints", "metrics.k8s.io/v1beta1": "503 no endpoints"}
    made = world.backup()
    assert made.omissions == ("the kinds of example.org/v1 are not known: 503 no endpoints",)
    assert "metrics.k8s.io/v1beta1" in made.warnings[0]
    world.selection = Selection(exclude_resources=("*.example.org",))
    assert world.backup().omissions == ()


def test_a_kind_that_was_removed_meanwhile_is_a_warning_and_one_that_was_not_an_omission(world):
    widgets = kind("widgets.example.org", "Widget")
    world.cluster.resources[widgets.name] = widgets
    world.cluster.fail("list", widgets.name, ObjectNotFound("the server could not find the requested resource"))
    assert world.backup().state is State.PARTIAL
    world.cluster._faults.clear()
    world.cluster.fail("list", widgets.name, lambda cluster: _removed(cluster, widgets))
    made = world.backup()
    assert made.state is State.COMPLETE
    assert made.warnings == ("widgets.example.org: the kind was removed while the backup ran",)


def _removed(cluster, widgets):
    cluster.resources.pop(widgets.name, None)
    raise ObjectNotFound("the server could not find the requested resource")


def test_a_kind_whose_version_ended_meanwhile_is_listed_at_the_next(world):
    old, new = (kind("widgets.example.org", "Widget", version=version) for version in ("v1beta1", "v1"))
    world.cluster.resources[old.name] = old
    world.cluster.put(old, "w", "shop")

    def moved(cluster):
        cluster.resources[new.name] = new
        raise ObjectNotFound("the server could not find the requested resource")

    world.cluster.fail("list", old.name, moved, times=1)
    made = world.backup()
    assert made.contents["kinds"]["widgets.example.org"] == 1
    assert (made.state, made.warnings) == (State.COMPLETE, ())
    world.cluster.resources[old.name] = old
    world.cluster.fail("list", old.name, moved)
    made = world.backup()
    assert made.omissions == ("widgets.example.org: the server could not find the requested resource",)


def test_a_kind_whose_group_does_not_answer_any_more_was_not_removed(world):
    widgets = kind("widgets.example.org", "Widget")
    world.cluster.resources[widgets.name] = widgets

    def down(cluster):
        cluster.failed = {"example.org/v1": "503"}
        _removed(cluster, widgets)

    world.cluster.fail("list", widgets.name, down)
    assert world.backup().omissions == ("widgets.example.org: the server could not find the requested resource",)


def test_one_kind_without_answer_is_an_omission_and_a_dead_server_the_end(world):
    world.cluster.fail("list", "secrets", ClusterUnreachable("503"))
    assert world.backup().omissions == ("secrets: 503",)
    world.cluster.fail("version", "", ClusterUnreachable("gone"), times=None)
    world.cluster._faults[-1]["error"] = _dead_after_first()
    before = world.paths()
    with pytest.raises(ClusterUnreachable, match="503"):
        world.backup()
    assert world.paths() == before


def _dead_after_first():
    calls = []

    def fault(cluster):
        calls.append(1)
        if len(calls) > 2:  # the plan and the run ask first
            raise ClusterUnreachable("gone")

    return fault


def test_a_user_that_is_not_known_any_more_is_the_end(world):
    world.cluster.fail("list", "secrets", ClusterDenied("does not know who asks", status=401))
    with pytest.raises(ClusterDenied):
        world.backup()
    assert world.paths() == []


def test_a_list_whose_rest_is_newer_is_a_warning(world):
    listing = world.cluster.list

    def expiring(resource, *, inconsistent=None, **named):
        yield from listing(resource, **named)
        if resource.name == "secrets":
            inconsistent("the list of secrets took longer than the server keeps its past")

    world.cluster.list = expiring
    made = world.backup()
    assert made.state is State.COMPLETE
    assert made.warnings == ("the list of secrets took longer than the server keeps its past",)


def test_without_the_list_of_namespaces_there_is_no_backup(world):
    world.cluster.fail("list", "namespaces", ClusterDenied("may not list namespaces"))
    with pytest.raises(SourceError, match="may not list namespaces"):
        world.backup()
    assert world.paths() == []


def test_an_object_that_a_list_gives_twice_is_kept_once(world):
    listing = world.cluster.list

    def doubled(resource, **named):
        for item in listing(resource, **named):
            yield item
            yield item

    world.cluster.list = doubled
    assert world.backup().contents["objects"] == 13


def test_a_bug_of_a_thread_comes_out(world):
    world.cluster.fail("list", "secrets", KeyError("metadata"))
    with pytest.raises(KeyError):
        world.backup()
    assert world.paths() == []
    assert not _threads()


def _threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("list-")]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_store_that_fails_stops_the_lists(world, after):
    for number in range(200):
        world.cluster.put(CONFIGMAPS, f"large-{number}", "shop", data={"x": "y" * 400_000})

    def put(key, chunks, **named):
        for number, _ in enumerate(chunks):
            if key.endswith(".tar.gz") and number == after:
                raise Denied("no more")
        return real(key, [b""], **named)

    real = world.store.put
    world.store.put = lambda key, chunks, **named: (
        put(key, chunks, **named) if key.endswith(".tar.gz") else real(key, chunks, **named)
    )
    with pytest.raises(Denied):
        world.backup()
    assert not _threads()
    assert not list((world.folder / "spool").iterdir())


def test_a_list_that_hangs_does_not_keep_a_failed_run(world, monkeypatch):
    monkeypatch.setattr("backstay.tiers.objects.capture.STOP_SECONDS", 0.1)
    released = threading.Event()
    world.cluster.fail("list", "secrets", lambda _: released.wait(30))
    world.cluster.fail("list", "configmaps", KeyError("bug"))
    try:
        with pytest.raises(KeyError):
            world.backup()
        assert _threads()
    finally:
        released.set()
    for thread in _threads():
        thread.join(10)
    assert not _threads()


class Endless:
    """A cluster of so many ConfigMaps, made as they are listed."""

    url = "https://10.0.0.1:6443"

    def __init__(self, count):
        self._real = FakeCluster(NAMESPACES, CONFIGMAPS)
        self._real.put(NAMESPACES, "shop")
        self._count = count
        self.version, self.discover = self._real.version, self._real.discover

    def list(self, resource, **named):
        if resource.name == "namespaces":
            yield from self._real.list(resource, **named)
            return
        for number in range(self._count):
            name = f"settings-{number}"
            text = json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "namespace": "shop"},
                    "data": {"a": "x" * 1000},
                }
            )
            yield Item(name, "shop", str(number), "1", {}, False, text.encode())


def test_memory_stays_the_same_for_five_times_the_objects(tmp_path, monkeypatch):
    monkeypatch.setattr("backstay.tiers.objects.capture.QUEUE_BYTES", 1 << 20)
    peaks = {}
    for count in (2_000, 10_000):
        world = World(lambda count=count: Endless(count), Capturing(None, tmp_path).now, tmp_path / "spool", workers=1)
        tracemalloc.start()
        try:
            sink = ListSink(keep=False)
            captured = capture.backup(Schedule("daily"), world, sink, NoProgress())
            peaks[count] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert captured.contents["objects"] == count + 1
        assert sink.sizes["objects"] > count * 1000
    assert peaks[10_000] < peaks[2_000] + (2 << 20), peaks
