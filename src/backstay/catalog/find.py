"""Find the one backup that people mean, over one store or several (refs.py says what they may type)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from backstay.catalog import refs
from backstay.catalog.keys import check_target
from backstay.core.errors import NoSuchBackup, UsageError
from backstay.core.model import Backup, State, Target, TierKind


class Listing(Protocol):
    """What ``find`` asks of a catalog."""

    @property
    def name(self) -> str:
        """The name of its store."""

    def ids(self, target: Target | None = None, tier: TierKind | None = None) -> Iterator[tuple[Target, str]]:
        """Target and stamp of every committed backup."""

    def foreign_targets(self, target: Target | None = None, tier: TierKind | None = None) -> Iterator[Target]:
        """The targets that may have dumps of other tools."""

    def foreign(self, target: Target) -> Iterator[Backup]:
        """The dumps of other tools."""

    def get(self, target: Target, stamp: str) -> Backup:
        """One backup."""


def find(
    text: str,
    catalogs: Sequence[Listing],
    home: Callable[[Target], str] = lambda _: "",
    reaching: Callable[[Listing], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> Backup:
    """The backup that ``text`` means. ``home`` names the store that is preferred when several have it.

    Dumps of other tools can be named by their stamp, but are never the latest. Each catalog is listed
    inside of ``reaching``. Raises ``NoSuchBackup``.
    """
    ref = refs.parse(text)
    known = _known(ref, lambda target: _ids(catalogs, target, reaching))
    if not ref.target and not ref.latest:
        target, stamp = refs.choose_any(ref, ((target, stamp) for target, stamp, _ in known))
    else:
        target = refs.choose_target(ref, (target for target, _, _ in known))
        if ref.latest:
            return _latest(ref, target, known, home)
        stamp = refs.choose_stamp(ref, target, (stamp for owner, stamp, _ in known if owner == target))
    return _get(target, stamp, known, home)


Known = list[tuple[Target, str, Listing]]


def _known(ref: refs.Ref, ids: Callable[[Target | None], Known]) -> Known:
    """Every id there is; for a reference with a whole target id only that target's, which is a short list."""
    exact = _as_target(ref.target)
    return (ids(exact) if exact else []) or ids(None)


def _ids(
    catalogs: Sequence[Listing],
    target: Target | None,
    reaching: Callable[[Listing], AbstractContextManager[None]],
) -> Known:
    found: Known = []
    for catalog in catalogs:
        with reaching(catalog):
            found += [(owner, stamp, catalog) for owner, stamp in catalog.ids(target)]
            for owner in catalog.foreign_targets(target):
                found += [(owner, dump.stamp, catalog) for dump in catalog.foreign(owner)]
    return found


def _as_target(text: str) -> Target | None:
    tier, _, name = text.partition("/")
    try:
        return check_target(Target(TierKind(tier), name))
    except (ValueError, UsageError):
        return None


def _latest(ref: refs.Ref, target: Target, known: Known, home: Callable[[Target], str]) -> Backup:
    stamps = sorted({stamp for owner, stamp, _ in known if owner == target}, reverse=True)
    for stamp in stamps:
        backup = _get(target, stamp, known, home)
        if backup.state is State.COMPLETE:
            return backup
    raise NoSuchBackup(
        f"{target} has no complete backup",
        hint=f"The newest of its {len(stamps):,} is {target}@{stamps[0]}, which can be named.",
        ref=ref.text,
    )


def _get(target: Target, stamp: str, known: Known, home: Callable[[Target], str]) -> Backup:
    holders = [catalog for owner, found, catalog in known if (owner, found) == (target, stamp)]
    preferred = [catalog for catalog in holders if catalog.name == home(target)]
    return (preferred or holders)[0].get(target, stamp)
