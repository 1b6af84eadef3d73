"""What a drill of etcd and one of k3s on SQLite have in common: the control plane, the server token."""

import time
from collections.abc import Callable
from pathlib import Path

from backstay.core.model import Finding, Plan, Progress, Severity
from backstay.core.units import counted
from backstay.tiers import drilling
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.token import TokenCheck


class Drilling(drilling.Drilling):
    """One run over one control plane."""

    def __init__(
        self,
        plane: ControlPlane,
        plan: Plan,
        scratch_root: Path,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(plan, scratch_root, progress, clock)
        self.plane = plane


def of_token(checked: TokenCheck | None) -> Finding:
    """Whether the server token opens what was restored; None where it is not known here."""
    if checked is None:
        words = "the server token is not known here: whether it opens this was not checked"
        return Finding(Severity.WARNING, words, "etcd.token")
    if checked.opens:
        words = f"the server token opens it: {counted(len(checked.files), 'file')} of the servers"
        return Finding(Severity.OK, words, "etcd.token")
    return Finding(Severity.ERROR, f"the server token does not open it: {checked.why}", "etcd.token")
