"""Reading YAML: lines, types, variables, duplicates, and what is refused or bounded."""

import json
import re
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backstay.config.yamltree import Unreadable, plain, read, walk


def value_of(text, env=None):
    node, problems = read(text, env or {})
    assert problems == []
    return plain(node)


def problems_of(text, env=None):
    return [(p.line, p.fault.message) for p in read(text, env or {})[1]]


def stopped_at(text):
    with pytest.raises(Unreadable) as caught:
        read(text, {})
    return caught.value.problem.line, caught.value.problem.fault.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", "a"),
        ("7", 7),
        ("-7", -7),
        ("+7", 7),
        ("0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("NULL", None),
        ("~", None),
        ("'7'", "7"),
        ('"true"', "true"),
        ("'no'", "no"),
        ("12:30", "12:30"),
        ("2026-11-23", "2026-11-23"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("tRUE", "tRUE"),
        (".inf", ".inf"),
        ("9" * 60, "9" * 60),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("", None),
        ("# nothing\n", None),
    ],
)
def test_words_are_typed_as_yaml_1_2_does(text, value):
    read_value = value_of(text)
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("word", ["y", "Yes", "NO", "n", "on", "OFF"])
def test_words_that_readers_of_yaml_disagree_on_are_refused(word):
    ((line, message),) = problems_of(f"\nkey: {word}")
    assert line == 2
    assert message.startswith(f"`{word}` is ")
    assert message.endswith(" to some readers of YAML and a word to others")


@pytest.mark.parametrize("word", ["010", "-007", "0_1"])
def test_numbers_that_readers_of_yaml_disagree_on_are_refused(word):
    message = "begins with a zero: an octal number to some readers of YAML, a decimal one to others"
    assert problems_of(f"key: {word}") == [(1, message)]


def test_keys_are_words_whatever_they_look_like():
    assert value_of("no: 1\n007: 2\n1.5: 3\n${X}: 4\n") == {"no": 1, "007": 2, "1.5": 3, "${X}": 4}


def test_every_value_has_the_line_of_its_key():
    node, _ = read("a:\n  b: 1\n\n  c:\n    - x\n    - y: 2\nd: |\n  text\n", {})
    lines = {path: inner.line for path, inner in walk(node)}
    assert lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "y"): 6,
        ("d",): 7,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}", "a-value-value"),
        ("'${NAME}'", "value"),
        ("${MISSING:-other}", "other"),
        ("${MISSING:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${NAME:-other}", "value"),
        ("$$", "$"),
        ("$${NAME}", "${NAME}"),
        ("$$$${NAME}", "$${NAME}"),
        ("$NAME costs 5$", "$NAME costs 5$"),
        ("${NO}", "no"),
        ("${NUMBER}", "007"),
        ("${YAML}", "{a: [b]} # c"),
    ],
)
def test_variables_are_expanded_in_values(text, value):
    env = {"NAME": "value", "EMPTY": "", "NO": "no", "NUMBER": "007", "YAML": "{a: [b]} # c"}
    assert value_of(f"key: {text}", env) == {"key": value}


@pytest.mark.parametrize("text", ["${", "${}", "${A B}", "${1A}", "${A:+x}", "a ${A"])
def test_what_is_not_a_variable_is_refused(text):
    assert problems_of(f"\nkey: '{text}'") == [(2, "`${` does not begin the name of a variable here")]


def test_a_variable_that_is_not_set_is_refused_with_its_line():
    assert problems_of("a: 1\nb:\n  - ${NAME}\n") == [(3, "the environment variable NAME is not set")]


@pytest.mark.parametrize("value", ["two\nlines", "\udcff", "\x1b[31m"])
def test_a_variable_that_is_not_text_is_refused(value):
    message = "the environment variable NAME holds line breaks or what is not text"
    assert problems_of("a: ${NAME}", {"NAME": value}) == [(1, message)]


