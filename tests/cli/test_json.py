"""The shapes of ``--json`` are those that docs/json.md promises, field for field."""

import io
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backstay.cli.output import Output
from backstay.cli.progress import JsonProgress
from backstay.core.model import Level
from tests.cli.databases import configure

PAGE = (Path(__file__).parents[2] / "docs/json.md").read_text()
NOW = datetime.now(UTC).replace(microsecond=0)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def promised(*sections):
    """The fields of some sections of the page, in their order."""
    fields = []
    for section in sections:
        _, heading, rest = PAGE.partition(f"\n### {section}\n")
        assert heading, f"docs/json.md has no section {section}"
        fields += re.findall(r"^\| `(\w+)` \|", re.split(r"\n##", rest)[0], re.MULTILINE)
    return fields


@pytest.fixture
def backups(stocked):
    """One proven backup, and one past what is kept."""
    stocked.clock.at = NOW
    stocked.backup(NOW - timedelta(days=9))
    backup = stocked.backup(NOW - timedelta(hours=1))
    stocked.prove(backup, Level.STORED)
    return backup


def test_every_section_has_fields():
    for section in re.findall(r"^### (.+)$", PAGE, re.MULTILINE):
        assert promised(section)


DOCUMENTS = {
    "show cardboard": ("a backup", "show"),
    "status": ("status",),
    "check": ("check",),
    "config show": ("config show",),
    "config validate": ("config validate",),
    "init other.yaml": ("init",),
    "store init": ("store init",),
    "store check": ("store check",),
    "version": ("version",),
}


@pytest.mark.parametrize("line", DOCUMENTS)
def test_documents(cli, backups, line):
    assert list(cli.run(*line.split(), "--json").document) == promised(*DOCUMENTS[line])


def test_a_list_is_a_list_of_backups(cli, backups):
    found = cli.run("list", "--json").document
    assert [list(one) for one in found] == [promised("a backup")] * 2
    assert found[0]["id"] == backups.id
    assert found[0]["level"] == "stored"
    for field in ("started_at", "finished_at", "point_in_time", "proven_at"):
        assert TIME.fullmatch(found[0][field])


def test_the_parts_that_the_page_names(cli, backups):
    shown = cli.run("show", "cardboard", "--json").document
    described = re.search(r"`proofs` \| .*?: (.+) \|", PAGE)
    assert list(shown["proofs"][0]) == re.findall(r"`(\w+)`", described[1])
    assert shown["manifest"]["id"] == backups.id
    for command, field in (("status", "attention"), ("check", "findings"), ("config show", "settings")):
        section = PAGE.partition(f"\n### {command}\n")[2]
        described = re.search(rf"`{field}` \| .*?: (.+) \|", section)[1]
        part = cli.run(*command.split(), "--json").document[field][0]
        assert set(part) == set(re.findall(r"`(\w+)`", described))


def test_an_error(cli, backups):
    assert list(cli.run("show", "nosuch", "--json").failure) == promised("error")


def test_prune(cli, backups):
    plan, result, summary = cli.run("prune", "--yes", "--json").lines
    assert list(plan) == promised("plan of prune")
    assert list(result) == promised("result")
    assert set(summary) == {*promised("summary"), "freed_bytes"}


def test_actions_on_a_database(cli, postgres18, fresh_database):
    name = fresh_database(postgres18).name
    configure(cli, postgres18, name)
    options = ("--json", "--no-progress")
    plan, result, summary = cli.run("backup", name, *options).lines
    assert list(plan) == promised("plan")
    assert set(result) == {*promised("result of backup"), *promised("a backup")}
    assert set(summary) == {*promised("summary"), "duration_seconds"}
    plan, result, summary = cli.run("verify", name, *options).lines
    assert (list(plan), list(result), list(summary)) == (promised("plan"), promised("result"), promised("summary"))
    plan, result = cli.run("restore", name, "--to", f"{name}__copy", *options).lines
    assert (list(plan), list(result)) == (promised("plan"), promised("result"))
    assert plan["confirm"] is None
    [plan] = cli.run("restore", "cleanup", name, "--dry-run", *options).lines
    assert list(plan) == promised("plan")


def test_progress_and_warnings():
    output = Output(io.StringIO(), io.StringIO(), {}, as_json=True)
    JsonProgress("postgres/a", lambda: 0.0, threading.Event(), output).tell()
    output.lines = True
    output.warn("mind")
    progress, warning = [json.loads(line) for line in output.stdout.getvalue().splitlines()]
    assert list(progress) == promised("progress")
    assert list(warning) == promised("warning")
