"""What the tier must know of one configured database."""

from dataclasses import dataclass

from backstay.core.model import Target, TierKind
from backstay.tiers.postgres.connection import Connection


@dataclass(frozen=True)
class Database:
    """One target of the tier. ``bin`` is a folder of PostgreSQL's client programs, None for PATH; ``lock_timeout`` is
    in seconds; ``apps`` are the workloads to stop around a swap, as ``deployment/name``."""

    name: str
    dbname: str
    connection: Connection
    namespace: str = ""
    apps: tuple[str, ...] = ()
    bin: str | None = None
    lock_timeout: float = 60.0
    passwords_in_globals: bool = False
    maintenance: str = "postgres"

    @property
    def target(self) -> Target:
        """``postgres/cardboard``"""
        return Target(TierKind.POSTGRES, self.name)
