"""The oldest server that is supported: tables are dumped whole there, and come back as they were."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from backstay.core.model import Level
from backstay.tiers.postgres import rowhash
from backstay.tiers.postgres.directory import segments
from backstay.tiers.postgres.localserver.programs import find_bin
from backstay.tiers.postgres.localserver.server import THROWAWAY, PostgresServer
from tests.fixtures.world import database_on, directory_world

LACKING = 3
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1
"""
SCHEMA = """
CREATE TABLE flat (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text, twice text GENERATED ALWAYS AS (word || word) STORED
);
INSERT INTO flat (word) SELECT md5(i::text) FROM generate_series(1, 20000) i;
CREATE TABLE parted (day date, n int) PARTITION BY RANGE (day);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO parted SELECT date '2025-06-01' + i, i FROM generate_series(1, 365) i;
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (3, 4);
CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS a;
CREATE VIEW words AS SELECT word FROM flat;
SELECT lo_from_bytea(0, '\\x0102'), lo_from_bytea(0, repeat('x', 3000000)::bytea);
"""


@pytest.fixture(scope="module")
def postgres13():
    done = subprocess.run([Path(__file__).with_name("postgres13.sh")], capture_output=True, text=True)
    if done.returncode == LACKING and not os.environ.get("CI"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    folder = Path(tempfile.mkdtemp(prefix="backstay-pg13-"))
    try:
        with PostgresServer(Path(done.stdout.strip()), folder, options=THROWAWAY) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def contents(server, name):
    """The hash of every table, and of every large object."""
    with server.connect(name) as session:
        for setting, value in rowhash.SETTINGS.items():
            session.execute("SELECT set_config(%s, %s, false)", (setting, value))
        names = [row[0] for row in session.execute(TABLES)]
        found = {table: session.execute(rowhash.query(table)).fetchone()[0] for table in names}
        objects = session.execute("SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1").fetchall()
    return found, objects


@pytest.mark.parametrize("form", ["directory", "sql"])
def test_everything_comes_back(postgres13, tmp_path, monkeypatch, form):
    monkeypatch.setattr(segments, "SMALLEST_BYTES", 1)
    name = f"old_{form}"
    with postgres13.connect() as session:
        session.execute(f"CREATE DATABASE {name}")
    with postgres13.connect(name) as session:
        session.execute(SCHEMA)
    world = directory_world(tmp_path, database_on(postgres13, name, bin=find_bin(18), format=form, workers=3))
    made = world.backup(name)
    assert made.source["server_version"].startswith("13.")
    assert not any(".part" in artifact.role for artifact in made.artifacts)
    assert world.verify(made, Level.READABLE).ok
    before = contents(postgres13, name)
    assert len(before[0]) == 6
    assert len(before[1]) == 2
    world.restore(made)
    assert contents(postgres13, name) == before
    with postgres13.connect(name) as session:
        assert session.execute("SELECT count(*), count(twice) FROM flat").fetchone() == (20_000, 20_000)
