"""A configuration over real databases, and programs that stand in pg_dump's or psql's way."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

from backstay.tiers.postgres.localserver.server import PostgresServer
from tests.cli.conftest import Cli

WAIT_SECONDS = 30


def configure(
    cli: Cli, server: PostgresServer, *names: str, bin_dir: Path | None = None, more: str = "", dump_format: str = ""
) -> None:
    """``backstay.yaml`` for databases of ``server``, as its superuser; ``more`` are lines of YAML."""
    password = cli.folder / "password"
    password.touch(mode=0o600)
    password.write_text(server.password)
    databases = "".join(f"    {name}: {{}}\n" for name in names)
    chosen = f"  format: {dump_format}\n" if dump_format else ""
    cli.configure(
        f'cluster: test\nstores: {{main: {{url: "file://{cli.store}"}}}}\n{more}'
        f"postgres:\n  host: {server.host}\n  port: {server.port}\n  user: {server.superuser}\n"
        f"  password: file:{password}\n  bin: {bin_dir or server.bin_dir}\n{chosen}  databases:\n{databases}"
    )


def programs_that(cli: Cli, server: PostgresServer, **scripts: str) -> Path:
    """A folder of PostgreSQL's programs; those named are shell scripts, in which ``$REAL`` is the real one."""
    folder = cli.folder / "bin"
    folder.mkdir()
    for program in Path(server.bin_dir).iterdir():
        script = scripts.get(program.name)
        if script is None:
            (folder / program.name).symlink_to(program)
            continue
        (folder / program.name).write_text(f"#!/bin/sh\nREAL={shlex.quote(str(program))}\n{script}\n")
        (folder / program.name).chmod(0o755)
    return folder


def hanging(marker: Path, *, then: str = "exec sleep 60") -> str:
    """Runs the real program to its end, says so in ``marker``, and does not end but does ``then``."""
    return f"""
[ "$1" = --version ] && exec "$REAL" "$@"
trap 'exit 143' TERM
"$REAL" "$@"
touch {shlex.quote(str(marker))}
{then}
"""


STUBBORN = "trap '' TERM; while kill -0 $PPID 2>/dev/null; do sleep 0.5; done"  # ends with whoever started it
TALKING = "while :; do echo '-- and on'; sleep 0.1; done"


def wait_for(condition: Callable[[], bool]) -> None:
    """Fails when it does not come true in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
