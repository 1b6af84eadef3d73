"""A drill: the backup restored where nobody uses it, by the path of every restore, then checked, timed and removed.

Where is a server of its own, started for it and gone afterwards, also when this process is killed; or one that the user
gives, provided it is certainly not the source.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.cluster.apps import AppsByHand
from backstay.cluster.scratch import sweep
from backstay.core.errors import (
    BackstayError,
    CatalogError,
    Corrupt,
    DrillFailed,
    DumpIncomplete,
    NotFound,
    RestoreError,
    UsageError,
)
from backstay.core.model import Backup, Finding, Outcome, Plan, Progress, Severity, Step
from backstay.core.units import counted, format_size
from backstay.tiers.base import RestoreRequest, ScratchJournal, Source
from backstay.tiers.postgres import checks, facts, swap
from backstay.tiers.postgres.connection import Connection
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.localserver.programs import server_bin
from backstay.tiers.postgres.localserver.scratch import scratch_server
from backstay.tiers.postgres.plan import plan_restore
from backstay.tiers.postgres.restore import Restore

if TYPE_CHECKING:
    from psycopg import Connection as Session

OF_THE_BACKUP = (RestoreError, Corrupt, DumpIncomplete, CatalogError, NotFound)  # errors that speak of the backup
OF_THE_PLACE = (  # words of errors that speak of the server restored into, and not of the backup
    "No space left",
    "could not extend file",
    "could not write",
    "Disk quota",
    "out of memory",
    "out of shared memory",
    "server closed the connection",
    "terminating connection",
    "connection to server",
    "the database system is",
    "remaining connection slots",
)
RESTORING = ("create", "load", "finish", "compare")  # what a real restore would take, but for the swap
LOCK = "SELECT pg_try_advisory_lock(hashtext(%s))"  # held while a drill uses a database on a given server


def plan(database: Database, backup: Backup, request: RestoreRequest) -> Plan:
    """What a drill would do. Raises ``ToolMissing`` without programs for a scratch server, ``UsageError`` for a server
    that may be the source, ``SourceError`` for one that cannot take it."""
    major = _major(backup)
    details = {"backup": backup.id, "stamp": request.stamp, "given": database.origin is not None}
    if database.origin is not None:
        with database.connection.session(database.maintenance) as session:
            _must_not_be_source(session, database, backup)
        name = swap.derived_name(database.dbname, "drill", request.stamp)
        plan_restore(
            database, backup, _request(backup, request.stamp, name, _superusers(database, backup)), AppsByHand()
        )
        where = f"a new database on {database.connection.where}"
    else:
        server_bin(major, database.bin)
        where = f"a scratch server of PostgreSQL {major} on this machine"
    rows = backup.contents.get("rows", 0)
    return Plan(
        action="drill",
        target=backup.target,
        title=f"Drill {backup.id} into {where}",
        steps=(
            Step("start", where),
            Step("restore", f"{counted(rows, 'row')}, {format_size(backup.size_bytes)}", "as every restore does"),
            Step("check", _checked(database, backup)),
            Step("remove", "everything again", "also when it is killed"),
        ),
        details=details,
    )


@dataclass
class Drill:
    """One run. ``scratch_root`` is where scratch servers live; ``clock`` gives seconds."""

    database: Database
    plan: Plan
    scratch_root: Path
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    phases: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _created_roles: list[str] = field(default_factory=list)
    _server_bin: str | None = None

    def run(self, source: Source) -> Outcome:
        """See ``Tier.drill``."""
        started = self.clock()
        with self._destination(source.backup) as database:
            self.phases["start"] = self.clock() - started
            restored = self._restore(database, source)
            if restored:
                self._check(database, restored, source.backup.contents)
        restoring = sum(self.phases.get(name, 0.0) for name in RESTORING)
        bad = any(finding.severity is Severity.ERROR for finding in self.findings)
        return Outcome(
            target=self.plan.target,
            ok=not bad,
            message=f"{source.backup.id} {'did NOT come back as it should' if bad else 'was restored and checked'}",
            duration_seconds=self.clock() - started,
            findings=tuple(self.findings),
            phases=self.phases,
            facts={"restore_seconds": round(restoring, 3), "server": database.connection.where},
        )

    def _restore(self, database: Database, source: Source) -> str:
        """The name of the database with what came back; empty when it did not come back."""
        backup, stamp = source.backup, str(self.plan.details["stamp"])
        request = _request(backup, stamp, self._name(database), _superusers(database, backup))
        plan = plan_restore(database, backup, request, AppsByHand())
        restore = Restore(database, plan, AppsByHand(), ScratchJournal(), self.progress, phases=self.phases)
        try:
            restore.run(source)
        except OF_THE_BACKUP as error:
            if any(word in error.message for word in OF_THE_PLACE):
                raise DrillFailed(
                    f"{backup.id} could not be drilled: {error.message}",
                    hint="The server it was restored into gave out; that says nothing of the backup. Nothing live was "
                    "touched, and nothing is left of it. See docs/drill.md for what a drill needs.",
                ) from error
            known = [finding for finding in restore.findings if finding.severity is Severity.ERROR]
            self.findings += restore.findings if known else [Finding(Severity.ERROR, error.message, error.code)]
            return ""
        finally:
            self._created_roles = list(plan.details["create_roles"])
        self.findings += restore.findings
        return str(plan.details["into"])

    def _check(self, database: Database, dbname: str, contents: Mapping[str, Any]) -> None:
        began = self.clock()
        self.progress.phase("checking")
        programs = self._server_bin or database.bin
        self.findings += checks.run(database, dbname, contents, programs, self.progress)
        self.phases["check"] = self.clock() - began

    @contextlib.contextmanager
    def _destination(self, backup: Backup) -> Iterator[Database]:
        self.progress.phase("starting")
        if self.plan.details["given"]:
            with self._given(backup) as database:
                yield database
            return
        sweep(self.scratch_root)
        preload = {"shared_preload_libraries": "timescaledb"} if "timescaledb" in backup.contents["extensions"] else {}
        with scratch_server(
            _major(backup),
            bin_folder=self.database.bin,
            root=self.scratch_root,
            label=self.database.name,
            options=preload,
        ) as server:
            password = server.password
            connection = Connection(server.host, server.port, server.superuser, lambda: password)
            self._server_bin = str(server.bin_dir)
            yield replace(self.database, connection=connection, origin=None, apps=())

    @contextlib.contextmanager
    def _given(self, backup: Backup) -> Iterator[Database]:
        """The server of the user, left as it was: database and roles of the drill go, also those of one that was
        killed."""
        database = self.database
        with database.connection.session(database.maintenance) as session:
            _must_not_be_source(session, database, backup)
            for leftover in list(swap.leftovers(session, database.dbname)):
                if leftover.kind == "drill" and _locked(session, leftover.name):
                    swap.drop(session, leftover.name)
            name = self._name(database)
            if not _locked(session, name):
                raise UsageError(f"another drill uses {name} at {database.connection.where}", hint="Try again later.")
            try:
                yield database
            finally:
                swap.drop(session, name)
                _drop_roles(session, self._created_roles)

    def _name(self, database: Database) -> str:
        if self.plan.details["given"]:
            return swap.derived_name(database.dbname, "drill", str(self.plan.details["stamp"]))
        return database.dbname if database.dbname != database.maintenance else f"{database.dbname}_restored"


def _request(backup: Backup, stamp: str, name: str, map_roles: Mapping[str, str]) -> RestoreRequest:
    """A restore into a new database, for a drill."""
    options = {"to": name, "map_roles": map_roles}
    return RestoreRequest(stamp=stamp, now=backup.finished_at, scratch=True, options=options)


def _superusers(database: Database, backup: Backup) -> Mapping[str, str]:
    """The first superuser of the source may have another name here, and cannot be made: its things go to ours."""
    with database.connection.session(database.maintenance) as session:
        there = {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}
    wanted = (str(role["name"]) for role in backup.contents.get("roles", ()) if not role.get("user_made"))
    return {name: database.connection.user for name in wanted if name not in there}


def _major(backup: Backup) -> int:
    recorded = str(backup.source.get("server_version", "")).partition(".")[0]
    if not recorded.isdigit():
        raise UsageError(
            f"{backup.id} does not say which PostgreSQL it comes from, so no scratch server can be chosen",
            hint="It was not made by Backstay. Restore it with --to into a server of its version instead.",
        )
    return int(recorded)


def _must_not_be_source(session: "Session[tuple[Any, ...]]", database: Database, backup: Backup) -> None:
    """Raise ``UsageError`` unless the server is certainly another than the one that was backed up."""
    here, there = facts.system_identifier(session), backup.source.get("system_identifier") or ""
    known = {str(there)} if there else set()
    with contextlib.suppress(BackstayError):
        if database.origin is not None:
            with database.origin.session(database.maintenance) as source:
                known.add(facts.system_identifier(source))
    known.discard("")
    if not here or not known or here in known:
        why = "is the source itself, or a copy of its files" if here in known else "cannot be told from the source"
        raise UsageError(
            f"a drill does not go into {database.connection.where}: it {why}",
            hint="Give another server with --server, or leave it out for a scratch server. Nothing was changed.",
        )


def _locked(session: "Session[tuple[Any, ...]]", name: str) -> bool:
    """Whether this session now holds the lock that a drill holds on its database."""
    row = session.execute(LOCK, (name,)).fetchone()
    return bool(row and row[0])


def _drop_roles(session: "Session[tuple[Any, ...]]", names: list[str]) -> None:
    """Roles that the drill made; one that something else depends on by now stays."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    for name in names:
        with contextlib.suppress(psycopg.Error):
            session.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))


def _checked(database: Database, backup: Backup) -> str:
    words = ["rows, owner, extensions, sequences, indexes, constraints, amcheck"]
    if backup.contents.get("content_hash"):
        words.append("the content of every row")
    if database.checks:
        words.append(counted(len(database.checks), "question") + " of yours")
    return "; ".join(words)
