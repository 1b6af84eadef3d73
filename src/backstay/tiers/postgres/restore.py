"""A restore as its plan says: beside, compare, stop, swap, start; each step journalled when it is done.

Live data is not touched before the comparison has passed. Until then every failure removes what was made and leaves
everything as it was; after a kill the journal says where to go on from, and the server which names exist.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backstay.cluster.apps import Apps
from backstay.core.errors import BackstayError, RestoreError
from backstay.core.model import Finding, Outcome, Plan, Progress, Severity
from backstay.tiers.base import Journal, Source
from backstay.tiers.postgres import compare, swap, timescale
from backstay.tiers.postgres.create import create
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.directory.contents import is_directory
from backstay.tiers.postgres.directory.load import FIRST
from backstay.tiers.postgres.downtime import NOT_READY, Downtime
from backstay.tiers.postgres.loading import loading
from backstay.tiers.postgres.plan import IN_PLACE, SIDE, SWAP

if TYPE_CHECKING:
    from psycopg import Connection as Session

ASIDE = "aside"  # the step that says what is put aside, where it is not what the plan says


@dataclass
class Restore:
    """One run of a plan. ``clock`` gives seconds for phases; ``journal.done`` of an earlier run says what to skip."""

    database: Database
    plan: Plan
    apps: Apps
    journal: Journal
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    phases: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def run(self, source: Source) -> Outcome:
        """Do the steps. Raises ``RestoreError`` and what the steps raise; the message says what is live."""
        self._downtime.require()
        if self._is_swapped():
            self.journal.record("swap")
            self._after_swap()
        else:
            if self._drops_live:
                self._drop_live()
            if "compare" not in self.journal.done or not self._beside_exists():
                self._build(source)
            if self._takes_the_name:
                self._swap()
            elif not self.plan.details.get("scratch"):
                self._jobs(start=self._into)
        if self._takes_the_name:
            self._start("--resume")
        return Outcome(
            target=self.plan.target,
            ok=self._are_ready,
            message=self._summary(),
            duration_seconds=sum(self.phases.values()),
            findings=tuple(self.findings),
            phases=self.phases,
            facts={
                "database": self.plan.details["live" if self._takes_the_name else "into"],
                "kept": self._kept,
                "compared": True,
            },
        )

    def undo(self) -> Outcome:
        """Back to before the restore: swapped names are swapped back, what was made beside is dropped."""
        started = self.clock()
        live, into, kept = (str(self.plan.details[key]) for key in ("live", "into", "kept"))
        if self._drops_live and self._is_dropped():
            raise RestoreError(
                f"{live} was dropped for an in-place restore and cannot be put back by renaming",
                hint=f"Go on with --resume, or restore the fresh backup {self.plan.details['fresh_backup']}.",
            )
        if self._is_swapped():
            with self._downtime.during(self.phases):
                with self._maintenance() as session:
                    back = [(kept, live)] if swap.exists(session, kept) else []
                swap.rename(self._maintenance, [(live, into), *back])
        with self._maintenance() as session:
            swap.drop(session, into)
            swap.reopen(session, live)
            live_exists = swap.exists(session, live)
        if live_exists:
            self._jobs(start=live)
        self._start("--rollback")
        took = self.clock() - started
        message = "; ".join([f"{self.plan.target} is as it was before the restore", *self._downtime.words()])
        return Outcome(self.plan.target, self._are_ready, message, took, tuple(self.findings))

    def _build(self, source: Source) -> None:
        """Make the database beside, load it, compare it; on failure remove it again."""
        try:
            if not self._goes_on(source):
                with self._phase("create"):
                    create(self.database, self.plan.details, source.backup.contents)
            with loading(self.database, self.plan.details, source, self.journal, self.progress) as loads:
                with self._phase("load", total_bytes=_plain_bytes(source)):
                    counts = loads.load()
                with self._phase("finish"):
                    loads.finish()
                    self._end_timescale(source.backup.contents)
            with self._phase("compare"):
                self._compare(source.backup.contents, counts)
        except BaseException as error:
            self._tidy()
            if not self._drops_live and isinstance(error, BackstayError) and "live" not in error.hint:
                error.hint = f"{error.hint} The live database was not touched; the copy was removed.".strip()
            if self._drops_live and isinstance(error, BackstayError):
                stays = f", and {self._downtime.stopped} stays stopped" if self._downtime.stopped else ""
                error.hint = (
                    f"The live database was dropped as planned and is not back yet{stays}. Fix the cause "
                    f"and run with --resume, or restore the fresh backup {self.plan.details['fresh_backup']}."
                )
            raise

    def _end_timescale(self, contents: Mapping[str, Any]) -> None:
        """Hypertables are hypertables from here on; whether they are those of the backup is compared next."""
        if recorded := contents.get("timescale"):
            with self.database.connection.session(self._into) as session:
                timescale.finish(session, recorded)

    def _compare(self, contents: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Against the manifest; against what the dump was seen to hold where there is no manifest."""
        described = bool(contents.get("tables"))
        known = contents if described else {"tables": {name: {"rows": rows} for name, rows in counts.items()}}
        if "database" in known:
            known = {**known, "database": self.plan.details["database"]}
        chosen = list(self.plan.details["tables"]) if self._mode == SIDE else None
        with self.database.connection.session(self._into) as session:
            promised = "the manifest" if described else "what the dump held"
            self.findings += compare.compare(session, known, self.progress, tables=chosen, promised=promised)
        wrong = [finding.message for finding in self.findings if finding.severity is Severity.ERROR]
        if wrong:
            raise RestoreError(
                f"{self.plan.target}: what was restored is not what the backup holds: {'; '.join(wrong)}",
                hint="The live database was not touched and the copy was removed. Try an older backup.",
                findings=wrong,
            )

    def _drop_live(self) -> None:
        """The database that the plan was made for and no other: one that somebody made since is put aside later."""
        if "drop" in self.journal.done:
            return
        live = str(self.plan.details["live"])
        with self._downtime.during(self.phases), self._phase("drop"), self._maintenance() as session:
            if swap.oid_of(session, live) == self.plan.details["live_oid"]:
                swap.drop(session, live)

    def _swap(self) -> None:
        """Whatever has the name by now is put aside, also where nothing had it when the plan was made."""
        live = str(self.plan.details["live"])
        stopped = contextlib.nullcontext() if self._drops_live else self._downtime.during(self.phases)
        with stopped, self._phase("swap"):
            with self._maintenance() as session:
                there = swap.exists(session, live)
            if there != bool(self._kept):
                self.journal.record(ASIDE, kept=self.plan.details["kept"] if there else "")
            try:
                swap.rename(self._maintenance, [*([(live, self._kept)] if there else []), (self._into, live)])
            except RestoreError:
                self._jobs(start=live)
                raise
            self._jobs(start=live, hold=self._kept)

    def _after_swap(self) -> None:
        """What a killed run may not have come to."""
        live = str(self.plan.details["live"])
        with self._maintenance() as session:
            kept = self._kept if self._kept and swap.exists(session, self._kept) else ""
            for name in filter(None, (live, kept)):
                swap.reopen(session, name)
        self._jobs(start=live, hold=kept)

    def _jobs(self, *, start: str, hold: str = "") -> None:
        """Background jobs of TimescaleDB run in what is live, and not in what was put aside; a rename stops both."""
        with self._maintenance() as session:
            if not timescale.is_installed(session):
                return
        try:
            with self.database.connection.session(start) as session:
                timescale.release(session)
            if hold:
                with self.database.connection.session(hold) as session:
                    timescale.hold(session)
        except BackstayError as error:
            words = f"the background jobs of TimescaleDB may not be as they should, in {start}: {error.message}"
            self.findings.append(Finding(Severity.WARNING, words, timescale.CODE))

    def _start(self, again: str) -> None:
        with self._phase("start"):
            self.findings += self._downtime.start(again)

    def _is_swapped(self) -> bool:
        """The names on the server say so: the kill may have come between the rename and the journal. A rollback drops
        the copy, too; but after a swap what was live has another name."""
        if not self._takes_the_name or "compare" not in self.journal.done:
            return False
        with self._maintenance() as session:
            there = {name: swap.exists(session, name) for name in (self._into, str(self.plan.details["live"]))}
            aside = not self._kept or swap.exists(session, self._kept)
        return there == {self._into: False, str(self.plan.details["live"]): True} and aside

    def _is_dropped(self) -> bool:
        """Of a restore in place: by the journal, or by the server, where a kill came between the two."""
        with self._maintenance() as session:
            gone = swap.oid_of(session, str(self.plan.details["live"])) != self.plan.details["live_oid"]
        return "drop" in self.journal.done or gone

    def _goes_on(self, source: Source) -> bool:
        """Whether a killed run has left a database that can be filled further. Whoever still works for it is ended."""
        begun = is_directory(source.backup) and FIRST in self.journal.done
        if not begun or not self._beside_exists():
            return False
        with self._maintenance() as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self._into,))
        return True

    def _beside_exists(self) -> bool:
        with self._maintenance() as session:
            return swap.exists(session, self._into)

    def _tidy(self) -> None:
        """Drop what was made. When even that fails the first error is the one to tell; cleanup shows what is left."""
        import psycopg

        with contextlib.suppress(BackstayError, psycopg.Error), self._maintenance() as session:
            swap.drop(session, self._into)

    @contextlib.contextmanager
    def _phase(self, name: str, total_bytes: int | None = None) -> Iterator[None]:
        started = self.clock()
        self.progress.phase(name, total_bytes=total_bytes)
        yield
        self.phases[name] = self.clock() - started
        self.journal.record(name, seconds=round(self.phases[name], 3))

    @contextlib.contextmanager
    def _maintenance(self) -> "Iterator[Session[tuple[Any, ...]]]":
        with self.database.connection.session(self.database.maintenance) as session:
            yield session

    @property
    def _downtime(self) -> Downtime:
        apps = self.plan.details["apps"]
        return Downtime(self.apps, self.database.namespace, apps, self.journal, self.progress, self.clock)

    @property
    def _are_ready(self) -> bool:
        return not any(finding.code == NOT_READY for finding in self.findings)

    @property
    def _mode(self) -> str:
        return str(self.plan.details["mode"])

    @property
    def _into(self) -> str:
        return str(self.plan.details["into"])

    @property
    def _takes_the_name(self) -> bool:
        """Whether what is restored becomes the live database."""
        return self._mode in {SWAP, IN_PLACE}

    @property
    def _drops_live(self) -> bool:
        """Whether what is live goes first, and the workloads are stopped from then on."""
        return self._mode == IN_PLACE and bool(self.plan.details["live_exists"])

    @property
    def _kept(self) -> str:
        """The name under which what is or was live is kept; empty where there is nothing to keep."""
        if ASIDE in self.journal.done:
            return str(self.journal.done[ASIDE]["kept"])
        return str(self.plan.details["kept"]) if self._mode == SWAP and self.plan.details["live_exists"] else ""

    def _summary(self) -> str:
        rows = next((finding.message for finding in self.findings if finding.code == "postgres.rows"), "")
        into = str(self.plan.details["live"]) if self._takes_the_name else f"database {self._into}"
        fresh = self.plan.details["fresh_backup"]
        parts = [f"{self.plan.target} restored into {into}{f': {rows}' if rows else ''}"]
        parts += [f"the database that was live is kept as {self._kept}"] if self._kept else []
        parts += [f"what was live before is in {fresh}"] if fresh else []
        return "; ".join([*parts, *self._downtime.words()])


def _plain_bytes(source: Source) -> int | None:
    """Of everything that is loaded, where it is known."""
    total = sum(max(0, artifact.plain_size_bytes) for artifact in source.backup.artifacts if artifact.role != "globals")
    return total or None
