"""The backups of several stores as one list."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from backstay.catalog.catalog import Catalog
from backstay.catalog.fetch import Problem
from backstay.catalog.find import Listing, find
from backstay.core.errors import ConfigError, Denied, StoreMissing, Unavailable
from backstay.core.model import Backup, Finding, Proof, Severity, Target, TierKind

Unreachable = Callable[[Finding], None]
UNREACHABLE = (Unavailable, Denied, StoreMissing)


class Catalogs:
    """Every store's catalog by its name. ``assigned`` says where new backups of a target go, else ``default``.

    Backups are looked for in every store: a target may have been moved. A store that cannot be reached is an
    error, unless ``unreachable`` is given: then it is told there and the other stores are still read.
    """

    def __init__(self, catalogs: Mapping[str, Catalog], assigned: Mapping[Target, str], default: str) -> None:
        self._catalogs = dict(catalogs)
        self._assigned = dict(assigned)
        self._default = default

    def __iter__(self) -> Iterator[Catalog]:
        return iter(self._catalogs.values())

    def named(self, store: str) -> Catalog:
        """The catalog of one store. Raises ``ConfigError``."""
        if store not in self._catalogs:
            raise ConfigError(f"there is no store {store!r}", hint=f"There is: {', '.join(self._catalogs)}.")
        return self._catalogs[store]

    def home(self, target: Target) -> str:
        """The name of the store where new backups of ``target`` go."""
        return self._assigned.get(target, self._default)

    def of(self, target: Target) -> Catalog:
        """The catalog where new backups of ``target`` go. Raises ``ConfigError``."""
        return self.named(self.home(target))

    def holding(self, backup: Backup) -> Catalog:
        """The catalog that ``backup`` was read from. Raises ``ConfigError``."""
        return self.named(backup.store)

    def backups(
        self,
        target: Target | None = None,
        *,
        tier: TierKind | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        foreign: bool = False,
        problem: Problem | None = None,
        unreachable: Unreachable | None = None,
    ) -> Iterator[Backup]:
        """As ``Catalog.backups``, store after store."""
        for catalog in self:
            with _reaching(catalog, unreachable):
                yield from catalog.backups(
                    target, tier=tier, since=since, until=until, foreign=foreign, problem=problem
                )

    def proofs(
        self, *, problem: Problem | None = None, unreachable: Unreachable | None = None
    ) -> Iterator[tuple[str, list[Proof]]]:
        """The proofs in each store, after its name; ``standing`` and ``refuted`` say what they come to."""
        for catalog in self:
            with _reaching(catalog, unreachable):
                yield catalog.name, list(catalog.proofs.read(problem=problem))

    def find(self, text: str, *, unreachable: Unreachable | None = None) -> Backup:
        """The backup that people mean by ``text``; the target's own store is preferred when several have it.

        Raises ``NoSuchBackup``.
        """
        return find(text, list(self), self.home, lambda catalog: _reaching(catalog, unreachable))


@contextmanager
def _reaching(catalog: Listing, unreachable: Unreachable | None) -> Iterator[None]:
    """Say which store it was that could not be reached."""
    try:
        yield
    except UNREACHABLE as error:
        message = f"store {catalog.name} cannot be reached: {error.message}"
        if unreachable is None:
            raise type(error)(message, hint=error.hint, **error.context) from error
        unreachable(Finding(Severity.ERROR, message, code=error.code))
