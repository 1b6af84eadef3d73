"""The verdict on one ability of a store."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Ability(StrEnum):
    """How well a store can do something."""

    OK = "ok"
    DEGRADED = "degraded"  # Backstay works, with less
    FAILED = "failed"  # the store cannot be used as it is


@dataclass(frozen=True)
class Verdict:
    """What was seen, and what Backstay does where that is less than it could use."""

    ability: Ability
    seen: str
    without: str = ""


Probe = Callable[[], Verdict]


def ok(seen: str) -> Verdict:
    """All is as it should be."""
    return Verdict(Ability.OK, seen)


def degraded(seen: str, without: str) -> Verdict:
    """Less than it could be; ``without`` is what Backstay does then."""
    return Verdict(Ability.DEGRADED, seen, without)


def failed(seen: str, without: str) -> Verdict:
    """Not usable; ``without`` is what that means."""
    return Verdict(Ability.FAILED, seen, without)
