"""``backstay status``: the sentence, what needs a person, the table; and ``--check``."""

from datetime import UTC, datetime, timedelta

import pytest

from backstay.core.model import Level

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def fresh(stocked):
    """A backup of the last hour, restored since."""
    stocked.clock.at = NOW
    backup = stocked.backup(NOW - timedelta(minutes=30))
    stocked.prove(backup, Level.RESTORED)
    return backup


def test_all_is_well(cli, fresh):
    ran = cli.run("status", "--check")
    assert (ran.code, ran.err) == (0, "")
    head, blank, titles, row, legend = ran.out.splitlines()
    assert head.startswith("homelab: 1 of 1 target proven.")
    assert head.endswith(" UTC")
    assert len(head) == 100
    assert blank == ""
    assert titles.split("  ")[0] == "TIER"
    words = row.split()
    assert words[:2] + words[3:6] == ["postgres", "cardboard", "m", "ago", "24"]
    assert "#" in row
    assert legend == "# done   ~ partial   x failed   . missed   (blank) none due"


def test_what_needs_a_person_comes_first_with_the_next_command(cli, stocked):
    stocked.clock.at = NOW
    stocked.backup(NOW - timedelta(hours=60))
    ran = cli.run("status")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[1].startswith("  postgres/cardboard is late: last good 2 d ago, due every 24 h")
    assert lines[2] == "      backstay backup postgres/cardboard"
    assert "2 d ago !" in lines[5]
    assert "never !" in lines[5]


def test_check_exits_14_on_a_breach(cli, stocked):
    stocked.backup(NOW - timedelta(hours=60))
    ran = cli.run("status", "--check")
    assert ran.code == 14
    assert "is late" in ran.out
    quiet = cli.run("status", "--check", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (14, "", "")


def test_a_store_that_cannot_be_asked_is_never_green(cli, stocked):
    cli.store.rmdir()
    ran = cli.run("status", "--check")
    assert ran.code == 14
    assert "Store main cannot be asked." in ran.out
    assert "unknown" in ran.out


def test_json_is_one_document(cli, fresh):
    found = cli.run("status", "--json").document
    assert found["verdict"] == "ok"
    assert found["breach"] is False
    assert found["targets"][0]["last_good"]["backup"] == fresh.id


def test_status_is_data_also_when_quiet(cli, fresh):
    assert cli.run("status", "--quiet").out == cli.run("status").out
