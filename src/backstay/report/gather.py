"""Ask every store for what status needs, in as few requests as can be, and go on when one does not answer.

Of a store with any number of manifests those of the last 31 days are read; of a target without a good one among
them, its older ones from the newest until there is one. Failures and journals are first known by their keys alone,
backups that prune has removed only by them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from backstay.catalog import history, journal, keys, lease
from backstay.catalog.catalog import Catalog
from backstay.catalog.fetch import Problem
from backstay.catalog.history import Failure, Retired
from backstay.catalog.journal import JournalRecord
from backstay.catalog.lease import LeaseRecord
from backstay.core.errors import BackstayError, CatalogError, ConfigError, NoSuchBackup, NotFound, StoreError
from backstay.core.model import Backup, Finding, Proof, Severity, State, Target
from backstay.core.units import format_stamp
from backstay.report.values import Brief, ForeignDumps, StoreProblem

WINDOW = timedelta(days=31)  # the strip's 30 days, wherever they begin
T = TypeVar("T")


@dataclass
class Facts:
    """What the stores say of one target. ``failed`` are stamps of failed runs and the store that has each."""

    briefs: list[Brief] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    retired: list[Retired] = field(default_factory=list)
    restored_in: list[str] = field(default_factory=list)  # stores that have journals of restores

    def add(self, other: "Facts") -> None:
        """Take in what another store says."""
        self.briefs += other.briefs
        self.proofs += other.proofs
        self.failed += other.failed
        self.retired += other.retired
        self.restored_in += other.restored_in


class Stores:
    """The stores and what could not be had of them. One that has failed once is not asked again."""

    def __init__(self, catalogs: Iterable[Catalog], now: datetime) -> None:
        self._catalogs = {catalog.name: catalog for catalog in catalogs}
        self._now = now
        self.problems: dict[str, StoreProblem] = {}
        self.findings: list[Finding] = []

    def look(self, targets: Iterable[Target]) -> dict[Target, Facts]:
        """The facts of each target, over all stores."""
        facts = {target: Facts() for target in targets}
        for catalog in self._catalogs.values():
            try:
                seen = _look(catalog, facts, self._now, self.damaged)
            except (CatalogError, ConfigError, StoreError) as error:
                self._lose(catalog, error)
            else:
                for target, found in seen.items():
                    facts[target].add(found)
        return facts

    def damaged(self, error: CatalogError) -> None:
        """A record that cannot be read."""
        self.findings.append(Finding(Severity.ERROR, error.message, error.code))

    def older(self, target: Target) -> list[Brief]:
        """The backups before the last 31 days, newest first, down to the first complete one of each store."""
        return self._all(partial(_older, target=target, before=self._now - WINDOW, damaged=self.damaged))

    def oldest(self, target: Target) -> str | None:
        """The stamp of the first backup there is; from keys alone."""
        return min(self._all(lambda catalog: islice(catalog.stamps(target), 1)), default=None)

    def foreign(self, target: Target) -> ForeignDumps | None:
        """The dumps of other tools."""
        found = self._all(lambda catalog: (dump.started_at for dump in catalog.foreign(target)))
        return ForeignDumps(len(found), max(found)) if found else None

    def failure(self, target: Target, stamp: str, store: str) -> Failure | None:
        """What a failed run said."""
        found = self._ask(store, lambda catalog: history.failures(catalog.store, target, keys.moment_of(stamp)))
        return found[0] if found else None

    def unfinished(self, target: Target, store: str) -> list[JournalRecord]:
        """The restores that were neither finished nor undone."""
        return self._ask(store, lambda catalog: journal.unfinished(catalog.store, target))

    def lease(self, target: Target, store: str) -> LeaseRecord | None:
        """The lease of a target, if a run holds it now."""
        held = self._ask(store, lambda catalog: _held(catalog, target, self._now))
        return held[0] if held else None

    def _all(self, question: Callable[[Catalog], Iterable[T]]) -> list[T]:
        return [answer for name in self._catalogs for answer in self._ask(name, question)]

    def _ask(self, store: str, question: Callable[[Catalog], Iterable[T]]) -> list[T]:
        catalog = self._catalogs.get(store)
        if catalog is None or store in self.problems:
            return []
        try:
            return list(question(catalog))
        except CatalogError as error:
            self.damaged(error)
        except (ConfigError, StoreError) as error:
            self._lose(catalog, error)
        return []

    def _lose(self, catalog: Catalog, error: BackstayError) -> None:
        message = f"store {catalog.name} cannot be asked: {error.message}"
        self.problems[catalog.name] = StoreProblem(catalog.name, error.code, message, error.hint)


def _look(catalog: Catalog, wanted: Iterable[Target], now: datetime, damaged: Problem) -> dict[Target, Facts]:
    """What one store says: all of it, or what it raised."""
    catalog.ensure_format(create=False)
    found = {target: Facts() for target in wanted}
    by_id = {str(target): facts for target, facts in found.items()}
    for backup in catalog.backups(since=now - WINDOW, problem=damaged):
        if backup.target in found:
            found[backup.target].briefs.append(_brief(backup))
    for proof in catalog.proofs.read(problem=damaged):
        if (facts := by_id.get(proof.backup_id.partition("@")[0])) is not None:
            facts.proofs.append(replace(proof, findings=_first_error(proof)))
    for _, target, stamp in keys.list_records(catalog.store, keys.FAILURES):
        if target in found:
            found[target].failed.append((stamp, catalog.name))
    for one in history.retired(catalog.store):
        if one.target in found:
            found[one.target].retired.append(one)
    for target in {target for _, target, _ in keys.list_records(catalog.store, keys.RESTORES)}:
        if target in found:
            found[target].restored_in.append(catalog.name)
    return found


def _older(catalog: Catalog, target: Target, before: datetime, damaged: Problem) -> Iterator[Brief]:
    limit = format_stamp(before)
    for stamp in sorted((stamp for stamp in catalog.stamps(target) if stamp < limit), reverse=True):
        try:
            backup = catalog.get(target, stamp)
        except NoSuchBackup:
            continue  # removed since it was listed
        except CatalogError as error:
            damaged(error)
            continue
        if backup.state is not State.FOREIGN:
            yield _brief(backup)
        if backup.state is State.COMPLETE:
            return


def _held(catalog: Catalog, target: Target, now: datetime) -> list[LeaseRecord]:
    try:
        found, _ = lease.read(catalog.store, target)
    except NotFound:
        return []
    return [] if found.free_at(now) else [found]


def _brief(backup: Backup) -> Brief:
    return Brief(
        id=backup.id,
        stamp=backup.stamp,
        store=backup.store,
        state=backup.state,
        started_at=backup.started_at,
        finished_at=backup.finished_at,
        size_bytes=backup.size_bytes,
        omissions=backup.omissions,
    )


def _first_error(proof: Proof) -> tuple[Finding, ...]:
    """The one finding status shows, so that many proofs fit in memory."""
    return tuple(finding for finding in proof.findings if finding.severity is Severity.ERROR)[:1]
