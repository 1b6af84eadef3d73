"""CBOR: the examples of RFC 8949, and what Kubernetes refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import Undecodable
from backstay.tiers.etcd.kube.cbor import MAX_DEPTH, loads


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1b000000e8d4a51000", 1000000000000),
        ("1bffffffffffffffff", 18446744073709551615),
        ("20", -1),
        ("3903e7", -1000),
        ("f93c00", 1),
        ("fb3ff199999999999a", 1.1),
        ("fa47c35000", 100000),
        ("f93e00", 1.5),
        ("fbc010666666666666", -4.1),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("6449455446", "IETF"),
        ("4449455446", "IETF"),
        ("62c3bc", "ü"),
        ("83010203", [1, 2, 3]),
        ("8301820203820405", [1, [2, 3], [4, 5]]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("a0", {}),
        ("80", []),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("7f657374726561646d696e67ff", "streaming"),
        ("d9d9f783010203", [1, 2, 3]),
        ("d643010203", "AQID"),
        ("d6a1614143010203", {"A": "AQID"}),
        ("d743010203", "010203"),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
    ],
)
def test_examples_of_the_rfc(data, value):
    found = loads(bytes.fromhex(data))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "18",
        "1c",
        "f7",  # undefined
        "f0",
        "f97e00",  # NaN
        "f97c00",  # infinity
        "ff",
        "a1016161",  # a key that is a number
        "a2616101616102",  # a key twice
        "9f01",
        "5f4101",
        "5f6161ff",  # a part of another type
        "5f5f4101ffff",  # parts within parts
        "0000",  # more after the end
        "62c328",  # not UTF-8
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "5bffffffffffffffff",
        "81" * (MAX_DEPTH + 2) + "00",
        "c1" * 5000 + "00",
        "9f" * 5000,
    ],
)
def test_what_kubernetes_refuses_is_refused(data):
    with pytest.raises(Undecodable):
        loads(bytes.fromhex(data))


@given(st.binary(max_size=120))
def test_any_bytes_are_a_document_or_refused(data):
    try:
        loads(data)
    except Undecodable:
        return
