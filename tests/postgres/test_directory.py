"""Format ``directory`` on real servers: an ordinary pg_dump directory, of one moment, that stock programs restore."""

import threading
import time
from pathlib import Path

import boto3
import pyrage
import pytest

from backstay.core.model import Level, State
from backstay.demo.compare import differences
from backstay.store.pipeline import Encoding
from tests.fixtures.world import World, database_on, directory_world
from tests.postgres.directories import (
    Shell,
    contents_of,
    dropped_after,
    fill,
    guide_steps,
    parts_of,
    print_of,
    small_parts,
)

__all__ = ["small_parts"]


def folder_of(tmp_path, made):
    """Where the artifacts of a backup are."""
    return (tmp_path / "store" / made.artifacts[0].key).parent


def museum_with_a_cut_table(server, sample_database):
    name = sample_database(server, "museum")
    with server.connect(name) as session:
        fill(session, "public.cut")
        session.execute("ALTER TABLE public.cut OWNER TO museum")
    return name


@pytest.mark.parametrize(
    ("source", "clients"), [(15, 15), (15, 17), (15, 18), (17, 17), (17, 18), (18, 18)], ids=lambda major: f"pg{major}"
)
def test_stock_programs_restore_it_by_the_guide_beside_it(
    source, clients, request, sample_database, small_parts, tmp_path
):
    """Every source with the programs, and into a server, of its own version and of the newer ones."""
    server, target = request.getfixturevalue(f"postgres{source}"), request.getfixturevalue(f"postgres{clients}")
    name = museum_with_a_cut_table(server, sample_database)
    before = print_of(server, name)
    made = directory_world(tmp_path, database_on(server, name, workers=4)).backup(name)
    assert made.state is State.COMPLETE
    assert made.source["format"] == "directory"
    assert len(parts_of(made, "public.cut")) >= 4
    with server.connect() as session:
        session.execute(f"DROP DATABASE {name}")
    guide = (folder_of(tmp_path, made) / "RESTORE.md").read_text()
    with dropped_after(target, name):
        typed = Shell(target, tmp_path / "shell").follow(guide)
        after = print_of(target, name)
    assert {"Join", "Unpack the large objects"} <= {*typed}
    if source == clients:
        assert differences(before, after) == []
    else:
        assert contents_of(before) == contents_of(after)


@pytest.mark.parametrize("source", [15, 17, 18])
def test_backstay_restores_it(source, request, sample_database, small_parts, tmp_path):
    server = request.getfixturevalue(f"postgres{source}")
    name = museum_with_a_cut_table(server, sample_database)
    world = directory_world(tmp_path, database_on(server, name, workers=4))
    before = print_of(server, name)
    made = world.backup(name)
    assert len(parts_of(made, "public.cut")) >= 4
    with server.connect() as session:
        session.execute(f"DROP DATABASE {name}")
    assert world.restore(made).ok
    assert differences(before, print_of(server, name)) == []
    assert world.verify(made, Level.READABLE).ok


@pytest.mark.parametrize("source", [15, 17])
def test_backstay_restores_an_older_server_with_newer_programs(
    source, request, postgres18, sample_database, small_parts, tmp_path
):
    """README: pg_dump of the server's major version or newer."""
    server = request.getfixturevalue(f"postgres{source}")
    name = museum_with_a_cut_table(server, sample_database)
    world = directory_world(tmp_path, database_on(server, name, workers=4, bin=postgres18.bin_dir))
    before = print_of(server, name)
    made = world.backup(name)
    assert made.tools["pg_dump"].startswith("18.")
    assert world.restore(made).ok
    assert differences(before, print_of(server, name)) == []


def test_a_plain_s3_client_fetches_it(postgres18, sample_database, seaweed_bucket, open_s3, small_parts, tmp_path):
    """What ``aws s3 cp --recursive`` does, with its library."""
    name = museum_with_a_cut_table(postgres18, sample_database)
    before = print_of(postgres18, name)
    options = seaweed_bucket()
    made = World(open_s3(options), {name: database_on(postgres18, name, workers=4)}).backup(name)
    client = boto3.client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
    )
    prefix = made.artifacts[0].key.rpartition("/")[0] + "/"
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    for entry in client.list_objects_v2(Bucket=options.bucket, Prefix=prefix)["Contents"]:
        client.download_file(options.bucket, entry["Key"], str(fetched / entry["Key"].removeprefix(prefix)))
    client.close()
    assert {path.name for path in fetched.iterdir()} == {one.key.rpartition("/")[2] for one in made.artifacts}
    guide = (fetched / "RESTORE.md").read_text()
    (what, fetch), *_ = guide_steps(guide)
    assert what == "Fetch"
    assert f"aws s3 cp --recursive s3://{options.bucket}/{prefix} " in fetch
    with postgres18.connect() as session:
        session.execute(f"DROP DATABASE {name}")
    Shell(postgres18, tmp_path / "shell").follow(guide, fetched)
    assert differences(before, print_of(postgres18, name)) == []


