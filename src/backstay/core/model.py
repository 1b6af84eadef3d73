"""The values that travel between the layers: all frozen, none knows how it is stored or shown.

Sizes are bytes, times are aware UTC datetimes, durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Protocol

EMPTY: Mapping[str, Any] = MappingProxyType({})  # a default for arguments
STAMP = "%Y%m%d-%H%M%S"


class TierKind(StrEnum):
    """The four tiers."""

    ETCD = "etcd"
    POSTGRES = "postgres"
    VOLUMES = "volumes"
    OBJECTS = "objects"


class Level(IntEnum):
    """How far a backup's claim has been proven; each level includes those below it."""

    WRITTEN = 0  # committed; the store acknowledged every byte
    STORED = 1  # read back: sizes and sha256 are those of the manifest
    READABLE = 2  # decrypted, decompressed, parsed; structure and counts are those of the manifest
    RESTORED = 3  # put back somewhere, counted and compared

    @property
    def word(self) -> str:
        """The level in lower case, as shown and as kept in proofs."""
        return self.name.lower()


class State(StrEnum):
    """What a committed backup claims of itself."""

    COMPLETE = "complete"
    PARTIAL = "partial"  # finished, with omissions
    FOREIGN = "foreign"  # written by something else, without a manifest
    FAILED = "failed"  # a run that ended in an error; holds no artifacts


@dataclass(frozen=True, order=True)
class Target:
    """One protected thing; ``str()`` is the form people type: ``postgres/cardboard``."""

    tier: TierKind
    name: str

    def __str__(self) -> str:
        return f"{self.tier.value}/{self.name}"


@dataclass(frozen=True)
class Artifact:
    """One object of a backup. ``encoding`` lists what was done to the plain bytes: ``("gzip", "age")``."""

    role: str
    key: str
    size_bytes: int
    sha256: str
    plain_size_bytes: int
    plain_sha256: str
    encoding: tuple[str, ...] = ()


@dataclass(frozen=True)
class Backup:
    """One committed run. ``contents`` is what a restore must bring back; each tier has its shape (docs/format.md)."""

    target: Target
    stamp: str
    cluster: str
    state: State
    started_at: datetime
    finished_at: datetime
    point_in_time: datetime | None
    artifacts: tuple[Artifact, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    contents: Mapping[str, Any] = field(default_factory=dict)
    omissions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    restore_by_hand: tuple[str, ...] = ()
    store: str = ""  # the name of the store it was read from; not part of the manifest

    @property
    def id(self) -> str:
        """``postgres/cardboard@20260211-154344``, as typed and pasted."""
        return f"{self.target}@{self.stamp}"

    @property
    def size_bytes(self) -> int:
        """Bytes in the store, over all artifacts whose size is known."""
        return sum(max(0, artifact.size_bytes) for artifact in self.artifacts)

    def artifact(self, role: str) -> Artifact | None:
        """The artifact with this role, if the backup has one."""
        return next((artifact for artifact in self.artifacts if artifact.role == role), None)


@dataclass(frozen=True)
class Proof:
    """That a backup was checked, how deeply, when, and how long it took; kept beside the manifest, never in it."""

    backup_id: str
    level: Level
    ok: bool
    at: datetime
    duration_seconds: float
    findings: tuple["Finding", ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds by phase: fetch, load, compare, ...
    kind: str = "verify"  # verify, restore or drill


class Severity(StrEnum):
    """How much a finding matters; ERROR makes the check fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing a check looked at: what was expected and found, in words a person can act on."""

    severity: Severity
    message: str
    code: str = ""


@dataclass(frozen=True)
class Step:
    """One line of a plan: a verb (``load``), what it does, and what it costs in time."""

    name: str
    detail: str
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """Exactly what an action will do; running executes it and nothing else.

    ``details`` is plain JSON data that the executor reads back (also from a journal, after a kill); ``notes`` are
    the sentences under the steps (what is lost, what is kept, disk).
    """

    action: str
    target: Target
    title: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    confirm: str = ""  # what must be typed before it runs; empty when nothing live is changed


@dataclass(frozen=True)
class Outcome:
    """How an action on one target ended."""

    target: Target
    ok: bool
    message: str
    duration_seconds: float
    findings: tuple[Finding, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Progress(Protocol):
    """What a long action tells while it runs. Safe to call from any thread; never raises."""

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """A new phase begins (``dumping``); the bar starts again at zero."""

    def advance(self, n_bytes: int) -> None:
        """So many plain bytes more were handled in this phase."""

    def note(self, text: str) -> None:
        """A short text beside the bar: ``tables 17/23``."""


class NoProgress:
    """A ``Progress`` that says nothing."""

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """Nothing."""

    def advance(self, n_bytes: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
