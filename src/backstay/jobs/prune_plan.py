"""What a prune will do, as values: for each target in each store what goes, what stays, and why.

Frozen and plain, so that what is shown, kept as JSON and executed is one and the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from backstay.catalog.sweep import Swept
from backstay.core.errors import BackstayError, Declined
from backstay.core.model import Finding, Level, Plan, Step, Target
from backstay.core.retention import KeepPolicy
from backstay.core.units import (
    counted,
    exact_duration,
    exact_time,
    format_duration,
    format_size,
    format_span,
    format_time,
    listed,
)

NAMED = 5  # how many targets an error names
LITTER_WORDS = {
    Swept.FINISHED: "finish the commit it had decided",
    Swept.CLOSED: "its backup is committed; close its intent",
    Swept.REMOVED: "remove what it wrote",
}


class Fate(StrEnum):
    """What becomes of a backup."""

    KEEP = "keep"
    REMOVE = "remove"
    LOCKED = "locked"  # no rule keeps it, but object lock does for now


@dataclass(frozen=True)
class Entry:
    """One backup: what becomes of it and why. ``sound`` is complete and not found bad by its last check; ``gone`` says
    what of its files is not in the store any more, so that it is to be found bad from now on."""

    backup_id: str
    stamp: str
    at: datetime
    size_bytes: int
    sound: bool
    level: Level
    fate: Fate
    reasons: tuple[str, ...]
    locked_until: datetime | None = None
    gone: str = ""

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "backup": self.backup_id,
            "action": self.fate.value,
            "reasons": list(self.reasons),
            "started_at": exact_time(self.at),
            "size_bytes": self.size_bytes,
            "level": self.level.word,
            "locked_until": exact_time(self.locked_until) if self.locked_until else None,
            "gone": self.gone or None,
        }


@dataclass(frozen=True)
class Litter:
    """What a killed run, or a removal that was cut short, left behind; ``keys`` are those found in the store."""

    stamp: str
    what: Swept
    keys: tuple[str, ...] = ()
    size_bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {"run": self.stamp, "action": self.what.value, "keys": list(self.keys), "size_bytes": self.size_bytes}


@dataclass(frozen=True)
class Uploads:
    """Uploads of keys that begin with ``prefix``, begun before a time and never finished."""

    prefix: str
    before: datetime
    count: int

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {"prefix": self.prefix, "begun_before": exact_time(self.before), "count": self.count}


@dataclass(frozen=True)
class TargetPlan:
    """What a prune does to one target in one store. ``entries`` are newest first.

    ``orphan_proofs`` are stamps of backups that are gone while their proofs are not. Records of failed runs begun
    before ``failures_before`` go, ``failures`` of them; so do notes of backups removed earlier, ``retired`` of them,
    begun before ``retired_before``: what is removed and began later leaves such a note. ``strays`` are objects named
    like parts of a backup that no run promised: never removed. ``blocked`` says why nothing can be done.
    """

    target: Target
    store: str
    made_at: datetime
    keep: KeepPolicy
    entries: tuple[Entry, ...] = ()
    litter: tuple[Litter, ...] = ()
    orphan_proofs: tuple[str, ...] = ()
    failures: int = 0
    failures_before: datetime | None = None
    retired: int = 0
    retired_before: datetime | None = None
    uploads: tuple[Uploads, ...] = ()
    strays: int = 0
    strays_size_bytes: int = 0
    mass_deletion: str = ""
    findings: tuple[Finding, ...] = ()
    blocked: BackstayError | None = field(default=None, compare=False)

    def with_fate(self, fate: Fate) -> tuple[Entry, ...]:
        """The backups that have this fate, oldest first."""
        return tuple(entry for entry in reversed(self.entries) if entry.fate is fate)

    @property
    def freed_bytes(self) -> int:
        """Bytes that the store holds less afterwards."""
        removed = sum(entry.size_bytes for entry in self.with_fate(Fate.REMOVE))
        return removed + sum(one.size_bytes for one in self.litter)

    @property
    def does_nothing(self) -> bool:
        """Whether there is nothing to do."""
        going = self.with_fate(Fate.REMOVE) or self.litter or self.uploads or self.gone
        return not (going or self.orphan_proofs or self.failures or self.retired)

    @property
    def gone(self) -> tuple[Entry, ...]:
        """The backups that stay and whose files something else has removed."""
        return tuple(entry for entry in self.entries if entry.gone and entry.fate is not Fate.REMOVE)

    def as_plan(self) -> Plan:
        """As a plan to show: what stays and what goes, each with its reasons."""
        removed = len(self.with_fate(Fate.REMOVE))
        title = f"Prune {self.target} in store {self.store} (keep {rules_in_words(self.keep)}): "
        if self.blocked is not None:
            title += "cannot be done now"
        elif self.does_nothing:
            title += "nothing to remove"
        else:
            title += f"remove {removed:,} of {counted(len(self.entries), 'backup')}, {format_size(self.freed_bytes)}"
        return Plan("prune", self.target, title, tuple(self._steps()), tuple(self._notes()), self.as_json())

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "target": str(self.target),
            "store": self.store,
            "planned_at": exact_time(self.made_at),
            "keep": rules_as_json(self.keep),
            "backups": [entry.as_json() for entry in self.entries],
            "litter": [one.as_json() for one in self.litter],
            "uploads": [one.as_json() for one in self.uploads],
            "orphan_proofs": [f"{self.target}@{stamp}" for stamp in self.orphan_proofs],
            "failures": self.failures,
            "failures_before": exact_time(self.failures_before) if self.failures_before else None,
            "retired": self.retired,
            "retired_before": exact_time(self.retired_before) if self.retired_before else None,
            "strays": self.strays,
            "strays_size_bytes": self.strays_size_bytes,
            "freed_bytes": self.freed_bytes,
            "mass_deletion": self.mass_deletion or None,
            "findings": [{"severity": one.severity.value, "message": one.message} for one in self.findings],
            "blocked": self.blocked.as_json() if self.blocked else None,
        }

    def _steps(self) -> list[Step]:
        steps = [
            Step(entry.fate.value, f"{entry.backup_id}, {format_size(entry.size_bytes)}", "; ".join(entry.reasons))
            for entry in self.entries
        ]
        steps += [Step("record", f"{entry.backup_id} as found bad", entry.gone) for entry in self.gone]
        for one in self.litter:
            found = f"{counted(len(one.keys), 'object')}, {format_size(one.size_bytes)}" if one.keys else ""
            steps.append(Step("clean", f"the run of {one.stamp}: {LITTER_WORDS[one.what]}", found))
        for uploads in self.uploads:
            found = f"{counted(uploads.count, 'unfinished upload')} of {uploads.prefix}..."
            steps.append(Step("clean", found, f"begun before {format_time(uploads.before)}"))
        if self.orphan_proofs:
            steps.append(Step("forget", f"proofs of {counted(len(self.orphan_proofs), 'backup')} that are gone"))
        if self.failures and self.failures_before:
            before = format_time(self.failures_before)
            steps.append(Step("forget", f"{counted(self.failures, 'record')} of failed runs before {before}"))
        if self.retired and self.retired_before:
            before = format_time(self.retired_before)
            steps.append(Step("forget", f"{counted(self.retired, 'note')} of removed backups begun before {before}"))
        return steps

    def _notes(self) -> list[str]:
        notes = [finding.message for finding in self.findings]
        if self.blocked is not None:
            notes.append(f"{self.blocked.message}. {self.blocked.hint}".rstrip(". ") + ".")
        if self.mass_deletion:
            notes.append(f"A mass deletion: {self.mass_deletion}. It runs only with --allow-mass-delete.")
        if self.strays:
            size = format_size(self.strays_size_bytes)
            notes.append(
                f"Left alone: {counted(self.strays, 'object')} ({size}) named like parts of a backup, of no run of "
                "Backstay. If nobody needs them, remove them by hand."
            )
        return notes


@dataclass(frozen=True)
class PrunePlan:
    """What a prune does, over all targets it was asked for. Executing does this and nothing else."""

    targets: tuple[TargetPlan, ...]
    allow_mass_delete: bool = False

    @property
    def freed_bytes(self) -> int:
        """Bytes that the stores hold less afterwards."""
        return sum(one.freed_bytes for one in self.targets)

    @property
    def refusal(self) -> Declined | None:
        """The error that running this plan raises, when it would be a mass deletion that nobody allowed."""
        refused = [one for one in self.targets if one.mass_deletion]
        return None if self.allow_mass_delete or not refused else _refusal(refused)

    def as_plans(self) -> list[Plan]:
        """Each target as a plan to show."""
        return [one.as_plan() for one in self.targets]

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "freed_bytes": self.freed_bytes,
            "allow_mass_delete": self.allow_mass_delete,
            "refused": self.refusal.as_json() if self.refusal else None,
            "targets": [one.as_json() for one in self.targets],
        }


def precious(entries: Iterable[Entry], now: datetime) -> dict[str, str]:
    """By stamp, what must never go and why."""
    sound = sorted((entry for entry in entries if entry.sound and entry.at <= now), key=lambda entry: entry.at)
    proven = [[entry for entry in sound if entry.level >= level][-1:] for level in (Level.RESTORED, Level.READABLE)]
    newest_proven = proven[0] or proven[1]
    return {entry.stamp: "the newest complete one" for entry in sound[-1:]} | {
        entry.stamp: "the newest proven one" for entry in newest_proven
    }


def rules_in_words(keep: KeepPolicy) -> str:
    """The rules that are set, as one would say them: ``days 7, weekly 4``; ``everything`` when there is none."""
    rules = {rule.name: getattr(keep, rule.name) for rule in fields(keep) if getattr(keep, rule.name) is not None}
    words = [f"{name} {format_duration(v) if isinstance(v, timedelta) else v}" for name, v in rules.items()]
    return ", ".join(words) or "everything"


def rules_as_json(keep: KeepPolicy) -> dict[str, Any]:
    """The rules that are set, as they are written in the configuration."""
    rules = {rule.name: getattr(keep, rule.name) for rule in fields(keep) if getattr(keep, rule.name) is not None}
    return {name: exact_duration(v) if isinstance(v, timedelta) else v for name, v in rules.items()}


def _refusal(refused: Sequence[TargetPlan]) -> Declined:
    """What changed, how many would go, and the next step."""
    which = [f"{one.target}: {one.mass_deletion}" for one in refused[:NAMED]]
    if len(refused) > NAMED:
        which.append(f"and {counted(len(refused) - NAMED, 'more target')}")
    first = refused[0]
    reach = format_span(first.made_at - min(entry.at for entry in first.entries))
    names = listed([str(one.target) for one in refused[:NAMED]])
    return Declined(
        f"this prune would be a mass deletion ({'; '.join(which)})",
        hint=f"The rules of {first.target} now say: keep {rules_in_words(first.keep)}. Its backups reach back {reach}: "
        "they were kept by wider rules, or prune has not run for long. Nothing was removed. "
        f"Look at `backstay prune --dry-run`; if that is what you want for {names}, add --allow-mass-delete.",
        targets=[str(one.target) for one in refused],
    )
