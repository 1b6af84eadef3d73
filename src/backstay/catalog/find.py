"""Find the one backup that people mean, over one store or several (refs.py says what they may type)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
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
        """The targets that may have dumps of other tools; asks no store."""

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

    Dumps of other tools can be named by their stamp, but are never the latest; they are looked for only when
    they may be meant. Each catalog is asked inside of ``reaching``. Raises ``NoSuchBackup``.
    """
    ref = refs.parse(text)
    search = _Search(catalogs, home, reaching)
    if not ref.target and not ref.latest:
        return search.by_stamp(ref)
    target, known = search.of_target(ref)
    if ref.latest:
        return search.latest(target, known)
    known += search.foreign(target)
    if not known:
        raise _none(target)
    return search.get(target, refs.choose_stamp(ref, target, (one.stamp for one in known)), known)


@dataclass(frozen=True)
class _Known:
    """A backup that one catalog lists."""

    target: Target
    stamp: str
    catalog: Listing


@dataclass(frozen=True)
class _Search:
    catalogs: Sequence[Listing]
    home: Callable[[Target], str]
    reaching: Callable[[Listing], AbstractContextManager[None]]

    def by_stamp(self, ref: refs.Ref) -> Backup:
        """The one backup of any target whose stamp begins as asked."""
        known = self.ids()
        if not any(one.stamp.startswith(ref.stamp) for one in known):
            known += [dump for target in sorted(self.configured()) for dump in self.foreign(target)]
        target, stamp = refs.choose_any(ref, ((one.target, one.stamp) for one in known))
        return self.get(target, stamp, known)

    def of_target(self, ref: refs.Ref) -> tuple[Target, list[_Known]]:
        """The target that is meant and its committed backups; a whole id costs one short list."""
        exact = _as_target(ref.target)
        known = self.ids(exact) if exact else []
        if exact and (known or exact in self.configured()):
            return exact, known
        known = self.ids()
        target = refs.choose_target(ref, {one.target for one in known} | self.configured())
        return target, [one for one in known if one.target == target]

    def latest(self, target: Target, known: list[_Known]) -> Backup:
        """The newest complete one."""
        for stamp in sorted({one.stamp for one in known}, reverse=True):
            backup = self.get(target, stamp, known)
            if backup.state is State.COMPLETE:
                return backup
        stamps = sorted({one.stamp for one in known or self.foreign(target)})
        if not stamps:
            raise _none(target)
        raise NoSuchBackup(
            f"{target} has no complete backup",
            hint=f"The newest of its {len(stamps):,} is {target}@{stamps[-1]}, which can be named.",
        )

    def get(self, target: Target, stamp: str, known: list[_Known]) -> Backup:
        """One that is known, from the target's own store if that has it."""
        holders = [one.catalog for one in known if (one.target, one.stamp) == (target, stamp)]
        preferred = [catalog for catalog in holders if catalog.name == self.home(target)]
        return (preferred or holders)[0].get(target, stamp)

    def ids(self, target: Target | None = None) -> list[_Known]:
        """What is committed, in every catalog."""
        known: list[_Known] = []
        for catalog in self.catalogs:
            with self.reaching(catalog):
                known += [_Known(owner, stamp, catalog) for owner, stamp in catalog.ids(target)]
        return known

    def foreign(self, target: Target) -> list[_Known]:
        """The dumps of other tools, in every catalog."""
        known: list[_Known] = []
        for catalog in self.catalogs:
            with self.reaching(catalog):
                known += [_Known(target, dump.stamp, catalog) for dump in catalog.foreign(target)]
        return known

    def configured(self) -> set[Target]:
        """The targets known without asking a store."""
        return {target for catalog in self.catalogs for target in catalog.foreign_targets()}


def _as_target(text: str) -> Target | None:
    tier, _, name = text.partition("/")
    try:
        return check_target(Target(TierKind(tier), name))
    except (ValueError, UsageError):
        return None


def _none(target: Target) -> NoSuchBackup:
    return NoSuchBackup(f"there is no backup of {target}", hint=f"`backstay backup {target}` makes one.")
