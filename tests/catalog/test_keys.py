"""Keys: built and parsed back; nothing strange gets in or is taken for ours."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.catalog import keys
from backstay.core.errors import UsageError
from backstay.core.model import State, Target, TierKind
from tests.catalog.fakes import CARDBOARD, STAMP

VOLUME = Target(TierKind.VOLUMES, "media/jellyfin-config")
FOLDERS = [keys.BACKUPS, keys.INTENTS, keys.RESTORES, keys.FAILURES]


def test_the_layout_is_that_of_the_format():
    assert keys.manifest_key(CARDBOARD, STAMP) == f"backstay/v1/backups/postgres/cardboard/{STAMP}.json"
    assert keys.manifest_key(VOLUME, STAMP) == f"backstay/v1/backups/volumes/media/jellyfin-config/{STAMP}.json"
    assert keys.intent_key(CARDBOARD, STAMP) == f"backstay/v1/intents/postgres/cardboard/{STAMP}.json"
    assert keys.proof_key(CARDBOARD, STAMP, "drill") == f"backstay/v1/drills/postgres/cardboard/{STAMP}-drill.json"
    assert keys.journal_key(CARDBOARD, STAMP) == f"backstay/v1/restores/postgres/cardboard/{STAMP}.json"
    assert keys.failure_key(CARDBOARD, STAMP) == f"backstay/v1/failures/postgres/cardboard/{STAMP}.json"
    assert keys.lease_key(VOLUME) == "backstay/v1/leases/volumes/media/jellyfin-config.json"
    assert keys.config_key(STAMP) == f"backstay/v1/config/{STAMP}.yaml"


names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}", fullmatch=True)
targets = st.builds(Target, st.sampled_from([TierKind.POSTGRES, TierKind.ETCD, TierKind.OBJECTS]), names) | st.builds(
    lambda space, claim: Target(TierKind.VOLUMES, f"{space}/{claim}"), names, names
)
stamps = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)).map(lambda time: time.strftime("%Y%m%d-%H%M%S"))  # noqa: DTZ001


@given(targets, stamps, st.sampled_from(FOLDERS))
def test_a_record_key_parses_back(target, stamp, folder):
    key = f"{keys.target_prefix(folder, target)}{stamp}.json"
    assert keys.parse_record(folder, key) == (target, stamp)


@given(targets, stamps, st.sampled_from(["verify", "restore", "drill"]))
def test_a_proof_key_parses_back(target, stamp, kind):
    assert keys.parse_proof(keys.proof_key(target, stamp, kind)) == (target, stamp, kind)


@given(st.text(max_size=60) | st.from_regex(r"[a-z]{1,9}/[a-z/.]{0,20}/[0-9-]{10,16}\.json", fullmatch=True))
def test_no_key_makes_parsing_fail_and_what_parses_is_built_the_same(text):
    key = keys.BACKUPS + text
    parsed = keys.parse_record(keys.BACKUPS, key)
    assert parsed is None or keys.manifest_key(*parsed) == key
    keys.parse_proof(keys.DRILLS + text)


@pytest.mark.parametrize(
    "name",
    ["", "a/b", ".hidden", "-x", "a b", "a@b", "a\n", "ä", "..", "a/../b", "/a", "a/", "x" * 254, "a\\b", "a\x00"],
)
def test_a_name_that_could_lead_elsewhere_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name"):
        keys.manifest_key(Target(TierKind.POSTGRES, name), STAMP)


@pytest.mark.parametrize("name", ["a/b/c", "/b", "a/", "a//b", "../b", "a/.."])
def test_a_volume_has_one_slash_at_most_and_no_way_up(name):
    with pytest.raises(UsageError):
        keys.check_target(Target(TierKind.VOLUMES, name))


@pytest.mark.parametrize(
    "stamp", ["", "latest", "20260211", "20260230-000000", "20260211-256060", "20260211-154344Z", "00010101-000000"]
)
def test_what_is_no_stamp_is_refused(stamp):
    assert not keys.is_stamp(stamp)
    with pytest.raises(UsageError, match="not a stamp"):
        keys.manifest_key(CARDBOARD, stamp)


@pytest.mark.parametrize(
    "key",
    [
        f"backstay/v1/backups/postgres/cardboard/{STAMP}.json.tmp",
        f"backstay/v1/backups/mysql/cardboard/{STAMP}.json",
        f"backstay/v1/backups/postgres/{STAMP}.json",
        f"backstay/v1/backups/postgres/a/b/{STAMP}.json",
        "backstay/v1/backups/postgres/cardboard/latest.json",
        f"backstay/v1/intents/postgres/cardboard/{STAMP}.json",
    ],
)
def test_other_names_are_passed_over(key):
    assert keys.parse_record(keys.BACKUPS, key) is None


def test_a_moment_and_its_stamp():
    assert keys.moment_of(STAMP) == datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["", "Drill", "drill-2", "a/b"])
def test_what_is_no_kind_of_proof_is_refused(kind):
    with pytest.raises(UsageError, match="kind of proof"):
        keys.proof_key(CARDBOARD, STAMP, kind)


@pytest.mark.parametrize("state", [State.FOREIGN, State.FAILED])
def test_what_is_no_backup_of_ours_leaves_no_note(state):
    with pytest.raises(UsageError, match="leaves no note"):
        keys.retired_key(CARDBOARD, STAMP, state)


@pytest.mark.parametrize("word", ["complete.json.tmp", "foreign.json", "verify.json", "complete-2.json"])
def test_other_notes_are_passed_over(word):
    assert keys.parse_retired(f"{keys.RETIRED}postgres/cardboard/{STAMP}-{word}") is None


def test_a_note_and_a_proof_are_told_apart_by_their_folder():
    note, proof = keys.retired_key(CARDBOARD, STAMP, State.PARTIAL), keys.proof_key(CARDBOARD, STAMP, "verify")
    assert keys.parse_retired(note) == (CARDBOARD, STAMP, State.PARTIAL)
    assert keys.parse_proof(note) is None
    assert keys.parse_retired(proof) is None


@pytest.mark.parametrize(
    "key", ["backstay/x", "BACKSTAY/x", "backstay/v1/backups/postgres/a/x.json", "a/../backstay/x"]
)
def test_our_own_folder_is_no_place_for_an_artifact(key):
    assert not keys.is_artifact_key(key)
