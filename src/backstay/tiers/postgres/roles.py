"""Globals: the roles a database needs, their memberships, and the database's own settings, as SQL and as data.

pg_dump has none of it, and a restore on a new server fails without it. Only what this database depends on is taken
(pg_shdepend and the roles those are members of), never a password unless asked for, and never more rights on
restore than a role needs to own things: SUPERUSER, REPLICATION and BYPASSRLS are recorded but not given again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection as Session
    from psycopg.sql import Composed

FIRST_USER_OID = 16384  # below it are the bootstrap superuser and the predefined pg_* roles (FirstNormalObjectId)
LIST_SETTINGS = {"search_path", "local_preload_libraries", "session_preload_libraries", "temp_tablespaces"}

_NEEDED = """
WITH RECURSIVE here AS (SELECT oid, datdba FROM pg_database WHERE datname = current_database()),
needed(oid) AS (
  SELECT datdba FROM here
  UNION SELECT refobjid FROM pg_shdepend, here WHERE refclassid = 'pg_authid'::regclass
    AND (dbid = here.oid OR (dbid = 0 AND classid = 'pg_database'::regclass AND objid = here.oid))
  UNION SELECT s.setrole FROM pg_db_role_setting s, here WHERE s.setdatabase = here.oid AND s.setrole <> 0
  UNION SELECT m.roleid FROM pg_auth_members m JOIN needed ON needed.oid = m.member)
SELECT r.rolname, r.oid >= %s, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
       r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text,
       (SELECT coalesce(jsonb_object_agg(parent, to_jsonb(o) - 'parent'), '{}') FROM (
          SELECT pg_get_userbyid(m.roleid) AS parent, bool_or(m.admin_option) AS admin,
                 bool_or(coalesce((to_jsonb(m)->>'inherit_option')::boolean, r.rolinherit)) AS inherit,
                 bool_or(coalesce((to_jsonb(m)->>'set_option')::boolean, true)) AS set
          FROM pg_auth_members m WHERE m.member = r.oid GROUP BY m.roleid) AS o),
       (SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0)
FROM needed JOIN pg_roles r ON r.oid = needed.oid ORDER BY 1
"""
_FIELDS = (
    "name",
    "user_made",
    "superuser",
    "inherit",
    "createrole",
    "createdb",
    "login",
    "replication",
    "bypassrls",
    "connection_limit",
    "valid_until",
    "member_options",
    "settings",
)


def read(session: "Session[tuple[Any, ...]]") -> list[dict[str, Any]]:
    """The roles the current database needs, as plain data for the manifest; passwords are not among it."""
    rows = session.execute(_NEEDED, (FIRST_USER_OID,)).fetchall()
    roles = [dict(zip(_FIELDS, row, strict=True)) for row in rows]
    for role in roles:
        role["settings"] = list(role["settings"] or ())
        role["member_of"] = sorted(role["member_options"])
    return roles


def passwords(session: "Session[tuple[Any, ...]]", roles: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The stored password hashes (SCRAM verifiers) of these roles. Needs a superuser."""
    names = [role["name"] for role in roles if role["user_made"]]
    query = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(%s) AND rolpassword IS NOT NULL"
    return dict(session.execute(query, (names,)).fetchall())


def create_role(role: Mapping[str, Any], password: str | None = None) -> "Composed":
    """CREATE ROLE with what the role needs to own and log in, without the rights that reach over the whole server."""
    from psycopg.sql import SQL, Identifier, Literal

    words = [
        "LOGIN" if role.get("login") else "NOLOGIN",
        "INHERIT" if role.get("inherit", True) else "NOINHERIT",
        *(["CREATEDB"] if role.get("createdb") else []),
    ]
    parts = [SQL("CREATE ROLE {} WITH " + " ".join(words)).format(Identifier(str(role["name"])))]
    limit = role.get("connection_limit", -1)
    if isinstance(limit, int) and limit >= 0:
        parts.append(SQL("CONNECTION LIMIT {}").format(Literal(limit)))
    if role.get("valid_until"):
        parts.append(SQL("VALID UNTIL {}").format(Literal(str(role["valid_until"]))))
    if password:
        parts.append(SQL("PASSWORD {}").format(Literal(password)))
    return SQL(" ").join(parts)


def memberships(role: Mapping[str, Any]) -> Iterator["Composed"]:
    """GRANT for each role that ``role`` is a member of, with the options it had; a manifest of before has none.

    Only what GRANT would not do by itself is spelled out. INHERIT and SET are options from PostgreSQL 16 on, and only a
    role of such a server has others than the usual: an older one refuses them, and so gives no more than there was.
    """
    from psycopg.sql import SQL, Identifier

    inherit = role.get("inherit", True)
    for parent in role.get("member_of", ()):
        options = {"admin": False, "inherit": inherit, "set": True, **role.get("member_options", {}).get(parent, {})}
        words = [
            *(["ADMIN OPTION"] if options["admin"] else []),
            *([f"INHERIT {'TRUE' if options['inherit'] else 'FALSE'}"] if options["inherit"] != inherit else []),
            *([] if options["set"] else ["SET FALSE"]),
        ]
        grant = SQL("GRANT {} TO {}").format(Identifier(parent), Identifier(str(role["name"])))
        yield grant + SQL(f" WITH {', '.join(words)}" if words else "")


