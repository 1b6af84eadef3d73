"""``backstay drill`` as it is typed and read."""

import json

import pytest

from backstay.core.errors import Interrupted
from tests.cli.databases import configure


@pytest.fixture
def wiki(cli, postgres18, sample_database):
    name = sample_database(postgres18, "wiki")
    configure(cli, postgres18, name)
    assert cli.run("backup", name).code == 0
    return name


def add(cli, lines):
    """More of the configuration of the last database."""
    file = cli.folder / "backstay.yaml"
    file.write_text(file.read_text().replace(": {}\n", f": {lines}\n"))


def test_what_is_shown_of_a_drill_that_proves(cli, wiki):
    add(cli, '{rto: 30m, checks: {pages: {sql: "SELECT count(*) FROM pages", at_least: 1}}}')
    ran = cli.run("drill", wiki)
    assert ran.code == 0, ran.err
    assert "into a scratch server of PostgreSQL 18" in ran.err
    assert 'your check "pages"' in ran.out
    assert "(objective 30 m)" in ran.out
    assert "PROVEN: " in ran.out
    listed = cli.run("list", "--json").document
    assert listed[0]["level"] == "restored"
    shown = cli.run("show", wiki)
    assert "drill: restored" in shown.out
    assert "1 target proven" in cli.run("status").out or "proven" in cli.run("status").out.splitlines()[0]


def test_json(cli, wiki):
    ran = cli.run("drill", wiki, "--json")
    (plan,), (result,) = ran.of("plan"), ran.of("result")
    assert plan["action"] == "drill"
    assert result["ok"] is True
    assert {"start", "load", "check"} <= set(result["phases_seconds"])
    assert all(set(finding) >= {"severity", "message"} for finding in result["findings"])


def test_a_dry_run_starts_nothing(cli, wiki):
    ran = cli.run("drill", wiki, "--dry-run")
    assert ran.code == 0
    assert "start" in ran.out
    assert "Nothing has been changed" in ran.out
    assert cli.run("list", "--json").document[0]["level"] == "written"


def test_a_backup_that_is_not_what_it_claims_ends_with_13(cli, wiki):
    add(cli, '{checks: {impossible: {sql: "SELECT 1", at_least: 2}}}')
    ran = cli.run("drill", wiki)
    assert ran.code == 13
    assert 'your check "impossible": 1, must be >= 2' in ran.out
    assert "NOT PROVEN" in ran.out
    assert "Nothing live was touched" in ran.err
    assert cli.run("list", "--json").document[0]["level"] == "written"


def test_too_slow_for_the_objective_ends_with_14_and_is_proven(cli, wiki):
    add(cli, "{rto: 1ms}")
    ran = cli.run("drill", wiki)
    assert ran.code == 14
    assert "longer than the objective" in ran.out
    assert cli.run("list", "--json").document[0]["level"] == "restored"


def test_an_older_backup_by_its_name(cli, wiki):
    first = cli.run("list", "--json").document[0]["id"]
    assert cli.run("backup", wiki).code == 0
    assert cli.run("drill", "--backup", first).code == 0
    levels = {one["id"]: one["level"] for one in cli.run("list", "--json").document}
    assert levels[first] == "restored"
    assert sorted(levels.values()) == ["restored", "written"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which targets"),
        (["--all", "--backup", "x"], "one of them alone"),
        (["postgres/x@20260101-000000"], "--backup postgres/x@20260101-000000"),
        (["nowhere"], "is not a target"),
    ],
)
def test_what_cannot_be_asked(cli, wiki, arguments, words):
    ran = cli.run("drill", *arguments)
    assert ran.code == 2
    assert words in ran.err


def test_only_objects_are_drilled_in_the_live_cluster(cli, wiki):
    ran = cli.run("drill", wiki, "--in-cluster")
    assert ran.code == 2
    assert "--in-cluster means nothing for a backup of postgres" in ran.err


def test_a_server_that_is_the_source_is_refused(cli, postgres18, wiki):
    ran = cli.run(
        "drill", wiki, "--server", f"127.0.0.1:{postgres18.port}", "--password", f"file:{cli.folder}/password"
    )
    assert ran.code == 2
    assert "it is the source itself" in ran.err


def test_one_that_cannot_be_done_is_a_failure_with_its_reason(cli, wiki):
    manifest = next((cli.store / "backstay/v1/backups/postgres" / wiki).iterdir())
    fields = json.loads(manifest.read_text())
    fields["source"]["server_version"] = "9.6.1"
    manifest.write_text(json.dumps(fields))
    ran = cli.run("drill", wiki)
    assert ran.code == 1
    assert "PostgreSQL 9" in ran.err
    assert "Traceback" not in ran.err


def test_ctrl_c_ends_the_whole_command(cli, postgres18, sample_database, monkeypatch):
    """Also in the drill of a tier that makes an error of it, which says what is left."""
    names = [sample_database(postgres18, "wiki") for _ in range(2)]
    configure(cli, postgres18, *names)
    assert cli.run("backup", *names).code == 0
    drilled = []

    def interrupted(_context, _plan, backup, _progress):
        drilled.append(backup.id)
        raise Interrupted("the drill was interrupted")

    monkeypatch.setattr("backstay.jobs.drill.run", interrupted)
    ran = cli.run("drill", "--all")
    assert ran.code == 130
    assert "error: the drill was interrupted" in ran.err
    assert len(drilled) == 1
