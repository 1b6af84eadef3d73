"""The demo's story: back databases up, lose one, damage another, restore both, and compare every table.

What it runs are the commands that a user types, as processes of their own, with their output shown as it comes.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from psycopg import sql

from backstay.core.errors import ToolError, VerificationFailed
from backstay.core.units import format_count, format_duration
from backstay.demo.compare import Fingerprint, differences, fingerprint
from backstay.demo.data import SAMPLES, build
from backstay.demo.world import World

LOST = "museum"
DAMAGED = "flights"
MISTAKE = "UPDATE flights SET arr_delay = 0, dep_delay = 0"
NAME_WIDTH = 46


class Story:
    """One telling. ``say`` prints a line; ``clock`` gives seconds."""

    def __init__(self, world: World, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.world = world
        self._say = say
        self._clock = clock
        self._began = clock()
        self._before: dict[str, Fingerprint] = {}

    def tell(self) -> None:
        """All of it. Raises ``ToolError`` when a command fails and ``VerificationFailed`` when something differs."""
        self._set_up()
        self._back_up()
        self._lose()
        self._restore()
        self._compare()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._began

    def _set_up(self) -> None:
        self._head("A real PostgreSQL, a real S3 server, and four databases")
        self.world.start()
        postgres, s3 = self.world.postgres, self.world.s3
        self._say(f"PostgreSQL {postgres.version} at {postgres.host}:{postgres.port}, SeaweedFS at {s3.endpoint_url}")
        for kind, sample in SAMPLES.items():
            build(postgres, kind)
            found = self._before[kind] = self._look(kind)
            tables = f"{format_count(found.rows):>9} rows in {len(found.tables)} tables"
            self._say(f"  {kind:8} {tables:28} {sample.about}")
        self._head("One file says what is protected, and how")
        self._say(f"{self._shown(self.world.config)}:\n")
        self._say("\n".join(f"  {line}" for line in self.world.configure().splitlines()))

    def _back_up(self) -> None:
        self._head("Back everything up")
        self._backstay("store", "init")
        self._backstay("backup", "--all")
        self._backstay("status")
        self._backstay("list")

    def _lose(self) -> None:
        self._head("Two bad days")
        self._say(f"One database is dropped, and in another somebody forgets the WHERE.\n\nsql> DROP DATABASE {LOST};")
        with self.world.postgres.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(LOST)))
        self._say(f"sql> {MISTAKE};")
        with self.world.postgres.connect(DAMAGED) as connection:
            changed = connection.execute(MISTAKE.encode()).rowcount
        self._say(f"     {format_count(changed)} rows changed")

    def _restore(self) -> None:
        self._head("Restore both")
        self._backstay("restore", f"postgres/{DAMAGED}", "--dry-run")
        for name in (LOST, DAMAGED):
            self._backstay("restore", f"postgres/{name}", "--confirm", f"postgres/{name}")

    def _compare(self) -> None:
        self._head("Is what came back what was there?")
        for name in (LOST, DAMAGED):
            before, now = self._before[name], self._look(name)
            for table, content in before.tables.items():
                found = now.tables.get(table)
                verdict = "equal" if found == content else "DIFFERS"
                rows, after = format_count(content.rows), format_count(found.rows) if found else "none"
                self._say(f"  {_printable(name + ' ' + table):{NAME_WIDTH}} {rows:>8} -> {after:>8} rows   {verdict}")
            self._say(f"  {name}: {_definitions(now)} compared\n")
            different = differences(before, now)
            if different:
                raise VerificationFailed(
                    f"{name} came back different: {different[0]}", hint="\n".join(different[1:10]) or "Only this."
                )

    def _look(self, name: str) -> Fingerprint:
        with self.world.postgres.connect(name) as connection:
            return fingerprint(connection)

    def _backstay(self, *arguments: str) -> None:
        """Run ``backstay`` as a user would, on the same terminal. Raises ``ToolError``."""
        self._say(f"\n$ backstay {shlex.join(arguments)}")
        command = [sys.executable, "-m", "backstay", *arguments]
        done = subprocess.run(command, env=dict(self.world.environment()), stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise ToolError(
                f"`backstay {shlex.join(arguments)}` ended with exit code {done.returncode}",
                hint=f"Its message is above; the logs of the servers are in {self._shown(self.world.folder)}.",
            )

    def _head(self, text: str) -> None:
        self._say(f"\n== {text} " + "=" * max(3, 96 - len(text)) + f" {format_duration(self.seconds)}")

    def _shown(self, path: Path) -> Path:
        return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _printable(name: str) -> str:
    """``name`` on one line and short: table names may hold anything."""
    flat = name.encode("unicode_escape").decode() if not name.isprintable() else name
    return flat if len(flat) <= NAME_WIDTH else flat[: NAME_WIDTH - 3] + "..."


def _definitions(found: Fingerprint) -> str:
    counts = {kind: len(objects) for kind, objects in found.objects.items() if objects}
    return f"{format_count(sum(counts.values()))} definitions of {len(counts)} kinds (owners, rights, code, ...)"
