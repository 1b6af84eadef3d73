"""YAML that kubectl reads as it was meant."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backstay.tiers.etcd.kube.decode import decode
from backstay.tiers.etcd.kube.manifest import dump, holds_secrets, manifest
from backstay.tiers.etcd.kube.plain import MAX_DEPTH
from tests.tiers.etcd.kube.stored import lines, one, value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)

WORDS = ["y", "N", "yes", "No", "ON", "off", "true", "FALSE", "null", "~", "=", "<<"]
NUMBERS = ["1e3", "12e45", "1E5", "0x1f", "0o7", "0b11", "017", "1_000", "+1", "-1"]
FRACTIONS = [".5", "5.", ".inf", "-.INF", ".nan"]


def written(name):
    return decode(value(one(name))).object


@pytest.mark.parametrize("line", [*lines("written"), *lines("random")], ids=lambda line: line["name"])
def test_whole_objects_read_back_as_they_were(line):
    assert yaml.safe_load(manifest(line["json"], whole=True).yaml) == line["json"]


@given(st.dictionaries(st.text(max_size=10), JSON))
def test_anything_reads_back(document):
    assert yaml.safe_load(dump(document)) == document


@pytest.mark.parametrize("word", [*WORDS, *NUMBERS, *FRACTIONS, "1:30", "2001-01-01"])
def test_strings_that_a_yaml_reader_may_take_for_something_else_are_quoted(word):
    """Those of YAML 1.1 and of the library in kubectl, which takes more for numbers than PyYAML does."""
    text = dump({"a": word})
    assert text in {f'a: "{word}"\n', f"a: '{word}'\n"}


@pytest.mark.parametrize("word", ["10.43.0.1", "10Gi", "1500m", "v1", "a-b", "cardboard:1", "/data", "1.2.3", "ünï 😀"])
def test_plain_words_are_plain(word):
    assert dump({"a": word}) == f"a: {word}\n"


def test_many_lines_are_a_block():
    assert dump({"a": "one\n  two\n"}) == "a: |\n  one\n    two\n"
    assert dump({"a": "one\ntwo"}) == "a: |-\n  one\n  two\n"


@pytest.mark.parametrize(
    "text", ["a\x85b", "\u2028", "a\rb\n", "a \nb", "\n", " a\nb", "\x00\x07", "\ufeffa", "a\tb\n"]
)
def test_strange_texts_read_back(text):
    assert yaml.safe_load(dump({"a": text, "list": [text], text: 1})) == {"a": text, "list": [text], text: 1}


def test_long_lines_are_not_folded():
    line = "word " * 100 + "end"
    assert dump({"a": line}) == f"a: {line}\n"


def test_one_object_twice_is_written_twice():
    shared = {"cpu": "1"}
    assert "&" not in dump({"limits": shared, "requests": shared})


def test_order_is_stable_and_names_come_first():
    text = manifest(written("apps/v1 Deployment cardboard")).yaml
    keys = [line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()]
    assert keys == ["apiVersion", "kind", "metadata", "spec"]
    assert "metadata:\n  name: cardboard\n  namespace: cardboard\n" in text
    assert "      - name: app\n        image: cardboard:1\n" in text
    assert dump({"b": 1, "a": {"d": 1, "c": 2}}) == dump({"a": {"c": 2, "d": 1}, "b": 1})


def test_the_comment_says_where_it_is_from_and_what_is_left_out():
    found = manifest(written("v1 Service web"), source="etcd/control-plane@20260211-154344")
    comment = [line for line in found.yaml.splitlines() if line.startswith("#")]
    assert comment[0] == "# Service web, from etcd/control-plane@20260211-154344"
    assert "status" in comment[1]
    assert "spec.clusterIP" in comment[1]
    assert any("Node ports" in line for line in comment)
    assert max(map(len, comment)) < 120


def test_the_whole_form_keeps_everything_and_says_so():
    pod = written("v1 Pod everything")
    found = manifest(pod, whole=True)
    assert yaml.safe_load(found.yaml) == pod
    assert "not one to apply" in found.notes[0]


def test_a_name_cannot_end_the_comment():
    evil = {"apiVersion": "v1", "kind": "ConfigMap\ndata: {}", "metadata": {"name": "a\nkind: Secret\r\u2028x: y"}}
    found = manifest(evil, source="b\nc: d")
    assert yaml.safe_load(found.yaml) == {
        "apiVersion": "v1",
        "kind": "ConfigMap\ndata: {}",
        "metadata": evil["metadata"],
    }
    assert found.yaml.splitlines()[0].startswith("# ConfigMap data: {} a kind: Secret")


def test_nothing_in_a_name_reaches_the_terminal_as_a_command():
    evil = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a\x1b[2Jb\u202ec\x00d"}}
    text = manifest(evil).yaml
    assert all(line.isprintable() for line in text.splitlines() if line.startswith("#"))
    assert not any(char < " " or "\x7f" <= char < "\xa0" for char in text.replace("\n", ""))
    assert yaml.safe_load(text)["metadata"] == evil["metadata"]


def test_secrets_are_flagged():
    found = manifest(written("v1 Secret cardboard"))
    assert found.secrets
    assert "not encrypted" in found.notes[0]
    assert not manifest(written("v1 ConfigMap cardboard")).secrets
    assert not holds_secrets({"apiVersion": "v1", "kind": "Secret"})
    assert not holds_secrets({"apiVersion": "example.com/v1", "kind": "Secret", "data": {"a": "b"}})
    assert holds_secrets({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "b"}})


def test_what_is_too_long_for_an_annotation_is_applied_by_the_server():
    large = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "x" * 250_000}}
    assert any("--server-side" in note for note in manifest(large).notes)
    assert not any("--server-side" in note for note in manifest(written("v1 ConfigMap cardboard")).notes)


def test_the_deepest_object_that_is_decoded_can_be_written():
    raw = b'{"apiVersion":"a/v1","kind":"A","metadata":{},"spec":' + b'{"a":[' * (MAX_DEPTH // 2 - 1) + b"1"
    raw += b"]}" * (MAX_DEPTH // 2 - 1) + b"}"
    deep = decode(raw).object
    assert yaml.safe_load(manifest(deep).yaml) == deep