@pytest.mark.parametrize(
    ("compression", "encrypted"),
    [("zstd", True), ("zstd", False), ("gzip", True), ("none", False)],
    ids=["zstd-age", "zstd", "gzip-age", "plain"],
)
def test_however_it_is_stored(compression, encrypted, postgres18, sample_database, small_parts, tmp_path):
    """Restored by Backstay, and by the guide, which says how to undo each encoding."""
    identity = pyrage.x25519.Identity.generate()
    name = museum_with_a_cut_table(postgres18, sample_database)
    encoding = Encoding(compression, 1, (str(identity.to_public()),) if encrypted else ())
    database = database_on(postgres18, name, workers=4)
    world = directory_world(tmp_path, database, encoding=encoding, identities=(str(identity),))
    before = print_of(postgres18, name)
    made = world.backup(name)
    files = {path.name for path in folder_of(tmp_path, made).iterdir()}
    assert "RESTORE.md" in files  # for a person: never encrypted
    closed = {file for file in files if file.endswith(".age")}
    assert closed == (files - {"RESTORE.md"} if encrypted else set())
    assert world.restore(made).ok
    assert differences(before, print_of(postgres18, name)) == []
    with postgres18.connect() as session:
        session.execute(f"DROP DATABASE {name}")
    guide = (folder_of(tmp_path, made) / "RESTORE.md").read_text()
    key = f"# created: today\n{identity}\n" if encrypted else ""
    Shell(postgres18, tmp_path / "shell").follow(guide, key=key)
    assert differences(before, print_of(postgres18, name)) == []


