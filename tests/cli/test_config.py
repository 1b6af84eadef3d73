"""``backstay config``, ``init``, ``check`` and ``store``: before the first backup."""

import json
import re

import pytest

TEXT = """
cluster: homelab
stores: {{main: {{url: "file://{store}"}}}}
postgres:
  databases:
    cardboard: {{host: 127.0.0.1, port: 1, password: "file:{folder}/pw"}}
"""


@pytest.fixture
def configured(cli):
    cli.configure(TEXT.format(store=cli.store, folder=cli.folder))
    return cli


def test_without_a_configuration_it_says_how_to_get_one(cli):
    ran = cli.run("config", "validate")
    assert ran.code == 2
    assert ran.err.startswith("error: there is no configuration\n\nhint: `backstay init` writes one. Looked for ")


def test_every_fault_with_its_line(cli):
    cli.configure("cluster: homelab\nstorse: {}\npostgres:\n  databases:\n    a: {namepsace: x}\n")
    ran = cli.run("config", "validate")
    assert ran.code == 2
    assert ran.err.splitlines()[:3] == [
        "error: backstay.yaml:1: needs the key `stores`",
        "       backstay.yaml:2: unknown key `storse` (did you mean `stores`?)",
        "       backstay.yaml:5: postgres.databases.a: unknown key `namepsace` (did you mean `namespace`?)",
    ]
    problems = cli.run("config", "validate", "--json").failure["context"]["problems"]
    assert [problem["line"] for problem in problems] == [1, 2, 5]


def test_valid(configured):
    assert configured.run("config", "validate").out == "backstay.yaml is valid: 1 database\n"
    quiet = configured.run("config", "validate", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    assert configured.run("config", "validate", "--json").document == {
        "path": "backstay.yaml", "valid": True, "databases": 1,
    }  # fmt: skip


def test_show_says_where_each_value_comes_from_and_reads_no_secret(configured):
    ran = configured.run("config", "show")
    assert ran.code == 0
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in ran.out.splitlines()[2:]}
    assert rows["cluster"] == ["homelab", "line 2"]
    assert rows["timezone"] == ["UTC", "default"]
    assert rows["postgres.databases.cardboard.password"] == [f"file:{configured.folder}/pw", "line 6"]
    found = {one["key"]: one for one in configured.run("config", "show", "--json").document["settings"]}
    assert found["postgres.databases.cardboard.port"] == {
        "key": "postgres.databases.cardboard.port", "value": 1, "from": "line 6",
    }  # fmt: skip


def test_the_schema_is_the_one_of_the_models(cli):
    from backstay.config.schema import json_schema

    assert cli.run("config", "schema").document == json_schema()


def test_the_configuration_can_be_named(configured, tmp_path):
    (tmp_path / "backstay.yaml").rename(tmp_path / "other.yaml")
    assert configured.run("config", "validate").code == 2
    assert configured.run("config", "validate", "--config", "other.yaml").out == "other.yaml is valid: 1 database\n"


def test_init_writes_a_file_that_is_valid_and_overwrites_none(cli):
    ran = cli.run("init", "--cluster", "home", "--store", f"file://{cli.store}", "--database", "shop")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "wrote backstay.yaml: set the store and the databases, then `backstay check`\n"
    text = (cli.folder / "backstay.yaml").read_text()
    assert cli.run("config", "validate").out == "backstay.yaml is valid: 1 database\n"
    again = cli.run("init")
    assert again.code == 2
    assert again.err.startswith("error: backstay.yaml is there already\n\nhint: It was left as it is.")
    assert (cli.folder / "backstay.yaml").read_text() == text


@pytest.mark.parametrize("options", [["--store", "nonsense"], ["--cluster", "a b"], ["--database", "a/b"]])
def test_init_refuses_what_would_not_be_valid(cli, options):
    assert cli.run("init", *options).code == 2
    assert not (cli.folder / "backstay.yaml").exists()


def test_init_where_it_may_not_write(cli):
    ran = cli.run("init", "nowhere/backstay.yaml")
    assert ran.code == 2
    assert ran.err.startswith("error: nowhere/backstay.yaml cannot be written: No such file or directory")


def test_store_init_makes_the_folder_and_marks_it(configured):
    configured.store.rmdir()
    ran = configured.run("store", "init")
    assert ran.code == 0
    assert ran.out == f"store main: file://{configured.store}/ made, for the backups of cluster homelab\n"
    assert json.loads((configured.store / "backstay/v1/format.json").read_text())["cluster"] == "homelab"
    assert configured.run("store", "init", "main").out.startswith(f"store main: file://{configured.store}/ was there")
    assert configured.run("store", "init", "--json").document == {
        "stores": [
            {"store": "main", "url": f"file://{configured.store}/", "cluster": "homelab", "made": False},
        ]
    }


def test_store_init_refuses_another_clusters_store(configured):
    configured.run("store", "init")
    configured.configure(TEXT.format(store=configured.store, folder=configured.folder).replace("homelab", "other"))
    ran = configured.run("store", "init")
    assert ran.code == 2
    assert "holds the backups of cluster homelab, not of other" in ran.err


def test_store_init_of_one_that_is_not_configured(configured):
    ran = configured.run("store", "init", "mian")
    assert ran.code == 2
    assert ran.err.startswith("error: there is no store 'mian'")


def test_check_tells_each_fault_and_goes_on(configured):
    configured.store.rmdir()
    ran = configured.run("check")
    assert ran.code == 1
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert lines[0] == "ok        backstay.yaml: valid: 1 store, 1 database"
    assert lines[1].startswith("warning   postgres/cardboard: without a `keep` rule")
    assert f"error     store main: the folder {configured.store} does not exist" in lines
    assert any(line.startswith("error     postgres/cardboard: ") for line in lines)
    found = configured.run("check", "--json").document
    assert found["ok"] is False
    assert {one["code"] for one in found["findings"]} == {None, "store.missing", "config.secret"}


def test_check_of_a_store_alone_is_10(cli):
    cli.configure(f'cluster: homelab\nstores: {{main: {{url: "file://{cli.folder}/none"}}}}\n')
    assert cli.run("check").code == 10


def test_check_says_what_is_not_acted_on_yet(cli):
    cli.configure(f'cluster: homelab\nstores: {{main: {{url: "file://{cli.store}"}}}}\ndrills: {{max_age: 30d}}\n')
    ran = cli.run("check")
    assert ran.code == 0
    assert "warning   drills: read and checked, but not yet acted on" in ran.out
    assert cli.run("check", "-q").out.splitlines() == [
        line for line in ran.out.splitlines() if line.startswith("warning")
    ]


def test_store_check_says_what_a_store_can_do(configured):
    ran = configured.run("store", "check", "main")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"store main: file://{configured.store}/"
    assert lines[1].split() == ["CHECK", "RESULT", "SEEN"]
    assert re.search(r"^create if absent +ok ", ran.out, re.MULTILINE)
    assert re.search(r"^object lock +degraded ", ran.out, re.MULTILINE)
    assert lines[-1].startswith("without object lock: ")
    assert configured.kept() == []


def test_store_check_of_one_that_is_not_there_is_10(configured):
    configured.store.rmdir()
    ran = configured.run("store", "check")
    assert ran.code == 10
    assert ran.err.startswith("error: store main cannot be used as it is (read and write")
    found = configured.run("store", "check", "--json").document["stores"]
    assert (found[0]["ok"], found[0]["probes"][0]["ability"]) == (False, "failed")
