"""The manifest: what is written can be read, and what is not a manifest is refused by name."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.catalog import keys, manifest, records
from backstay.core.errors import CatalogError, FormatTooNew
from backstay.core.model import Artifact, Backup, State, Target, TierKind
from tests.catalog.fakes import CARDBOARD, NOW, SHA, STAMP, make_backup

KEY = keys.manifest_key(CARDBOARD, STAMP)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
sizes = st.integers(0, 2**63 - 1)
shas = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
words = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
artifacts = st.builds(
    Artifact,
    role=texts.filter(bool),
    key=st.from_regex(r"postgres-backups/[a-zA-Z0-9._ -]{1,20}x", fullmatch=True),
    size_bytes=sizes,
    sha256=shas,
    plain_size_bytes=sizes,
    plain_sha256=shas,
    encoding=st.lists(words, max_size=3).map(tuple),
)
times = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
maps = st.dictionaries(texts, plain, max_size=3)
lists = st.lists(texts, max_size=3).map(tuple)
backups = st.builds(
    Backup,
    target=st.builds(Target, st.just(TierKind.POSTGRES), st.from_regex(r"[A-Za-z0-9_][a-z.-]{0,9}", fullmatch=True)),
    stamp=times.map(lambda time: time.strftime("%Y%m%d-%H%M%S")),
    cluster=texts,
    state=st.sampled_from([State.COMPLETE, State.PARTIAL]),
    started_at=times,
    finished_at=times,
    point_in_time=st.none() | times,
    artifacts=st.lists(artifacts, max_size=3, unique_by=(lambda one: one.role, lambda one: one.key)).map(tuple),
    tools=st.dictionaries(texts, texts, max_size=2),
    source=maps,
    contents=maps,
    omissions=lists,
    warnings=lists,
    restore_by_hand=lists,
    store=st.just(""),
)


@given(backups)
def test_a_backup_comes_back_as_it_was(backup):
    body = manifest.encode(backup)
    again = manifest.decode(body, keys.manifest_key(backup.target, backup.stamp))
    assert again == backup
    assert manifest.encode(again) == body


def test_the_form_is_that_of_the_format():
    body = manifest.encode(make_backup(cluster="homeläb"))
    assert body.endswith(b"}\n")
    assert "homeläb" in body.decode("utf-8")
    document = json.loads(body)
    assert list(document) == [
        "format",
        "version",
        "id",
        "cluster",
        "state",
        "started_at",
        "finished_at",
        "point_in_time",
        "tools",
        "source",
        "artifacts",
        "contents",
        "omissions",
        "warnings",
        "restore_by_hand",
    ]
    assert (document["format"], document["version"]) == ("backstay/backup", 1)
    assert document["id"] == f"postgres/cardboard@{STAMP}"
    assert document["started_at"] == "2026-02-11T15:43:44Z"
    assert list(document["artifacts"][0]) == [
        "role",
        "key",
        "size_bytes",
        "sha256",
        "plain_size_bytes",
        "plain_sha256",
        "encoding",
    ]


def test_a_time_in_another_zone_is_written_in_utc():
    moment = NOW.astimezone(__import__("zoneinfo").ZoneInfo("Asia/Kathmandu"))
    backup = make_backup(started_at=moment + timedelta(microseconds=5))
    again = manifest.decode(manifest.encode(backup), KEY)
    assert again.started_at == backup.started_at
    assert again.started_at.tzinfo is UTC


def test_fields_that_are_not_known_are_passed_over():
    document = json.loads(manifest.encode(make_backup()))
    document["lock_until"] = "2027-01-01T00:00:00Z"
    document["artifacts"][0]["parts"] = 12
    assert manifest.decode(json.dumps(document).encode(), KEY) == make_backup()


def test_a_newer_version_says_which_and_what_to_use():
    document = json.loads(manifest.encode(make_backup())) | {"version": 2}
    with pytest.raises(FormatTooNew, match=r"version 2; this Backstay reads up to 1") as raised:
        manifest.decode(json.dumps(document).encode(), KEY)
    assert KEY in raised.value.message
    assert "newer" in raised.value.hint


def broken(**changes):
    document = json.loads(manifest.encode(make_backup()))
    for path, value in changes.items():
        holder, name = (document["artifacts"][0], path[2:]) if path.startswith("a_") else (document, path)
        if value is ...:
            del holder[name]
        else:
            holder[name] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "restic/backup"},
        {"version": "1"},
        {"version": True},
        {"version": 0},
        {"version": ...},
        {"id": f"postgres/other@{STAMP}"},
        {"id": 7},
        {"cluster": None},
        {"state": "foreign"},
        {"state": "failed"},
        {"state": ["complete"]},
        {"started_at": "yesterday"},
        {"started_at": "2026-13-01T00:00:00Z"},
        {"started_at": "2026-01-01T00:00:00"},
        {"started_at": "0001-01-01T00:00:00Z"},
        {"finished_at": ...},
        {"point_in_time": 5},
        {"tools": {"pg_dump": 18}},
        {"tools": []},
        {"source": "x"},
        {"contents": [1]},
        {"omissions": "none"},
        {"warnings": [1]},
        {"restore_by_hand": {}},
        {"artifacts": {}},
        {"artifacts": ["x"]},
        {"a_key": "../../etc/passwd"},
        {"a_key": "/etc/passwd"},
        {"a_key": "backstay/v1/format.json"},
        {"a_key": "a\u0000b"},
        {"a_key": "a" * 1025},
        {"a_size_bytes": -1},
        {"a_size_bytes": 1.0},
        {"a_size_bytes": True},
        {"a_size_bytes": 2**63},
        {"a_plain_size_bytes": None},
        {"a_sha256": "abc"},
        {"a_sha256": SHA.upper()},
        {"a_sha256": SHA + "\n"},
        {"a_plain_sha256": ...},
        {"a_encoding": "gzip"},
        {"a_encoding": ["gzip; rm -rf"]},
        {"a_role": ""},
        {"a_role": "globals"},
        {"a_key": make_backup().artifacts[1].key},
    ],
    ids=str,
)
def test_what_is_not_format_1_is_refused_naming_the_key(changes):
    with pytest.raises(CatalogError) as raised:
        manifest.decode(broken(**changes), KEY)
    assert KEY in raised.value.message
    assert not isinstance(raised.value, FormatTooNew)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"format": NaN}',
        b"[" * 200_000,
        b'{"format": "backstay/backup", "version": ' + b"9" * 5000 + b"}",
    ],
    ids=["empty", "cut", "list", "null", "no text", "NaN", "deep", "long number"],
)
def test_what_is_not_json_is_refused_naming_the_key(data):
    with pytest.raises(CatalogError, match=KEY.replace(".", r"\.")):
        manifest.decode(data, KEY)


@given(st.binary(max_size=200) | plain.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_but_a_catalog_error(data):
    with pytest.raises(CatalogError):
        manifest.decode(data, KEY)


def test_a_manifest_of_more_than_the_limit_is_refused(monkeypatch):
    body = manifest.encode(make_backup())
    monkeypatch.setattr(records, "RECORD_LIMIT", len(body) - 1)
    with pytest.raises(CatalogError, match="larger than"):
        manifest.decode(body, KEY)
    with pytest.raises(CatalogError, match="over the limit"):
        manifest.encode(make_backup())


@pytest.mark.parametrize(
    "changes",
    [
        {"contents": {"a": object()}},
        {"contents": {"a": float("nan")}},
        {"source": {"a": "\udcff"}},
        {"state": State.FOREIGN},
        {"artifacts": (Artifact("dump", "a/b", -1, "", -1, ""),)},
        {"artifacts": (make_backup().artifacts[0],) * 2},
    ],
    ids=["object", "NaN", "surrogate", "foreign", "unknown sizes", "twice"],
)
def test_what_could_not_be_read_again_is_not_written(changes):
    with pytest.raises(CatalogError):
        manifest.encode(make_backup(**changes))
