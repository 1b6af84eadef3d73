"""What became of the objects of a restore: counted all, told of one by one only where something went wrong."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backstay.core.model import Finding, Severity
from backstay.core.units import counted, format_count

TOLD = 200  # failures that are told of by name


class Fate(StrEnum):
    """What became of an object, or what would become of it."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    RECREATED = "recreated"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """``reason`` for what was skipped or failed. ``restored``: an earlier restore has made what is there."""

    fate: Fate
    reason: str = ""
    restored: bool = False


class Tally:
    """Counts of one wave or of all. Safe from several threads; memory does not grow with the objects."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.fates: Counter[str] = Counter()
        self.kinds: dict[str, Counter[str]] = {}
        self.reasons: Counter[str] = Counter()  # of what was skipped
        self.failures: list[tuple[str, str]] = []  # (kind and name, the API server's words); at most TOLD
        self.told = 0  # failed objects that ``failures`` tells of

    def add(self, resource: str, namespace: str, name: str, result: Result) -> None:
        """One object more."""
        with self._lock:
            self.fates[result.fate.value] += 1
            self.kinds.setdefault(resource, Counter())[result.fate.value] += 1
            if result.fate is Fate.SKIPPED:
                self.reasons[result.reason] += 1
            elif result.fate is Fate.FAILED and len(self.failures) < TOLD:
                self.failures.append((called(resource, namespace, name), result.reason))
                self.told += 1

    def refuse(self, resource: str, number: int, reason: str) -> None:
        """Objects of a kind that all failed for one reason, told of once."""
        with self._lock:
            self.fates[Fate.FAILED.value] += number
            self.kinds.setdefault(resource, Counter())[Fate.FAILED.value] += number
            if len(self.failures) < TOLD:
                self.failures.append((f"{counted(number, 'object')} of {resource}", reason))
                self.told += number

    def complain(self, what: str, why: str) -> None:
        """Something that went wrong with an object which is counted already."""
        with self._lock:
            if len(self.failures) < TOLD:
                self.failures.append((what, why))

    def as_facts(self) -> dict[str, Any]:
        """For a journal."""
        return {
            "counts": dict(self.fates),
            "kinds": {name: dict(counts) for name, counts in self.kinds.items()},
            "reasons": dict(self.reasons),
            "failures": [list(failure) for failure in sorted(self.failures)],
            "told": self.told,
        }

    def add_facts(self, facts: Mapping[str, Any]) -> None:
        """What a wave, now or in a run before, has come to."""
        self.fates.update(facts.get("counts", {}))
        self.reasons.update(facts.get("reasons", {}))
        for name, counts in facts.get("kinds", {}).items():
            self.kinds.setdefault(name, Counter()).update(counts)
        room = TOLD - len(self.failures)
        failures = [(str(what), str(why)) for what, why in facts.get("failures", ())]
        self.failures += failures[:room]
        self.told += int(facts.get("told", 0)) if len(failures) <= room else room

    def of(self, fate: Fate) -> int:
        """How many."""
        return self.fates[fate.value]

    @property
    def total(self) -> int:
        """All objects."""
        return sum(self.fates.values())

    def findings(self) -> tuple[Finding, ...]:
        """Each failure, up to a bound; then how many were skipped for which reason."""
        found = [Finding(Severity.ERROR, f"{what}: {why}", "restore.object") for what, why in self.failures]
        if more := self.of(Fate.FAILED) - self.told:
            found.append(Finding(Severity.ERROR, f"and {format_count(more)} more that failed", "restore.object"))
        for reason, number in self.reasons.most_common():
            found.append(Finding(Severity.OK, f"{counted(number, 'object')} left out: {reason}", "restore.left"))
        return tuple(found)

    def words(self) -> str:
        """``1,234 created, 5 unchanged, 2 failed``; ``nothing to restore``."""
        parts = [f"{format_count(self.of(fate))} {fate.value}" for fate in Fate if self.of(fate)]
        return ", ".join(parts) or "nothing to restore"


def called(resource: str, namespace: str, name: str) -> str:
    """``deployments.apps shop/web``; ``namespaces shop``."""
    return f"{resource} {namespace}/{name}" if namespace else f"{resource} {name}"
