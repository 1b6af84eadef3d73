"""Indexes of partitioned tables: attached in turn, and found invalid when they are not what their parts make them."""

import os
import subprocess
import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from backstay.core.model import NoProgress, Severity
from backstay.tiers.postgres.compare import compare
from backstay.tiers.postgres.directory import toc
from tests.fixtures.world import database_on, directory_world

TREE = """
CREATE TABLE visits (day integer, hall text, PRIMARY KEY (day, hall)) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10) PARTITION BY LIST (hall);
CREATE TABLE visits_1_east PARTITION OF visits_1 FOR VALUES IN ('east');
CREATE TABLE visits_1_rest PARTITION OF visits_1 DEFAULT;
CREATE TABLE visits_2 PARTITION OF visits DEFAULT;
INSERT INTO visits SELECT n, (ARRAY['east', 'west'])[1 + n % 2] FROM generate_series(0, 19) n;
"""
ATTACHED = "SELECT count(*) FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid"
ATTACHING = """SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
AND starts_with(query, 'ALTER INDEX')"""


@pytest.fixture
def tree(postgres18, fresh_database):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute(TREE)
    return made


def run(server, program, *arguments):
    env = {**os.environ, "PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser,
           "PGPASSWORD": server.password}  # fmt: skip
    done = subprocess.run([server.program(program), *arguments], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.01)


def indexes(session):
    """What a comparison says of them."""
    (found,) = [one for one in compare(session, {}, NoProgress()) if one.code == "postgres.indexes"]
    return found.severity, found.message


def test_stock_pg_restore_attaches_one_after_the_other(tree, postgres18, fresh_database, tmp_path):
    """While the first cannot go on no other one is attached, though three jobs have nothing else to do."""
    folder, copy = tmp_path / "dump", fresh_database(postgres18)
    run(postgres18, "pg_dump", "-Fd", "-Z0", "-f", str(folder), tree.name)
    listed = toc.parse([(folder / "toc.dat").read_bytes()])
    attaching = [entry for entry in listed.entries if entry.desc == "INDEX ATTACH"]
    chained = listed.attaching_in_turn()
    assert chained.attaching_in_turn() == chained
    assert [entry for entry in chained.entries if entry not in listed.entries] == [
        replace(entry, dependencies=(*entry.dependencies, str(before.dump_id))) for before, entry in pairwise(attaching)
    ]
    (folder / "toc.dat").write_bytes(chained.encode())
    lists = {True: tmp_path / "attach", False: tmp_path / "rest"}
    for chosen, path in lists.items():
        entries = [entry for entry in listed.entries if (entry in attaching) is chosen]
        path.write_text("".join(f"{entry.dump_id};\n" for entry in entries))
    run(postgres18, "pg_restore", "-d", copy.name, "-L", str(lists[False]), str(folder))
    arguments = ["-j4", "--exit-on-error", "-d", copy.name, "-L", str(lists[True]), str(folder)]
    with copy.connect_superuser() as watching, copy.connect_superuser() as session, session.transaction():
        session.execute(f"LOCK TABLE {attaching[0].tag.removesuffix('_pkey')}")
        restoring = threading.Thread(target=run, args=(postgres18, "pg_restore", *arguments))
        restoring.start()
        until(lambda: watching.execute(ATTACHING).fetchone() == (1,))
        restoring.join(1)  # what the others took without the chain
        assert watching.execute(ATTACHED).fetchone() == (0,)
    restoring.join(60)
    with copy.connect() as session:
        assert session.execute(ATTACHED).fetchone() == (len(attaching),)
        assert session.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)


def test_one_that_all_of_its_parts_make_valid_must_be(tree):
    """As two sessions that attach at once may leave it; nothing but the comparison would tell."""
    with tree.connect_superuser() as session:
        assert indexes(session) == (Severity.OK, "every index is valid")
        session.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'visits_pkey'::regclass")
        assert indexes(session) == (Severity.ERROR, "invalid indexes: visits_pkey")


def test_one_that_lacks_a_part_is_invalid_by_right(tree, postgres18, tmp_path):
    """It was in the source, and comes back as it was."""
    with tree.connect() as session:
        session.execute(
            """CREATE INDEX by_hall ON ONLY visits (hall); CREATE INDEX by_hall_2 ON visits_2 (hall);
               ALTER INDEX by_hall ATTACH PARTITION by_hall_2"""
        )
    world = directory_world(tmp_path, database_on(postgres18, tree.name))
    made = world.backup(tree.name)
    assert world.restore(made, to=f"{tree.name}__copy").ok
    with postgres18.connect(f"{tree.name}__copy") as session:
        invalid = session.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid").fetchall()
        assert invalid == [("by_hall",)]
        assert indexes(session) == (Severity.OK, "every index is valid")
