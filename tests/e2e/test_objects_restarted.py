"""Backups while the API server starts, or while what it serves changes."""

import pytest

from backstay.cluster.client import Access, connect
from backstay.core.model import State
from backstay.tiers.objects.capture import Listing
from backstay.tiers.objects.selection import choose
from backstay.tiers.objects.settings import Selection
from tests.cluster.api import moments
from tests.tiers.objects.capturing import Capturing

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUPS = 10


@pytest.fixture(scope="module")
def plane(kubernetes_program, tmp_path_factory):
    """One of its own, for it is killed; with an object of a kind of its own in each of so many groups."""
    from tests.cluster.control_plane import ControlPlane

    with ControlPlane(tmp_path_factory.mktemp("restarted") / "plane", controllers=False) as plane:
        plane.api.post("/api/v1/namespaces", {"metadata": {"name": "shop"}})
        groups = [f"g{number}.example.com" for number in range(GROUPS)]
        for group in groups:
            define(plane, group, "v1")
        for group in groups:
            make(plane, group, "v1")
        yield plane


@pytest.fixture
def cluster(plane):
    with connect(Access(kubeconfig=plane.kubeconfig)) as found:
        yield found


def define(plane, group, version):
    """A definition of widgets."""
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": version, "served": True, "storage": True, "schema": schema}]
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": versions}
    plane.api.post(CRDS, {"metadata": {"name": f"widgets.{group}"}, "spec": spec})


def make(plane, group, version):
    """A widget, once that is served."""
    plane.api.wait(f"/apis/{group}/{version}", lambda found: found.get("resources"))
    body = {"apiVersion": f"{group}/{version}", "kind": "Widget", "metadata": {"name": "w"}}
    plane.api.post(f"/apis/{group}/{version}/namespaces/shop/widgets", body)


def restart(plane):
    """Kill the API server and start it again; it does not answer yet."""
    process = plane._processes["api"]
    process.kill()
    process.wait()
    plane._launch("api", plane._api_server(int(plane.url.rpartition(":")[2])))


def test_a_backup_begun_while_the_api_server_starts_has_all_custom_resources(plane, cluster, tmp_path):
    cluster.version()  # a server that has answered once is waited for
    for _ in range(2):
        restart(plane)
        made = Capturing(cluster, tmp_path).backup()
        plane._wait_ready()
        assert made.state is State.COMPLETE, made.omissions
        assert len([kind for kind in made.contents["kinds"] if kind.startswith("widgets.")]) == GROUPS


def test_discovery_of_a_healthy_server_asks_for_nothing_twice(plane, cluster):
    asked = []
    real = cluster._wire.json
    cluster._wire.json = lambda asks, *rest, **named: asked.append(asks.path) or real(asks, *rest, **named)
    assert not cluster.discover().failed
    assert asked == ["/api", "/apis", "/apis/apiregistration.k8s.io/v1/apiservices"]


def test_a_version_that_ends_while_the_backup_runs_is_listed_at_the_next(plane, cluster):
    group = "ending.example.com"
    define(plane, group, "v1beta1")
    make(plane, group, "v1beta1")
    chosen = choose(cluster, Selection(resources=(f"widgets.{group}",)))
    assert [kind.version for kind in chosen.kinds] == ["v1beta1"]
    found = plane.api.get(f"{CRDS}/widgets.{group}")
    (old,) = found["spec"]["versions"]
    found["spec"]["versions"] = [
        {**old, "served": False, "storage": False},
        {**old, "name": "v1", "storage": True},
    ]
    plane.api.call("PUT", f"{CRDS}/widgets.{group}", found)
    for _ in moments(10):
        if any(kind.api_version == f"{group}/v1" for kind in cluster.discover().resources):
            break
    with Listing(cluster, chosen, "", 4) as listing:
        got = [(kind.api_version, item.name) for batch in listing.batches() for kind, item in batch]
    assert got == [(f"{group}/v1", "w")]
    assert (listing.account.omissions, listing.account.warnings) == ([], [])
