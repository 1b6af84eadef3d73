"""``backstay restore`` on a real server: plan, question, swap, and what was killed."""

import json
import re
import signal
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import sql

from backstay.core.units import exact_time
from tests.cli.databases import configure, hanging, programs_that, wait_for


class Shop:
    """A database with a backup of 1,000 orders, of which ten were deleted since."""

    def __init__(self, cli, server, database, dump_format) -> None:
        self.cli = cli
        self.server = server
        self.format = dump_format
        self.name = database.name
        self.target = f"postgres/{database.name}"
        with database.connect() as connection:
            connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id")
            connection.execute("CREATE TABLE lines AS SELECT generate_series(1, 5) AS id")
        self.configure()
        assert cli.run("backup", self.name).code == 0
        self.id = cli.run("list", "--json").document[0]["id"]
        with database.connect() as connection:
            connection.execute("DELETE FROM orders WHERE id <= 10")

    def configure(self, **more):
        configure(self.cli, self.server, self.name, dump_format=self.format, **more)

    def orders(self, name=None):
        with self.server.connect(name or self.name) as connection:
            return connection.execute("SELECT count(*) FROM orders").fetchone()[0]

    def databases(self):
        """The names beside the live one, with stamps as ``*``."""
        with self.server.connect() as connection:
            query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND datname <> %s ORDER BY 1"
            rows = connection.execute(query, (self.name, self.name)).fetchall()
        return [re.sub(r"\d{8}_\d{6}", "*", row[0]).removeprefix(self.name) for row in rows]

    @property
    def dump(self):
        """The file with most of the rows."""
        files = (path for path in (self.cli.store / "postgres-backups" / self.name).rglob("*.gz"))
        return max(files, key=lambda path: path.stat().st_size)

    @property
    def manifest(self):
        return next((self.cli.store / "backstay/v1/backups/postgres" / self.name).iterdir())

    def free_leases(self, root):
        """Let the leases of killed runs run out now."""
        for path in (root / "backstay/v1/leases/postgres").iterdir():
            record = json.loads(path.read_text())
            record["expires_at"] = exact_time(datetime.now(UTC) - timedelta(seconds=1))
            path.chmod(0o600)
            path.write_text(json.dumps(record))


@pytest.fixture(params=["directory"])
def shop(request, cli, postgres18, fresh_database):
    """In format directory, unless a test asks for others."""
    return Shop(cli, postgres18, fresh_database(postgres18), request.param)


each_format = pytest.mark.parametrize("shop", ["directory", "sql"], indirect=True)
only_sql = pytest.mark.parametrize("shop", ["sql"], indirect=True)


