"""Every link leads somewhere, and every file that is named exists."""

import ast
import re

import pytest

from tests.docs.pages import ROOT, Page, pages, slug

PAGES = pages()
NAMED_FILE = re.compile(r"^(?:src|tests|docs|examples|tools|bench|changelog|\.ci)/[\w./@-]+$")
IN_SOURCE = re.compile(r"docs/[\w./-]+\.md(?:#[\w-]+)?|docs/decisions/\d{4}[\w-]*")


def lost(page: Page, link: str) -> bool:
    """The link is relative and leads nowhere."""
    if re.match(r"[a-z]+:", link):
        return False
    path, _, anchor = link.partition("#")
    target = (page.path.parent / path).resolve() if path else page.path
    if not target.is_relative_to(ROOT) or not target.exists():
        return True
    return bool(anchor) and anchor not in Page(target).anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    assert [link for link in page.links if lost(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    named = [code.rstrip("/") for code in page.code if NAMED_FILE.match(code)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_that_the_program_names_exists():
    """In docstrings, help and hints: ``docs/troubleshoot.md#ended-early``, ``docs/decisions/0003``."""
    named = {
        (path.name, reference)
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for reference in IN_SOURCE.findall(node.value)
    }
    assert len(named) > 5
    assert sorted(one for one in named if not exists(one[1])) == []


def exists(reference: str) -> bool:
    path, _, anchor = reference.partition("#")
    found = sorted(ROOT.glob(path if path.endswith(".md") else f"{path}*.md"))
    return len(found) == 1 and (not anchor or anchor in Page(found[0]).anchors)


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = Page(ahead.pop())
        if page.path in reached or page.path.suffix != ".md":
            continue
        reached.add(page.path)
        targets = [link.partition("#")[0] for link in page.links if not re.match(r"[a-z]+:|#", link)]
        ahead += [path for target in targets if (path := (page.path.parent / target).resolve()).is_file()]
    wanted = {page.path for page in PAGES if page.name.startswith("docs/")}
    assert {path.relative_to(ROOT).as_posix() for path in wanted - reached} == set()


def test_what_lost_calls_lost(tmp_path):
    page = Page(ROOT / "docs" / "restore.md")
    assert not lost(page, "#restore-a-database")
    assert not lost(page, "verify.md#status")
    assert not lost(page, "https://example.com/anything")
    assert lost(page, "#nowhere")
    assert lost(page, "verify.md#nowhere")
    assert lost(page, "nowhere.md")
    assert lost(page, "../../elsewhere.md")


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Ended early", "ended-early"),
        ("pg_dump is too old or missing", "pg_dump-is-too-old-or-missing"),
        ("`stores.<name>.object_lock`", "storesnameobject_lock"),
        ("0004: Intents, a fence around every commit", "0004-intents-a-fence-around-every-commit"),
        ("In place, when the disk cannot hold both", "in-place-when-the-disk-cannot-hold-both"),
        ("See [format.md](format.md)", "see-formatmd"),
    ],
)
def test_an_anchor_is_made_of_a_heading(heading, anchor):
    assert slug(heading) == anchor
