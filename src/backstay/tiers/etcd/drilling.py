"""What a drill of etcd and one of k3s on SQLite have in common: phases, the verdict, the server token."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backstay.core.model import Backup, Finding, Outcome, Plan, Progress, Severity
from backstay.core.units import counted
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.token import TokenCheck

RESTORING = ("fetch", "restore", "start")  # what a real restore would take, but for stopping and joining


@dataclass
class Drilling:
    """One run. ``scratch_root`` is where scratch servers and folders live; ``clock`` gives seconds."""

    plane: ControlPlane
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

    def outcome(self, backup: Backup, seconds: float, good: str, server: str) -> Outcome:
        """How it ended, after so many seconds; ``good`` is said of a backup that came back as it should."""
        restoring = sum(self.phases.get(name, 0.0) for name in RESTORING)
        return Outcome(
            target=self.plan.target,
            ok=not self.went_wrong,
            message=f"{backup.id} {'did NOT come back as it should' if self.went_wrong else good}",
            duration_seconds=seconds,
            findings=tuple(self.findings),
            phases=self.phases,
            facts={"restore_seconds": round(restoring, 3), "server": server},
        )

    @contextmanager
    def phase(self, name: str, total_bytes: int | None = None) -> Iterator[None]:
        """Time a part of it, and say so."""
        started = self.clock()
        self.progress.phase(name, total_bytes=total_bytes)
        yield
        self.phases[name] = self.clock() - started


def of_token(checked: TokenCheck | None) -> Finding:
    """Whether the server token opens what was restored; None where it is not known here."""
    if checked is None:
        words = "the server token is not known here: whether it opens this was not checked"
        return Finding(Severity.WARNING, words, "etcd.token")
    if checked.opens:
        words = f"the server token opens it: {counted(len(checked.files), 'file')} of the servers"
        return Finding(Severity.OK, words, "etcd.token")
    return Finding(Severity.ERROR, f"the server token does not open it: {checked.why}", "etcd.token")
