"""What the usual pipelines lose without a word: each case shows the old way succeed, then Backstay refuse.

The old ways run the stock programs exactly as scripts do. For what only a broken network or a broken exec stream
would do to pg_dump, a stand-in program cuts the real pg_dump's output and ends with 0.
"""

import gzip
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from backstay.core.errors import BackstayError, DumpIncomplete, RestoreError, SourceError
from backstay.core.model import Level, State
from tests.fixtures.world import database_on, directory_world

ROWS = 50_000


@pytest.fixture
def events(postgres18, fresh_database):
    made = fresh_database(postgres18)
    with made.connect() as session:
        session.execute(
            f"CREATE TABLE events AS SELECT i AS id, md5(i::text) AS word FROM generate_series(1, {ROWS}) i"
        )
        session.execute("ANALYZE")
    return made


def old_way(server, line, dbname):
    """A line of sh with the stock programs, as the scripts it stands for have it."""
    env = {"PATH": f"{server.bin_dir}:{os.environ['PATH']}", "PGPASSWORD": server.password, "PGHOST": server.host,
           "PGPORT": str(server.port), "PGUSER": server.superuser, "PGDATABASE": dbname}  # fmt: skip
    return subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, timeout=60)


def count(server, dbname, table="events"):
    with server.connect(dbname) as session:
        return session.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_database_that_is_not_there(postgres18, tmp_path):
    out = tmp_path / "dump.sql.gz"
    old = old_way(postgres18, f"pg_dump nosuchdb | gzip > {shlex.quote(str(out))}", "postgres")
    assert old.returncode == 0
    assert gzip.decompress(out.read_bytes()) == b""  # a "backup" of nothing, reported as success

    world = directory_world(tmp_path, database_on(postgres18, "nosuchdb"))
    with pytest.raises(SourceError, match='database "nosuchdb" does not exist'):
        world.backup("nosuchdb")
    assert world.listed("nosuchdb", foreign=True) == []


