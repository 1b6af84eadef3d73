"""Backups written once by format version 1: this and every later version must list, verify and restore them."""

import json
import shutil
from pathlib import Path

import pytest

from backstay.core.model import Level
from backstay.demo.compare import fingerprint
from tests.fixtures.world import database_on, directory_world
from tests.formats.make_v1 import rows

HERE = Path(__file__).parent
FORMS = {"sql": HERE / "v1", "directory": HERE / "v1_directory"}


def manifests(form):
    return sorted((FORMS[form] / "store/backstay/v1/backups/postgres/wiki").glob("*.json"))


ALL = [(form, path.stem) for form in FORMS for path in manifests(form)]


@pytest.mark.parametrize("form", FORMS)
def test_there_is_one_for_each_way_of_storing(form):
    encodings = set()
    for path in manifests(form):
        artifacts = json.loads(path.read_text())["artifacts"]
        encodings.add(max((tuple(artifact["encoding"]) for artifact in artifacts), key=len))
        assert form == "sql" or {"toc.dat", "blobs.tar", "globals", "guide"} < {one["role"] for one in artifacts}
        assert form == "sql" or any(one["role"].endswith(".dat.part00002") for one in artifacts)
    assert encodings == {("gzip",), ("zstd",), ("gzip", "age"), ()}


@pytest.mark.parametrize(("form", "stamp"), ALL)
def test_it_restores(form, stamp, tmp_path, postgres18, fresh_database):
    frozen = FORMS[form]
    shutil.copytree(frozen, tmp_path, dirs_exist_ok=True)  # proofs and journals are written beside backups
    identity = (frozen / "identity.txt").read_text()
    world = directory_world(tmp_path, database_on(postgres18, "wiki"), identities=(identity,))
    backup = world.context.catalogs.find(f"postgres/wiki@{stamp}")
    assert world.verify(backup, Level.READABLE).ok
    into = f"{fresh_database(postgres18).name}__frozen"
    owner = backup.contents["database"]["owner"]
    outcome = world.restore(backup, to=into)
    assert outcome.ok
    with postgres18.connect(into) as session:
        assert rows(fingerprint(session)) == json.loads((frozen / "expected.json").read_text())
        query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        assert session.execute(query).fetchone() == (owner,)
        sizes = "SELECT octet_length(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1"
        assert [row[0] for row in session.execute(sizes)] == ([0, 5, 40000] if form == "directory" else [])
