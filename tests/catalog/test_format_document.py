"""docs/format.md: each record shown there is one that the code reads."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.catalog import history, intent, journal, keys, lease, manifest, proofs, records
from backstay.core.model import State, Target, TierKind
from backstay.core.units import parse_time
from tests.catalog.fakes import CARDBOARD, STAMP, DictStore, artifact, make_backup, make_catalog

DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"
RECORDS = {
    json.loads(block)["format"]: block.encode()
    for block in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
}


def stored(key, kind):
    store = DictStore()
    store.objects[key] = RECORDS[kind]
    return store


def test_every_kind_of_record_is_shown():
    kinds = (manifest, intent, lease, proofs, journal, history)
    assert set(RECORDS) == {"backstay/store", "backstay/retired", *(f"backstay/{module.KIND}" for module in kinds)}


def test_the_manifest():
    backup = manifest.decode(RECORDS["backstay/backup"], keys.manifest_key(CARDBOARD, STAMP))
    assert backup.id == f"postgres/cardboard@{STAMP}"
    assert records.decode("backup", manifest.encode(backup), "x").data == json.loads(RECORDS["backstay/backup"])


def test_the_mark_of_a_store():
    make_catalog(stored(keys.FORMAT, "backstay/store")).ensure_format(create=False)


def test_the_intent():
    found, _ = intent.read(stored(keys.intent_key(CARDBOARD, STAMP), "backstay/intent"), CARDBOARD, STAMP)
    assert json.loads(found.encode()) == json.loads(RECORDS["backstay/intent"])


def test_the_lease():
    found, _ = lease.read(stored(keys.lease_key(CARDBOARD), "backstay/lease"), CARDBOARD)
    assert json.loads(found.encode()) == json.loads(RECORDS["backstay/lease"])


def test_the_proof():
    found = proofs.decode(RECORDS["backstay/proof"], keys.proof_key(CARDBOARD, "20260213-010000", "drill"))
    assert json.loads(proofs.encode(found)) == json.loads(RECORDS["backstay/proof"])


def test_the_journal():
    store = stored(keys.journal_key(CARDBOARD, "20260213-071502"), "backstay/restore")
    (found,) = journal.journals(store, CARDBOARD)
    assert json.loads(found.encode()) == json.loads(RECORDS["backstay/restore"])


def test_the_failure():
    (found,) = history.failures(stored(keys.failure_key(CARDBOARD, "20260212-030004"), "backstay/failure"), CARDBOARD)
    assert found.code == "source.failed"


def test_the_note_of_a_removed_backup():
    shown = json.loads(RECORDS["backstay/retired"])
    ended = parse_time(shown["finished_at"])
    backup = make_backup(finished_at=ended, artifacts=(replace(artifact(), size_bytes=shown["size_bytes"]),))
    store = DictStore()
    history.retire(store, backup, parse_time(shown["retired_at"]))
    assert json.loads(store.objects[keys.retired_key(CARDBOARD, STAMP, State.COMPLETE)]) == shown


@pytest.mark.parametrize(
    "folder", ["BACKUPS", "INTENTS", "LEASES", "DRILLS", "RESTORES", "FAILURES", "RETIRED", "CONFIG"]
)
def test_every_folder_is_in_the_layout(folder):
    layout = re.search(r"## Layout\n\n```\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert layout
    assert f"\n{getattr(keys, folder)}" in layout[1]


def test_the_limits_are_those_of_the_code():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert records.RECORD_LIMIT == 16 * 1024 * 1024
    assert "at most 16 MiB" in text
    assert (keys.YEARS[0], keys.YEARS[-1]) == (1970, 8999)
    assert "years 1970 to 8999" in text
    keys.check_target(Target(TierKind.POSTGRES, "x" * 253))
