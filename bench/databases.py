"""The databases that are backed up and restored: the same each time, with the entropy of real data (sql/)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from backstay.tiers.postgres.localserver.server import PostgresServer

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Plan:
    """A folder of ``sql/``: tables, the rows of the largest one, keys. ``rows`` is how many that one has."""

    folder: str
    rows: int

    def text(self, name: str) -> bytes:
        """One of its files."""
        return (SQL / self.folder / f"{name}.sql").read_bytes()


SHOP = Plan("shop", 2_600_000)  # about 800 MB of SQL text; one table has four fifths of it
LEDGER = Plan("ledger", 2_000_000)  # about 400 MB with indexes; one table has nine tenths of it


def build(server: PostgresServer, name: str, plan: Plan) -> None:
    """Create and fill it; the shop takes about 40 seconds on two cores. Two sessions fill one half each of the large
    table."""
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with server.connect(name) as first, server.connect(name) as second, ThreadPoolExecutor(2) as pool:
        try:
            first.execute(plan.text("tables"))
            halves = [pool.submit(_fill, session, plan, half) for half, session in enumerate((first, second))]
            for half in halves:
                half.result()
            first.execute(plan.text("keys"))
            first.execute("VACUUM ANALYZE")
        except BaseException:
            first.cancel_safe()
            second.cancel_safe()
            raise


def _fill(connection: Connection[Any], plan: Plan, half: int) -> None:
    connection.execute("SELECT setseed(%s)", ((half + 1) / 10,))
    bounds = {"first": half * plan.rows // 2 + 1, "last": (half + 1) * plan.rows // 2}
    connection.execute(plan.text("rows"), bounds)
