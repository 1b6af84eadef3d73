"""Values of etcd against the JSON that Go makes of them, and against bytes that are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import Undecodable
from backstay.tiers.etcd.kube import decode as decoding
from backstay.tiers.etcd.kube import table
from backstay.tiers.etcd.kube.decode import MAX_MESSAGES, decode
from backstay.tiers.etcd.kube.envelope import Encoding
from backstay.tiers.etcd.wire import message
from tests.tiers.etcd.kube.stored import lines, meta, one, unknown, value

FROM_GO = [*lines("written"), *lines("random")]


@pytest.mark.parametrize("line", FROM_GO, ids=lambda line: line["name"])
def test_an_object_is_what_go_makes_of_it(line):
    found = decode(value(line))
    assert found.object == line["json"]
    assert found.unknown == ()
    assert found.encoding is Encoding.PROTOBUF


def test_many_kinds_are_among_them():
    kinds = {line["name"].rpartition(" ")[0] for line in FROM_GO}
    assert len(kinds) > 75
    assert {"v1 Pod", "apps/v1 StatefulSet", "batch/v1 CronJob", "v1 Secret", "networking.k8s.io/v1 Ingress"} <= kinds


def test_order_is_that_of_the_json():
    found = decode(value(one("v1 Pod everything"))).object
    assert list(found) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert json.dumps(found["spec"]["containers"]) == json.dumps(one("v1 Pod everything")["json"]["spec"]["containers"])


def test_what_is_zero_on_purpose_stays_and_what_is_empty_goes():
    deployment = decode(value(one("apps/v1 Deployment cardboard"))).object
    assert deployment["spec"]["replicas"] == 0
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 0}
    pod = decode(value(one("v1 Pod everything"))).object
    assert {"name": "scratch", "emptyDir": {}} in pod["spec"]["volumes"]
    assert "stdinOnce" not in pod["spec"]["containers"][0]


def test_a_field_of_a_newer_kubernetes_is_reported_by_its_path():
    container = message((1, b"app"), (2, b"image"), (999, b"new"))
    spec = message((2, container), (2, message((1, b"b"))), (4000, 1))
    body = message((1, meta()), (2, spec), (77, b"x"))
    found = decode(unknown("v1", "Pod", body))
    assert set(found.unknown) == {"#77", "spec.#4000", "spec.containers[0].#999"}
    assert found.object["spec"]["containers"][0]["name"] == "app"


def test_an_unknown_field_within_a_map_has_the_key_in_its_path():
    pair = message((1, b"cpu"), (2, message((1, b"1"))), (3, b"?"))
    found = decode(unknown("v1", "ResourceQuota", message((1, meta()), (2, message((1, pair))))))
    assert found.unknown == ("spec.hard.#3",)
    assert found.object["spec"]["hard"] == {"cpu": "1"}


def test_a_string_that_is_not_utf8_is_replaced_and_reported():
    pair = message((1, b"k"), (2, b"a\xffb"))
    found = decode(unknown("v1", "ConfigMap", message((1, meta()), (2, pair))))
    assert found.object["data"] == {"k": "a\ufffdb"}
    assert found.unknown == ("data[k] (not UTF-8)",)


def test_a_message_in_two_parts_is_one():
    body = message((1, message((1, b"first"))), (1, message((3, b"ns"))))
    assert decode(unknown("v1", "ConfigMap", body)).object["metadata"] == {"name": "first", "namespace": "ns"}


def test_maps_are_in_the_order_of_their_keys():
    pairs = [(2, message((1, key), (2, b"x"))) for key in (b"b", "é".encode(), b"a", b"B")]
    found = decode(unknown("v1", "ConfigMap", message((1, meta()), *pairs)))
    assert list(found.object["data"]) == ["B", "a", "b", "é"]


def test_numbers_may_come_packed():
    context = message((4, bytes([1, 2]) + b"\xac\x02"))  # supplementalGroups
    found = decode(unknown("v1", "Pod", message((1, meta()), (2, message((14, context))))))
    assert found.object["spec"]["securityContext"] == {"supplementalGroups": [1, 2, 300]}


def test_negative_numbers_are_twos_complement():
    assert decode(value(one("scheduling.k8s.io/v1 PriorityClass negative"))).object["value"] == -10
    assert decoding.whole("int64", (1 << 64) - 5) == -5
    assert decoding.whole("int32", (1 << 64) - 5) == -5
    assert decoding.whole("uint32", (1 << 32) + 7) == 7


def test_a_list_with_a_message_around_it():
    found = decode(value(one("certificates.k8s.io/v1 CertificateSigningRequest csr-1"))).object
    assert found["spec"]["extra"] == {"scopes": ["a", "b"]}


def test_a_field_that_is_gone_is_there_only_when_it_was_stored():
    with_it = message((1, message((1, b"a"), (15, b"old-cluster"))))
    assert decode(unknown("v1", "ConfigMap", with_it)).object["metadata"]["clusterName"] == "old-cluster"
    assert "clusterName" not in decode(unknown("v1", "ConfigMap", message((1, meta())))).object["metadata"]


def test_json_is_taken_as_it_is_with_its_kind_first():
    raw = b' {"spec":{"b":1,"a":[1.5,null]},"kind":"Widget","apiVersion":"example.com/v1"}'
    found = decode(raw)
    assert found.encoding is Encoding.JSON
    assert list(found.object) == ["apiVersion", "kind", "spec"]
    assert found.object["spec"] == {"b": 1, "a": [1.5, None]}


@pytest.mark.parametrize("line", lines("cbor"), ids=lambda line: line["name"])
def test_cbor_of_kubernetes_is_the_same_object(line):
    found = decode(value(line))
    assert found.encoding is Encoding.CBOR
    assert found.object == line["json"]
    assert not any(isinstance(number, float) for number in (found.object["spec"].get("size"),))


@pytest.mark.parametrize("line", lines("definitions"), ids=lambda line: line["name"])
def test_definitions_are_stored_as_json(line):
    assert decode(json.dumps(line["stored"]).encode()).object == line["stored"]


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "no encoding"),
        (b"[1]", "no encoding"),
        (b"{", "not JSON"),
        (b'{"kind":"A"}', "apiVersion"),
        (b'{"health":"true"}', "apiVersion"),
        (b'{"apiVersion":1,"kind":"A"}', "apiVersion"),
        (b'{"apiVersion":"v1","kind":"A","n":NaN}', "not JSON"),
        (b'{"apiVersion":"v1","kind":"A","n":1e999}', "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"apiVersion":"v1","kind":"A","n":' + b"[" * 300 + b"]" * 300 + b"}", "deeply"),
        (b"k8s:enc:aescbc:v1:key1:\x01\x02", "encrypted"),
        (unknown("v1", "Pod", b""), "cut short"),
        (unknown("v1", "Widget", meta()), "no table"),
        (unknown("apps/v9", "Deployment", meta()), "no table"),
        (unknown("v1", "Pod", b"", encoding=b"gzip"), "content encoding"),
        (unknown("v1", "Pod", b"", content_type=b"application/x"), "content type"),
        (unknown("v1", "Pod", b"\x0a\xff"), "not a message"),
        (unknown("v1", "Pod", message((1, 5))), "not of its type"),
        (unknown("v1", "Pod", message((1, message((1, 5))))), "not of its type"),
        (unknown("v1", "Pod", message((1, message((7, b"x"))))), "not of its type"),
    ],
)
def test_what_is_no_object_is_refused_with_a_reason(raw, word):
    with pytest.raises(Undecodable, match=word):
        decode(raw)


def test_json_in_the_envelope_of_protobuf_is_json():
    raw = unknown("v1", "Pod", b'{"apiVersion":"v1","kind":"Pod"}', content_type=b"application/json")
    assert decode(raw).object == {"apiVersion": "v1", "kind": "Pod"}


def test_an_error_names_the_key_of_an_encrypted_value_and_the_kind_of_an_unknown_one():
    with pytest.raises(Undecodable) as caught:
        decode(b"k8s:enc:secretbox:v1:new:\x00")
    assert caught.value.context["key"] == "secretbox/new"
    with pytest.raises(Undecodable) as caught:
        decode(unknown("apps/v9", "Thing", meta()))
    assert caught.value.context == {"api_version": "apps/v9", "kind": "Thing"}


def nested_schema(depth, inner=b""):
    """A definition whose schema is so many schemas within each other, around ``inner``."""
    for _ in range(depth):
        inner = message((28, inner))  # not
    validation = message((1, inner))
    version = message((1, b"v1"), (4, validation))
    return unknown(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", message((1, meta()), (2, message((7, version))))
    )


def test_depth_is_bounded():
    deep = decode(nested_schema(MAX_MESSAGES - 10)).object
    schema, count = deep["spec"]["versions"][0]["schema"]["openAPIV3Schema"], 0
    while "not" in schema:
        schema, count = schema["not"], count + 1
    assert count == MAX_MESSAGES - 10
    for depth in (MAX_MESSAGES, 10_000):
        with pytest.raises(Undecodable, match="deeply"):
            decode(nested_schema(depth))


def test_the_depth_of_messages_and_of_json_within_add_up():
    default = message((8, message((1, b"[" * 100 + b"]" * 100))))
    assert decode(nested_schema(10, default))
    with pytest.raises(Undecodable, match="deeply"):
        decode(nested_schema(80, default))


KINDS = st.sampled_from(table.kinds())
WIRE = st.recursive(
    st.binary(max_size=12) | st.integers(0, 2**64 - 1),
    lambda inner: st.lists(st.tuples(st.integers(1, 45), inner), max_size=6).map(lambda pairs: message(*pairs)),
    max_leaves=25,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(raw):
    for start in (b"", b"k8s\x00", b"{", b"\xd9\xd9\xf7"):
        try:
            decode(start + raw)
        except Undecodable:
            continue


@given(KINDS, st.lists(st.tuples(st.integers(1, 45), WIRE), max_size=8))
def test_any_message_of_any_kind_is_an_object_or_refused(kind, pairs):
    try:
        found = decode(unknown(*kind, message(*pairs)))
    except Undecodable:
        return
    assert list(found.object)[:2] == ["apiVersion", "kind"]
    json.dumps(found.object, allow_nan=False)


@given(st.sampled_from(FROM_GO), st.data())
def test_a_value_with_one_byte_changed_is_an_object_or_refused(line, data):
    raw = bytearray(value(line))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        json.dumps(decode(bytes(raw)).object, allow_nan=False)
    except Undecodable:
        return


@given(st.sampled_from(FROM_GO), st.data())
def test_a_value_cut_short_is_refused(line, data):
    raw = value(line)
    assert raw.endswith(b"\x1a\x00\x22\x00")  # content encoding and type, both empty
    with pytest.raises(Undecodable):
        decode(raw[: data.draw(st.integers(0, len(raw) - 5))])
