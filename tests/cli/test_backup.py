"""``backstay backup`` on a real server: what it prints, and how it ends."""

import os
import re
import time
from datetime import UTC, datetime

import pytest

from backstay.catalog import lease
from backstay.catalog.keys import intent_key
from backstay.catalog.lease import Holder
from backstay.core.model import Target, TierKind
from backstay.core.units import format_stamp
from backstay.store.directory import DirectoryStore
from tests.catalog.fakes import make_catalog
from tests.cli.databases import configure, programs_that

ID = r"postgres/(\w+)@\d{8}-\d{6}"


@pytest.fixture
def shop(cli, postgres18, fresh_database):
    """A configured database with a table of 1,000 rows; its name."""
    database = fresh_database(postgres18)
    with database.connect() as connection:
        connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id")
        connection.execute("ANALYZE")
    configure(cli, postgres18, database.name)
    return database.name


@pytest.fixture
def pair(cli, postgres18, fresh_database):
    """Two configured databases."""
    names = [fresh_database(postgres18).name for _ in range(2)]
    configure(cli, postgres18, *names)
    return names


def hold(cli, name):
    """Another run at work on a target."""
    target = Target(TierKind.POSTGRES, name)
    holder = Holder("other", "elsewhere", 7, "backup")
    now = lambda: datetime.now(UTC)  # noqa: E731 - a clock
    return lease.acquire(DirectoryStore(cli.store), target, holder, now=now, sleep=lambda _: None)


def test_one_target_says_what_it_found_and_what_it_made(cli, shop, postgres18):
    ran = cli.run("backup", f"postgres/{shop}")
    assert ran.code == 0
    where = f"{postgres18.host}:{postgres18.port}"
    assert re.fullmatch(
        rf"postgres/{shop}  PostgreSQL 18\.\d+ at {where}, [\d.]+ [kM]B, 1 table, 1,000 rows expected\n", ran.err
    )
    assert re.fullmatch(
        rf"done in [\d.]+ m?s: {ID}   [\d.]+ MB -> [\d.]+ kB   1,000 rows in 1 table   4 files\n",
        ran.out,
    )
    listed = cli.run("list").out
    assert re.search(rf"{ID} .* complete .* 1,000 +1 +written +- +main", listed)


