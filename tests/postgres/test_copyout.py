"""Rows out of a server through psql: what comes is what the server sent, and how many rows that were."""

import hashlib
from contextlib import contextmanager

import pytest

from backstay.cluster.proc import CHUNK_BYTES
from backstay.core.errors import ToolError
from backstay.tiers.postgres.directory.copyout import END_BYTES, CopyReader
from backstay.tiers.postgres.programs import find_psql
from tests.fixtures.world import database_on


@contextmanager
def reading(server, name):
    """A reader in the snapshot of a session that stays open."""
    database = database_on(server, name)
    with database.connection.session(name) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ((snapshot,),) = session.execute("SELECT pg_export_snapshot()").fetchall()
        psql = find_psql(database.bin).path
        with CopyReader(database, psql, snapshot, [], session.info.server_version) as reader:
            yield reader


@pytest.fixture(params=[15, 17, 18])
def server(request):
    return request.getfixturevalue(f"postgres{request.param}")


@pytest.fixture
def few(server, fresh_database):
    fresh = fresh_database(server)
    with fresh.connect() as session:
        session.execute("CREATE TABLE few AS SELECT n FROM generate_series(1, 3) n")
    return fresh.name


def test_the_rows_and_how_many_the_server_says_they_are(server, few):
    with reading(server, few) as reader:
        assert b"".join(reader.rows("public.few", "COPY public.few TO STDOUT")) == b"1\n2\n3\n"
        assert reader.count == 3
        assert list(reader.rows("public.few", "COPY (SELECT FROM public.few WHERE false) TO STDOUT")) == []
        assert reader.count == 0
        assert b"".join(reader.rows("public.few", "COPY (SELECT FROM public.few) TO STDOUT")) == b"\n\n\n"
        assert reader.count == 3
        assert reader.number("public.few", "SELECT sum(n) FROM public.few", {"timezone": "UTC"}) == 6


def test_an_end_that_comes_anywhere_in_a_block(postgres18, fresh_database):
    """The line that follows the rows is found where a block is full in the middle of it, too."""
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        session.execute("CREATE TABLE few AS SELECT 1 AS n")
    with reading(postgres18, fresh.name) as reader:
        for size in range(CHUNK_BYTES - END_BYTES - 2, CHUNK_BYTES + 2):
            chunks = list(reader.rows("public.few", f"COPY (SELECT repeat('x', {size - 1})) TO STDOUT"))
            assert b"".join(chunks) == b"x" * (size - 1) + b"\n"
            assert max(map(len, chunks)) <= CHUNK_BYTES
            assert reader.count == 1


def test_rows_of_any_length(postgres18, fresh_database):
    fresh = fresh_database(postgres18)
    query = "SELECT md5(n::text), repeat('y', n * n % 4001) FROM generate_series(1, 20000) n"
    with fresh.connect() as session:
        session.execute("CREATE TABLE few AS SELECT 1 AS n")
        with session.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            wanted = hashlib.sha256(b"".join(bytes(row) for row in copy)).digest()
    with reading(postgres18, fresh.name) as reader:
        text = b"".join(reader.rows("public.few", f"COPY ({query}) TO STDOUT"))
        assert hashlib.sha256(text).digest() == wanted
        assert reader.count == text.count(b"\n") == 20_000


def test_an_error_in_the_middle(postgres18, fresh_database):
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        session.execute("CREATE TABLE few AS SELECT n FROM generate_series(1, 500000) n")
    with reading(postgres18, fresh.name) as reader:
        rows = reader.rows("public.few", "COPY (SELECT 1 / (400000 - n) FROM public.few) TO STDOUT")
        with pytest.raises(ToolError, match="division by zero"):
            for _ in rows:
                pass
