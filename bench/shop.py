"""The database that is backed up and restored: the same each time, with the entropy of real data (sql/tables.sql)."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from backstay.tiers.postgres.localserver.server import PostgresServer

SQL = Path(__file__).parent / "sql"
EVENTS = 2_600_000


def build(server: PostgresServer, name: str) -> None:
    """Create and fill it, in about 40 seconds on two cores. Two sessions fill one half each of the large table."""
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with server.connect(name) as first, server.connect(name) as second, ThreadPoolExecutor(2) as pool:
        try:
            first.execute(_text("tables"))
            halves = [pool.submit(_fill, connection, half) for half, connection in enumerate((first, second))]
            for half in halves:
                half.result()
            first.execute(_text("keys"))
            first.execute("VACUUM ANALYZE")
        except BaseException:
            first.cancel_safe()
            second.cancel_safe()
            raise


def _fill(connection: Connection[Any], half: int) -> None:
    connection.execute("SELECT setseed(%s)", ((half + 1) / 10,))
    bounds = {"first": half * EVENTS // 2 + 1, "last": (half + 1) * EVENTS // 2}
    connection.execute(_text("events"), bounds)


def _text(name: str) -> bytes:
    return (SQL / f"{name}.sql").read_bytes()
