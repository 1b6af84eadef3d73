"""``backstay list`` and ``show`` over a store with backups in it."""

from datetime import UTC, datetime, timedelta

import pytest

from backstay.core.model import Level, State
from backstay.core.units import format_stamp
from tests.catalog.fakes import CARDBOARD, SHA

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
CONTENTS = {
    "rows": 1118,
    "tables": {"public.orders": {"rows": 1000, "size_bytes": 8192}, "public.lines": {"rows": 118}, "view": {}},
    "sequences": {"public.orders_id_seq": {"value": 1000, "called": True}},
    "extensions": {"pgcrypto": "1.3"},
}


def ids(ran):
    return [line.split()[0] for line in ran.out.splitlines()[1:]]


@pytest.fixture
def three(stocked):
    """Three backups, the newest last: one proven readable, one partial, one plain."""
    proven = stocked.backup(NOW - 3 * DAY, contents=CONTENTS)
    partial = stocked.backup(NOW - 2 * DAY, state=State.PARTIAL, omissions=("the globals",))
    plain = stocked.backup(NOW - DAY)
    stocked.clock.at = NOW - DAY
    stocked.prove(proven, Level.READABLE)
    return proven, partial, plain


def test_a_table_newest_first(cli, three):
    proven, partial, plain = three
    ran = cli.run("list")
    assert ran.code == 0
    assert ran.err == ""
    head, *rows = ran.out.splitlines()
    assert head.split() == ["ID", "AGE", "STATE", "SIZE", "ROWS", "TABLES", "LEVEL", "PROVEN", "STORE"]
    assert [row.split() for row in rows] == [
        [plain.id, "24", "h", "ago", "complete", "2", "B", "-", "0", "written", "-", "main"],
        [partial.id, "2", "d", "ago", "partial", "2", "B", "-", "0", "written", "-", "main"],
        [proven.id, "3", "d", "ago", "complete", "2", "B", "1,118", "2", "readable", "24", "h", "ago", "main"],
    ]


def test_nothing_is_cut_when_piped(cli, three, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert ids(cli.run("list")) == [backup.id for backup in reversed(three)]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--since", "60h"], [2, 1]),
        (["--until", "60h"], [0]),
        (["--level", "stored"], [0]),
        (["--level", "written"], [2, 1, 0]),
        (["--tier", "postgres"], [2, 1, 0]),
        (["cardboard", "--since", "30h"], [2]),
        (["postgres/cardboard"], [2, 1, 0]),
    ],
)
def test_filters(cli, three, options, wanted):
    assert ids(cli.run("list", *options)) == [three[index].id for index in wanted]


def test_foreign_dumps_are_marked_and_can_be_left_out(cli, stocked):
    stamp = format_stamp(NOW - DAY)
    (cli.store / "postgres-backups/cardboard").mkdir(parents=True)
    (cli.store / f"postgres-backups/cardboard/cardboard-{stamp}.sql.gz").write_bytes(b"x" * 1000)
    ran = cli.run("list")
    assert ran.out.splitlines()[1].split() == [
        f"postgres/cardboard@{stamp}", "24", "h", "ago", "foreign", "1", "kB", "-", "-", "written", "-", "main",
    ]  # fmt: skip
    ran = cli.run("list", "--no-foreign")
    assert (ran.code, ran.out, ran.err) == (0, "", "no backups match\n")
    shown = cli.run("show", f"cardboard@{stamp}").out
    assert "foreign: written by something else" in shown
    assert "Not written by Backstay: there is no manifest, so nothing says what it should contain." in shown


def test_an_empty_store_says_so_on_stderr(cli, stocked):
    ran = cli.run("list")
    assert (ran.code, ran.out, ran.err) == (0, "", "no backups yet\n")
    assert cli.run("list", "--json").document == []


def test_a_damaged_manifest_makes_the_list_incomplete(cli, three):
    name = f"backstay/v1/backups/postgres/cardboard/{three[1].stamp}.json"
    (cli.store / name).write_text("{")
    ran = cli.run("list")
    assert ran.code == 3
    assert ids(ran) == [three[2].id, three[0].id]
    assert ran.err.startswith(f"error: {name} is not JSON")


def test_a_store_that_is_not_there_is_10(cli, stocked):
    cli.store.rmdir()
    ran = cli.run("list")
    assert (ran.code, ran.out) == (10, "")
    assert ran.err.startswith(f"error: store main cannot be reached: the folder {cli.store} does not exist\n\nhint: ")
    assert cli.run("show", "cardboard").code == 10


def test_one_of_two_stores_that_is_not_there_is_3(cli, three):
    text = (cli.folder / "backstay.yaml").read_text()
    other = f'stores: {{other: {{url: "file://{cli.folder}/other"}}, main:'
    cli.configure(text.replace("stores: {main:", other))
    ran = cli.run("list")
    assert ran.code == 3
    assert ids(ran) == [backup.id for backup in reversed(three)]
    assert ran.err.startswith("error: store other cannot be reached: ")


def test_what_nobody_knows_is_an_error_with_what_there_is(cli, three):
    ran = cli.run("show", "cardbord")
    assert ran.code == 1
    assert ran.err == "error: there is no backup of cardbord\n\nhint: Did you mean cardboard?\n"
    assert cli.run("show", "cardboard@1999").code == 1


def test_show_says_what_it_holds_and_how_to_restore_it_by_hand(cli, stocked):
    lines = ("Fetch: aws s3 cp X .", "Load: psql < X")
    backup = stocked.backup(
        NOW - DAY,
        contents=CONTENTS,
        source={"server_version": "18.6", "standby": False},
        tools={"pg_dump": "18.6"},
        warnings=("mind the gap",),
        omissions=("the globals",),
        state=State.PARTIAL,
        restore_by_hand=lines,
    )
    stocked.clock.at = NOW
    stocked.prove(backup, Level.STORED)
    ran = cli.run("show", backup.id)
    assert ran.code == 0
    out = ran.out
    assert out.splitlines()[0] == backup.id
    for expected in (
        "  state      partial\n",
        "  level      stored, ",
        f"  store      main, file://{cli.store}/\n",
        "  source     server version 18.6\n",
        "  contents   1,118 rows in 2 tables, 1 sequence, pgcrypto 1.3\n",
        "  tools      pg_dump 18.6\n",
        "TABLE            ROWS     SIZE\npublic.orders   1,000   8.2 kB\npublic.lines      118        -\n",
        "Left out:\n  the globals\n",
        "Warnings:\n  mind the gap\n",
        f"dump      sha256 {SHA}\n",
        "   verify: stored, in 6 s\n",
        "To restore it by hand, without Backstay:\n  1  Fetch: aws s3 cp X .\n  2  Load: psql < X\n",
    ):
        assert expected in out


def test_show_without_a_stamp_is_the_newest_complete_one(cli, three):
    assert cli.run("show", "cardboard").out.startswith(three[2].id)
    assert cli.run("show", f"{CARDBOARD}@latest").out.startswith(three[2].id)
    assert cli.run("show", f"cardboard@{three[0].stamp[:10]}").out.startswith(three[0].id)