def test_a_dry_run_shows_steps_loss_and_what_is_kept_and_changes_nothing(cli, shop):
    ran = cli.run("restore", shop.name, "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert re.match(rf"Restore {shop.id} \(\d+ s old\) into 127\.0\.0\.1:\d+$", lines[0])
    assert [line.split()[1] for line in lines[1:7]] == ["create", "fetch", "compare", "stop", "swap", "start"]
    assert lines[7].startswith("Lost by this: everything written after ")
    assert "the live database has 10 rows fewer" in lines[7]
    assert lines[8].startswith(f"Kept: {shop.name}__before_")
    assert lines[-1] == "Nothing has been changed. Run without --dry-run to do exactly this."
    assert shop.orders() == 990
    assert shop.databases() == []


def test_with_nobody_to_ask_it_is_declined(cli, shop):
    ran = cli.run("restore", shop.name)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.endswith(
        f"error: {shop.target} has live data, and there is nobody to confirm\n\n"
        f"hint: Nothing has been changed. Add --confirm {shop.target} to go on.\n"
    )
    assert cli.run("restore", shop.name, "--no-input", typed=f"{shop.target}\n").code == 4
    assert shop.orders() == 990


def test_the_wrong_name_is_declined(cli, shop):
    ran = cli.run("restore", shop.name, typed=f"{shop.name}\n")
    assert ran.code == 4
    assert f"Type the target's name to go on ({shop.target}): error: the name was not typed\n" in ran.err
    ran = cli.run("restore", shop.name, "--confirm", "yes")
    assert ran.code == 4
    assert f"error: --confirm says yes, and this is about {shop.target}\n" in ran.err
    assert shop.orders() == 990


@each_format
def test_the_right_name_restores_swaps_and_keeps_the_old_one(cli, shop):
    ran = cli.run("restore", shop.name, typed=f"{shop.target}\n")
    assert ran.code == 0
    assert ran.err.startswith(f"Restore {shop.id}")
    assert "  ok       1,005 rows in 2 tables, each equal to the manifest\n" in ran.out
    assert re.search(rf"^done in .*: {shop.target} restored into {shop.name}: ", ran.out, re.MULTILINE)
    assert shop.orders() == 1000
    assert shop.databases() == ["__before_*"]
    assert "restored, " in cli.run("show", shop.id).out


def test_quiet_with_confirm_is_silent_and_a_question_still_shows_the_plan(cli, shop):
    ran = cli.run("restore", shop.name, "--quiet", typed="\n")
    assert ran.code == 4
    assert ran.err.startswith(f"Restore {shop.id}")
    ran = cli.run("restore", shop.name, "--quiet", "--confirm", shop.target)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_json_lines(cli, shop):
    ran = cli.run("restore", shop.name, "--confirm", shop.target, "--json", "--no-progress")
    assert (ran.code, ran.err) == (0, "")
    plan, result = ran.lines
    assert (plan["message_type"], plan["confirm"]) == ("plan", shop.target)
    assert (result["message_type"], result["ok"], result["target"]) == ("result", True, shop.target)
    assert {finding["severity"] for finding in result["findings"]} == {"ok"}
    assert result["phases_seconds"]["load"] > 0


def test_to_another_name_asks_nothing_and_changes_nothing_live(cli, shop):
    ran = cli.run("restore", shop.name, "--to", f"{shop.name}__copy")
    assert ran.code == 0
    assert (shop.orders(), shop.orders(f"{shop.name}__copy")) == (990, 1000)
    again = cli.run("restore", shop.name, "--to", f"{shop.name}__copy")
    assert again.code == 2
    assert f"database {shop.name}__copy exists at" in again.err


@each_format
def test_one_table_goes_into_a_side_database(cli, shop):
    ran = cli.run("restore", shop.name, "--table", "ordres")
    assert ran.code == 2
    assert "error: the backup has no table public.ordres" in ran.err
    assert cli.run("restore", shop.name, "--table", "orders").code == 0
    assert shop.databases() == ["__side_*"]


def test_cleanup_lists_asks_and_removes(cli, shop):
    cli.run("restore", shop.name, "--confirm", shop.target)
    ran = cli.run("restore", "cleanup", shop.name, "--dry-run")
    assert ran.code == 0
    assert re.search(rf"  1  remove   {shop.name}__before_\d+_\d+, [\d.]+ MB   the live data that a restore", ran.out)
    assert cli.run("restore", "cleanup", shop.name).code == 4
    assert shop.databases() == ["__before_*"]
    ran = cli.run("restore", "cleanup", shop.name, typed=f"{shop.target}\n")
    assert ran.code == 0
    assert re.search(rf"removed 1 leftover kept by restores of {shop.target}, ", ran.out)
    assert shop.databases() == []
    assert "nothing to remove" in cli.run("restore", "cleanup", shop.name).err


@each_format
def test_what_is_damaged_in_the_store_is_not_swapped_in(cli, shop):
    data = bytearray(shop.dump.read_bytes())
    data[-10] ^= 1
    shop.dump.chmod(0o600)
    shop.dump.write_bytes(data)
    ran = cli.run("restore", shop.name, "--confirm", shop.target)
    assert ran.code == 13
    assert f"error: {shop.dump.relative_to(cli.store)}" in ran.err
    assert shop.orders() == 990
    assert shop.databases() == []


def test_what_is_not_there(cli, shop):
    assert cli.run("restore", "nosuch").code == 1
    assert cli.run("restore", f"{shop.name}@1999").code == 1
    assert cli.run("restore", shop.name, "--resume").err.startswith(
        f"error: there is no unfinished restore of {shop.target}\n"
    )
    ran = cli.run("restore", shop.name, "--from-file", "nowhere.sql.gz")
    assert (ran.code, ran.err) == (
        2, "error: there is no file nowhere.sql.gz\n\nhint: Nothing has been changed.\n",
    )  # fmt: skip


def test_a_password_in_the_url_of_a_server_is_refused(cli, shop):
    ran = cli.run("restore", shop.name, "--server", "postgresql://app:hunter2@db:5432")
    assert ran.code == 2
    assert "hunter2" not in ran.err


def test_another_server_takes_its_password_by_reference(cli, shop, postgres18):
    where = f"postgresql://{postgres18.superuser}@{postgres18.host}:{postgres18.port}"
    options = ["--server", where, "--to", f"{shop.name}__copy"]
    ran = cli.run("restore", shop.name, *options)
    assert ran.code == 1, "without a password"
    ran = cli.run("restore", shop.name, *options, "--password", f"file:{cli.folder}/password")
    assert ran.code == 0
    assert shop.orders(f"{shop.name}__copy") == 1000


@only_sql
@pytest.mark.parametrize("with_manifest", [True, False])
def test_from_a_file_with_no_store(cli, shop, with_manifest):
    file, manifest = cli.folder / shop.dump.name, cli.folder / "manifest.json"
    file.write_bytes(shop.dump.read_bytes())
    manifest.write_bytes(shop.manifest.read_bytes())
    cli.store.rename(cli.folder / "gone")
    options = ["--manifest", str(manifest)] if with_manifest else []
    ran = cli.run("restore", shop.name, "--from-file", file.name, *options, "--confirm", shop.target)
    assert ran.code == 0
    assert ("Foreign dump" in ran.err) is not with_manifest
    assert shop.orders() == 1000
    state = cli.folder / "state/backstay"
    assert state.stat().st_mode & 0o777 == 0o700
    assert len(list((state / "backstay/v1/restores/postgres" / shop.name).iterdir())) == 1
    assert [path.name for path in cli.folder.glob("*.sql.gz")] == [file.name]


def loading_hangs(cli, shop, marker):
    """A folder of programs; the one that loads does its work and does not end."""
    program = "psql" if shop.format == "sql" else "pg_restore"
    return programs_that(cli, shop.server, **{program: hanging(marker)})


@pytest.fixture
def killed(cli, shop):
    """``killed(*options)``: a restore that is killed while its program has done its work and not ended: psql, which
    loads all of a dump, or the first pg_restore, which makes the definitions."""

    def kill(*options: str, root=None):
        marker = cli.folder / "loaded"
        shop.configure(bin_dir=loading_hangs(cli, shop, marker))
        with cli.started("restore", shop.name, "--confirm", shop.target, *options) as process:
            wait_for(marker.exists)
            process.kill()
            process.communicate(timeout=30)
        shop.free_leases(root or cli.store)
        shop.configure()

    return kill


@each_format
def test_a_killed_one_is_told_and_resumed(cli, shop, killed):
    killed()
    assert shop.orders() == 990
    ran = cli.run("restore", shop.name, "--confirm", shop.target)
    assert ran.code == 1
    assert re.search(rf"error: a restore of {shop.target} begun \d+-\d+ was cut short", ran.err)
    assert "--resume" in ran.err
    assert "was cut short" in cli.run("restore", "cleanup", shop.name, "--confirm", shop.target).err
    ran = cli.run("restore", shop.name, "--resume")
    assert ran.code == 0
    assert ran.err.startswith(f"resuming: Restore {shop.id}")
    assert shop.orders() == 1000


@each_format
def test_a_killed_one_is_rolled_back(cli, shop, killed):
    killed()
    assert shop.databases() == ["__restore_*"]
    ran = cli.run("restore", shop.name, "--rollback")
    assert ran.code == 0
    assert f"{shop.target} is as it was before the restore" in ran.out
    assert (shop.orders(), shop.databases()) == (990, [])


@only_sql
def test_a_killed_one_from_a_file_is_resumed_without_the_store(cli, shop, killed):
    file = cli.folder / shop.dump.name
    file.write_bytes(shop.dump.read_bytes())
    killed("--from-file", str(file), root=cli.folder / "state/backstay")
    cli.store.rename(cli.folder / "gone")
    assert cli.run("restore", shop.name, "--resume").code == 0
    assert shop.orders() == 1000


@each_format
def test_an_interrupted_one_leaves_live_data_and_nothing_beside(cli, shop):
    marker = cli.folder / "loaded"
    shop.configure(bin_dir=loading_hangs(cli, shop, marker))
    with cli.started("restore", shop.name, "--confirm", shop.target) as process:
        wait_for(marker.exists)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert err.splitlines()[-3] == "error: the restore was interrupted"
    assert (shop.orders(), shop.databases()) == (990, [])
    shop.configure()
    assert cli.run("restore", shop.name, "--confirm", shop.target).code == 0


def test_a_role_that_is_not_there_is_mapped(cli, shop, postgres18):
    owner = f"{shop.name}_other"
    with postgres18.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(owner)))
    try:
        options = ["--to", f"{shop.name}__copy", "--map-role", f"{shop.name}_owner:{owner}"]
        assert cli.run("restore", shop.name, *options).code == 0
        with postgres18.connect(f"{shop.name}__copy") as connection:
            query = "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'"
            assert connection.execute(query).fetchone() == (owner,)
    finally:
        with postgres18.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {shop.name}__copy")
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))
