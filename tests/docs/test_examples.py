"""What people paste from the pages works as it stands: configurations, units, the policy, the targets of make."""

import json
import re
import shlex
from pathlib import Path

import pytest

from backstay.config.load import parse
from tests.docs.pages import ROOT, Block, Page, pages
from tests.docs.test_commands import fault

PAGES = pages()
SYSTEMD = ROOT / "examples" / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.glob("*.timer"))
CONFIGURATIONS = [(page, block) for page in PAGES for block in page.blocks if re.match(r"(#.*\n)*cluster:", block.text)]


def unit(path: Path) -> dict[str, list[tuple[str, str]]]:
    """A unit's sections, each its entries in order; systemd.syntax(7) allows a key more than once."""
    sections: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith(("#", ";")):
            key, equals, value = line.partition("=")
            assert equals, f"{path.name}: {line}"
            current.append((key, value))
    return sections


def values(path: Path, section: str, key: str) -> list[str]:
    return [value for name, value in unit(path).get(section, []) if name == key]


@pytest.mark.parametrize(
    ("page", "block"), CONFIGURATIONS, ids=lambda one: one.name if isinstance(one, Page) else str(one.line)
)
def test_every_configuration_on_a_page_is_valid(page: Page, block: Block):
    loaded = parse(block.text, Path("backstay.yaml"), {})
    assert loaded.config.postgres_databases() or loaded.config.etcd or loaded.config.objects


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.parent.name)
def test_every_configuration_among_the_examples_is_valid(path):
    assert parse(path.read_text(encoding="utf-8"), path, {}).config.stores


def test_the_pages_show_configurations():
    pages_with_some = {page.name for page, _ in CONFIGURATIONS}
    assert pages_with_some >= {"README.md", "docs/schedule.md", "docs/encrypt.md", "docs/etcd.md"}


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_every_service_runs_a_command_that_exists(path):
    lines = values(path, "Service", "ExecStart")
    assert lines
    for line in lines:
        program, *_ = shlex.split(line)
        assert program in {"/usr/local/bin/backstay", "/bin/sh"}
        assert program == "/bin/sh" or fault(line.removeprefix("/usr/local/bin/"), whole=True) == ""


@pytest.mark.parametrize("path", TIMERS, ids=lambda path: path.name)
def test_every_timer_starts_a_service_at_a_time_in_utc(path):
    assert path.with_suffix(".service") in SERVICES
    assert [value for value in values(path, "Timer", "OnCalendar") if not value.endswith(" UTC")] == []
    assert values(path, "Timer", "Persistent") == ["yes"]
    assert values(path, "Install", "WantedBy") == ["timers.target"]


def test_no_unit_asks_questions_or_names_a_secret():
    common = SYSTEMD / "backstay-.service.d" / "common.conf"
    for path in SERVICES:
        for line in values(path, "Service", "ExecStart"):
            assert not re.search(r" (backup|prune|verify|drill) ", line) or "--no-input" in line
    assert {value.partition(":")[0] for value in values(common, "Service", "LoadCredential")} == {"s3", "postgres"}
    assert values(common, "Unit", "OnFailure") == ["backup-failed@%n.service"]
    assert (SYSTEMD / "backup-failed@.service").is_file()


def test_the_units_of_etcd_run_as_root_with_folders_of_their_own():
    """systemd.unit(5): drop-ins of a prefix are read in the order of their names, whatever folder they are in."""
    root, common = SYSTEMD / "backstay-etcd-.service.d" / "root.conf", SYSTEMD / "backstay-.service.d" / "common.conf"
    assert root.name > common.name
    assert values(root, "Service", "User") == ["root"]
    assert values(root, "Service", "LoadCredential") == [""]
    for kind in ("State", "Cache"):
        assert values(root, "Service", f"{kind}Directory") == ["", "backstay-etcd"]
        assert values(common, "Service", f"{kind}Directory") == ["backstay"]
    assert [path.name for path in SERVICES if path.name.startswith("backstay-etcd-")]


def test_the_page_takes_the_credentials_where_the_units_put_them():
    """systemd.exec(5), LoadCredential: a file named as the credential in $CREDENTIALS_DIRECTORY."""
    page = Page(ROOT / "docs" / "schedule.md")
    block = next(block for shown, block in CONFIGURATIONS if shown == page)
    for folder, env in (("/etc/backstay/secrets", {}), ("/run/c", {"CREDENTIALS_DIRECTORY": "/run/c"})):
        config = parse(block.text, Path("backstay.yaml"), env).config
        assert str(config.stores["main"].credentials) == f"file:{folder}/s3"
        assert str(config.postgres_databases()["shop"].password) == f"file:{folder}/postgres"


def test_every_unit_is_on_the_page_and_the_other_way_round():
    text = (ROOT / "docs" / "schedule.md").read_text(encoding="utf-8")
    assert [path.name for path in SERVICES if f"examples/systemd/{path.name})" not in text] == []
    started = re.findall(r"backstay-[\w-]+\.(?:service|timer)\b(?!\.d)", text)
    assert len(started) > 5
    assert [name for name in started if not (SYSTEMD / name).is_file()] == []


def test_the_policy_is_json_and_gives_no_more_than_it_says():
    page = Page(ROOT / "docs" / "schedule.md")
    policy = json.loads(next(block.text for block in page.blocks if block.kind == "json"))
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}
    assert {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= allowed
    assert not [action for action in allowed if "*" in action or "Policy" in action or "Bypass" in action]


def test_every_target_of_make_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    texts = [
        text for page in PAGES for text in [*page.code, *(line for b in page.blocks for line in b.text.splitlines())]
    ]
    named = {match[1] for text in texts if (match := re.match(r"(?:\$ )?make ([a-z]+)", text.strip()))}
    assert {"demo", "test"} <= named
    assert named - targets == set()


def test_the_readme_gives_make_test_as_the_test_command():
    block = Page(ROOT / "README.md").blocks
    assert any(re.search(r"^make test\b", one.text, re.MULTILINE) for one in block)


def test_the_unit_reader_keeps_what_is_there_twice(tmp_path):
    path = tmp_path / "a.service"
    path.write_text("# a\n[Service]\nExecStart=/bin/a\nExecStart=/bin/b x=1\n\n[Unit]\nAfter=\n")
    assert unit(path) == {"Service": [("ExecStart", "/bin/a"), ("ExecStart", "/bin/b x=1")], "Unit": [("After", "")]}
    assert values(path, "Service", "ExecStart") == ["/bin/a", "/bin/b x=1"]
