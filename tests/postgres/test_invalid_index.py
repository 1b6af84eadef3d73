"""An index that is not valid: pg_dump leaves it out, so it is not counted, and a warning names it."""

import psycopg
import pytest

from tests.fixtures.world import database_on, directory_world


@pytest.mark.parametrize("dump_format", ["directory", "sql"])
def test_a_backup_of_a_database_that_has_one_comes_back(dump_format, postgres18, fresh_database, tmp_path):
    """As a CREATE INDEX CONCURRENTLY leaves it that met a duplicate."""
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute(
            "CREATE TABLE twins (a integer, b integer PRIMARY KEY); INSERT INTO twins VALUES (1, 1), (1, 2)"
        )
        with pytest.raises(psycopg.errors.UniqueViolation):
            session.execute('CREATE UNIQUE INDEX CONCURRENTLY "Once" ON twins (a)')
    world = directory_world(tmp_path, database_on(postgres18, made.name, format=dump_format))
    backup = world.backup(made.name)
    assert backup.contents["objects"]["indexes"] == 1
    assert backup.warnings == ('1 index is not valid, and not in the backup: public."Once"',)
    outcome = world.restore(backup)
    assert "objects: 1 constraint, 1 index, 1 table" in [finding.message for finding in outcome.findings]


def test_without_one_there_is_no_warning(postgres18, fresh_database, tmp_path):
    """Also where the index of a partitioned table lacks a part: pg_dump has that one."""
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute(
            """CREATE TABLE visits (day integer) PARTITION BY RANGE (day);
               CREATE TABLE visits_1 PARTITION OF visits DEFAULT; CREATE INDEX by_day ON ONLY visits (day)"""
        )
    backup = directory_world(tmp_path, database_on(postgres18, made.name)).backup(made.name)
    assert backup.contents["objects"]["partitioned indexes"] == 1
    assert backup.warnings == ()
