"""What drills of every tier have in common: phases that are timed, findings, the verdict."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backstay.core.model import Backup, Finding, Outcome, Plan, Progress, Severity

RESTORING = ("fetch", "restore", "start")  # what a real restore would take, but for stopping and joining


@dataclass
class Drilling:
    """One run. ``scratch_root`` is where scratch servers and folders live; ``clock`` gives seconds."""

    plan: Plan
    scratch_root: Path
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    phases: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def went_wrong(self) -> bool:
        """Whether anything speaks against the backup."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    def outcome(
        self, backup: Backup, seconds: float, good: str, server: str, restoring: tuple[str, ...] = RESTORING
    ) -> Outcome:
        """How it ended, after so many seconds; ``good`` is said of a backup that came back as it should. ``restoring``
        are the phases that a real restore would take, too."""
        restored = sum(self.phases.get(name, 0.0) for name in restoring)
        return Outcome(
            target=self.plan.target,
            ok=not self.went_wrong,
            message=f"{backup.id} {'did NOT come back as it should' if self.went_wrong else good}",
            duration_seconds=seconds,
            findings=tuple(self.findings),
            phases=self.phases,
            facts={"restore_seconds": round(restored, 3), "server": server},
        )

    @contextmanager
    def phase(self, name: str, total_bytes: int | None = None) -> Iterator[None]:
        """Time a part of it, and say so."""
        started = self.clock()
        self.progress.phase(name, total_bytes=total_bytes)
        yield
        self.phases[name] = self.clock() - started
