"""Help pages: fast, complete, and the reference page is them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.cli.main import COMMANDS, app
from backstay.cli.output import WIDTH
from backstay.cli.reference import help_page, reference

HEAVY = {"boto3", "botocore", "psycopg", "pydantic", "lightkube", "jinja2", "yaml", "sqlite3", "cronsim", "isal"}
OWN_MODULES = 12  # what `backstay --help` may import of the project itself
NAMES = [name for commands in COMMANDS.values() for name in commands]
ROOT = Path(__file__).parents[2]
LATER = {"report", "render"}
LEAVES = [
    *(name for name in NAMES if name not in {"config", "store", "etcd", "export"}),
    *("config show", "config schema", "config validate", "store init", "store check", "restore cleanup"),
    *("etcd get", "etcd rejoin", "export velero"),
]


def imported_by(*arguments: str) -> set[str]:
    """The modules that a command line imports, itself in a process of its own."""
    script = "import sys; from backstay.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["version"], []])
def test_help_imports_nothing_heavy_and_little_of_its_own(arguments):
    modules = imported_by(*arguments)
    assert not HEAVY & {module.partition(".")[0] for module in modules}
    assert len({module for module in modules if module.startswith("backstay")}) <= OWN_MODULES


def test_a_command_imports_no_database_driver_before_it_needs_one():
    modules = imported_by("list", "--help")
    assert not {"boto3", "botocore", "psycopg", "pydantic"} & {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("name", LEAVES)
def test_every_page_has_its_form_examples_and_exit_status(name):
    page = help_page(app, name.split())
    assert page.startswith(f"Usage: backstay {name}")
    assert f"Examples:\n  backstay {name}" in page
    assert "\nExit status: 0" in page
    assert page.index("Examples:") < page.index("Options of every command:")
    assert max(map(len, page.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_is_explained(name):
    options = re.findall(r"^  (-\S.*)$", help_page(app, name.split()), re.MULTILINE)
    assert options
    assert not [line for line in options if len(line.split("  ", 1)) == 1 and len(line) < 20]


def test_the_root_page_lists_every_command():
    page = help_page(app, [])
    for commands in COMMANDS.values():
        for name, summary in commands.items():
            assert re.search(rf"^  {name} +{re.escape(summary[:40])}", page, re.MULTILINE)


def test_the_reference_page_is_the_help_pages():
    page = reference(app)
    assert page == app.generate_docs(output_format="markdown")
    for name in LEAVES:
        assert f"## backstay {name}\n\n```\n{help_page(app, name.split())}\n```" in page


@pytest.mark.parametrize("line", ["--help", "version", "config schema"])
def test_a_reader_that_left_is_no_error(cli, line):
    read, write = os.pipe()
    os.close(read)
    try:
        ran = cli.spawn(*line.split(), stdout=write)
    finally:
        os.close(write)
    assert (ran.code, ran.err) == (0, "")


def test_closed_streams_are_no_error(cli):
    done = subprocess.run(["sh", "-c", f"exec {sys.executable} -m backstay version <&- >&- 2>&-"], timeout=60)
    assert done.returncode == 0


def test_every_command_that_is_named_somewhere_exists():
    """In hints and pages; LATER are those that sections of the configuration not yet acted on will have."""
    pages = [*(ROOT / "src/backstay").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    named = {(path.name, line) for path in pages for line in re.findall(r"`backstay ([a-z][^`]*)`", path.read_text())}
    assert len(named) > 20
    unknown = []
    for page, line in named:
        word, _, rest = line.partition(" ")
        sub = rest.partition(" ")[0]
        nested = {
            "config": {"show", "schema", "validate"},
            "store": {"init", "check"},
            "etcd": {"files", "get", "rejoin"},
        }.get(word)
        if word not in {*NAMES, *LATER} or (nested and sub and sub not in nested):
            unknown.append((page, line))
    assert unknown == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(cli, shell):
    ran = cli.run("completion", shell)
    assert ran.code == 0
    assert [name for name in NAMES if name not in ran.out] == []
