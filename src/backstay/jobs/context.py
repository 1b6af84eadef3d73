"""What every job is given: the catalogs, the tiers, what the configuration says of each target, and the clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.catalog import lease
from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.catalog.lease import Holder, Lease
from backstay.core.errors import UsageError
from backstay.core.model import Target, TierKind
from backstay.core.retention import KeepPolicy
from backstay.store.base import Store
from backstay.store.pipeline import Encoding
from backstay.tiers.base import Tier


@dataclass(frozen=True)
class TargetSettings:
    """What the configuration says of one target, beyond what its tier knows.

    ``base`` and ``prefix`` make the names of its artifacts: ``<prefix>/<base>-<stamp>.sql.gz``. ``schedule`` is a cron
    expression in ``timezone``, None for a target that is backed up only by hand.
    """

    target: Target
    store: str
    prefix: str
    base: str
    schedule: str | None
    timezone: str
    keep: KeepPolicy
    encoding: Encoding
    rpo: timedelta | None = None
    rto: timedelta | None = None
    lock_for: timedelta | None = None  # object lock on artifacts, from when they are written

    def key(self, stamp: str, suffix: str) -> str:
        """The key of an artifact before the encodings add to it."""
        return self.beside(f"{self.base}-{stamp}{suffix}")

    def beside(self, name: str, apart: str = "") -> str:
        """The key of a file of this name in the target's folder, or in that beside it which ``apart`` names."""
        folder = "-".join(part for part in (self.prefix, apart) if part)
        return f"{folder}/{name}" if folder else name


@dataclass(frozen=True)
class Context:
    """The world of a job. ``identities`` gives the age identities when something must be decrypted, and not before.

    ``holder`` makes the name under which a lease is taken, for a purpose such as ``backup``.
    """

    cluster: str
    version: str
    catalogs: Catalogs
    tiers: Mapping[TierKind, Tier]
    settings: Mapping[Target, TargetSettings]
    identities: Callable[[], Sequence[str]]
    holder: Callable[[str], Holder]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    clock: Callable[[], float]

    def tier(self, target: Target) -> Tier:
        """The tier of a target. Raises ``UsageError`` when this version does not act on it yet."""
        if target.tier not in self.tiers:
            raise UsageError(f"this version of Backstay does not act on the {target.tier.value} tier yet")
        return self.tiers[target.tier]

    def of(self, target: Target) -> TargetSettings:
        """What the configuration says of a target. Raises ``UsageError``."""
        if target not in self.settings:
            raise UsageError(f"{target} is not in the configuration", hint="`backstay config show` lists the targets.")
        return self.settings[target]

    def catalog(self, target: Target) -> Catalog:
        """Where new backups of the target go."""
        return self.catalogs.named(self.of(target).store)

    def lease(self, store: Store, target: Target, purpose: str) -> Lease:
        """Become the one writer of a target. Raises ``LeaseHeld``."""
        return lease.acquire(store, target, self.holder(purpose), now=self.now, sleep=self.sleep)
