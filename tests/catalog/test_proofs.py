"""Proofs: kept, read back, and taken back by a later failure."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.catalog import proofs
from backstay.catalog.cache import ManifestCache
from backstay.catalog.proofs import Proofs, standing
from backstay.core.errors import AlreadyExists, CatalogError, FormatTooNew
from backstay.core.model import Finding, Level, Proof, Severity, Target, TierKind
from tests.catalog.fakes import CARDBOARD, NOW, STAMP, DictStore

DND = Target(TierKind.POSTGRES, "dnd")
ID = f"postgres/cardboard@{STAMP}"
RUN = "20260213-010000"


def proof(level=Level.RESTORED, *, ok=True, hours=0, backup_id=ID, kind="drill"):
    return Proof(
        backup_id,
        level,
        ok,
        NOW + timedelta(hours=hours),
        6.25,
        findings=(Finding(Severity.OK, "412,093 rows", "rows"), Finding(Severity.ERROR, "gone")),
        phases={"fetch": 0.8, "load": 3},
        kind=kind,
    )


def test_a_proof_comes_back_as_it_was():
    store = DictStore()
    key = Proofs(store).write(proof(), CARDBOARD, RUN)
    assert key == f"backstay/v1/drills/postgres/cardboard/{RUN}-drill.json"
    assert list(Proofs(store).read()) == [proof()]
    assert list(Proofs(store).read(DND)) == []


def test_two_of_one_kind_in_one_second_do_not_replace_each_other():
    store = DictStore()
    Proofs(store).write(proof(), CARDBOARD, RUN)
    with pytest.raises(AlreadyExists):
        Proofs(store).write(proof(ok=False), CARDBOARD, RUN)


def test_the_highest_that_stands():
    written = [proof(Level.STORED, hours=3), proof(Level.RESTORED), proof(Level.READABLE, hours=1)]
    assert standing(written) == {ID: proof(Level.RESTORED)}


def test_the_newest_of_the_highest():
    assert standing([proof(hours=1), proof(hours=5), proof(hours=2)]) == {ID: proof(hours=5)}


def test_a_failure_takes_back_its_level_and_those_above():
    written = [
        proof(Level.STORED),
        proof(Level.READABLE, hours=1),
        proof(Level.RESTORED, hours=2),
        proof(Level.READABLE, ok=False, hours=3),
    ]
    assert standing(written) == {ID: proof(Level.STORED)}
    assert standing([*written, proof(Level.STORED, ok=False, hours=4)]) == {}


def test_a_later_success_stands_again():
    assert standing([proof(), proof(Level.STORED, ok=False, hours=1), proof(hours=2)]) == {ID: proof(hours=2)}


def test_a_failure_of_another_backup_changes_nothing():
    other = proof(ok=False, hours=1, backup_id=f"postgres/cardboard@{RUN}")
    assert standing([proof(), other]) == {ID: proof()}


some = st.lists(
    st.builds(
        lambda level, ok, minutes: replace(proof(level, ok=ok), at=NOW + timedelta(minutes=minutes)),
        st.sampled_from(Level),
        st.booleans(),
        st.integers(0, 10_000),
    ),
    max_size=12,
    unique_by=lambda one: one.at,
)


@given(some)
def test_what_stands_is_what_no_later_failure_reaches(written):
    valid = [
        one
        for one in written
        if one.ok and not any(not bad.ok and bad.at > one.at and bad.level <= one.level for bad in written)
    ]
    found = standing(written)
    assert found == ({ID: max(valid, key=lambda one: (one.level, one.at))} if valid else {})


def test_levels_by_backup_with_a_cache_read_each_proof_once(tmp_path):
    store = DictStore()
    with ManifestCache(tmp_path, store.describe()) as cache:
        kept = Proofs(store, cache)
        kept.write(proof(Level.STORED, kind="verify"), CARDBOARD, STAMP)
        kept.write(proof(), CARDBOARD, RUN)
        kept.write(proof(backup_id=f"postgres/dnd@{STAMP}"), DND, RUN)
        assert standing(kept.read()) == {ID: proof(), f"postgres/dnd@{STAMP}": proof(backup_id=f"postgres/dnd@{STAMP}")}
        store.requests.clear()
        assert standing(kept.read())[ID].level is Level.RESTORED
        assert [verb for verb, _ in store.requests] == ["list"]


def test_proofs_of_removed_backups_are_forgotten():
    store = DictStore()
    kept = Proofs(store)
    kept.write(proof(), CARDBOARD, RUN)
    kept.write(proof(backup_id=f"postgres/cardboard@{RUN}", kind="verify"), CARDBOARD, RUN)
    assert kept.forget(CARDBOARD, {STAMP}) == 1
    assert [one.backup_id for one in kept.read()] == [f"postgres/cardboard@{RUN}"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ok": true', b'"ok": "yes"'),
        (b'"restored"', b'"perfect"'),
        (b"cardboard@", b"dnd@"),
        (b'"drill"', b'"verify"'),
        (b"6.25", b"-1"),
        (b'"fetch": 0.8', b'"fetch": null'),
        (b'"severity": "ok"', b'"severity": "fine"'),
    ],
)
def test_a_damaged_proof_is_refused_or_told(old, new):
    store = DictStore()
    key = Proofs(store).write(proof(), CARDBOARD, RUN)
    assert old in store.objects[key]
    store.objects[key] = store.objects[key].replace(old, new)
    with pytest.raises(CatalogError, match=key):
        list(Proofs(store).read())
    told = []
    assert list(Proofs(store).read(problem=told.append)) == []
    assert len(told) == 1


def test_a_proof_of_a_newer_version_is_refused():
    body = proofs.encode(proof()).replace(b'"version": 1', b'"version": 2')
    with pytest.raises(FormatTooNew):
        proofs.decode(body, f"backstay/v1/drills/postgres/cardboard/{RUN}-drill.json")
