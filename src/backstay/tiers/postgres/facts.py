"""What a database holds, read from its catalogs in one snapshot: the part of a manifest that a dump cannot tell.

The same questions are asked of the restored database, and the answers compared.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backstay.tiers.postgres import timescale
from backstay.tiers.postgres.dumptext import qualified

if TYPE_CHECKING:
    from psycopg import Connection as Session

_USER_SCHEMAS = "n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'"
_NOT_OF_EXTENSION = (
    "NOT EXISTS (SELECT 1 FROM pg_depend e "
    "WHERE e.objid = {oid} AND e.classid = '{catalog}'::regclass AND e.deptype = 'e')"
)

# pg_dump leaves out the indexes that a CREATE INDEX CONCURRENTLY has left behind, or has not finished.
_DUMPED_INDEX = "(c.relkind <> 'i' OR (i.indisvalid AND i.indisready))"

_TABLES = f"""
SELECT n.nspname, c.relname, c.relkind::text, c.relpersistence::text, pg_table_size(c.oid),
       greatest(c.reltuples, 0)::bigint, pn.nspname, p.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND (c.relispartition OR n.nspname = '_timescaledb_internal')
LEFT JOIN pg_class p ON p.oid = i.inhparent LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND {_USER_SCHEMAS} AND {_NOT_OF_EXTENSION.format(oid="c.oid", catalog="pg_class")}
"""  # noqa: S608 - constants of this module alone

_OBJECTS = f"""
SELECT kind, count(*) FROM (
  SELECT CASE c.relkind WHEN 'r' THEN 'tables' WHEN 'p' THEN 'partitioned tables' WHEN 'v' THEN 'views'
         WHEN 'm' THEN 'materialized views' WHEN 'i' THEN 'indexes' WHEN 'I' THEN 'partitioned indexes'
         WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'foreign tables' ELSE 'types' END AS kind
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
  WHERE {_USER_SCHEMAS} AND c.relkind <> 't' AND {_DUMPED_INDEX}
    AND {_NOT_OF_EXTENSION.format(oid="c.oid", catalog="pg_class")}
  UNION ALL SELECT 'functions' FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
  WHERE {_USER_SCHEMAS} AND {_NOT_OF_EXTENSION.format(oid="f.oid", catalog="pg_proc")}
  UNION ALL SELECT 'constraints' FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
  WHERE {_USER_SCHEMAS} AND k.contype <> 'n' AND {_NOT_OF_EXTENSION.format(oid="k.oid", catalog="pg_constraint")}
  UNION ALL SELECT 'triggers' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {_USER_SCHEMAS}
  UNION ALL SELECT 'policies' FROM pg_policy
  UNION ALL SELECT 'event triggers' FROM pg_event_trigger
  UNION ALL SELECT 'publications' FROM pg_publication
) AS counted GROUP BY kind ORDER BY kind
"""  # noqa: S608 - constants of this module alone

_DATABASE = """
SELECT to_jsonb(d) || jsonb_build_object('owner', pg_get_userbyid(d.datdba),
       'encoding', pg_encoding_to_char(d.encoding), 'size_bytes', pg_database_size(d.oid),
       'comment', shobj_description(d.oid, 'pg_database'),
       'tablespace', (SELECT spcname FROM pg_tablespace s WHERE s.oid = d.dattablespace))
FROM pg_database d WHERE d.datname = current_database()
"""

_SETTINGS = """
SELECT coalesce(r.rolname, ''), s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""

_NOT_VALIDATED = f"""
SELECT format('%%I.%%I.%%I', n.nspname, c.relname, k.conname)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated AND {_USER_SCHEMAS} ORDER BY 1
"""  # noqa: S608 - constants of this module alone

_INVALID_INDEXES = f"""
SELECT n.nspname, c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT {_DUMPED_INDEX} AND {_USER_SCHEMAS} ORDER BY 1, 2
"""  # noqa: S608 - constants of this module alone

_GRANTS = """
SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() AND a.grantee <> d.datdba ORDER BY 1, 2
"""


@dataclass(frozen=True)
class TableFact:
    """One table: ``kind`` is table, partitioned or foreign; ``rows_estimated`` is what ANALYZE last thought."""

    name: str
    schema: str
    relname: str
    kind: str
    unlogged: bool
    size_bytes: int
    rows_estimated: int
    partition_of: str | None


