"""A drill of k3s on SQLite: the database put in place in a scratch folder, opened as kine opens it, compared, timed.

No k3s is started: there is no program to be had that runs kine alone. What is proven is that the file that comes back
is a database that opens for writing, survives what kine does at its start (WAL mode, VACUUM; kine, pkg/drivers/sqlite)
and is equal to what was backed up, row for row; what is not is a running server.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import Corrupt, DrillFailed, NotFound, SnapshotDamaged, SourceError
from backstay.core.model import Backup, Finding, Outcome, Plan, Severity, Step
from backstay.core.units import counted, format_size
from backstay.tiers.base import RestoreRequest, Source
from backstay.tiers.etcd import token
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.drilling import Drilling, of_token
from backstay.tiers.etcd.facts import bootstrap_of
from backstay.tiers.etcd.kine import fetch, verify
from backstay.tiers.etcd.kine.census import count
from backstay.tiers.etcd.kine.database import code_of, explained
from backstay.tiers.etcd.kine.datastore import ROLE, number
from backstay.tiers.etcd.kine.rows import live
from backstay.tiers.etcd.kine.swap import Swap
from backstay.tiers.etcd.restore.fetch import size_of

FREE_SHARE = 3  # VACUUM writes the database anew, and its log with it
NOT_PROVEN = "a database that opens and is equal, not a running server: no k3s was started on it"


def plan(plane: ControlPlane, backup: Backup, request: RestoreRequest) -> Plan:
    """What a drill would do; nothing is needed for it but room."""
    size = number(backup.contents, "size_bytes") or 0
    keys = f"{counted(number(backup.contents, 'keys') or 0, 'key')}, {format_size(size)}"
    return Plan(
        action="drill",
        target=backup.target,
        title=f"Drill {backup.id} into a scratch folder on this machine",
        steps=(
            Step("fetch", format_size(backup.size_bytes), f"needs {format_size(size * FREE_SHARE)} for a while"),
            Step("check", f"{keys}: integrity_check, counts and content as recorded"),
            Step("restore", f"in place as {plane.sqlite_file.name}"),
            Step("start", "open it for writing as kine does: WAL mode, VACUUM", "no k3s is started"),
            Step("compare", "every row with the manifest, server token"),
            Step("remove", "everything again"),
        ),
        details={"backup": backup.id, "stamp": request.stamp, "sqlite": sqlite3.sqlite_version},
    )


class Drill(Drilling):
    """One run, in a folder of its own."""

    def run(self, source: Source) -> Outcome:
        """See ``Tier.drill``."""
        started = self.clock()
        with self._scratch() as folder:
            self._run(source, folder)
        seconds, server = self.clock() - started, f"SQLite {sqlite3.sqlite_version}, no k3s"
        return self.outcome(source.backup, seconds, "came back, and was checked", server)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder; what the disk says against it tells nothing of the backup."""
        try:
            self.scratch_root.mkdir(parents=True, exist_ok=True)
            with temp_folder("drill", self.scratch_root) as folder:
                yield folder
        except (OSError, SourceError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise DrillFailed(
                f"the drill could not be done: {said} (in {self.scratch_root})",
                hint="That says nothing of the backup. Nothing is left of it.",
            ) from error

    def _run(self, source: Source, folder: Path) -> None:
        """What speaks against the backup becomes a finding."""
        try:
            self._steps(source, folder)
        except (Corrupt, NotFound, SnapshotDamaged) as error:
            self.findings.append(Finding(Severity.ERROR, error.message, error.code))

    def _steps(self, source: Source, folder: Path) -> None:
        backup = source.backup
        with self.phase("fetch", size_of(backup, ROLE)):
            path = fetch.fetch(source, folder, self.progress)
        with self.phase("check"):
            self.findings += verify.look(path, self.plane, backup, self.progress)
        if self.went_wrong:
            return
        database = folder / "server" / path.name
        with self.phase("restore"):
            database.parent.mkdir(mode=0o700)
            Swap(database, str(self.plan.details["stamp"])).put(path)
        with self.phase("start"):
            open_as_kine(database)
        with self.phase("compare"):
            self.findings.append(self._compare(database, backup))
            self.findings.append(self._token(database))
        self.findings.append(Finding(Severity.OK, NOT_PROVEN, "kine.not_proven"))

    def _compare(self, database: Path, backup: Backup) -> Finding:
        """The rows once more, now that the file was rewritten."""
        found = count(database, self.plane.prefix.encode())
        promised = backup.contents.get("content_sha256")
        if found.content_sha256 != promised or found.revision != backup.contents.get("revision"):
            words = f"what came back is NOT what was backed up: content {found.content_sha256}, expected {promised}"
            return Finding(Severity.ERROR, words, "kine.contents")
        return Finding(
            Severity.OK,
            f"opened for writing as kine does; {counted(found.keys, 'key')}, each with its revision and value, equal "
            "to those that were backed up",
            "kine.contents",
        )

    def _token(self, database: Path) -> Finding:
        given = self.plane.token()
        return of_token(token.check(bootstrap_of(partial(live, database)), given) if given is not None else None)


def open_as_kine(path: Path) -> None:
    """WAL mode, a row written and taken back, VACUUM, the log put into the file. Raises ``SnapshotDamaged``, and
    ``SourceError`` where there is no room."""
    with explained(path), closing(sqlite3.connect(path, isolation_level=None)) as database:
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("BEGIN IMMEDIATE")
            database.execute(
                "INSERT INTO kine(name, created, deleted, create_revision, prev_revision, lease, value, old_value) "
                "VALUES ('/backstay/drill', 1, 0, 0, 0, 0, x'', NULL)"
            )
            database.execute("ROLLBACK")
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            if code_of(error) == sqlite3.SQLITE_FULL:
                raise SourceError(f"no room: {error}") from error
            raise
