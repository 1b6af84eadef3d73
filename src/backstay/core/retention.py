"""Which backups stay and which may go, each with its reasons. Pure arithmetic: no store, no clock.

A backup is kept when *any* rule keeps it; with no rule at all everything is kept.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class KeepPolicy:
    """The rules of one target: ``days`` and ``ttl`` are ages, the others numbers; ``None`` is no rule."""

    days: int | None = None
    count: int | None = None
    ttl: timedelta | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
