"""The resource list read as a stream is what a JSON parser makes of all of it."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import ArchiveDamaged
from backstay.tiers.objects import resourcelist
from backstay.tiers.objects.resourcelist import MOST_TOKEN


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(
    st.dictionaries(st.text(), st.lists(st.text())),
    st.sampled_from([None, 2]),
    st.booleans(),
    st.integers(min_value=1, max_value=40),
)
def test_any_list_in_any_layout_and_any_pieces(listed, indent, ascii_only, size):
    data = json.dumps(listed, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    expected = [(key, name) for key, names in listed.items() for name in names]
    assert list(resourcelist.read(pieces(data, size))) == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "its end"),
        (b"null", "'null'"),
        (b"[]", "'['"),
        (b"{", "its end"),
        (b'{"a":["b"]', "its end"),
        (b'{"a":["b",]}', "']'"),
        (b'{"a":["b" "c"]}', "'\"c\"'"),
        (b'{"a":["b"],}', "'}'"),
        (b'{"a":["b"]}{', "'{'"),
        (b'{"a":["b"]} x', "'x'"),
        (b'{"a":"b"}', "'\"b\"'"),
        (b'{"a":[1]}', "'1]}'"),
        (b'{"a":["\xff"]}', "where something else belongs"),
        (b'{"a":["unended', "unended"),
        (b'{"a":["' + b"x" * MOST_TOKEN * 2, "xxx"),
    ],
)
def test_what_is_no_list(data, words):
    for size in (1, 7, 1 << 20):
        with pytest.raises(ArchiveDamaged) as caught:
            list(resourcelist.read(pieces(data, size)))
        assert words in caught.value.message or size == 1


def test_a_list_without_end(monkeypatch):
    monkeypatch.setattr(resourcelist, "MOST_BYTES", 1000)
    endless = itertools.chain([b'{"v1/Pod":["shop/web"'], itertools.repeat(b',"shop/web"'))
    with pytest.raises(ArchiveDamaged, match="more than 1,000 bytes"):
        list(resourcelist.read(endless))
