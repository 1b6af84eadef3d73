"""Help pages: fast, complete, and the reference page is them."""

import re
import subprocess
import sys

import pytest

from backstay.cli.main import COMMANDS, app
from backstay.cli.output import WIDTH
from backstay.cli.reference import help_page, reference

HEAVY = {"boto3", "botocore", "psycopg", "pydantic", "lightkube", "jinja2", "yaml", "sqlite3", "cronsim", "isal"}
OWN_MODULES = 12  # what `backstay --help` may import of the project itself
NAMES = [name for commands in COMMANDS.values() for name in commands]
LEAVES = [
    *(name for name in NAMES if name not in {"config", "store"}),
    *("config show", "config schema", "config validate", "store init", "store check", "restore cleanup"),
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(cli, shell):
    ran = cli.run("completion", shell)
    assert ran.code == 0
    assert [name for name in NAMES if name not in ran.out] == []
