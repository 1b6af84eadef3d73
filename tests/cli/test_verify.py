"""``backstay verify``: what is in the store against what its manifest promises."""

import re
import time

import pytest

from tests.cli.databases import configure

AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"  # nobody at hand has its identity


@pytest.fixture(params=["directory", "sql"])
def dump_format(request):
    return request.param


@pytest.fixture
def made(cli, postgres18, fresh_database, dump_format):
    """Two databases, each backed up once; their ids."""
    names = [fresh_database(postgres18).name for _ in range(2)]
    configure(cli, postgres18, *names, dump_format=dump_format)
    assert cli.run("backup", "--all").code == 0
    return {name: next((cli.store / "backstay/v1/backups/postgres" / name).iterdir()).stem for name in names}


def damage(cli, name):
    """Change one byte of the largest file."""
    files = (path for path in (cli.store / "postgres-backups" / name).rglob("*") if path.is_file())
    dump = max(files, key=lambda path: path.stat().st_size)
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.chmod(0o600)
    dump.write_bytes(data)


def test_it_says_what_was_looked_at_and_keeps_the_proof(cli, made, dump_format):
    name, stamp = next(iter(made.items()))
    ran = cli.run("verify", name)
    assert ran.code == 0
    assert ran.err == f"Verify postgres/{name}@{stamp} to level readable\n"
    lines = ran.out.splitlines()
    looked = {"sql": "dump: decrypts, decompresses", "directory": "3 files: decrypted, decompressed"}
    assert f"  ok       {looked[dump_format]}, sha256 equal" in lines
    assert lines[-1].endswith(f": postgres/{name}@{stamp} is readable")
    assert "readable, " in cli.run("show", name).out


def test_all_targets_or_the_backups_named(cli, made):
    ran = cli.run("verify", "--all", "--level", "stored", "--json")
    assert ran.code == 0
    assert sorted(line["message"] for line in ran.of("result")) == sorted(
        f"postgres/{name}@{stamp} is stored" for name, stamp in made.items()
    )
    assert ran.of("summary")[0]["done"] == 2
    assert len(cli.run("verify", "postgres", "--json").of("result")) == 2
    name, stamp = next(iter(made.items()))
    assert len(cli.run("verify", f"{name}@{stamp}", name, name, "--json").of("result")) == 2


def test_a_dry_run_reads_nothing_and_leaves_no_proof(cli, made, dump_format):
    ran = cli.run("verify", "--all", "--dry-run")
    assert ran.code == 0
    artifacts = {"sql": 2, "directory": 3}[dump_format]  # toc.dat, globals, RESTORE.md: there is no table
    assert ran.out.count(f"  1  read    {artifacts} artifacts, sizes and sha256 against the manifest") == 2
    assert "written, not read back yet" in cli.run("show", next(iter(made))).out


@pytest.mark.parametrize("level", ["stored", "readable"])
def test_damage_is_13_whatever_else_is_well(cli, made, level):
    name, stamp = next(iter(made.items()))
    damage(cli, name)
    ran = cli.run("verify", "--all", "--level", level)
    assert ran.code == 13
    assert f"postgres/{name}@{stamp} is NOT {level}" in ran.out
    assert f"error: postgres/{name}@{stamp} is NOT {level}: " in ran.err
    assert "hint: Do not rely on it." in ran.err
    assert cli.run("verify", name, "--level", level).code == 13
    assert re.search(rf"^  level +NOT {level}, .* by verify$", cli.run("show", name).out, re.MULTILINE)
    assert f"  NOT {level}  " in cli.run("list", name).out
    listed = cli.run("list", "--json").document
    assert [one["id"] for one in listed if one["refuted_at"]] == [f"postgres/{name}@{stamp}"]


def test_without_the_identity_is_12(cli, postgres18, made):
    name = next(iter(made))
    configure(cli, postgres18, name, more=f"encryption: {{recipients: [{AGE}]}}\n")
    time.sleep(1)  # a second backup needs a second of its own
    assert cli.run("backup", name).code == 0
    ran = cli.run("verify", name)
    assert ran.code == 12
    assert ran.err.splitlines()[1].startswith("error: ")
    assert cli.run("verify", name, "--level", "stored").code == 0


def test_a_store_that_is_not_there_is_10(cli, made):
    cli.store.rename(cli.folder / "gone")
    ran = cli.run("verify", next(iter(made)))
    assert (ran.code, ran.out) == (10, "")


@pytest.mark.parametrize("arguments", [[], ["--all", "x"]])
def test_which_ones_must_be_said(cli, arguments):
    assert cli.run("verify", *arguments).code == 2
