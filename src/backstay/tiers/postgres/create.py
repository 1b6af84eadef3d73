"""The empty database that a restore loads into, as the one that was backed up was made, and the roles that it needs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backstay.core.errors import RestoreError
from backstay.tiers.postgres import roles, swap, timescale
from backstay.tiers.postgres.database import Database

if TYPE_CHECKING:
    from psycopg import Connection as Session


def create(database: Database, details: Mapping[str, Any], contents: Mapping[str, Any]) -> None:
    """Missing roles, then an empty database with the recorded owner, encoding, locale and settings; what a killed run
    left under its name goes first. ``details`` are a plan's, ``contents`` the manifest's.

    Raises ``RestoreError`` when the server cannot make it.
    """
    import psycopg

    into, recorded = str(details["into"]), details["database"]
    known = {role["name"]: role for role in contents.get("roles", ())}
    with database.connection.session(database.maintenance) as session:
        try:
            _create_roles(session, [known[name] for name in details["create_roles"]])
            swap.drop(session, into)
            session.execute(roles.create_database(recorded, into, session.info.server_version))
            for statement in roles.database_properties(recorded, into):
                session.execute(statement)
            if timescaledb := contents.get("timescale"):
                with database.connection.session(into) as inside:
                    timescale.prepare(inside, timescaledb)
        except psycopg.Error as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RestoreError(
                f"database {into} could not be made at {details['where']}: {said}",
                hint="The role needs CREATEDB and membership in the owner, or be a superuser; and the server the "
                "locale and tablespace recorded. Nothing live was touched.",
            ) from error


def _create_roles(session: "Session[tuple[Any, ...]]", missing: list[Mapping[str, Any]]) -> None:
    for role in missing:
        session.execute(roles.create_role(role))
        for statement in roles.alter_settings(role.get("settings", ()), role=str(role["name"])):
            session.execute(statement)
    for role in missing:
        for statement in roles.memberships(role):
            session.execute(statement)