def test_quiet_is_silent_on_success_and_loud_on_failure(cli, shop):
    ran = cli.run("backup", "--all", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    ran = cli.run("backup", "nosuch", "--quiet")
    assert ran.code == 2
    assert ran.err.startswith("error: nosuch is not a target of this configuration\n")


def test_what_a_run_that_was_cut_short_left_is_cleaned_up_and_told_once(cli, shop):
    target, begun = Target(TierKind.POSTGRES, shop), datetime(2026, 2, 11, 3, tzinfo=UTC)
    catalog = make_catalog(DirectoryStore(cli.store), cluster="test", now=lambda: begun)
    catalog.begin(target, format_stamp(begun)).promise("postgres-backups/left.sql.gz")
    ran = cli.run("backup", shop)
    said = f"cleaned up after the run of postgres/{shop}@20260211-030000 that was cut short (1 object)\n"
    assert ran.code == 0
    assert ran.err.startswith(said)
    time.sleep(1)  # two backups cannot begin in one second
    again = cli.run("backup", shop)
    assert (again.code, "cut short" in again.err) == (0, False)


def test_what_cannot_be_cleaned_up_is_a_warning_even_when_quiet(cli, shop):
    key = intent_key(Target(TierKind.POSTGRES, shop), "20260211-030000")
    DirectoryStore(cli.store).put(key, (b"no json",))
    ran = cli.run("backup", shop, "--quiet")
    assert ran.code == 0
    assert ran.err.startswith(
        f"warning: what the run of postgres/{shop}@20260211-030000 left could not be cleaned up: {key} is not JSON"
    )


def test_json_lines(cli, shop):
    ran = cli.run("backup", "--all", "--json", "--no-progress")
    assert (ran.code, ran.err) == (0, "")
    plan, result, summary = ran.lines
    assert plan["message_type"] == "plan"
    assert plan["details"]["rows_estimated"] == 1000
    assert result["message_type"] == "result"
    assert re.fullmatch(ID, result["id"])
    assert (result["state"], result["rows"], result["tables"], result["store"]) == ("complete", 1000, 1, "main")
    assert summary.pop("duration_seconds") > 0
    assert summary == {"message_type": "summary", "asked": 1, "done": 1, "failed": 0, "exit_code": 0}


def test_a_dry_run_asks_the_database_and_writes_nothing(cli, shop):
    ran = cli.run("backup", shop, "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"postgres/{shop}  PostgreSQL 18")
    assert f"stream into file://{cli.store}/postgres-backups/{shop}/   gzip" in ran.out
    assert ran.out.endswith("Nothing has been changed. Run without --dry-run to do exactly this.\n")
    assert cli.kept() == []


def test_the_configuration_is_kept_beside_the_backups_once(cli, shop):
    cli.run("backup", "--all")
    cli.run("backup", "--all")
    kept = [name for name in cli.kept() if name.startswith("backstay/v1/config/")]
    assert len(kept) == 1
    assert (cli.store / kept[0]).read_text() == (cli.folder / "backstay.yaml").read_text()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_several_targets(cli, pair, jobs):
    ran = cli.run("backup", "--all", "--jobs", jobs)
    assert ran.code == 0
    assert sorted(re.findall(ID, ran.out)) == sorted(pair)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_of_several_that_fails_is_3_and_the_others_are_done(cli, postgres18, pair, jobs):
    configure(cli, postgres18, pair[0], "gone", pair[1])
    ran = cli.run("backup", "--all", "--jobs", jobs)
    assert ran.code == 3
    assert sorted(re.findall(ID, ran.out)) == sorted(pair)
    assert "error: cannot connect to database gone at 127.0.0.1" in ran.err
    assert ran.err.endswith("2 of 3 targets backed up\n")


def test_all_that_fail_are_1(cli, postgres18):
    configure(cli, postgres18, "gone", "gone2")
    ran = cli.run("backup", "--all")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("error: ") == 2


def test_a_single_one_ends_with_the_code_of_its_error(cli, postgres18, shop):
    configure(cli, postgres18, "gone")
    assert cli.run("backup", "gone").code == 1
    configure(cli, postgres18, shop)
    (cli.folder / "password").unlink()
    assert cli.run("backup", shop).code == 2


def test_another_run_at_work_is_11(cli, shop):
    with hold(cli, shop):
        ran = cli.run("backup", shop)
    assert (ran.code, ran.out) == (11, "")
    assert ran.err.startswith(f"error: backup on elsewhere (pid 7) is working on postgres/{shop} since ")
    assert "\n\nhint: Nothing was done." in ran.err


def test_another_run_at_work_on_all_is_11_and_on_some_is_3(cli, pair):
    with hold(cli, pair[0]):
        assert cli.run("backup", "--all").code == 3
        with hold(cli, pair[1]):
            assert cli.run("backup", "--all").code == 11


def test_a_store_that_is_not_there_is_10(cli, shop):
    for path in cli.store.iterdir():
        path.rmdir()
    cli.store.rmdir()
    ran = cli.run("backup", shop)
    assert (ran.code, ran.out) == (10, "")
    assert ran.err.startswith(f"error: the folder {cli.store} does not exist\n\nhint: ")


def test_no_targets_at_all(cli):
    cli.configure(f'cluster: test\nstores: {{main: {{url: "file://{cli.store}"}}}}\n')
    ran = cli.run("backup", "--all")
    assert ran.code == 2
    assert ran.err == "error: the configuration has no targets yet\n\nhint: Add one under postgres.databases.\n"


@pytest.mark.parametrize("jobs", ["0", "65"])
def test_jobs_have_bounds(cli, shop, jobs):
    assert cli.run("backup", "--all", "--jobs", jobs).err == f"error: --jobs: {jobs} is not from 1 to 64\n"


@pytest.mark.parametrize("dump_format", ["directory", "sql"])
def test_a_dump_that_ends_early_is_told_and_nothing_is_listed(cli, postgres18, shop, dump_format):
    cut = '[ "$1" = --version ] && exec "$REAL" "$@"\n"$REAL" "$@" | head -c 300'
    configure(cli, postgres18, shop, bin_dir=programs_that(cli, postgres18, pg_dump=cut), dump_format=dump_format)
    ran = cli.run("backup", shop)
    assert ran.code == 1
    assert f"error: the dump of postgres/{shop} ended early" in ran.err
    assert "Nothing was stored" in ran.err
    assert cli.run("list").out == ""
    assert cli.kept() == ["backstay/v1/format.json"]


def test_a_password_is_in_no_output_and_in_no_argument(cli, shop, postgres18):
    seen = cli.folder / "seen"
    spy = f'cat /proc/$$/cmdline /proc/$$/environ >> {seen}\nexec "$REAL" "$@"'
    configure(cli, postgres18, shop, bin_dir=programs_that(cli, postgres18, pg_dump=spy))
    ran = cli.spawn("backup", shop, "--json", "-v")
    assert ran.code == 0
    assert postgres18.password not in ran.out + ran.err + seen.read_text()


def test_a_reader_of_stdout_that_left_does_not_stop_a_backup(cli, pair):
    read, write = os.pipe()
    os.close(read)
    try:
        ran = cli.spawn("backup", "--all", stdout=write)
    finally:
        os.close(write)
    assert ran.code == 0
    assert "Broken" not in ran.err
    assert len(cli.run("list").out.splitlines()) == 3
