"""The sample databases: whole, the same each time, and what stock tools bring back equals them."""

import os
import subprocess

import pytest

from backstay.core.errors import UsageError
from backstay.demo.compare import differences, fingerprint
from backstay.demo.data import SAMPLES, build


def read(server, name):
    with server.connect(name) as connection:
        return fingerprint(connection)


@pytest.fixture(params=["postgres18", "postgres17", "postgres15"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def museum(postgres18):
    name = build(postgres18, "museum", f"museum{os.getpid()}")
    yield name
    drop(postgres18, name)


@pytest.fixture
def copy_of_museum(postgres18, museum):
    name = f"{museum}_copy"
    with postgres18.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {museum}")
    yield name
    drop(postgres18, name)


def drop(server, name):
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_flights_are_all_there_with_their_keys(postgres18, sample_database):
    found = read(postgres18, sample_database(postgres18, "flights"))
    assert {name: table.rows for name, table in found.tables.items()} == {
        "public.airlines": 16,
        "public.airports": 1458,
        "public.planes": 3322,
        "public.weather": 26115,
        "public.flights": 336_776,
    }
    assert len(found.objects["constraint"]) == 9
    assert all("owner flights" in relation for relation in found.objects["relation"].values())


@pytest.mark.parametrize("kind", ["museum", "shop", "wiki"])
def test_stock_tools_bring_back_an_equal_database(server, sample_database, kind):
    name = sample_database(server, kind)
    before = read(server, name)
    environment = {
        **os.environ,
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.superuser,
        "PGPASSWORD": server.password,
    }
    dump = subprocess.run(
        [server.program("pg_dump"), "--create", name], env=environment, check=True, capture_output=True
    ).stdout
    drop(server, name)
    subprocess.run(
        [server.program("psql"), "-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", "postgres"],
        env=environment,
        input=dump,
        check=True,
        capture_output=True,
    )
    assert differences(before, read(server, name)) == []


def test_the_museum_has_something_of_every_kind(postgres18, museum):
    found = read(postgres18, museum)
    assert [kind for kind, objects in found.objects.items() if not objects] == []
    assert found.tables["public.no_columns"].rows == 3
    assert found.tables["public.empty"].rows == 0
    assert 'public."new\nline"' in found.tables
    assert list(found.views) == ["public.best_hall", "public.hall_totals"]
    assert found.objects["sequence"]["public.odd_steps"].endswith("at 5000, not called")


def test_the_same_each_time(postgres18, sample_database):
    one, two = (read(postgres18, sample_database(postgres18, "shop")) for _ in range(2))
    assert differences(one, two) == []


def test_the_same_rows_on_an_older_server(postgres15, postgres18, sample_database):
    old, new = (read(server, sample_database(server, "museum")) for server in (postgres15, postgres18))
    assert old.tables.items() < new.tables.items()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE exhibits.hard_values SET t = E'\\\\,' WHERE kind = 'end marker'", "table exhibits.hard_values"),
        ("UPDATE exhibits.hard_values SET t = NULL WHERE kind = 'empty'", "table exhibits.hard_values"),
        ("UPDATE scans SET image = set_byte(image, 40000, 7) WHERE id = 18", "table public.scans"),
        ('DELETE FROM ONLY "new\nline" WHERE "col\numn" = 12', 'table public."new\nline"'),
        ("DELETE FROM visits WHERE day = '2025-01-01' AND hall = 'east'", "table public.visits_2025_east"),
        ("SELECT lo_put(900200, 4999999, '\\x01')", "large object 900200"),
        ("SELECT lo_unlink(900000)", "large object 900000 is missing"),
        ("SELECT nextval('never_called')", "sequence public.never_called"),
        ("ALTER TABLE tickets ENABLE TRIGGER never", "trigger public.tickets.never"),
        ("GRANT UPDATE ON empty TO museum_guide", "relation public.empty"),
        ("GRANT SELECT (price) ON tickets TO museum_guide", "column public.tickets.price"),
        ("ALTER TABLE tickets ALTER price SET DEFAULT 13", "column public.tickets.price"),
        ("ALTER TABLE notes DISABLE ROW LEVEL SECURITY", "relation public.notes"),
        ("DROP POLICY own ON notes", "policy public.notes.own is missing"),
        ("CREATE TABLE more ()", "table public.more was not there before"),
        ("ALTER FUNCTION misleading OWNER TO postgres", "function public.misleading"),
        ("COMMENT ON TABLE \"Mixed Case\" IS 'two'", "comment table public"),
        ("REFRESH MATERIALIZED VIEW best_hall WITH NO DATA", "materialized view public.best_hall is missing"),
        ("DROP EVENT TRIGGER watch_ddl", "event trigger watch_ddl is missing"),
    ],
)
def test_one_small_change_is_seen_and_named(postgres18, copy_of_museum, change, said):
    before = read(postgres18, copy_of_museum)
    with postgres18.connect(copy_of_museum) as connection:
        connection.execute(change)
    found = differences(before, read(postgres18, copy_of_museum))
    assert any(sentence.startswith(said) for sentence in found), found


def test_an_unknown_kind_is_refused(postgres18):
    with pytest.raises(UsageError, match="'zoo'") as caught:
        build(postgres18, "zoo")
    assert all(kind in caught.value.hint for kind in SAMPLES)
