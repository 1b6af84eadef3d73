"""Backups written once by format version 1: this and every later version must list, verify and restore them."""

import json
import shutil
from pathlib import Path

import pytest

from backstay.core.model import Level
from backstay.demo.compare import fingerprint
from tests.fixtures.world import database_on, directory_world
from tests.formats.make_v1 import rows

FROZEN = Path(__file__).parent / "v1"
STAMPS = sorted(path.stem for path in (FROZEN / "store/backstay/v1/backups/postgres/wiki").glob("*.json"))


@pytest.fixture
def frozen(tmp_path):
    """A copy, since proofs and journals are written beside backups."""
    shutil.copytree(FROZEN, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_there_is_one_for_each_way_of_storing():
    manifests = [
        json.loads(path.read_text()) for path in (FROZEN / "store/backstay/v1/backups/postgres/wiki").glob("*.json")
    ]
    encodings = {tuple(manifest["artifacts"][0]["encoding"]) for manifest in manifests}
    assert encodings == {("gzip",), ("zstd",), ("gzip", "age"), ()}


@pytest.mark.parametrize("stamp", STAMPS)
def test_it_restores(stamp, frozen, postgres18, fresh_database):
    identity = (FROZEN / "identity.txt").read_text()
    world = directory_world(frozen, database_on(postgres18, "wiki"), identities=(identity,))
    backup = world.context.catalogs.find(f"postgres/wiki@{stamp}")
    assert world.verify(backup, Level.READABLE).ok
    into = f"{fresh_database(postgres18).name}__frozen"
    owner = backup.contents["database"]["owner"]
    outcome = world.restore(backup, to=into)
    assert outcome.ok
    with postgres18.connect(into) as session:
        assert rows(fingerprint(session)) == json.loads((FROZEN / "expected.json").read_text())
        query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        assert session.execute(query).fetchone() == (owner,)
