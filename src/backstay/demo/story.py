"""The demo's story: back everything up, lose one database, damage another, lose etcd, restore all, and compare.

What it runs are the commands that a user types, as processes of their own, with their output shown as it comes.
"""

import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from psycopg import sql

from backstay.core.errors import ToolError, VerificationFailed
from backstay.core.units import format_count
from backstay.demo import controlplane
from backstay.demo.compare import Fingerprint, TableContent, differences, fingerprint
from backstay.demo.data import SAMPLES, build
from backstay.demo.world import World

LOST = "museum"
DAMAGED = "flights"
MISTAKE = "UPDATE flights SET arr_delay = 0, dep_delay = 0"
NAME_WIDTH = 44
WIDTH = 90
GRACE_SECONDS = 5.0


class Story:
    """One telling. ``say`` prints a line; ``clock`` gives seconds."""

    def __init__(self, world: World, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.world = world
        self._say = say
        self._clock = clock
        self._began = clock()
        self._before: dict[str, Fingerprint] = {}
        self._cluster = (0, "")

    def tell(self) -> None:
        """All of it. Raises ``ToolError`` when a command fails and ``VerificationFailed`` when something differs."""
        self._set_up()
        self._back_up()
        self._lose()
        self._restore()
        self._compare()
        self._restore_cluster()
        self._drill()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._began

    def _set_up(self) -> None:
        self._head("Real PostgreSQL, etcd and S3 servers, four databases and the state of a cluster")
        self._say(f"Everything stays in {self._shown(self.world.folder)} and on 127.0.0.1.")
        self.world.start()
        postgres, s3 = self.world.postgres, self.world.s3
        self._say(f"PostgreSQL {postgres.version} at {postgres.host}:{postgres.port}, SeaweedFS at {s3.endpoint_url},")
        with self.world.cluster() as client:
            self._say(f"etcd {client.status().version} at {self.world.etcd.endpoint}")
            controlplane.fill(client)
            keys, _ = self._cluster = controlplane.fingerprint(client)
        self._say(f"  {'etcd':8} {format_count(keys):>9} {'keys':18} what a cluster of five nodes keeps there")
        for kind, sample in SAMPLES.items():
            build(postgres, kind)
            found = self._before[kind] = self._look(kind)
            tables = f"{format_count(found.rows):>9} rows in {len(found.tables)} tables"
            self._say(f"  {kind:8} {tables:28} {sample.about}")
        self._head("One file says what is protected, and how")
        self._say(f"{self._shown(self.world.config)}:\n")
        self._say(textwrap.indent(self.world.configure().rstrip(), "  "))

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
        self._backstay("restore", f"postgres/{LOST}", "--confirm", f"postgres/{LOST}")
        self._backstay("restore", f"postgres/{DAMAGED}", "--dry-run")
        self._backstay("restore", f"postgres/{DAMAGED}", "--confirm", f"postgres/{DAMAGED}")

    def _restore_cluster(self) -> None:
        self._head("Two worse days")
        resource, namespace, name = controlplane.DELETED
        self._say(f"$ kubectl delete deployment {name} -n {namespace}     # the wrong one\n")
        with self.world.cluster() as client:
            controlplane.delete_one(client)
        self._say("One object comes back out of the snapshot, without touching the cluster:")
        self._backstay("etcd", "get", resource, name, "-n", namespace)
        self._say("\nThen the disk under etcd dies. Into its place, by the stock tool of etcd:")
        self.world.lose_etcd()
        self._backstay("restore", "etcd", "--to", str(self.world.etcd.data))
        self.world.etcd.start()
        with self.world.cluster() as client:
            found = controlplane.fingerprint(client)
        if found != self._cluster:
            raise VerificationFailed("etcd came back different", hint="Its keys, values or revisions are not the same.")
        keys, content = found
        self._say(f"\n  {format_count(keys)} keys, values and revisions   {content[:16]} equal")

    def _drill(self) -> None:
        self._head("A drill is the proof of a backup")
        self._say("The same, without a bad day: into a server of its own, checked, timed, and gone again.")
        self._backstay("drill", "etcd", *(f"postgres/{kind}" for kind in SAMPLES if kind not in {LOST, DAMAGED}))
        self._backstay("status")

    def _compare(self) -> None:
        self._head("Is what came back what was there?")
        for name in (LOST, DAMAGED):
            before, now = self._before[name], self._look(name)
            self._say(f"\n  {name:{NAME_WIDTH}}    before      now   content")
            for table, content in {**before.tables, **before.views}.items():
                self._say(_line(table, content, {**now.tables, **now.views}.get(table)))
            different = differences(before, now)
            if different:
                raise VerificationFailed(
                    f"{name} came back different: {different[0]}", hint="\n".join(different[1:10]) or "Only this."
                )
            self._say(f"  {_definitions(now)}: equal")

    def _look(self, name: str) -> Fingerprint:
        with self.world.postgres.connect(name) as connection:
            return fingerprint(connection)

    def _backstay(self, *arguments: str) -> None:
        """Run ``backstay`` as a user would, on the same terminal. Raises ``ToolError``."""
        self._say(f"\n$ backstay {shlex.join(arguments)}")
        command = [sys.executable, "-m", "backstay", *arguments]
        code = _run(command, self.world.environment())
        if code != 0:
            raise ToolError(
                f"`backstay {shlex.join(arguments)}` ended with exit code {code}",
                hint=f"Its message is above; the logs of the servers are in {self._shown(self.world.folder)}.",
            )

    def _head(self, text: str) -> None:
        self._say(f"\n== {text} {'=' * (WIDTH - len(text))} {self.seconds:3.0f} s")

    def _shown(self, path: Path) -> Path:
        return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, and return its exit code. Interrupted, it gets a moment to end by itself."""
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait()
        except BaseException:
            try:
                process.wait(GRACE_SECONDS)  # Ctrl-C in a terminal has reached it too
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _printable(name: str) -> str:
    """``name`` on one line and short: table names may hold anything."""
    flat = name.encode("unicode_escape").decode() if not name.isprintable() else name
    return flat if len(flat) <= NAME_WIDTH else flat[: NAME_WIDTH - 3] + "..."


def _line(table: str, before: TableContent, now: TableContent | None) -> str:
    rows = f"{format_count(before.rows):>9}{format_count(now.rows) if now else 'none':>9}"
    verdict = f"{before.content} equal" if now == before else "DIFFERENT"
    return f"  {_printable(table):{NAME_WIDTH}} {rows}   {verdict}"


def _definitions(found: Fingerprint) -> str:
    counts = [len(objects) for objects in found.objects.values() if objects]
    return f"{format_count(sum(counts))} definitions of {len(counts)} kinds (columns, keys, owners, rights, code, ...)"
