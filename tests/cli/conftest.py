"""The command line under test: in this process for what it says, as a process of its own for signals and pipes."""

import io
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backstay.cli.main import main
from backstay.store.directory import DirectoryStore
from tests.fixtures.stocked import Stocked

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, message_type: str) -> list[dict[str, Any]]:
        """Those of one type."""
        return [line for line in self.lines if line["message_type"] == message_type]

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)

    @property
    def failure(self) -> dict[str, Any]:
        """The last JSON line on stderr."""
        return json.loads(self.err.splitlines()[-1])


class Keyboard(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self) -> bool:
        return True


@dataclass
class Cli:
    """A folder with a configuration and a store, and commands run in it."""

    folder: Path
    run_here: Callable[..., Ran]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def configure(self, text: str) -> None:
        """Write ``backstay.yaml``."""
        (self.folder / "backstay.yaml").write_text(textwrap.dedent(text))

    def run(self, *arguments: str, typed: str | None = None) -> Ran:
        """In this process; ``typed`` is what somebody at the terminal answers."""
        return self.run_here([*arguments], typed)

    @contextmanager
    def started(self, *arguments: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
        """As a process of its own, killed at the end if it still runs."""
        with subprocess.Popen(
            [sys.executable, "-m", "backstay", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            text=True,
            **more,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def spawn(self, *arguments: str, **more: Any) -> Ran:
        """As a process of its own, to its end."""
        with self.started(*arguments, **more) as process:
            out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        return Ran(process.returncode, out or "", err)

    def kept(self) -> list[str]:
        """Every file in the store that is not a lease, a failure's record, or the folder of unfinished files."""
        beside = ("backstay/v1/leases/", "backstay/v1/failures/", ".backstay-tmp/lock")
        found = (str(path.relative_to(self.store)) for path in self.store.rglob("*") if path.is_file())
        return sorted(name for name in found if not name.startswith(beside))


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in a folder of its own, with an empty store and nothing configured yet."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    for name in [name for name in os.environ if name.startswith(("BACKSTAY_", "PG", "AWS_"))]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(arguments: list[str], typed: str | None) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Keyboard(typed))
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    (tmp_path / "store").mkdir()
    return Cli(tmp_path, run, env)


@pytest.fixture
def stocked(cli: Cli) -> Stocked:
    """Backups made up in the store of ``cli``, of a target ``postgres/cardboard`` that is configured."""
    cli.configure(
        f"""
        cluster: homelab
        stores: {{main: {{url: "file://{cli.store}"}}}}
        postgres:
          keep: {{days: 7}}
          databases:
            cardboard: {{host: 127.0.0.1, port: 1, schedule: "0 3 * * *"}}
        """
    )
    return Stocked(stores={"main": DirectoryStore(cli.store)})