@dataclass(frozen=True)
class Facts:
    """A database in one snapshot. ``database`` and ``objects`` go into the manifest as they are."""

    database: dict[str, Any]
    tables: dict[str, TableFact]
    extensions: dict[str, str]
    objects: dict[str, int]
    large_objects: int
    in_recovery: bool
    system_identifier: str
    not_validated: list[str]
    invalid_indexes: list[str]
    timescale: dict[str, Any] | None

    @property
    def data_tables(self) -> dict[str, TableFact]:
        """The tables a dump must hold rows of, or an empty COPY block."""
        return {
            name: fact
            for name, fact in self.tables.items()
            if fact.kind == "table" and not (fact.unlogged and self.in_recovery)
        }


def read(session: "Session[tuple[Any, ...]]") -> Facts:
    """Ask everything of the database the session is in; one transaction of the caller's makes it one snapshot."""
    return Facts(
        database=_database(session),
        tables=tables(session),
        extensions=dict(session.execute("SELECT extname, extversion FROM pg_extension ORDER BY 1").fetchall()),
        objects=dict(session.execute(_OBJECTS.replace("%%", "%")).fetchall()),
        large_objects=_one(session, "SELECT count(*) FROM pg_largeobject_metadata"),
        in_recovery=_one(session, "SELECT pg_is_in_recovery()"),
        system_identifier=system_identifier(session),
        not_validated=not_validated(session),
        invalid_indexes=[qualified(*row) for row in session.execute(_INVALID_INDEXES.replace("%%", "%"))],
        timescale=timescale.facts(session),
    )


def tables(session: "Session[tuple[Any, ...]]") -> dict[str, TableFact]:
    """Every table of users' schemas that no extension made, by qualified name."""
    kinds = {"r": "table", "p": "partitioned", "f": "foreign"}
    found = {}
    for schema, name, kind, persistence, size, rows, parent_schema, parent in session.execute(
        _TABLES.replace("%%", "%")
    ):
        found[qualified(schema, name)] = TableFact(
            name=qualified(schema, name),
            schema=schema,
            relname=name,
            kind=kinds[kind],
            unlogged=persistence == "u",
            size_bytes=size,
            rows_estimated=rows,
            partition_of=qualified(parent_schema, parent) if parent else None,
        )
    return dict(sorted(found.items()))


def _database(session: "Session[tuple[Any, ...]]") -> dict[str, Any]:
    """What CREATE DATABASE and ALTER DATABASE need to make it again: pg_dump without --create leaves this out."""
    row = _one(session, _DATABASE)
    locale = row.get("datlocale") or row.get("daticulocale")  # renamed in PostgreSQL 17
    return {
        "name": row["datname"],
        "owner": row["owner"],
        "encoding": row["encoding"],
        "locale_provider": {"i": "icu", "b": "builtin"}.get(row.get("datlocprovider", "c"), "libc"),
        "collate": row["datcollate"],
        "ctype": row["datctype"],
        "locale": locale,
        "icu_rules": row.get("daticurules"),
        "collation_version": row.get("datcollversion"),
        "connection_limit": row["datconnlimit"],
        "tablespace": row["tablespace"],
        "comment": row["comment"],
        "size_bytes": row["size_bytes"],
        "settings": [{"role": role, "values": list(values)} for role, values in session.execute(_SETTINGS)],
        "default_grants": row["datacl"] is None,
        "grants": [
            {"role": role, "privilege": privilege, "grantable": grantable}
            for role, privilege, grantable in session.execute(_GRANTS)
        ],
    }


def not_validated(session: "Session[tuple[Any, ...]]") -> list[str]:
    """Constraints declared without looking at the rows that were there (NOT VALID); they come back as such."""
    return [row[0] for row in session.execute(_NOT_VALIDATED.replace("%%", "%"))]


def system_identifier(session: "Session[tuple[Any, ...]]") -> str:
    """What tells this cluster from every other, copies of its files apart; empty where the role may not know."""
    allowed = _one(session, "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
    return str(_one(session, "SELECT system_identifier FROM pg_control_system()")) if allowed else ""


def _one(session: "Session[tuple[Any, ...]]", query: str) -> Any:
    row = session.execute(query).fetchone()
    return row[0] if row else None