def test_a_dump_that_was_cut_is_loaded_as_if_whole(events, postgres18, fresh_database, tmp_path):
    whole = old_way(postgres18, "pg_dump", events.name).stdout.encode()
    half = whole[: len(whole) // 2]
    empty = fresh_database(postgres18)
    (tmp_path / "half.sql").write_bytes(half)
    old = old_way(postgres18, f"psql -v ON_ERROR_STOP=1 -f {tmp_path}/half.sql", empty.name)
    assert old.returncode == 0  # the old way: success
    assert 0 < count(postgres18, empty.name) < ROWS  # with part of the rows

    world = directory_world(tmp_path, database_on(postgres18, events.name))
    folder = tmp_path / "store" / "postgres-backups" / events.name
    folder.mkdir(parents=True)
    (folder / f"{events.name}-20260101-000000.sql.gz").write_bytes(gzip.compress(half))
    (foreign,) = world.listed(events.name, foreign=True)
    assert foreign.state is State.FOREIGN
    with pytest.raises(BackstayError, match="the dump ended early: in the middle of public.events"):
        world.restore(foreign)
    assert count(postgres18, events.name) == ROWS  # live data as it was
    findings = world.verify(foreign, Level.READABLE).findings
    assert any("no end marker" in finding.message for finding in findings)


def test_statements_that_fail_while_loading(events, postgres18, fresh_database, tmp_path):
    dump = old_way(postgres18, "pg_dump", events.name).stdout
    broken = dump.replace("CREATE TABLE public.events", "CREATE TABLE public.other")
    empty = fresh_database(postgres18)
    (tmp_path / "broken.sql").write_text(broken)
    old = old_way(postgres18, f"psql -f {tmp_path}/broken.sql", empty.name)
    assert old.returncode == 0  # errors scrolled by; success all the same
    assert "ERROR" in old.stderr

    world = directory_world(tmp_path, database_on(postgres18, events.name))
    folder = tmp_path / "store" / "postgres-backups" / events.name
    folder.mkdir(parents=True)
    (folder / f"{events.name}-20260101-000000.sql.gz").write_bytes(gzip.compress(broken.encode()))
    (foreign,) = world.listed(events.name, foreign=True)
    with pytest.raises(RestoreError, match=r'relation "public.events" does not exist \(line \d+ of the dump\)'):
        world.restore(foreign)
    assert count(postgres18, events.name) == ROWS


@pytest.fixture
def cutting(postgres18, tmp_path):
    """A folder of programs whose pg_dump gives only the first 60 % of its output, and ends with 0."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("psql",):
        (folder / program).symlink_to(postgres18.bin_dir / program)
    real = shlex.quote(str(postgres18.bin_dir / "pg_dump"))
    script = f'#!/bin/sh\ncase "$1" in --version) exec {real} --version;; esac\n{real} "$@" | head -c 1200000\nexit 0\n'
    (folder / "pg_dump").write_text(script)
    (folder / "pg_dump").chmod(0o755)
    return folder


def test_a_stream_that_is_cut_and_ends_with_success(events, postgres18, cutting: Path, tmp_path):
    """What `kubectl exec ... pg_dump > file` does when the exec stream breaks: fewer bytes, exit code 0."""
    out = tmp_path / "dump.sql.gz"
    old = old_way(postgres18, f"{cutting}/pg_dump | gzip > {shlex.quote(str(out))}", events.name)
    assert old.returncode == 0
    assert len(gzip.decompress(out.read_bytes())) == 1_200_000

    world = directory_world(tmp_path, database_on(postgres18, events.name, bin=cutting, format="sql"))
    with pytest.raises(DumpIncomplete, match=r"ended early: [\d,]+ of about 50,000 rows of public.events") as caught:
        world.backup(events.name)
    assert "Nothing was stored" in caught.value.hint
    assert world.listed(events.name, foreign=True) == []
    assert not list((tmp_path / "store" / "postgres-backups").rglob("*.gz"))


def test_a_row_that_is_lost_on_the_way_from_the_server(events, postgres18, tmp_path):
    """The server says how many rows it sent: the manifest promises those, and the files are known to have fewer."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("pg_dump", "pg_restore"):
        (folder / program).symlink_to(postgres18.bin_dir / program)
    real = shlex.quote(str(postgres18.bin_dir / "psql"))
    script = f'#!/bin/sh\n[ "$1" = --version ] && exec {real} "$@"\n{real} "$@" | sed -u 2d\n'
    (folder / "psql").write_text(script)
    (folder / "psql").chmod(0o755)
    world = directory_world(tmp_path, database_on(postgres18, events.name, bin=folder, workers=1))
    made = world.backup(events.name)
    assert made.contents["tables"]["public.events"]["rows"] == ROWS
    found = world.verify(made, Level.READABLE)
    assert not found.ok
    (wrong,) = [one.message for one in found.findings if one.code == "postgres.rows"]
    assert f"public.events: {ROWS - 1:,} instead of {ROWS:,} rows" in wrong


def test_a_table_that_the_dump_left_out(events, postgres18, tmp_path):
    """pg_dump ends well, with an end marker, and a table is missing: the catalog of the same snapshot knows better."""
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shlex.quote(str(postgres18.bin_dir / "pg_dump"))
    (folder / "pg_dump").write_text(f'#!/bin/sh\ncase "$1" in --version) exec {real} --version;; esac\n'
                                    f'exec {real} "$@" --exclude-table-data=events\n')  # fmt: skip
    (folder / "pg_dump").chmod(0o755)
    old = old_way(postgres18, f"{folder}/pg_dump | gzip > {tmp_path}/dump.sql.gz", events.name)
    assert old.returncode == 0

    world = directory_world(tmp_path, database_on(postgres18, events.name, bin=folder, format="sql"))
    with pytest.raises(DumpIncomplete, match=r"lacks 1 table of the database: public.events"):
        world.backup(events.name)
    assert world.listed(events.name) == []
