"""What ``status`` says, as values: facts and ages, nothing about how they are shown."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from backstay.core.model import Finding, Level, Severity, State, Target


class Verdict(StrEnum):
    """How a target stands, best first; of several that apply the last one counts."""

    OK = "ok"
    UNPROVEN = "unproven"  # never restored, or not within the objective
    PARTIAL = "partial"  # the newest backup leaves something out
    FAILED = "failed"  # the last run failed, or the last good backup was found bad
    LATE = "late"
    NONE = "none"  # never backed up
    UNKNOWN = "unknown"  # its store cannot be asked

    @property
    def rank(self) -> int:
        """From 0, the best."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Brief:
    """A committed backup, as far as status needs it."""

    id: str
    stamp: str
    store: str
    state: State
    started_at: datetime
    finished_at: datetime
    size_bytes: int
    omissions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proven:
    """The highest level that some backup of the target was proven to, most recently by this check."""

    level: Level
    backup_id: str
    at: datetime
    age: timedelta
    duration_seconds: float
    kind: str


@dataclass(frozen=True)
class FailedRun:
    """A run that ended in an error, with what it said."""

    began_at: datetime
    failed_at: datetime
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class FoundBad:
    """The last good backup did not pass its last check."""

    backup_id: str
    level: Level
    at: datetime
    message: str


@dataclass(frozen=True)
class CutShort:
    """A restore that neither finished nor was undone; ``running`` when some run holds the target's lease for it.

    ``node`` is the machine that alone can go on with it; empty where any can."""

    target: Target
    stamp: str
    backup_id: str
    began_at: datetime
    message: str
    running: bool
    node: str = ""


@dataclass(frozen=True)
class Working:
    """The run that holds the target's lease."""

    purpose: str
    since: datetime
    host: str


@dataclass(frozen=True)
class ForeignDumps:
    """Dumps of other tools; looked for only where there is no backup of Backstay's own."""

    count: int
    newest_at: datetime


@dataclass(frozen=True)
class TargetStatus:
    """One target. ``store`` is where its new backups go; the last good one may be in another.

    ``last_good`` is the newest complete backup and ``age`` counts from its end; ``newer_partial`` is a partial one
    after it. ``rpo`` is the configured one, else the longest time between two runs of the schedule. ``missed_at`` is
    the due time that passed without a backup. ``strip`` has a letter for each of the last 30 days (strip.py), and is
    empty where nothing is known. ``last_failure`` is given only when nothing good came after it.
    """

    target: Target
    store: str
    verdict: Verdict
    breach: bool
    last_good: Brief | None = None
    age: timedelta | None = None
    newer_partial: Brief | None = None
    rpo: timedelta | None = None
    missed_at: datetime | None = None
    size_bytes: int | None = None
    strip: str = ""
    proven: Proven | None = None
    found_bad: FoundBad | None = None
    last_failure: FailedRun | None = None
    foreign: ForeignDumps | None = None
    working: Working | None = None
    next_run: datetime | None = None


@dataclass(frozen=True)
class StoreProblem:
    """A store that could not be asked: a breach, whatever the others say."""

    store: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Attention:
    """One thing that needs a person: a sentence or two, and the next command to run."""

    subject: str  # a target's id, or a store's name
    text: str
    command: str


@dataclass(frozen=True)
class StatusReport:
    """How everything stands ``at`` this moment. ``attention`` is worst first."""

    cluster: str
    at: datetime
    headline: str
    attention: tuple[Attention, ...]
    targets: tuple[TargetStatus, ...]
    stores: tuple[StoreProblem, ...] = ()
    restores: tuple[CutShort, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all; ``UNKNOWN`` when a store could not be asked."""
        found = [Verdict.UNKNOWN] if self.stores else []
        return max([*found, *(one.verdict for one in self.targets)], key=lambda one: one.rank, default=Verdict.OK)

    @property
    def breach(self) -> bool:
        """Whether ``status --check`` fails: a target in breach, a store that cannot be asked, a damaged record,
        a restore that was cut short."""
        damaged = any(finding.severity is Severity.ERROR for finding in self.findings)
        cut_short = any(not one.running for one in self.restores)  # workloads may be standing still
        return bool(self.stores) or damaged or cut_short or any(one.breach for one in self.targets)
