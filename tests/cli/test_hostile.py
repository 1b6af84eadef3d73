"""What lies in a store is anybody's: nothing of it may steer the terminal of who looks at it."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from backstay.catalog import keys
from backstay.cli.output import Style
from backstay.core.errors import SourceError
from backstay.core.model import Artifact, Finding, Level, Proof, Severity
from backstay.core.units import format_stamp
from tests.catalog.fakes import CARDBOARD, SHA

NOW = datetime.now(UTC).replace(microsecond=0)
EVIL = "\x1b]0;title\x07\x1b[2J\x9b8m\x1b[8mhidden\r\b\u202ekcab"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
PAINTED = re.compile(rf"\x1b\[(?:0|{'|'.join(Style)})m")
COMMANDS = (
    ("list",),
    ("list", "--foreign"),
    ("show", "cardboard"),
    ("show", f"cardboard{EVIL}"),
    ("status",),
    ("check",),
    ("prune", "--dry-run"),
    ("prune", "--yes"),
    ("verify", "cardboard"),
    ("restore", "cardboard", "--dry-run"),
)


@pytest.fixture
def hostile(stocked, monkeypatch):
    """A store in which every text that may be anything is."""
    stocked.clock.at = NOW
    at = NOW - timedelta(hours=1)
    dump = f"postgres-backups/cardboard/cardboard-{format_stamp(at)}.sql.gz"
    backup = stocked.backup(
        at,
        artifacts=(Artifact(f"dump{EVIL}", dump, 1, SHA, 1, SHA, ("gzip",)),),
        tools={f"pg_dump{EVIL}": EVIL},
        source={f"where{EVIL}": EVIL, "server_version": EVIL},
        contents={"tables": {f"public.{EVIL}": {"rows": 1, "size_bytes": 1}}, "extensions": {EVIL: EVIL}},
        omissions=(EVIL,),
        warnings=(EVIL,),
        restore_by_hand=(f"psql {EVIL}",),
    )
    stocked.backup(NOW - timedelta(days=20), omissions=(EVIL,))
    finding = Finding(Severity.ERROR, f"sha256 {EVIL}", EVIL)
    proof = Proof(backup.id, Level.STORED, False, NOW, 1.0, (finding,), kind="verify")
    stocked.catalog().proofs.write(proof, CARDBOARD, format_stamp(NOW))
    stocked.fail(NOW - timedelta(minutes=1), error=SourceError(f"refused: {EVIL}", hint=EVIL))
    stocked.store.put(keys.manifest_key(CARDBOARD, format_stamp(NOW - timedelta(hours=9))), (EVIL.encode(),))
    folder = stocked.store.root / "postgres-backups/cardboard"
    (folder / f"cardboard-{format_stamp(NOW - timedelta(hours=2))}{EVIL.replace('/', '')}").write_bytes(b"x")
    monkeypatch.setenv("FORCE_COLOR", "1")
    return stocked


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("verbose", [(), ("-v",)], ids=["", "verbose"])
def test_no_command_prints_it_raw(cli, hostile, command, verbose):
    ran = cli.run(*command, *verbose)
    shown = PAINTED.sub("", ran.out + ran.err)
    assert shown
    assert STEERING.findall(shown) == []


def test_it_is_shown_all_the_same(cli, hostile):
    """Each character replaced, the rest left to read: so that somebody sees that something is wrong."""
    assert "\N{REPLACEMENT CHARACTER}[8mhidden" in cli.run("show", "cardboard").out
    assert "\N{REPLACEMENT CHARACTER}[8mhidden" in cli.run("status").out


def test_json_carries_it_unharmed_and_printable(cli, hostile):
    ran = cli.run("show", "cardboard", "--json")
    assert STEERING.findall(ran.out) == []
    assert ran.document["manifest"]["omissions"] == [EVIL]