@pytest.mark.parametrize("quotes", ["", "'", '"'])
def test_an_expanded_number_or_truth_fits_where_one_is_needed(configured, quotes):
    text = f"postgres:\n  port: {quotes}${{PORT}}{quotes}\n  globals_passwords: {quotes}${{ON:-true}}{quotes}\n"
    config = configured(
        text + f"  user: {quotes}${{PORT}}{quotes}\nslo: {{success_rate: '${{RATE}}'}}", {"PORT": "5433", "RATE": "99"}
    )
    assert (config.postgres.port, config.postgres.globals_passwords) == (5433, True)
    assert config.postgres.user == "5433"
    assert config.slo.success_rate == 99


def test_an_expanded_word_fits_a_choice(configured):
    config = configured("postgres: {sslmode: '${MODE}', databases: {ham: {sslmode: '${MODE}'}}}", {"MODE": "require"})
    assert config.postgres_databases()["ham"].sslmode == "require"


def test_a_key_that_is_there_twice_is_refused_with_both_lines():
    assert problems_of("a:\n  b: 1\n  c: 2\n  b: 3\n") == [(4, "the key `b` is here twice, first on line 2")]


def test_aliases_are_followed():
    assert value_of("a: &keep {days: 7}\nb: *keep\n") == {"a": {"days": 7}, "b": {"days": 7}}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: &x [*x]", 1, "*x stands for nothing here"),
        ("a: 1\n---\nb: 2", 2, "a second document begins here"),
        ("a: !!python/object:os.system x", 1, "the tag tag:yaml.org,2002:python/object:os.system is not supported"),
        ("a: !vault x", 1, "the tag !vault is not supported"),
        ("a: &k {x: 1}\nb: {<<: *k}", 2, "merging with `<<` is not supported"),
        ("? [a]\n: b", 1, "a key must be a word"),
        ("a: &k b\n*k : c", 2, "a key must be a word"),
        ("'': b", 1, "a key must be a word"),
        ("[" * 100_000, 1, "is nested more than 20 deep"),
        ("a:\n\tb: 1", 2, "is not valid YAML: found character that cannot start any token"),
        ("a: b: c", 1, "is not valid YAML: mapping values are not allowed in this context"),
        ("a: [1\n", 2, "is not valid YAML: did not find expected ',' or ']'"),
        ("a: *nowhere", 1, "*nowhere stands for nothing here"),
    ],
)
def test_what_cannot_be_read_is_refused(text, line, message):
    assert stopped_at(text) == (line, message)


def test_aliases_that_multiply_are_counted_and_not_followed():
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 15)]
    began = time.monotonic()
    line, message = stopped_at("\n".join(levels))
    assert message == "stands for more than 100,000 values once its aliases are followed"
    assert line == 5
    assert time.monotonic() - began < 2


def test_aliases_that_nest_are_counted_and_not_followed():
    levels = ["l0: &l0 [[[[[[x]]]]]]"] + [f"l{n}: &l{n} [[[[[[*l{n - 1}]]]]]]" for n in range(1, 4)]
    assert stopped_at("\n".join(levels)) == (4, "is nested more than 20 deep")


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"])).filter(lambda text: "$" not in text)
# Words and numbers to some readers, which PyYAML writes without quotes: `y`, `oN`, `08`, `1e5`.
DOUBTFUL = re.compile(r"y|n|yes|no|on|off|[-+.0-9][-+.0-9_e]*", re.IGNORECASE)


def values(texts):
    scalars = st.one_of(st.none(), st.booleans(), st.integers(min_value=-(10**18), max_value=10**18), texts)
    keys = st.text("abc", min_size=1, max_size=4)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=20,
    )


@given(values(TEXTS))
def test_json_reads_as_itself(value):
    assert value_of(json.dumps(value, ensure_ascii=False)) == value


@given(values(TEXTS.filter(lambda text: DOUBTFUL.fullmatch(text) is None)))
def test_what_is_written_as_yaml_reads_as_itself(value):
    assert value_of(yaml.safe_dump(value, allow_unicode=True)) == value


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        node, problems = read(text, {})
    except Unreadable as stopped:
        lines = [stopped.problem.line]
    else:
        lines = [problem.line for problem in problems] + [inner.line for _, inner in walk(node)]
    assert all(line >= 1 for line in lines)
