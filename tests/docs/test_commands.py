"""Every command that a page or a hint names exists and takes the options shown: the real command line parses it."""

import ast
import re
import shlex
from collections.abc import Iterator

import pytest
from cyclopts import CycloptsError
from cyclopts.exceptions import MissingArgumentError

from backstay.cli.main import app, launch
from tests.docs.pages import ROOT, Page, pages

PAGES = [page for page in pages() if not page.name.startswith("docs/reference/")]  # those are generated from the code
LATER = re.compile(r"backstay (report|render) ")  # named by sections of the configuration that are not yet acted on
PLACE = "PLACE"  # what stands for a value that is only known when the program runs
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(backstay(?: .*)?)$")


def fault(line: str, *, whole: bool) -> str:
    """What the command line says against ``line``, if anything; arguments may be missing unless it is ``whole``."""
    try:
        command, bound, _ = app.meta.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
        if command is launch:  # and not --help or --version
            app.parse_args(list(bound.args), exit_on_error=False, print_error=False)
    except MissingArgumentError as error:
        return str(error) if whole else ""
    except (CycloptsError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def typed(page: Page) -> Iterator[tuple[int, str]]:
    """The commands in the blocks of a page, with their lines; pipes, redirections and comments cut off.

    One that goes on behind a backslash is one.
    """
    for block in page.blocks:
        for number, text in enumerate(re.sub(r"\\\n *", "", block.text).splitlines(), block.line):
            for part in re.split(r" && | \|\| ", text.strip()):
                if match := COMMAND.match(re.sub(r"^[\d*/ ]+(?:backstay|root) +(?=backstay )", "", part)):
                    line = re.split(r"\s[#|>]|\s{3,}", match[1])[0]
                    if "COMMAND" not in line:
                        yield number, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_block_is_understood(page):
    assert [
        f"{page.name}:{number}: {line}: {said}" for number, line in typed(page) if (said := fault(line, whole=True))
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_sentence_is_understood(page):
    named = [
        code for code in page.code if code.startswith("backstay ") and "COMMAND" not in code and not LATER.match(code)
    ]
    assert [f"{line}: {said}" for line in named if (said := fault(line, whole=False))] == []


def test_every_command_that_the_program_names_is_understood():
    named = {(path.name, line) for path in (ROOT / "src").rglob("*.py") for line in spoken(path.read_text("utf-8"))}
    assert len(named) > 20
    assert sorted(f"{file}: {line}: {said}" for file, line in named if (said := fault(line, whole=False))) == []


def spoken(source: str) -> Iterator[str]:
    """The commands in the texts of a module: between backticks, or at the end of a sentence such as "make it: ..."."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else PLACE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        found = re.findall(r"`{1,2}(backstay [a-z][^`\n]*)`", text) + re.findall(r": (backstay [a-z][^`\n.]*)", text)
        lines = (re.sub(rf"(--[a-z-]+){PLACE}", r"\1", line.strip()) for line in found)
        yield from (line for line in lines if not LATER.match(f"{line} "))


def test_the_pages_show_many_commands():
    assert len({line for page in PAGES for _, line in typed(page)}) > 40


@pytest.mark.parametrize(
    "line",
    [
        "backstay frobnicate",
        "backstay backup --al",
        "backstay restore shop --confirm",
        "backstay verify --level proven",
        "backstay list --tier disks",
        "backstay store inti",
        "backstay show",
    ],
)
def test_what_does_not_exist_is_found(line):
    assert fault(line, whole=True)


def test_where_commands_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nbackstay list   # all\n$ backstay status | head\nA=1 backstay check && backstay prune --yes\n"
        "0 3 * * *  backstay  backstay backup --all > /dev/null\npostgres/shop  done\n"
        "backstay restore shop \\\n  --to copy\n```\n"
    )
    assert [line for _, line in typed(Page(page))] == [
        "backstay list",
        "backstay status",
        "backstay check",
        "backstay prune --yes",
        "backstay backup --all",
        "backstay restore shop --to copy",
    ]
