"""``backstay prune``: reasons first, a question, and no mass deletion by mistake."""

from datetime import UTC, datetime, timedelta

import pytest

from backstay.catalog import lease
from backstay.catalog.lease import Holder
from tests.catalog.fakes import CARDBOARD

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
def eight(stocked):
    """Backups of each of the last days; two are past the seven that are kept."""
    stocked.clock.at = NOW
    return [stocked.backup(NOW - age * DAY - timedelta(minutes=1)) for age in reversed(range(9))]


def kept(stocked):
    return len(stocked.ids())


def test_a_dry_run_gives_the_reasons_and_removes_nothing(cli, stocked, eight):
    before = cli.kept()
    ran = cli.run("prune", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Prune postgres/cardboard in store main (keep days 7): remove 2 of 9 backups, 4 B\n")
    assert f"  1  keep     {eight[-1].id}, 2 B   " in ran.out
    assert f"  9  remove   {eight[0].id}, 2 B   older than 7 days\n" in ran.out
    assert ran.out.endswith("Nothing has been changed. Run without --dry-run to do exactly this.\n")
    assert cli.kept() == before


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("y\n", 0, 7), ("yes\n", 0, 7), ("n\n", 4, 9), ("\n", 4, 9), ("", 4, 9)]
)
def test_it_asks(cli, stocked, eight, typed, code, left):
    ran = cli.run("prune", typed=typed)
    assert ran.code == code
    assert "Remove 2 backups, 4 B? [y/N] " in ran.err
    assert kept(stocked) == left


@pytest.mark.parametrize("flags", [[], ["--no-input"]])
def test_with_nobody_to_ask_the_answer_is_no(cli, stocked, eight, flags):
    ran = cli.run("prune", *flags, typed="y\n" if flags else None)
    assert ran.code == 4
    assert ran.err.endswith(
        "error: there is nobody to confirm\n\nhint: Nothing has been changed. Add --yes to go on.\n"
    )
    assert kept(stocked) == 9


def test_yes_removes_and_says_what(cli, stocked, eight):
    ran = cli.run("prune", "postgres/cardboard", "--yes")
    assert ran.code == 0
    assert ran.out.startswith("done in ")
    assert ran.out.endswith("postgres/cardboard in store main   removed 2 backups, 4 B\n")
    assert kept(stocked) == 7
    again = cli.run("prune", "--yes", "--quiet")
    assert (again.code, again.out, again.err) == (0, "", "")


def test_a_mass_deletion_is_refused_until_it_is_allowed(cli, stocked, eight):
    text = (cli.folder / "backstay.yaml").read_text()
    cli.configure(text.replace("keep: {days: 7}", "keep: {count: 1}"))
    ran = cli.run("prune", "--yes")
    assert ran.code == 4
    assert "error: this prune would be a mass deletion" in ran.err
    assert "--allow-mass-delete" in ran.err
    assert kept(stocked) == 9
    assert cli.run("prune", "--yes", "--allow-mass-delete").code == 0
    assert kept(stocked) == 1


def test_another_run_at_work_is_11(cli, stocked, eight):
    other = Holder("other", "elsewhere", 7, "backup")
    with lease.acquire(stocked.store, CARDBOARD, other, now=lambda: datetime.now(UTC), sleep=lambda _: None):
        ran = cli.run("prune", "--yes")
    assert ran.code == 11
    assert "error: backup on elsewhere (pid 7) is working on postgres/cardboard" in ran.err
    assert kept(stocked) == 9


def test_a_store_that_is_not_there_is_10(cli, stocked):
    cli.store.rmdir()
    assert cli.run("prune", "--yes").code == 10
    assert cli.run("prune", "--dry-run").code == 10


def test_json_lines(cli, stocked, eight):
    ran = cli.run("prune", "--yes", "--json")
    assert [line["message_type"] for line in ran.lines] == ["plan", "result", "summary"]
    plan, result, summary = ran.lines
    assert [entry["action"] for entry in plan["targets"][0]["backups"]].count("remove") == 2
    assert sorted(result["facts"]["removed"]) == sorted(backup.id for backup in eight[:2])
    assert summary == {
        "message_type": "summary", "asked": 1, "done": 1, "failed": 0, "freed_bytes": 4, "exit_code": 0,
    }  # fmt: skip
