"""What the client makes of the answers, and of the lack of them, of an API server that misbehaves."""

import json

import pytest

from backstay.cluster.base import Resource
from backstay.cluster.kubeconfig import Cluster, User
from backstay.core.errors import (
    ClusterDenied,
    ClusterError,
    ClusterUnreachable,
    ObjectConflict,
    ObjectExists,
    ObjectInvalid,
    ObjectNotFound,
)
from tests.cluster.fake_api import CUT, HALF, Answer, FakeApi, refusal

MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "x"}, "data": {"k": "hush"}}
ALL, ONE = "/api/v1/namespaces/x/configmaps", "/api/v1/namespaces/x/configmaps/a"
FORBIDDEN = (
    'deployments.apps is forbidden: User "system:serviceaccount:backup:backstay" cannot list resource "deployments" '
    'in API group "apps" in the namespace "x"'
)


@pytest.fixture
def api():
    with FakeApi() as api:
        yield api


@pytest.mark.parametrize(
    ("code", "reason", "message", "expected", "hint"),
    [
        (401, "Unauthorized", "Unauthorized", ClusterDenied, "has expired"),
        (
            403,
            "Forbidden",
            FORBIDDEN,
            ClusterDenied,
            '{apiGroups: ["apps"], resources: ["deployments"], verbs: ["list"]}',
        ),
        (403, "Forbidden", FORBIDDEN, ClusterDenied, "bound to the service account backup/backstay"),
        (
            403,
            "Forbidden",
            'roles "a" is forbidden: user "b" is attempting to grant RBAC permissions not currently held:',
            ClusterDenied,
            "escalate",
        ),
        (403, "Forbidden", 'pods "a" is forbidden: exceeded quota: q, requested: pods=1', ObjectInvalid, "quota"),
        (
            403,
            "Forbidden",
            'configmaps "a" is forbidden: unable to create new content in namespace x because it is being terminated',
            ObjectConflict,
            "Wait",
        ),
        (403, "Forbidden", 'pods "a" is forbidden: violates PodSecurity "restricted:latest"', ObjectInvalid, ""),
        (400, "BadRequest", 'admission webhook "w" denied the request: no', ObjectInvalid, ""),
        (422, "Invalid", "spec.replicas: Invalid value", ObjectInvalid, ""),
        (413, "RequestEntityTooLarge", "limit is 3145728", ObjectInvalid, ""),
        (404, "NotFound", 'namespaces "x" not found', ObjectNotFound, ""),
        (409, "AlreadyExists", 'configmaps "a" already exists', ObjectExists, ""),
        (409, "Conflict", "the object has been modified", ObjectConflict, ""),
        (405, "MethodNotAllowed", "no", ClusterError, ""),
    ],
)
def test_refusals(api, code, reason, message, expected, hint):
    api.on(ALL, refusal(code, reason, message))
    with api.client() as client, pytest.raises(ClusterError) as caught:
        client.create(MAPS, MAP)
    assert type(caught.value) is expected
    assert hint in caught.value.hint
    assert caught.value.message.startswith("cannot create configmaps a in namespace x: ") or code == 401
    assert "hush" not in repr(caught.value) + str(caught.value.as_json())
    assert len(api.asked) == 1


def test_a_conflict_names_the_fields(api):
    causes = [{"reason": "FieldManagerConflict", "message": 'conflict with "helm"', "field": ".data.k"}]
    api.on(ONE, refusal(409, "Conflict", "Apply failed with 1 conflict", details={"causes": causes}))
    with api.client() as client, pytest.raises(ObjectConflict, match='.data.k: conflict with "helm"'):
        client.apply(MAPS, MAP)
    [request] = api.asked
    assert (request.method, request.headers["Content-Type"]) == ("PATCH", "application/apply-patch+yaml")
    assert request["fieldManager"] == "backstay"


def test_a_busy_server_is_waited_for_as_long_as_it_says(api):
    busy = Answer(429, refusal(429, "TooManyRequests").body, {"Retry-After": "2"})
    api.on("/version", busy, busy, {"gitVersion": "v1.37.2"})
    with api.client() as client:
        assert client.version() == "v1.37.2"
    assert api.slept == [2, 2]


def test_patience_ends(api):
    api.on("/version", refusal(503, "ServiceUnavailable", "etcd is away"))
    with api.client() as client, pytest.raises(ClusterUnreachable, match="etcd is away"):
        client.version()
    assert 20 < sum(api.slept) <= 30


def test_a_webhook_that_is_down_is_asked_once_more(api):
    words = 'Internal error occurred: failed calling webhook "w.example.com": connection refused'
    api.on(ALL, refusal(500, "InternalError", words))
    with api.client() as client, pytest.raises(ObjectInvalid, match="failed calling webhook") as caught:
        client.create(MAPS, MAP)
    assert len(api.asked) == 2
    assert "webhook must run first" in caught.value.hint


