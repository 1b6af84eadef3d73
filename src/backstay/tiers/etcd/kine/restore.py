"""A restore of k3s on SQLite as its plan says: fetch, prove, stop, replace, start, compare; each step journalled.

Nothing is stopped before the database is on this machine and proven. The live one is kept under another name, never
removed: a failure puts it back, and after a kill the journal and the disk say where to go on from.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.core.errors import BackstayError, RestoreError
from backstay.core.model import Finding, Outcome, Plan, Progress, Severity
from backstay.core.units import counted, format_count, format_duration
from backstay.tiers.base import Journal, Source
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kine import bootstrapfiles, fetch
from backstay.tiers.etcd.kine.census import Census, count
from backstay.tiers.etcd.kine.database import in_use
from backstay.tiers.etcd.kine.datastore import ROLE
from backstay.tiers.etcd.kine.swap import Swap
from backstay.tiers.etcd.restore import copies, preflight
from backstay.tiers.etcd.restore.fetch import UNTOUCHED, make_folder, size_of
from backstay.tiers.etcd.restore.ledger import STOP
from backstay.tiers.etcd.restore.machine import check_machine
from backstay.tiers.etcd.restore.services import System, sync_folder
from backstay.tiers.etcd.restore.settings import read_settings
from backstay.tiers.etcd.restore.work import GONE_EARLY, READY, REPLACE, SHORT_LIVED, Work

KEPT, AWAY = "kept", "replaced"
STAYS_UP = 2  # looks in a row
BESIDE = ("tls", "cred", "token", "agent-token")  # of ``server``: what k3s may write anew from the database


class Restore:
    """One run of a plan, on the machine that it is of (else ``RestoreError``). ``journal.done`` of an earlier run says
    what to skip."""

    def __init__(self, plane: ControlPlane, plan: Plan, system: System, journal: Journal, progress: Progress) -> None:
        check_machine(plane, plan, system)
        self._work = Work.of(plane, plan, system, journal, progress)
        self._swap = Swap(plane.sqlite_file, self._work.stamp)
        self._server = plane.data_dir / "server"
        self._new = self._work.folder / fetch.NAME

    def run(self, source: Source) -> Outcome:
        """Do the steps. Raises ``RestoreError``, ``SnapshotDamaged`` and what the steps raise; the message says what
        is live."""
        work = self._work
        with _worded():
            work.plane.db_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_folder(work.folder)
        if not self._is_in_place():
            token = self._prepared(source)
            self._put_in_place(token)
        proven = Census.of(work.ledger.facts("check"))
        with work.phase("start"):
            work.service.start()
        with work.phase("wait"):
            self._wait()
        with work.phase("compare"):
            work.findings.append(self._compare(proven))
        return self._finished(proven)

    def undo(self) -> Outcome:
        """Back to before the restore. What was restored is kept, under another name."""
        work = self._work
        started = work.system.clock()
        state = "nothing had been stopped"
        if work.is_done(READY):
            if work.is_done(STOP) or not self._swap.is_untouched(work.live):
                self._stop()
                self._put_back()
            state = "it did not run before and was not started"
            if self._was_running:
                work.service.start()
                running = work.system.wait_until(lambda: work.service.state == "active", work.system.patience.undo)
                state = f"{work.service.name} is {'active' if running else 'started, and not active yet'}"
        work.tidy()
        message = f"{work.plan.target} is as it was before the restore: {state}"
        return Outcome(work.plan.target, ok=True, message=message, duration_seconds=work.system.clock() - started)

    def _is_in_place(self) -> bool:
        """What was fetched has left the folder, and another file than the live one has its name."""
        work, database = self._work, self._swap.database
        moved = work.is_done(READY) and not self._new.exists() and database.exists()
        return moved and copies.mark_of(database) != work.live

    @property
    def _was_running(self) -> bool:
        return bool(self._work.ledger.facts(READY).get("was_running"))

    def _prepared(self, source: Source) -> str:
        """Everything before the stop; the server token. A failure here leaves nothing behind."""
        work = self._work
        try:
            with _worded():
                token = self._token(source)
                self._proven(source, token)
                self._note_what_is()
        except BaseException as error:
            if not work.is_done(STOP):
                work.tidy()
                if isinstance(error, BackstayError) and "Nothing was" not in error.hint:
                    error.hint = f"{error.hint} {UNTOUCHED}".strip()
            raise
        return token

    def _token(self, source: Source) -> str:
        """From this machine, or among the server's files of the backup."""
        settings = read_settings(self._work.plane, self._work.system)
        found = preflight.check_token(self._work.plane, settings, source.backup).text
        return found or preflight.token_in(source)

    def _proven(self, source: Source, token: str) -> None:
        """What an earlier run fetched is proven again: nobody knows what became of it since."""
        work = self._work
        if not self._new.is_file():
            with work.phase("fetch", size_of(source.backup, ROLE)):
                fetch.fetch(source, work.folder, work.progress)
        with work.phase("check") as facts:
            facts.update(fetch.prove(self._new, source.backup, work.plane.prefix.encode(), token).facts())
        self._own(self._swap.database if self._swap.database.exists() else work.plane.db_dir)

    def _own(self, model: Path) -> None:
        """Of the same owner as what it replaces, for nobody else to read."""
        wanted = model.stat()
        os.chown(self._new, wanted.st_uid, wanted.st_gid)
        self._new.chmod(0o600)

    def _note_what_is(self) -> None:
        """What undoing needs: which file is live, copies of what k3s may write over, whether it runs."""
        work = self._work
        if work.is_done(STOP) or (work.is_done(READY) and (work.folder / KEPT).is_dir()):
            return
        live = copies.mark_of(self._swap.database)
        copies.keep([self._server / name for name in BESIDE], work.folder / KEPT)
        with work.phase(READY) as facts:
            facts["live"] = live.as_data() if live else None
            facts["was_running"] = work.service.runs
            facts["token"] = work.plane.token_file.exists()

    def _put_in_place(self, token: str) -> None:
        """From the stop to the restored database in place. A failure puts the live one back and starts it again."""
        work = self._work
        try:
            with work.phase(STOP):
                self._stop()
            with _worded(), work.phase(REPLACE) as facts:
                bootstrapfiles.set_times_back(self._server)
                self._give_token(token)
                self._swap.put(self._new)  # last, for it is by this that a later run knows that all was done
                facts["kept"] = self._swap.kept()
        except BaseException as error:
            self._back(error)
            raise

    def _stop(self) -> None:
        """The service, and whatever else has the database open."""
        work = self._work
        work.service.stop()
        if not work.system.wait_until(lambda: not in_use(self._swap.database), work.system.patience.stop):
            raise RestoreError(
                f"a process still has {self._swap.database} open after the stop",
                hint=f"Find it with `fuser {self._swap.database}` and end it, then run again with --resume.",
            )

    def _give_token(self, token: str) -> None:
        """k3s reads ``server/token`` where no setting has it; without either it would make a new one."""
        file = self._work.plane.token_file
        if not self._work.details["write_token"] or file.exists():
            return
        part = file.with_name("token.backstay")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(token + "\n")
        part.replace(file)
        sync_folder(file.parent)

    def _put_back(self) -> None:
        """The server's files as they were, with their times; the database last.

        Of a restore that had come to its end the copies are gone: k3s then writes those that differ from the database.
        """
        work = self._work
        if (work.folder / KEPT).is_dir():
            copies.give_back(work.folder / KEPT, self._server, work.folder / AWAY)
        else:
            bootstrapfiles.set_times_back(self._server)
        if not work.ledger.facts(READY).get("token"):
            work.plane.token_file.unlink(missing_ok=True)
        self._swap.put_back(work.live)

    def _back(self, error: BaseException) -> None:
        """Undo what was done since the stop, and say in ``error`` what is live now."""
        work = self._work
        try:
            if not in_use(self._swap.database):
                self._put_back()
            if self._was_running:
                work.service.start()
            begun = "and is being started again" if self._was_running else "and did not run before"
            now = f"The database that was live is in its place {begun}; `--rollback` closes this restore."
        except (BackstayError, OSError) as second:
            where = self._swap.kept() or "in its place"
            now = f"The database that was live is {where}, but was not started again: {second}. "
            now += "Run `--rollback`."
        if isinstance(error, BackstayError):
            error.hint = f"{error.hint} {now}".strip()

    def _wait(self) -> None:
        """Until systemd calls the service active and the database is open, twice in a row: k3s may open it and end.
        Raises ``RestoreError``."""
        work, seen, state = self._work, {"up": 0, "down": 0}, ""

        def settled() -> bool:
            nonlocal state
            state = work.service.state
            up = state == "active" and in_use(self._swap.database)
            seen["up"] = seen["up"] + 1 if up else 0
            seen["down"] = seen["down"] + 1 if state in {"failed", "inactive"} else 0
            return seen["up"] >= STAYS_UP or seen["down"] >= GONE_EARLY

        started = work.system.clock()
        if work.system.wait_until(settled, work.system.patience.start) and seen["up"] >= STAYS_UP:
            return
        took = format_duration(work.system.clock() - started)
        without = ", without having it open" if state == "active" else ""
        raise RestoreError(
            f"{work.plan.target}: the restored database is in place, but {work.service.name} is {state} after "
            f"{took}{without}",
            hint=f"Look at `journalctl -u {work.service.name}`. `--resume` starts it again and waits, `--rollback` "
            "puts the database back that was there before.",
        )

    def _compare(self, proven: Census) -> Finding:
        """Keys of each resource in the database that k3s runs on. Its controllers are at work already: fewer is a
        warning, none of a kind an error; what lives for a short time by itself is left out."""
        try:
            found = count(self._swap.database, self._work.plane.prefix.encode())
        except (BackstayError, OSError) as error:
            return Finding(Severity.WARNING, f"the running database was not compared: {error}", "kine.keys")
        lasting = {name: number for name, number in proven.resources.items() if name not in SHORT_LIVED}
        here = {name: found.resources.get(name, 0) for name in lasting}
        short = [name for name in lasting if here[name] < lasting[name]]
        words = ", ".join(f"{name} {format_count(here[name])} of {format_count(lasting[name])}" for name in short)
        if found.revision < proven.revision:
            said = f"k3s is at revision {format_count(found.revision)}, before that of the backup"
            return Finding(Severity.ERROR, said, "kine.keys")
        if not all(here.values()):
            return Finding(Severity.ERROR, f"resources of the backup are missing: {words}", "kine.keys")
        if short:
            said = f"fewer keys than in the backup, so soon after the start: {words}"
            return Finding(Severity.WARNING, said, "kine.keys")
        said = (
            f"{counted(sum(here.values()), 'key')} of {counted(len(here), 'resource')}, none fewer than in the backup"
        )
        return Finding(Severity.OK, said, "kine.keys")

    def _finished(self, proven: Census) -> Outcome:
        work, kept = self._work, self._swap.kept()
        findings = (*work.findings, *work.ledger.findings)
        work.tidy()
        parts = [f"{work.plan.target} restored, at revision {format_count(proven.revision)}"]
        parts += [f"the database that was live is kept as {kept}"] if kept else []
        return Outcome(
            target=work.plan.target,
            ok=not any(finding.severity is Severity.ERROR for finding in findings),
            message="; ".join(parts),
            duration_seconds=sum(work.phases.values()),
            findings=findings,
            phases=work.phases,
            facts={"revision": proven.revision, "kept": kept, "data_dir": str(work.details["into"])},
        )


@contextmanager
def _worded() -> Iterator[None]:
    """What the disk says against a step comes out as ``RestoreError``; a full one, mostly."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise RestoreError(
            f"the restore cannot write what it needs: {error.strerror}{where}",
            hint="Make room on the disk of the data folder, and see that it may be written to.",
        ) from error