def alter_settings(values: Sequence[str], *, role: str = "", database: str = "") -> Iterator["Composed"]:
    """ALTER ROLE / ALTER DATABASE ... SET for settings as pg_db_role_setting keeps them (``name=value``).

    Settings that are lists of identifiers are kept already quoted and are given element by element, as pg_dump does.
    """
    from psycopg.sql import SQL, Identifier, Literal

    if role and database:
        subject = SQL("ALTER ROLE {} IN DATABASE {} SET ").format(Identifier(role), Identifier(database))
    elif role:
        subject = SQL("ALTER ROLE {} SET ").format(Identifier(role))
    else:
        subject = SQL("ALTER DATABASE {} SET ").format(Identifier(database))
    for text in values:
        name, _, value = str(text).partition("=")
        elements = _elements(value) if name in LIST_SETTINGS else [value]
        dotted = SQL(".").join(Identifier(part) for part in name.split("."))
        listed = SQL(", ").join(Literal(element) for element in elements)
        yield subject + dotted + SQL(" TO ") + listed


def database_properties(database: Mapping[str, Any], name: str) -> Iterator["Composed"]:
    """What to run after CREATE DATABASE ``name``: settings, grants, comment, connection limit."""
    from psycopg.sql import SQL, Identifier, Literal

    here = Identifier(name)
    for setting in database.get("settings", ()):
        yield from alter_settings(setting["values"], role=setting["role"], database=name)
    if not database.get("default_grants", True):
        yield SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(here)
    for grant in database.get("grants", ()):
        if grant["privilege"] in {"CREATE", "CONNECT", "TEMPORARY"}:
            to = Identifier(grant["role"]) if grant["role"] else SQL("PUBLIC")
            option = SQL(" WITH GRANT OPTION" if grant["grantable"] else "")
            yield SQL("GRANT {} ON DATABASE {} TO {}{}").format(SQL(grant["privilege"]), here, to, option)
    if database.get("comment"):
        yield SQL("COMMENT ON DATABASE {} IS {}").format(here, Literal(database["comment"]))
    limit = database.get("connection_limit", -1)
    if isinstance(limit, int) and limit >= 0:
        yield SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(here, Literal(limit))


def create_database(database: Mapping[str, Any], name: str, server_version: int) -> "Composed":
    """CREATE DATABASE from template0 with the recorded owner, encoding and locale. ``server_version`` like 170011."""
    from psycopg.sql import SQL, Identifier, Literal

    parts = [SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name))]
    if database.get("owner"):
        parts.append(SQL("OWNER {}").format(Identifier(database["owner"])))
    for key, keyword in (("encoding", "ENCODING"), ("collate", "LC_COLLATE"), ("ctype", "LC_CTYPE")):
        if database.get(key):
            parts.append(SQL(keyword + " {}").format(Literal(database[key])))
    provider = database.get("locale_provider", "libc")
    if provider == "libc" and server_version >= 150000:
        parts.append(SQL("LOCALE_PROVIDER {}").format(SQL("libc")))  # not that of template0, which may be another
    elif provider != "libc" and server_version >= 150000:
        parts.append(SQL("LOCALE_PROVIDER {}").format(SQL("icu" if provider == "icu" else "builtin")))
        keyword = "ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE"
        parts.append(SQL(keyword + " {}").format(Literal(database["locale"])))
        if database.get("icu_rules"):  # from PostgreSQL 16 on; an older server refuses them, and would sort otherwise
            parts.append(SQL("ICU_RULES {}").format(Literal(database["icu_rules"])))
    if database.get("tablespace") not in {None, "pg_default"}:
        parts.append(SQL("TABLESPACE {}").format(Identifier(database["tablespace"])))
    return SQL(" ").join(parts)


def script(
    session: "Session[tuple[Any, ...]]",
    roles: Sequence[Mapping[str, Any]],
    database: Mapping[str, Any],
    secrets: Mapping[str, str],
) -> str:
    """globals.sql: run with psql against the maintenance database before the dump is loaded into the new database."""
    from psycopg.sql import SQL, Literal

    lines = ["-- What a dump of one database leaves out: its roles, their memberships, and the database itself."]
    made = [role for role in roles if role["user_made"]]
    for role in made:
        statement = create_role(role, secrets.get(role["name"])).as_string(session)
        exists = SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(Literal(role["name"])).as_string(session)
        lines.append(f"SELECT {_literal(session, statement)} WHERE NOT EXISTS ({exists}) \\gexec")
        lines += [f"{text.as_string(session)};" for text in alter_settings(role["settings"], role=role["name"])]
    for role in made:
        lines += [f"{text.as_string(session)};" for text in memberships(role)]
    name = database["name"]
    lines.append(f"{create_database(database, name, session.info.server_version).as_string(session)};")
    lines += [f"{text.as_string(session)};" for text in database_properties(database, name)]
    return "\n".join(lines) + "\n"


def _literal(session: "Session[tuple[Any, ...]]", text: str) -> str:
    from psycopg.sql import Literal

    return Literal(text).as_string(session)


def _elements(value: str) -> list[str]:
    """Split ``"$user", public`` at the commas outside quotes; quotes removed, doubled ones undone."""
    elements, current, quoted = [], "", False
    for character in value + ",":
        if character == '"':
            quoted = not quoted
            current += character
        elif character == "," and not quoted:
            text = current.strip()
            elements.append(text[1:-1].replace('""', '"') if text.startswith('"') else text)
            current = ""
        else:
            current += character
    return elements
