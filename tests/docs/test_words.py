"""Words that must not be in the repository, and words of the program that the pages quote."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page, files

MACHINE = "/" + "work/"  # in two pieces, so that this file passes, too
SIDE = "sha" + "red/"
HOSTS = ["py" + "pi.org", "python" + "hosted.org", "proxy." + "golang.org", "registry." + "npmjs", "cra" + "tes.io"]
FORBIDDEN = {
    "a path of the machine it was written on": re.compile(
        rf"(?<![\w.-]){re.escape(MACHINE)}|(?<![\w/-])(?:\.\./)?{SIDE}"
    ),
    "the host of a package registry: which one is used is for the user to choose": re.compile(
        "|".join(map(re.escape, HOSTS))
    ),
}
TROUBLE = Page(ROOT / "docs" / "troubleshoot.md")
LONG_ENOUGH = 12  # characters of a message that a program fixes; less would match anything


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # not a text


@pytest.mark.parametrize("why", FORBIDDEN)
def test_nothing_forbidden_is_in_any_file(why):
    read = [(path.relative_to(ROOT).as_posix(), text_of(path)) for path in files()]
    assert len(read) > 200
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in read
        for match in FORBIDDEN[why].finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        (f"see {MACHINE}main", True),
        (f"../{SIDE}design.md", True),
        (f"https://files.{HOSTS[1]}/x", True),
        ("a framework/module and its network/", False),
        ("un" + SIDE, False),
    ],
)
def test_what_is_forbidden(text, is_found):
    assert any(pattern.search(text) for pattern in FORBIDDEN.values()) == is_found


@cache
def messages() -> list[re.Pattern[str]]:
    """Every text of the program as a pattern, any characters in the place of a value."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [node.value]
            else:
                continue
            if sum(len(part) for part in parts if part) >= LONG_ENOUGH:
                found.append(
                    re.compile("".join(".*?" if part is None else re.escape(part) for part in parts), re.DOTALL)
                )
    return found


def quoted(page: Page) -> list[str]:
    """The errors that a page shows: what follows ``error:``, up to the hint, on one line."""
    shown = [block.text.partition("\nhint:")[0] for block in page.blocks if block.text.startswith("error: ")]
    return [" ".join(text.removeprefix("error: ").split()) for text in shown]


@pytest.mark.parametrize("error", quoted(TROUBLE))
def test_every_error_that_is_quoted_is_one_the_program_has(error):
    assert [pattern.pattern for pattern in messages() if pattern.match(error)]


def test_an_error_that_the_program_does_not_have_is_found():
    assert not [pattern.pattern for pattern in messages() if pattern.match("the flywheel of postgres/shop is bent")]


def test_many_errors_are_quoted():
    assert len(quoted(TROUBLE)) > 10
