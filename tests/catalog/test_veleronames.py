"""Backups that Velero itself took, found by the names of its schedules."""

from datetime import UTC, datetime

import pytest

from backstay.catalog.foreign import foreign, strays
from backstay.catalog.veleronames import VeleroNaming
from backstay.core.model import State, Target, TierKind
from backstay.store.memory import MemoryStore

DAILY = Target(TierKind.OBJECTS, "daily")
NAMES = VeleroNaming("velero", "daily")
FILES = (
    "velero-backup.json",
    "daily-20260211020000.tar.gz",
    "daily-20260211020000-logs.gz",
    "daily-20260211020000-results.gz",
)


@pytest.fixture
def store():
    made = MemoryStore()
    for file in FILES:
        made.put(f"velero/backups/daily-20260211020000/{file}", [b"x" * 7], create=True)
    for other in (
        "velero/backups/daily-more-20260211020000/daily-more-20260211020000.tar.gz",
        "velero/backups/daily-20260299020000/daily-20260299020000.tar.gz",
        "velero/backups/daily-20260212020000/velero-backup.json",
        "velero/backups/daily-20260213020000/other.tar.gz",
        "velero/backups/daily-20260214020000/below/daily-20260214020000.tar.gz",
    ):
        made.put(other, [b"x"], create=True)
    return made


def test_a_backup_of_veleros_is_found_by_its_archive(store):
    (found,) = foreign(store, NAMES, DAILY, ())
    assert (found.id, found.state) == ("objects/daily@20260211-020000", State.FOREIGN)
    assert found.started_at == datetime(2026, 2, 11, 2, tzinfo=UTC)
    folder = "velero/backups/daily-20260211020000"
    assert {one.role: one.key for one in found.artifacts} == {
        "objects": f"{folder}/daily-20260211020000.tar.gz",
        "velero-backup": f"{folder}/velero-backup.json",
    }
    assert found.artifact("objects").encoding == ("gzip",)
    assert found.size_bytes == 7
    assert "--from-backup daily-20260211020000" in found.restore_by_hand[0]


def test_one_of_backstays_own_is_not_foreign(store):
    assert list(foreign(store, NAMES, DAILY, {"20260211-020000"})) == []


def test_nothing_of_veleros_is_ever_litter(store):
    assert list(strays(store, NAMES, ())) == []