def test_the_manifest_says_where_each_table_is(postgres18, fresh_database, small_parts, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        fill(session)
        session.execute("CREATE TABLE small AS SELECT 1 AS a; CREATE SEQUENCE s START 7; CREATE SEQUENCE called")
        session.execute("SELECT nextval('called'), nextval('called')")
        row = session.execute("SELECT 'small'::regclass::oid::int").fetchone()
    made = directory_world(tmp_path, database_on(postgres18, fresh.name, workers=4)).backup(fresh.name)
    tables = made.contents["tables"]
    assert tables["public.small"]["file"] == f"{row[0]}.dat"
    assert tables["public.cut"]["rows"] == 4000
    assert made.contents["rows"] == 4001
    assert made.contents["sequences"]["public.s"] == {"value": 7, "called": False}
    assert made.contents["sequences"]["public.called"] == {"value": 2, "called": True}
    roles = [artifact.role for artifact in made.artifacts]
    assert len(set(roles)) == len(roles)
    assert {"toc.dat", "globals", "guide", f"{row[0]}.dat"} <= {*roles}
    assert made.artifact("toc.dat").encoding == ()
    assert made.tools.keys() >= {"pg_dump", "psql"}
    stored = {path for path in (tmp_path / "store" / "postgres-backups").rglob("*") if path.is_file()}
    assert stored == {tmp_path / "store" / artifact.key for artifact in made.artifacts}


def test_one_moment_for_all_workers(postgres18, fresh_database, small_parts, tmp_path):
    """Someone writes hard into two tables, in pairs; all parts of both show one moment, and nothing later."""
    fresh = fresh_database(postgres18)
    stop = threading.Event()
    with fresh.connect() as session:
        for table in ("a", "z"):
            session.execute(f"CREATE TABLE {table} (i bigint, filler text)")
            session.execute(f"INSERT INTO {table} SELECT -i, repeat('x', 200) FROM generate_series(1, 8000) i")

    def write(start):
        with fresh.connect() as session:
            for i in range(start, start + 1_000_000):
                if stop.is_set():
                    return
                values = f"VALUES ({i}, repeat('y', 200)) RETURNING 1"
                session.execute(f"WITH x AS (INSERT INTO a {values}) INSERT INTO z {values}")
                if i % 7 == 0:
                    session.execute(f"WITH x AS (DELETE FROM a WHERE i = {i - 3}) DELETE FROM z WHERE i = {i - 3}")

    threads = [threading.Thread(target=write, args=(number * 1_000_000,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        with fresh.connect() as session:
            least = session.execute("SELECT count(*) FROM a").fetchone()[0]
        world = directory_world(tmp_path, database_on(postgres18, fresh.name, workers=6))
        made = world.backup(fresh.name)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with fresh.connect() as session:
        most = session.execute("SELECT count(*) FROM a").fetchone()[0]
    tables = made.contents["tables"]
    assert len(parts_of(made, "public.a")) > 5
    assert least * 0.8 < tables["public.a"]["rows"] == tables["public.z"]["rows"] < most
    copy = world.restore(made, to=f"{fresh.name}__copy").facts["database"]
    with postgres18.connect(copy) as session:
        odd = session.execute("SELECT count(*) FROM (TABLE a EXCEPT TABLE z) AS x").fetchone()
        twice = session.execute("SELECT count(*) - count(DISTINCT i) FROM a").fetchone()
    assert odd == twice == (0,)


def test_what_is_written_after_the_snapshot_is_not_in_it(postgres18, fresh_database, small_parts, tmp_path):
    """The last part of a table has no upper bound: rows that came later, on pages that came later, stay out."""
    from backstay.core.model import NoProgress
    from backstay.jobs import backup

    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        fill(session)

    class Late(NoProgress):
        done = False

        def phase(self, name, total_bytes=None):
            if name == "dumping" and not self.done:
                self.done = True
                with fresh.connect() as session:
                    session.execute("INSERT INTO cut SELECT -i, repeat('late', 100) FROM generate_series(1, 4000) i")
                    session.execute("UPDATE cut SET t = 'changed' WHERE i % 2 = 0")
                    session.execute("DELETE FROM cut WHERE i % 3 = 0")

    world = directory_world(tmp_path, database_on(postgres18, fresh.name, workers=4))
    late = Late()
    made = backup.run(world.context, world.target(fresh.name), late)
    assert late.done
    assert made.contents["tables"]["public.cut"]["rows"] == 4000
    copy = world.restore(made, to=f"{fresh.name}__copy").facts["database"]
    with postgres18.connect(copy) as session:
        query = (
            "SELECT count(*), min(i), max(i), count(*) FILTER (WHERE t IN ('changed', repeat('late', 100))) FROM cut"
        )
        assert session.execute(query).fetchone() == (4000, 1, 4000, 0)


def test_limits_of_the_role_do_not_cut_it(postgres18, fresh_database, small_parts, tmp_path):
    """Limits on time are for the applications; every session of a backup must outlive them."""
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        fill(session, rows=20_000)
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout", "idle_session_timeout")
    with postgres18.connect() as session:
        for setting in limits:
            session.execute(f"ALTER ROLE {fresh.owner} SET {setting} = '20ms'")
        session.execute(f"ALTER ROLE {fresh.owner} SET lock_timeout = '20ms'")
        session.execute(f"ALTER ROLE {fresh.owner} CREATEDB")
    database = database_on(postgres18, fresh.name, user=fresh.owner, password=fresh.password, workers=2)
    world = directory_world(tmp_path, database)
    made = world.backup(fresh.name)
    assert made.contents["rows"] == 20_000
    assert world.restore(made).ok


@pytest.mark.parametrize(
    "setting",
    [
        "datestyle = 'German, DMY'",
        "intervalstyle = 'sql_standard'",
        "extra_float_digits = 0",
        "bytea_output = 'escape'",
        "xmloption = 'document'",
        "default_transaction_read_only = on",
        "search_path = 'nowhere'",
        "timezone = 'Asia/Kolkata'",
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "quote_all_identifiers = on",
        "default_transaction_isolation = 'serializable'",
        "lc_monetary = 'C'",
    ],
)
def test_settings_of_the_role_do_not_change_what_is_written(setting, postgres18, fresh_database, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        session.execute(
            """CREATE TABLE odd AS SELECT timestamptz '2024-02-03 04:05:06.789+01' AS t, interval '-1 year 2 days' AS i,
               0.1::float8 + 0.2::float8 AS f, '\\x00ff27'::bytea AS b, 'x < y & ''z'' é 北'::text AS s,
               date '2024-11-12' AS d, 1.5::float4 / 7 AS r, 'infinity'::timestamp AS u"""
        )
    with postgres18.connect() as session:
        session.execute(f"ALTER ROLE {fresh.owner} SET {setting}")
    before = print_of(postgres18, fresh.name)
    database = database_on(postgres18, fresh.name, user=fresh.owner, password=fresh.password)
    world = directory_world(tmp_path, database)
    made = world.backup(fresh.name)
    world.databases = {fresh.name: database_on(postgres18, fresh.name)}
    copy = world.restore(made, to=f"{fresh.name}__copy").facts["database"]
    assert differences(before, print_of(postgres18, copy)) == []


@pytest.fixture
def standby(postgres18, tmp_path_factory):
    """A hot standby of the server of the tests, made now: what is on the server is on it."""
    import shutil
    import subprocess
    import tempfile

    from backstay.tiers.postgres.localserver.account import choose_account
    from backstay.tiers.postgres.localserver.server import THROWAWAY, PostgresServer

    folder = Path(tempfile.mkdtemp(prefix="backstay-standby-"))
    made = []

    def make():
        folder.chmod(0o755)
        shutil.copy(postgres18.password_file, folder / "password")
        server = PostgresServer(postgres18.bin_dir, folder, options={**THROWAWAY, "hot_standby": "on"})
        account = choose_account([postgres18.bin_dir / "postgres", server.data])
        server.data.mkdir(mode=0o700)
        account.own(server.data)
        source = f"host={postgres18.host} port={postgres18.port} user=postgres password={postgres18.password}"
        command = account.command(
            postgres18.program("pg_basebackup"), "-d", source, "-D", server.data, "-R", "-X", "stream", "-c", "fast"
        )
        subprocess.run(command, check=True, timeout=120, capture_output=True, cwd=folder, **account.popen)
        server.start()
        made.append(server)
        return server

    try:
        yield make
    finally:
        for server in made:
            server.stop()
        shutil.rmtree(folder)


def test_a_hot_standby_is_a_source(postgres18, fresh_database, standby, small_parts, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        fill(session)
        session.execute("CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 10) AS i")
    with fresh.connect_superuser() as session:
        session.execute("SELECT lo_from_bytea(0, 'on the primary')")
    before = print_of(postgres18, fresh.name)
    server = standby()
    world = directory_world(tmp_path, database_on(server, fresh.name, workers=4))
    made = world.backup(fresh.name)
    assert made.source["standby"] is True
    assert len(parts_of(made, "public.cut")) >= 4
    assert made.contents["large_objects"] == 1
    assert "rows" not in made.contents["tables"]["public.fleeting"]
    assert any("unlogged table" in words and "public.fleeting" in words for words in made.warnings)
    world.databases = {fresh.name: database_on(postgres18, fresh.name, workers=4)}
    copy = world.restore(made, to=f"{fresh.name}__copy").facts["database"]
    (only,) = differences(before, print_of(postgres18, copy))
    assert only.startswith("table public.fleeting is 0 rows")


@pytest.fixture
def newer_archive(postgres18, tmp_path):
    """A folder of programs whose pg_dump writes custom archives of a version that does not exist yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("psql", "pg_restore"):
        (folder / program).symlink_to(postgres18.bin_dir / program)
    real = postgres18.bin_dir / "pg_dump"
    script = f"""#!/bin/bash
set -o pipefail
case "$*" in
--version) echo "pg_dump (PostgreSQL) 19.0" ;;
*--format=custom*) {real} "$@" | {{ head -c 5; printf '\\001\\143\\000'; head -c 3 > /dev/null; cat; }} ;;
*) exec {real} "$@" ;;
esac
"""
    (folder / "pg_dump").write_text(script)
    (folder / "pg_dump").chmod(0o755)
    return folder


def test_an_archive_that_is_too_new_is_written_as_sql_and_the_backup_says_so(
    postgres18, sample_database, newer_archive, tmp_path
):
    name = sample_database(postgres18, "museum")
    before = print_of(postgres18, name)
    world = directory_world(tmp_path, database_on(postgres18, name, bin=newer_archive))
    made = world.backup(name)
    assert made.source["format"] == "sql"
    assert any("format sql" in words and "version 1.99" in words for words in made.warnings)
    stored = {path for path in (tmp_path / "store" / "postgres-backups").rglob("*") if path.is_file()}
    assert stored == {tmp_path / "store" / artifact.key for artifact in made.artifacts}
    assert world.verify(made, Level.READABLE).ok
    assert world.restore(made).ok
    assert differences(before, print_of(postgres18, name)) == []
