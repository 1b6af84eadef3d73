"""A small but real TimescaleDB database: what a backup of one has to bring back."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from tests.e2e.timescale_server import TimescaleServer

NUMBERS = itertools.count(1)
STATEMENTS = Path(__file__).with_name("timescale_sample.sql")

# What timescale_sample.sql makes.
ROWS = {"readings": 161_280, '"Plant 7"."Odd ""Events"""': 41_760}
CHUNKS = {"readings": 12, 'Odd "Events"': 28}


@contextmanager
def sample(server: TimescaleServer) -> Iterator[str]:
    """The name of a new database with the sample in it; dropped at the end, with those made beside it."""
    name = f"timescale{os.getpid()}_{next(NUMBERS)}"
    try:
        with server.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        with server.connect(name) as connection:
            connection.execute(STATEMENTS.read_bytes())
        yield name
    finally:
        drop(server, name)


def drop(server: TimescaleServer, name: str) -> None:
    """Drop the database and those made beside it."""
    wanted = "SELECT datname FROM pg_database WHERE datname = %(name)s OR starts_with(datname, %(name)s || '__')"
    with server.connect() as connection:
        for (found,) in connection.execute(wanted, {"name": name}).fetchall():
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(found)))
