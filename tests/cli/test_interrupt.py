"""Ctrl-C and SIGTERM in the middle of a backup: nothing committed, no litter, exit 130; twice: at once."""

import signal
import time
from contextlib import ExitStack

import pytest

from tests.cli.databases import STUBBORN, TALKING, configure, hanging, programs_that, wait_for


@pytest.fixture
def stuck(cli, postgres18, fresh_database):
    """``stuck(*options)``: a backup whose pg_dump has given everything and does not end."""
    with ExitStack() as stack:

        def start(*options: str, then: str = "exec sleep 60", databases: int = 1, dump_format: str = ""):
            names = [fresh_database(postgres18).name for _ in range(databases)]
            marker = cli.folder / "dumped"
            folder = programs_that(cli, postgres18, pg_dump=hanging(marker, then=then))
            configure(cli, postgres18, *names, bin_dir=folder, dump_format=dump_format)
            process = stack.enter_context(cli.started("backup", "--all", *options))
            wait_for(marker.exists)
            return process, names

        yield start


def finish(process):
    out, err = process.communicate(timeout=40)
    return process.returncode, out, err


@pytest.mark.parametrize("dump_format", ["directory", "sql"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_one_undoes_what_was_begun(cli, stuck, postgres18, number, dump_format):
    process, names = stuck(dump_format=dump_format)
    process.send_signal(number)
    code, out, err = finish(process)
    assert (code, out) == (130, "")
    assert err.endswith(
        "error: interrupted\n\n"
        "hint: What was begun is undone, or finished by the next run. Run it again when you like.\n"
    )
    assert cli.kept() == ["backstay/v1/format.json"]
    configure(cli, postgres18, *names)
    assert cli.run("backup", "--all").code == 0, "the lease was given back"


@pytest.mark.parametrize(("dump_format", "then"), [("directory", "exec sleep 60"), ("sql", TALKING)])
def test_it_stops_the_work_of_all_threads(cli, stuck, dump_format, then):
    process, _ = stuck("--jobs", "2", then=then, databases=2, dump_format=dump_format)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (130, "")
    assert err.count("error: ") == 1
    assert cli.kept() == ["backstay/v1/format.json"]


def test_the_second_one_ends_at_once(stuck):
    process, _ = stuck(then=STUBBORN)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert time.monotonic() - began < 5


def test_as_json(stuck):
    process, _ = stuck("--json", "--no-progress")
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 130
    assert '"code": "interrupted"' in err.splitlines()[-1]
