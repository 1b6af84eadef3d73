"""What the tier must know of one configured database."""

from dataclasses import dataclass

from backstay.core.model import Target, TierKind
from backstay.tiers.postgres.connection import Connection

DIRECTORY, SQL = "directory", "sql"


@dataclass(frozen=True)
class Check:
    """A question of the user's to a restored database: a query for one number, and the bounds it must be in."""

    name: str
    sql: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Database:
    """One target of the tier. ``bin`` is a folder of PostgreSQL's client programs, None for PATH; ``lock_timeout`` is
    in seconds; ``apps`` are the workloads to stop around a swap, as ``deployment/name``; ``format`` is directory or
    sql; ``workers`` is how many sessions may work at once, None to find out; ``content`` asks for content hashes;
    ``origin`` is the configured server where ``connection`` is another that was given in its place."""

    name: str
    dbname: str
    connection: Connection
    namespace: str = ""
    apps: tuple[str, ...] = ()
    bin: str | None = None
    lock_timeout: float = 60.0
    passwords_in_globals: bool = False
    maintenance: str = "postgres"
    format: str = DIRECTORY
    workers: int | None = None
    content: bool = False
    checks: tuple[Check, ...] = ()
    origin: Connection | None = None

    @property
    def target(self) -> Target:
        """``postgres/cardboard``"""
        return Target(TierKind.POSTGRES, self.name)
