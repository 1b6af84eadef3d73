"""Lists, watches and discovery against answers that no real server gives when it should."""

import itertools
import json
import time

import pytest

from backstay.cluster import listing
from backstay.cluster.base import Resource
from backstay.core.errors import ClusterError, ClusterUnreachable
from tests.cluster.fake_api import HALF, Answer, FakeApi, refusal, status

MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
BOATS = Resource("example.com", "v1", "boats", "Boat", namespaced=True)
PATH = "/api/v1/configmaps"


@pytest.fixture
def api():
    with FakeApi() as api:
        yield api


def item(number, **more):
    metadata = {"name": f"n{number}", "namespace": "x", "uid": f"u{number}", "resourceVersion": "5"}
    return {"metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"}, **more}


def page(items, continuation="", version="9"):
    metadata = {"resourceVersion": version, **({"continue": continuation} if continuation else {})}
    return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items}


def objects(count, size):
    """A server of ``count`` objects of ``size`` bytes each, which knows ``limit``."""
    value = "v" * size

    def answer(request):
        start, limit = int(request["continue"] or 0), int(request["limit"])
        end = min(count, start + limit)
        found = [item(number, data={"k": value}) for number in range(start, end)]
        return Answer(body=page(found, str(end) if end < count else ""))

    return answer


