"""Memberships of roles: they come back with the options that they had, and never with more rights than there were."""

import gzip
import os
import subprocess

import pytest
from psycopg import sql

from backstay.tiers.postgres import roles
from tests.fixtures.world import database_on, directory_world

OPTIONS = {
    "plain": "",
    "admin": "WITH ADMIN OPTION",
    "barred": "WITH INHERIT FALSE, SET FALSE",
    "asking": "WITH INHERIT FALSE",
    "using": "WITH ADMIN TRUE, INHERIT TRUE, SET FALSE",
}
BEFORE_16 = ("plain", "admin")
MEMBERSHIPS = """
SELECT pg_get_userbyid(member), bool_or(admin_option), bool_or({inherit}), bool_or({set}),
       pg_has_role(member, roleid, 'USAGE')
FROM pg_auth_members JOIN pg_roles r ON r.oid = member WHERE pg_get_userbyid(roleid) = %s
GROUP BY member, roleid ORDER BY 1
"""


def memberships(server, group):
    """Of each member of ``group``: ADMIN, INHERIT, SET, and whether it has the rights of the group."""
    with server.connect() as session:
        new = session.info.server_version >= 160000
        query = MEMBERSHIPS.format(
            inherit="inherit_option" if new else "rolinherit", set="set_option" if new else "true"
        )
        return {row[0].rpartition("_")[2]: row[1:] for row in session.execute(query, (group,))}


@pytest.fixture
def made_on(fresh_database):
    """``made_on(server)``: a database that needs roles, each a member of the owner with other options; ``forget`` of it
    drops them."""
    gone = []

    def make(server, name=None):
        made = fresh_database(server, name)
        kinds = list(OPTIONS) if int(server.version.partition(".")[0]) >= 16 else list(BEFORE_16)
        members = [f"{made.name}_{kind}" for kind in kinds]
        quiet = f"{made.name}_quiet"

        def forget():
            with server.connect() as session:
                session.execute(f"DROP ROLE IF EXISTS {', '.join((*members, quiet))}")

        gone.append((made, forget))
        with made.connect_superuser() as session:
            session.execute(f"CREATE ROLE {quiet} NOINHERIT; GRANT {made.owner} TO {quiet}")
            for kind, member in zip(kinds, members, strict=True):
                session.execute(f"CREATE ROLE {member}; GRANT {made.owner} TO {member} {OPTIONS[kind]}")
            for member in (*members, quiet):
                session.execute(f"CREATE TABLE {member} (a integer); ALTER TABLE {member} OWNER TO {member}")
        return made, forget

    yield make
    for made, forget in gone:
        with made.server.connect() as session:
            named = sql.Identifier(made.name)
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(named))
        forget()


def lose(made, forget):
    """The database and every role of it are gone."""
    with made.server.connect() as session:
        session.execute(f"DROP DATABASE {made.name} WITH (FORCE)")
        forget()
        session.execute(f"DROP ROLE {made.owner}")


def test_with_the_options_that_they_had(postgres18, made_on, tmp_path):
    made, forget = made_on(postgres18)
    before = memberships(postgres18, made.owner)
    assert before == {
        "plain": (False, True, True, True),
        "admin": (True, True, True, True),
        "barred": (False, False, False, False),
        "asking": (False, False, True, False),
        "using": (True, True, False, True),
        "quiet": (False, False, True, False),
    }
    world = directory_world(tmp_path, database_on(postgres18, made.name))
    backup = world.backup(made.name)
    lose(made, forget)
    assert world.restore(backup).ok
    assert memberships(postgres18, made.owner) == before


def test_by_hand_as_well(postgres18, made_on, tmp_path):
    """The globals beside the dump, run by psql."""
    made, forget = made_on(postgres18)
    before = memberships(postgres18, made.owner)
    backup = directory_world(tmp_path, database_on(postgres18, made.name)).backup(made.name)
    script = gzip.decompress((tmp_path / "store" / backup.artifact("globals").key).read_bytes())
    lose(made, forget)
    env = {**os.environ, "PGHOST": postgres18.host, "PGPORT": str(postgres18.port), "PGUSER": postgres18.superuser,
           "PGPASSWORD": postgres18.password}  # fmt: skip
    argv = [postgres18.program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
    done = subprocess.run(argv, input=script, env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert memberships(postgres18, made.owner) == before


def test_from_a_server_that_has_no_options(postgres15, postgres18, made_on, tmp_path):
    """INHERIT is of the role there."""
    made, _ = made_on(postgres15)
    before = memberships(postgres15, made.owner)
    assert before == {
        "plain": (False, True, True, True),
        "admin": (True, True, True, True),
        "quiet": (False, False, True, False),
    }
    world = directory_world(tmp_path, database_on(postgres15, made.name, bin=postgres18.bin_dir))
    backup = world.backup(made.name)
    world.databases = {made.name: database_on(postgres18, made.name)}
    assert world.restore(backup).ok
    assert memberships(postgres18, made.owner) == before
    with postgres18.connect() as session:
        session.execute(f"DROP DATABASE {made.name} WITH (FORCE)")
        names = [f"{made.name}_{kind}" for kind in (*BEFORE_16, "quiet")]
        session.execute(f"DROP ROLE {', '.join(names)}, {made.owner}")


def granted(role):
    return [text.as_string(None) for text in roles.memberships(role)]


def test_granted_twice_is_all_that_both_gave(postgres18, made_on, tmp_path):
    """From PostgreSQL 16 on each grantor's grant has options of its own, and they add up."""
    made, _ = made_on(postgres18)
    with postgres18.connect() as session:
        session.execute(
            f"SET ROLE {made.name}_admin; GRANT {made.owner} TO {made.name}_barred WITH INHERIT TRUE, SET FALSE"
        )
    (role,) = [one for one in directory_world(tmp_path, database_on(postgres18, made.name))
               .backup(made.name).contents["roles"] if one["name"] == f"{made.name}_barred"]  # fmt: skip
    assert role["member_of"] == [made.owner]
    assert role["member_options"] == {made.owner: {"admin": False, "inherit": True, "set": False}}
    assert granted(role) == [f'GRANT "{made.owner}" TO "{made.name}_barred" WITH SET FALSE']


def test_a_manifest_that_says_nothing_of_options():
    assert granted({"name": "app", "inherit": True, "member_of": ["one", "two"]}) == [
        'GRANT "one" TO "app"',
        'GRANT "two" TO "app"',
    ]
