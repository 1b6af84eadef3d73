"""Each thing that can be wrong in the file: its line, its place, its words, and what to do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.config import schema
from backstay.config.load import parse
from backstay.core.errors import ConfigError


def test_the_unknown_key_of_the_handbook(complaint, minimal):
    error = complaint(
        minimal
        + """postgres:
  databases:
    ham: {namespace: ham}
    jellyfin:
      namepsace: media
"""
    )
    assert error.message == "backstay.yaml:8: postgres.databases.jellyfin: unknown key `namepsace`"
    assert error.hint == "did you mean `namespace`?"
    assert error.exit_code == 2


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file(complaint):
    error = complaint(
        """cluster: home
stores:
  main: {url: s3://home, regoin: eu}
postgres:
  keep: {days: 0}
  databases:
    ham: {port: -1}
"""
    )
    assert error.message.splitlines() == [
        "backstay.yaml:3: stores.main: unknown key `regoin` (did you mean `region`?)",
        "backstay.yaml:5: postgres.keep.days: must be at least 1, not 0",
        "backstay.yaml:7: postgres.databases.ham.port: must be at least 1, not -1",
    ]
    assert error.hint == "Nothing was read or written."
    assert error.context["problems"][0] == {
        "line": 3,
        "key": "stores.main",
        "message": "unknown key `regoin`",
        "hint": "did you mean `region`?",
    }


CASES = [block.splitlines() for block in (Path(__file__).parent / "faults.txt").read_text().split("\n\n")]


@pytest.mark.parametrize("lines", CASES, ids=lambda lines: lines[-1][2:80])
def test_a_fault_is_told_exactly(complaint, minimal, lines):
    """faults.txt: what follows the three minimal lines (or a whole file), ``!`` what is said of it, ``?`` the hint."""
    text = "\n".join(line for line in lines if line[:2] not in {"! ", "? "})
    said = [line[2:] for line in lines if line.startswith("! ")]
    hints = [line[2:] for line in lines if line.startswith("? ")]
    error = complaint(text if text.startswith("cluster:") else minimal + text)
    assert error.message == f"backstay.yaml:{said[0]}"
    assert error.hint == (hints[0] if hints else "Nothing was read or written.")


def test_no_store_and_no_cluster(complaint):
    assert complaint("stores: {}").message.splitlines() == [
        "backstay.yaml:1: needs the key `cluster`",
        "backstay.yaml:1: stores: must not be empty",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "cluster: a\nstores: {main: {url: 's3://AKIA:topsecret@home'}}",
        "cluster: a\nstores: {main: {url: 's3://home', endpoint: 'https://me:topsecret@host'}}",
        "cluster: a\nstores: {main: {url: 's3://home', credentials: topsecret}}",
        "cluster: a\nstores: {main: {url: 's3://home', credentials: {AWS_SECRET_ACCESS_KEY: topsecret}}}",
        "cluster: a\nstores: {main: {url: 's3://home', credentials: [topsecret]}}",
        "cluster: a\nstores: {main: {url: 's3://home', credentials: 'a${topsecret'}}",
        "cluster: a\nstores: {main: {url: 's3://home', credentials: 'file:topsecret'}}",
        "cluster: a\nstores: {main: {url: 's3://home'}}\nalerts: {slack: {channel: x, webhook: 'https://h/topsecret'}}",
        "cluster: a\nstores: {main: {url: 's3://home'}}\nexternal: {terraform: {state: 'https://u:topsecret@h/x'}}",
        "cluster: a\nstores: {main: {url: 's3://home'}}\nencryption: {recipients: [AGE-SECRET-KEY-1topsecret]}",
        "cluster: a\nstores: {main: {url: 's3://home'}}\npostgres: {password: '${PW}'}",
        "cluster: a\nstores: {main: {url: 's3://home'}}\netcd: {endpoints: ['https://me:topsecret@10.0.0.1:2379/x']}",
        "cluster: a\nstores: {main: {url: 's3://home'}}\netcd: {token: 'K10abc::server:topsecret'}",
    ],
)
def test_a_secret_written_into_the_file_is_not_repeated(complaint, text):
    error = complaint(text, {"PW": "topsecret"})
    assert "topsecret" not in f"{error.message} {error.hint} {error.context}"


def test_a_fault_is_not_told_twice(complaint, minimal):
    error = complaint(minimal + "postgres:\n  globals_passwords: yes\n  port: ${PORT}\n  user: no")
    assert [(problem["key"], problem["message"]) for problem in error.context["problems"]] == [
        ("postgres.globals_passwords", "`yes` is true to some readers of YAML and a word to others"),
        ("postgres.port", "the environment variable PORT is not set"),
        ("postgres.user", "`no` is false to some readers of YAML and a word to others"),
    ]


def _keys(node):
    for key, inner, _ in schema.fields(node):
        yield key
        below = schema.named(inner) or inner
        yield from _keys(below)


KNOWN_KEYS = [*sorted(set(_keys(schema.json_schema()))), "main", "ham"]
SCALARS = st.sampled_from(["x", "s3://home", "7", "7d", "0 3 * * *", "true", "null", "1.5", "-1", "'7'", "${A}", "[]"])
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KNOWN_KEYS), inner, max_size=4).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(list(schema.keys(()))), TREES, min_size=1))
def test_any_tree_loads_or_is_refused_in_our_words(tree):
    text = "\n".join(f"{key}: {value}" for key, value in tree.items())
    try:
        said = parse(text, Path("backstay.yaml"), {"A": "a"}).config.cluster
    except ConfigError as error:
        said = error.message
        lines = len(error.context["problems"])
    else:
        lines = 1
    assert said.count("\n") == lines - 1
    assert "Input should" not in said