def test_items_are_the_bytes_that_came_with_their_kind(api):
    odd = item(1, data={"a": "é\u2028", "n": "1"}, weird=None, big=12345678901234567890)
    odd["metadata"]["labels"] = {"app": "x"}
    odd["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    api.on(PATH, page([odd, item(2)]))
    with api.client() as client:
        first, second = client.list(MAPS, labels="app=x", fields="metadata.name=n1")
    assert first.json.startswith(b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{')
    assert json.loads(first.json) == {"apiVersion": "v1", "kind": "ConfigMap", **odd}
    assert first.json.endswith(json.dumps(odd, separators=(",", ":")).encode()[1:])
    assert (first.name, first.namespace, first.uid, first.resource_version) == ("n1", "x", "u1", "5")
    assert (dict(first.labels), first.deleting, dict(second.labels), second.deleting) == ({"app": "x"}, True, {}, False)
    assert (api.asked[0]["labelSelector"], api.asked[0]["fieldSelector"]) == ("app=x", "metadata.name=n1")


def test_a_custom_resource_says_its_kind_itself(api):
    boat = {"apiVersion": "example.com/v1", "kind": "Boat", **item(1)}
    api.on("/apis/example.com/v1/namespaces/x/boats", page([boat]))
    with api.client() as client:
        [found] = client.list(BOATS, namespace="x")
    assert found.json == json.dumps(boat, separators=(",", ":")).encode()


def test_small_objects_come_in_pages_that_grow(api):
    api.on(PATH, objects(2000, 10))
    with api.client() as client:
        assert len({each.name for each in client.list(MAPS)}) == 2000
    assert [each["limit"] for each in api.asked] == ["100", "500", "500", "500", "500"]


def test_large_objects_come_in_small_pages(api, monkeypatch):
    monkeypatch.setattr(listing, "PAGE_BYTES", 1 << 20)
    monkeypatch.setattr(listing, "WANTED_BYTES", 3 << 18)
    api.on(PATH, objects(60, 64 << 10))
    with api.client() as client:
        assert [each.name for each in client.list(MAPS)] == [f"n{number}" for number in range(60)]
    limits = [int(each["limit"]) for each in api.asked]
    assert limits[0] == 100
    assert all(8 <= limit <= 12 for limit in limits[1:])
    assert len(limits) <= 8  # one page given up


def test_an_object_larger_than_a_page_is_read_alone(api, monkeypatch):
    monkeypatch.setattr(listing, "PAGE_BYTES", 1000)
    api.on(PATH, objects(3, 2000))
    with api.client() as client:
        assert len(list(client.list(MAPS))) == 3
        monkeypatch.setattr(listing, "LARGEST_BYTES", 1500)
        with pytest.raises(ClusterError, match="one object has more than"):
            list(client.list(MAPS))


def test_a_list_that_expired_goes_on_from_the_servers_continuation(api):
    gone = refusal(410, "Expired", "too old", metadata={"continue": "newer"})
    api.on(PATH, page([item(1)], "old"), gone, page([item(2)], version="20"))
    told = []
    with api.client() as client:
        assert [each.name for each in client.list(MAPS, inconsistent=told.append)] == ["n1", "n2"]
    assert [each["continue"] for each in api.asked] == ["", "old", "newer"]
    assert len(told) == 1


def test_a_list_that_expired_for_good_is_an_error(api):
    api.on(PATH, page([item(1)], "old"), refusal(410, "Expired", "too old"))
    with api.client() as client, pytest.raises(ClusterError, match="expired after 1 objects"):
        list(client.list(MAPS))


def test_half_a_page_is_asked_for_again(api):
    whole = page([item(1), item(2)])
    api.on(PATH, Answer(body=whole, fault=HALF), refusal(503, "ServiceUnavailable"), whole)
    with api.client() as client:
        assert [each.name for each in client.list(MAPS)] == ["n1", "n2"]
    assert len(api.asked) == 3


def test_something_in_a_list_that_is_no_object(api):
    api.on(PATH, page([{"metadata": {"name": 1}}]))
    with api.client() as client, pytest.raises(ClusterError, match="no object"):
        list(client.list(MAPS))


def lines(*events):
    body = b"".join(json.dumps({"type": kind, "object": what}).encode() + b"\n" for kind, what in events)
    return Answer(body=body)


def changed(number, version):
    found = item(number)
    found["metadata"]["resourceVersion"] = version
    return found


def told(events, count):
    return [(each.type, each.object["metadata"]["name"]) for each in itertools.islice(events, count)]


def test_a_watch_is_taken_up_where_it_was_cut(api):
    bookmark = {"metadata": {"resourceVersion": "30"}}
    api.on(
        PATH,
        page([item(1)], version="9"),
        lines(("MODIFIED", changed(1, "10")), ("BOOKMARK", bookmark)),
        lines(("ADDED", changed(2, "31")), ("DELETED", changed(1, "32"))),
    )
    with api.client() as client:
        events = client.watch(MAPS, seconds=30)
        assert told(events, 4) == [("ADDED", "n1"), ("MODIFIED", "n1"), ("ADDED", "n2"), ("DELETED", "n1")]
        events.close()
    assert [each["resourceVersion"] for each in api.asked] == ["", "9", "30"]
    assert api.asked[1]["allowWatchBookmarks"] == "true"


@pytest.mark.parametrize("how", [lines(("ERROR", status("Expired", "", 410))), refusal(410, "Expired")])
def test_a_watch_that_lost_its_place_tells_the_difference(api, how):
    after = [changed(1, "20"), item(3), item(4)]
    api.on(PATH, page([item(1), item(2), item(3)]), how, page(after, version="40"), lines(("DELETED", item(4))))
    with api.client() as client:
        events = client.watch(MAPS, seconds=30)
        assert told(events, 3) == [("ADDED", "n1"), ("ADDED", "n2"), ("ADDED", "n3")]
        assert told(events, 4) == [("MODIFIED", "n1"), ("ADDED", "n4"), ("DELETED", "n2"), ("DELETED", "n4")]
        events.close()


def test_a_watch_ends_in_time_and_never_silently(api, monkeypatch):
    def quiet(request):
        time.sleep(float(request["timeoutSeconds"]))
        return lines()

    api.on(PATH, page([]), quiet)
    begun = time.monotonic()
    with api.client() as client:
        assert list(client.watch(MAPS, seconds=0.5)) == []
        assert time.monotonic() - begun < 3
        monkeypatch.setattr("backstay.cluster.watching.PAUSE_SECONDS", 0)
        api.on(PATH, page([]), refusal(503, "ServiceUnavailable", "away"))
        with pytest.raises(ClusterUnreachable, match="away"):
            list(client.watch(MAPS, seconds=60))
        api.on(PATH, page([]), lines(("ERROR", status("InternalError", "broken"))))
        with pytest.raises(ClusterError, match="broken"):
            list(client.watch(MAPS, seconds=60))


def served(plural, kind, *verbs, scope="Namespaced"):
    return {
        "resource": plural,
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": scope,
        "verbs": verbs,
    }


def aggregated(*groups):
    items = [{"metadata": {"name": name} if name else {}, "versions": versions} for name, versions in groups]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def version(name, *resources, freshness="Current"):
    return {"version": name, "resources": resources, "freshness": freshness}


SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
CORE = aggregated(("", [version("v1", served("pods", "Pod", "list", "get"), served("bindings", "Binding", "create"))]))


def test_aggregated_discovery(api):
    api.on("/api", CORE)
    api.on(
        "/apis",
        aggregated(
            (
                "example.com",
                [
                    version("v2", served("boats", "Boat", "create")),
                    version("v1", served("boats", "Boat", "list"), served("sails", "Sail", "list", scope="Cluster")),
                ],
            ),
            ("metrics.k8s.io", [version("v1beta1", freshness="Stale")]),
        ),
    )
    api.on(
        SERVICES,
        {
            "items": [
                {
                    "spec": {"group": "custom.metrics.k8s.io", "version": "v1"},
                    "status": {"conditions": [{"type": "Available", "status": "False", "message": "no endpoints"}]},
                },
                {
                    "spec": {"group": "apps", "version": "v1"},
                    "status": {"conditions": [{"type": "Available", "status": "True"}]},
                },
            ]
        },
    )
    with api.client() as client:
        found = client.discover()
    assert [(each.name, each.api_version, each.namespaced) for each in found.resources] == [
        ("bindings", "v1", True),
        ("pods", "v1", True),
        ("boats.example.com", "example.com/v1", True),
        ("sails.example.com", "example.com/v1", False),
    ]
    assert found.resources[2].versions == ("v1", "v2")
    assert found.resources[2].verbs == {"list"}
    assert found.failed == {
        "metrics.k8s.io/v1beta1": "its API server does not answer",
        "custom.metrics.k8s.io/v1": "not available: no endpoints",
    }
    assert "as=APIGroupDiscoveryList" in api.asked[0].headers["Accept"]


TWO_VERSIONS = aggregated(("example.com", [version("v2", served("boats", "Boat", "list")), version("v1")]))
STARTING = refusal(
    503,
    "ServiceUnavailable",
    "the request has been made before all known HTTP paths have been installed, please try again",
    details={"retryAfterSeconds": 5},
)


def registered(*names, **condition):
    """The APIServices of these group versions, available as the aggregator calls its own."""
    said = [{"type": "Available", "status": "True", "reason": "Local", **condition}]
    specs = [dict(zip(("version", "group"), reversed(name.split("/")), strict=False)) for name in names]
    return {"items": [{"spec": spec, "status": {"conditions": said}} for spec in specs]}


def test_discovery_waits_for_an_api_server_that_has_just_started(api):
    api.on("/api", CORE)
    api.on("/apis", aggregated(), TWO_VERSIONS)
    api.on(SERVICES, registered("v1", "example.com/v1", "example.com/v2"))
    api.on("/apis/example.com/v1", STARTING, {"resources": []})
    api.on("/apis/example.com/v2", {"resources": []})
    with api.client() as client:
        found = client.discover()
    assert [one.name for one in found.resources] == ["bindings", "pods", "boats.example.com"]
    assert found.failed == {}
    assert api.slept == [5]


def test_discovery_names_what_an_api_server_goes_on_leaving_out(api):
    api.on("/api", CORE)
    api.on("/apis", aggregated())
    names = [f"group{number}.example.com/v1" for number in range(9)]
    api.on(SERVICES, registered("v1", *names))
    for name in names:
        api.on(f"/apis/{name}", STARTING)
    with api.client() as client:
        found = client.discover()
    assert found.failed == dict.fromkeys(names, "it has an APIService, and the API server does not say its kinds")
    assert sum(api.slept) <= 10  # for all of them


def test_a_definition_that_was_never_accepted_is_no_failure_of_discovery(api):
    api.on("/api", CORE)
    api.on("/apis", TWO_VERSIONS)
    api.on(SERVICES, registered("v1", "example.com/v1", "example.com/v2", "example.com/v3"))
    with api.client() as client:
        found = client.discover()
    assert found.failed == {}
    assert found.resources[-1].versions == ("v2",)
    assert not api.slept


def test_discovery_of_a_server_without_the_aggregated_one(api):
    pods = {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]}
    api.on("/api", {"kind": "APIVersions", "versions": ["v1"]})
    api.on("/api/v1", {"resources": [pods, {**pods, "name": "pods/status"}]})
    both = [{"version": "v1beta1"}, {"version": "v1"}]
    groups = [
        {"name": "example.com", "versions": both, "preferredVersion": {"version": "v1"}},
        {"name": "metrics.k8s.io", "versions": [{"version": "v1"}]},
    ]
    api.on("/apis", {"kind": "APIGroupList", "groups": groups})
    boats = {"name": "boats", "kind": "Boat", "namespaced": False, "verbs": ["list"]}
    api.on("/apis/example.com/v1", {"resources": [boats]})
    api.on("/apis/example.com/v1beta1", {"resources": [boats]})
    api.on("/apis/metrics.k8s.io/v1", refusal(503, "ServiceUnavailable", "the server is unable to handle the request"))
    api.on(
        SERVICES,
        refusal(403, "Forbidden", 'User "a" cannot list resource "b" in API group "c" at the cluster scope'),
    )
    with api.client() as client:
        found = client.discover()
    assert [(each.name, each.version, each.versions) for each in found.resources] == [
        ("pods", "v1", ("v1",)),
        ("boats.example.com", "v1", ("v1", "v1beta1")),
    ]
    assert "unable to handle" in found.failed["metrics.k8s.io/v1"]
    assert sum(api.slept) <= 3
