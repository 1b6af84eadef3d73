"""The generated pages are current, and the tool sees it when they are not."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from backstay.config import schema
from backstay.core import errors

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def docs():
    """tools/docs.py, which is a script and not part of a package."""
    spec = importlib.util.spec_from_file_location("backstay_tools_docs", ROOT / "tools" / "docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_committed_is_current(docs):
    assert docs.stale(ROOT) == []


def test_a_page_that_is_old_or_gone_is_named(docs, tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "docs" / "reference", tmp_path / "docs" / "reference")
    page = tmp_path / "docs" / "reference" / "configuration.md"
    page.write_text(page.read_text().replace("duration", "length"))
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    assert docs.main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "docs/schema/backstay.schema.json is stale: run `make docs`",
        "docs/reference/configuration.md is stale: run `make docs`",
    ]
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0


def test_every_section_and_key_is_on_the_page(docs):
    page = docs.configuration_page()
    for place in ("stores.<name>", "stores.<name>.lifecycle[]", "postgres.databases.<name>", "keep"):
        assert f"## `{place}`\n" in page
    assert page.count("| `lock_timeout` |") == 1
    assert "| `url` | URL | required | `s3://bucket`, `s3://bucket/folder` or `file:///path`. |" in page


def test_every_error_and_every_exit_code_is_on_the_page(docs):
    page = docs.errors_page()
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) > 20
    for error in classes:
        assert f"| `{error.code}` | {error.exit_code} |" in page
        assert f"\n| {error.exit_code} | {docs.EXITS[error.exit_code]} |\n" in page
    assert "| `store.unavailable` | 10 | yes |" in page


def test_the_schema_answers_what_a_place_knows():
    assert "namespace" in schema.keys(("postgres", "databases", "ham"))
    assert schema.keys(("stores", "main", "lifecycle", 0))[0] == "prefix"
    assert schema.keys(("stores",)) == ()
    assert schema.at(("nowhere", "at", "all")) is None


def test_the_schema_says_defaults_as_the_file_would(docs):
    database = schema.json_schema()["$defs"]["Database"]["properties"]
    assert database["connect_timeout"]["default"] == "10s"
    assert "default" not in database["password"]
    assert '"null"' not in docs.schema_file()
