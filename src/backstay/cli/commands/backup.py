"""``backstay backup``."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from backstay.app import App
from backstay.catalog.history import record_config
from backstay.catalog.sweep import Sweep, Swept
from backstay.cli import words
from backstay.cli.failures import Tally
from backstay.cli.help import command
from backstay.cli.jsonview import backup_fields, plan_fields, seconds
from backstay.cli.session import Given, Session
from backstay.core.errors import AlreadyExists, BackstayError, UsageError
from backstay.core.model import Backup, Plan, State, Target
from backstay.jobs import backup as job

MOST_JOBS = 64


def backup(
    *targets: Annotated[str, Parameter(help="postgres/cardboard, cardboard, or postgres for the whole tier.")],
    all_: Annotated[bool, Parameter(name="--all", help="Every target of the configuration.")] = False,
    dry_run: Annotated[bool, Parameter(help="Show what would be done, and ask the databases; write nothing.")] = False,
    jobs: Annotated[int, Parameter(metavar="N", help="So many at once; 1 unless given.")] = 1,
    session: Given,
) -> int:
    """Back up targets, one after another. A backup exists once all of it is stored and its manifest
    is written, last. Until then nothing of it is listed, and whatever stops it is cleaned up after.

    Examples:
      backstay backup postgres/cardboard
      backstay backup --all --quiet
      backstay backup --all --jobs 4

    Exit status: 0 all done; 3 finished, but some targets failed or something was left out; 1 all
    failed; 2 usage or configuration; 10 store unreachable; 11 another run is at work; 130
    interrupted. Where one target was asked for, the code of its own error.
    """
    if bool(targets) == all_:
        raise UsageError(
            "say which targets, or --all for every one" if not targets else "--all goes without targets",
            hint="For instance `backstay backup postgres/app`; `backstay config show` lists the targets.",
        )
    if not 1 <= jobs <= MOST_JOBS:
        raise UsageError(f"--jobs: {jobs} is not from 1 to {MOST_JOBS}")
    session.output.lines = True
    with session.app() as app:
        wanted = app.targets(targets)
        if not wanted:
            raise UsageError("the configuration has no targets yet", hint="Add one under postgres.databases.")
        run = _Run(session, app, Tally(session.output, len(wanted)), dry_run)
        run.all(wanted, jobs)
        return run.end()


@dataclass
class _Run:
    """One run over its targets."""

    session: Session
    app: App
    tally: Tally
    dry_run: bool

    def __post_init__(self) -> None:
        self.started = self.session.clock()
        self.made: list[Backup] = []
        self.plans: list[str] = []
        self._lock = threading.Lock()

    def all(self, targets: list[Target], jobs: int) -> None:
        """One after another, or so many at once. An interruption stops them all, and waits for them."""
        if jobs == 1 or len(targets) == 1:
            for target in targets:
                self.one(target)
            return
        with ThreadPoolExecutor(jobs, thread_name_prefix="backup") as pool:
            try:
                for done in [pool.submit(self.one, target) for target in targets]:
                    done.result()
            except BaseException:
                self.session.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def one(self, target: Target) -> None:
        """A failure of one target does not stop the others."""
        try:
            if self.dry_run:
                self._show(job.plan(self.app.context, target))
            else:
                self._do(target)
        except BackstayError as error:
            with self._lock:
                if not self.session.stop.is_set():
                    self.tally.failed(error)

    def end(self) -> int:
        """Keep the configuration where backups went, and sum up."""
        output = self.session.output
        for store in sorted({backup.store for backup in self.made}):
            self._record_config(store)
        if self.dry_run:
            words.show_dry_run(self.plans, output)
        if self.tally.asked > 1 and self.tally.failures:
            output.say(f"{len(self.made)} of {self.tally.asked} targets backed up")
        return self.tally.summary(duration_seconds=seconds(self.session.clock() - self.started))

    def _show(self, plan: Plan) -> None:
        output = self.session.output
        output.line("plan", **plan_fields(plan))
        self.plans.append(words.plan_text(plan, output))

    def _do(self, target: Target) -> None:
        output = self.session.output
        found: dict[str, Any] = {}

        def announce(plan: Plan) -> None:
            found.update(plan.details)
            output.line("plan", **plan_fields(plan))
            output.say(", ".join([plan.title, *words.source_words(found)]))

        started = self.session.clock()
        with self.session.progress(str(target)) as progress:
            backup = job.run(self.app.context, target, progress, announce, self._tell_cleaned)
        taken = self.session.clock() - started
        output.line("result", **backup_fields(backup, None, None), duration_seconds=seconds(taken))
        output.result(words.done_line(backup, found.get("size_bytes"), taken))
        for warning in backup.warnings:
            output.warn(f"{backup.id}: {warning}")
        for omission in backup.omissions:
            output.warn(f"{backup.id} is partial: {omission}")
        with self._lock:
            self.made.append(backup)
            self.tally.partial += backup.state is State.PARTIAL

    def _tell_cleaned(self, swept: Sweep) -> None:
        """What could not be cleaned up is tried again by the next run, and by prune."""
        tell = self.session.output.warn if swept.result is Swept.REFUSED else self.session.output.say
        tell(swept.message)

    def _record_config(self, store: str) -> None:
        """Keep the configuration as it ran. A backup without it is complete, but a bare machine could not begin."""
        try:
            record_config(self.app.context.catalogs.named(store).store, self.app.loaded.text, self.session.now())
        except AlreadyExists:
            return  # another run has kept one in this very second
        except BackstayError as error:
            self.tally.partial += 1
            self.session.output.warn(f"the configuration could not be kept in store {store}: {error.message}")


app = command(backup, usage="backup [TARGET...] [OPTIONS]")
