"""The workloads of a database, stopped while live data is changed, and started again whatever comes of it."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backstay.cluster.apps import Apps
from backstay.core.errors import BackstayError
from backstay.core.model import Finding, Progress, Severity
from backstay.tiers.base import Journal

STOP = "stop"
NOT_READY = "restore.not_ready"


@dataclass(frozen=True)
class Downtime:
    """Of the workloads ``names`` in ``namespace``. What each had goes into the journal before it is stopped, so that
    the run that resumes or rolls back knows it."""

    apps: Apps
    namespace: str
    names: Sequence[str]
    journal: Journal
    progress: Progress
    clock: Callable[[], float] = time.monotonic

    def require(self) -> None:
        """See that they may be stopped. Raises what ``Apps.require`` does."""
        self.apps.require(self.namespace, self.names)

    @contextlib.contextmanager
    def during(self, phases: dict[str, float]) -> Iterator[None]:
        """A block in which none of them runs; ``phases`` gets the seconds it took to stop them.

        They are started by ``start``; before that only where stopping them fails, or the block, which has changed all
        of what it changes or nothing.
        """
        started = self.clock()
        self.progress.phase(STOP)
        now = self.apps.replicas(self.namespace, self.names)
        running = {app: count for app, count in now.items() if count}
        self.journal.record(STOP, replicas={**now, **self.replicas, **running})
        try:
            self.apps.stop(self.namespace, self.replicas, self.progress.note)
            phases[STOP] = self.clock() - started
        except BaseException as error:
            self._start_again(error, "Live data was not changed. `--resume` tries again, `--rollback` tidies up.")
            raise
        try:
            yield
        except BaseException as error:
            self._start_again(error, "`--resume` goes on, `--rollback` puts everything back.")
            raise

    def start(self, again: str) -> list[Finding]:
        """Start them and wait; what is not ready in the end. ``again`` is the option that repeats this.

        Raises ``RestoreError`` when one could not be started.
        """
        try:
            late = self.apps.start(self.namespace, self.replicas, wait=True)
        except BackstayError as error:
            error.hint = f"{error.hint} The database itself is as it should be; `{again}` tries once more.".strip()
            raise
        return [Finding(Severity.WARNING, words, NOT_READY) for words in late]

    @property
    def replicas(self) -> Mapping[str, int]:
        """What each had when it was stopped; empty where the user stopped them, and before."""
        return dict(self.journal.done.get(STOP, {}).get("replicas", {}))

    @property
    def stopped(self) -> str:
        """The names of those that are stopped here; empty where none are."""
        return "" if self.apps.by_hand else ", ".join(app for app, count in self.replicas.items() if count)

    def words(self) -> Iterator[str]:
        """What the user has to know or do of them in the end."""
        if self.names and self.apps.by_hand:
            yield f"now start {', '.join(self.names)} again"
        idle = [app for app, count in self.replicas.items() if not count]
        if idle and not self.apps.by_hand:
            yield f"{', '.join(idle)} had nothing running before and has nothing now"

    def _start_again(self, error: BaseException, ways: str) -> None:
        """After a failure, without waiting; ``error`` tells of it."""
        words = f"Started again: {self.stopped}." if self.stopped else ""
        try:
            self.apps.start(self.namespace, self.replicas, wait=False)
        except BackstayError as failed:
            words = f"{failed.message}. {failed.hint}"
        if isinstance(error, BackstayError):
            error.hint = " ".join(filter(None, (error.hint, words, "" if "--resume" in error.hint else ways)))
