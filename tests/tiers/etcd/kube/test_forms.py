"""Times, durations, quantities and the other messages that are no objects in JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import Undecodable
from backstay.tiers.etcd.kube import forms
from backstay.tiers.etcd.wire import message

SECOND = 10**9


def negative(number):
    return number + (1 << 64)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (250_000_000, "250ms"),
        (SECOND, "1s"),
        (1_500_000_000, "1.5s"),
        (5 * 60 * SECOND + 1, "5m0.000000001s"),
        (3_600 * SECOND, "1h0m0s"),
        (2160 * 3_600 * SECOND, "2160h0m0s"),
        ((1 << 63) - 1, "2562047h47m16.854775807s"),
        (negative(-1), "-1ns"),
        (negative(-90 * SECOND), "-1m30s"),
    ],
)
def test_durations_are_written_as_go_writes_them(nanoseconds, text):
    """The values of the examples and tests of Go's package time."""
    assert forms.duration(message((1, nanoseconds))) == text


def test_times_are_utc_to_the_second_and_none_when_empty():
    assert forms.time(message((1, 1_770_824_624), (2, 999_999_999))) == "2026-02-11T15:43:44Z"
    assert forms.time(message((1, 0), (2, 0))) == "1970-01-01T00:00:00Z"
    assert forms.time(b"") is None
    assert forms.time(message((1, negative(-62_135_596_800)))) is None
    assert forms.time(message((1, negative(-1)))) == "1969-12-31T23:59:59Z"


def test_micro_times_have_six_digits():
    assert forms.micro_time(message((1, 1_770_824_624), (2, 123_456_789))) == "2026-02-11T15:43:44.123456Z"
    assert forms.micro_time(message((1, 1_770_824_624))) == "2026-02-11T15:43:44.000000Z"
    assert forms.micro_time(b"") is None


def test_a_time_out_of_bounds_is_refused():
    with pytest.raises(Undecodable, match="bounds"):
        forms.time(message((1, 1 << 62)))


def test_ports_and_counts():
    assert forms.int_or_string(message((1, 0), (2, 8080), (3, b""))) == 8080
    assert forms.int_or_string(message((1, 1), (2, 0), (3, b"http"))) == "http"
    assert forms.int_or_string(message((1, 0), (2, negative(-1)))) == -1
    assert forms.int_or_string(b"") == 0
    with pytest.raises(Undecodable):
        forms.int_or_string(message((1, 2)))


def test_json_within():
    assert forms.raw(message((1, b'{"a": [1, null]}'))) == {"a": [1, None]}
    assert forms.raw(message((1, b"\xd9\xd9\xf7\xa1\x41a\x01"))) == {"a": 1}
    assert forms.raw(b"") is None
    assert forms.managed(message((1, b'{"f:spec":{}}'))) == {"f:spec": {}}
    assert forms.managed(message((1, b"\xa1\x46f:spec\xa0"))) == {"f:spec": {}}
    assert forms.managed(b"") is None
    with pytest.raises(Undecodable):
        forms.raw(message((1, b"{")))


def test_a_quantity_is_its_string():
    assert forms.quantity(message((1, b"1500m"))) == "1500m"
    assert forms.quantity(b"") == "0"


@given(st.sampled_from(sorted(forms.FORMS)), st.lists(st.tuples(st.integers(1, 4), st.integers(0) | st.binary())))
def test_any_message_is_read_or_refused(name, pairs):
    try:
        forms.FORMS[name](message(*((at, part % (1 << 64) if isinstance(part, int) else part) for at, part in pairs)))
    except Undecodable:
        return