def test_a_create_whose_answer_was_lost_finds_its_own_object(api):
    api.on(ALL, Answer(fault=CUT), refusal(409, "AlreadyExists", "exists"))
    with api.client() as client, pytest.raises(ObjectExists) as caught:
        client.create(MAPS, MAP)
    assert caught.value.context["resent"]


def test_a_create_without_a_name_is_not_sent_twice(api):
    api.on(ALL, Answer(fault=CUT), MAP)
    body = {"metadata": {"generateName": "a-", "namespace": "x"}}
    with api.client() as client, pytest.raises(ClusterUnreachable):
        client.create(MAPS, body)
    assert len(api.asked) == 1


def test_a_delete_whose_answer_was_lost_is_done(api):
    api.on(ONE, Answer(fault=CUT), refusal(404, "NotFound"))
    with api.client() as client:
        client.delete(MAPS, "a", "x", uid="u")
        assert json.loads(api.asked[0].body)["preconditions"] == {"uid": "u"}
        with pytest.raises(ObjectNotFound):
            client.delete(MAPS, "a", "x")


def test_half_an_answer_is_asked_for_again(api):
    api.on(ONE, Answer(body=MAP, fault=HALF), MAP)
    with api.client() as client:
        assert client.get(MAPS, "a", "x") == MAP
    assert len(api.asked) == 2


@pytest.mark.parametrize("code", [200, 302, 404])
def test_a_page_of_a_proxy_is_not_an_answer(api, code):
    api.on("/version", Answer(code, b"<html>\x1b[31m<h1>Please log in</h1>", {"Content-Type": "text/html"}))
    with api.client() as client, pytest.raises(ClusterError, match="Please log in") as caught:
        client.version()
    assert "\x1b" not in caught.value.message
    assert "proxy" in caught.value.hint


def test_json_that_is_none(api):
    api.on("/version", Answer(200, b'{"gitVersion": '))
    with api.client() as client, pytest.raises(ClusterError, match="does not answer as a Kubernetes API server"):
        client.version()


def test_nothing_listens():
    slept = []
    with FakeApi() as api:
        client = api.client()
    with client, pytest.raises(ClusterUnreachable, match="refused") as caught:
        client.version()
    slept = api.slept
    assert "Nothing listens there" in caught.value.hint
    assert sum(slept) <= 3  # most likely a wrong address


def test_an_unknown_name():
    nowhere = Cluster(server="https://nothing.invalid:6443")
    with FakeApi() as api, api.client(cluster=nowhere) as client, pytest.raises(ClusterUnreachable) as caught:
        client.version()
    assert "DNS" in caught.value.hint


def test_warnings_are_heard(api):
    api.on(ALL, Answer(201, MAP, {"Warning": '299 - "unknown field \\"spec.x\\""'}))
    with api.client() as client:
        client.create(MAPS, MAP, dry_run=True)
    assert api.warnings == ['unknown field "spec.x"']
    [request] = api.asked
    assert (request["dryRun"], request["fieldValidation"], request["fieldManager"]) == ("All", "Warn", "backstay")


@pytest.mark.parametrize(
    ("resource", "metadata"),
    [(MAPS, {"name": "a"}), (MAPS, {"namespace": "x"}), (NODES, {"name": "a", "namespace": "x"})],
)
def test_objects_that_cannot_be_placed(api, resource, metadata):
    with api.client() as client, pytest.raises(ObjectInvalid):
        client.create(resource, {"metadata": metadata})
    assert api.asked == []


def test_names_cannot_lead_elsewhere(api):
    api.on("/api/v1/namespaces/x/configmaps/..%2F..%2Fsecrets", MAP)
    with api.client() as client:
        client.get(MAPS, "../../secrets", "x")


def test_tokens_and_impersonation_go_with_each_request(api):
    api.on("/version", {})
    user = User(token="hush", as_user="bob", as_groups=["a", "b"])
    with api.client(user) as client:
        client.version()
        assert "hush" not in repr(client.__dict__) + repr(user)
    headers = api.asked[0].headers
    assert (headers["Authorization"], headers["Impersonate-User"]) == ("Bearer hush", "bob")
    assert headers["User-Agent"].startswith("backstay/")
    assert headers["Accept-Encoding"] == "identity"


def test_a_token_file_is_read_again_when_it_was_renewed(api, tmp_path):
    file = tmp_path / "token"
    file.write_text("old\n")
    api.on("/version", {}, refusal(401, "Unauthorized"), {"gitVersion": "v1"})
    with api.client(User(token_file=str(file))) as client:
        client.version()
        file.write_text("new\n")
        assert client.version() == "v1"
    assert [each.headers["Authorization"] for each in api.asked] == ["Bearer old", "Bearer old", "Bearer new"]
