"""Which objects of an archive a database has already: what a killed restore need not build again."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from backstay.tiers.postgres.directory.toc import Entry

if TYPE_CHECKING:
    from psycopg import Connection as Session

# The tags are those that pg_dump gives: of what belongs to a table, the table's name and its own.
_THERE = """
SELECT 'INDEX', n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('i', 'I')
UNION ALL SELECT CASE k.contype WHEN 'f' THEN 'FK CONSTRAINT' WHEN 'c' THEN 'CHECK CONSTRAINT' ELSE 'CONSTRAINT' END,
 n.nspname, c.relname || ' ' || k.conname
 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'CHECK CONSTRAINT', n.nspname, t.typname || ' ' || k.conname
 FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
UNION ALL SELECT 'TRIGGER', n.nspname, c.relname || ' ' || t.tgname
 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal
UNION ALL SELECT 'RULE', n.nspname, c.relname || ' ' || r.rulename
 FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE r.rulename <> '_RETURN'
UNION ALL SELECT 'POLICY', n.nspname, c.relname || ' ' || p.polname
 FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'INDEX ATTACH', n.nspname, c.relname
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE c.relkind IN ('i', 'I')
UNION ALL SELECT 'MATERIALIZED VIEW', n.nspname, c.relname
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm'
UNION ALL SELECT 'FUNCTION', n.nspname, p.proname || '(' || oidvectortypes(p.proargtypes) || ')'
 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
UNION ALL SELECT 'STATISTICS', n.nspname, s.stxname
 FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
UNION ALL SELECT 'EVENT TRIGGER', '', evtname FROM pg_event_trigger
UNION ALL SELECT 'PUBLICATION', '', pubname FROM pg_publication
UNION ALL SELECT 'SUBSCRIPTION', '', subname FROM pg_subscription
"""
# Views and functions are looked for because what depends on a key comes last. The rule of such a view is not: until it
# is replaced the view has another of the same name. Nor are the tables of publications, which are made again with them.
# An owner is given in a second statement, which a kill may have prevented: these are made again.
MADE_AGAIN = {"STATISTICS", "EVENT TRIGGER", "PUBLICATION"}


def name(entry: Entry) -> str:
    """What tells an object from all others of its database."""
    kind = entry.desc or ""
    schema = "" if kind in {"EVENT TRIGGER", "PUBLICATION", "SUBSCRIPTION"} else entry.namespace or ""
    return f"{kind}\0{schema}\0{entry.tag}"


def names(session: "Session[tuple[Any, ...]]") -> frozenset[str]:
    """The names of what is there. The session's ``search_path`` is emptied, so that types are named as pg_dump does."""
    session.execute("SET search_path = ''")
    return frozenset("\0".join(row) for row in session.execute(_THERE))


def not_yet(session: "Session[tuple[Any, ...]]", entries: Iterable[Entry]) -> list[Entry]:
    """Those of ``entries`` that are still to be restored; what may be there in part is dropped first."""
    there = names(session)
    left = []
    for entry in entries:
        present = name(entry) in there
        if present and entry.desc in MADE_AGAIN and entry.drop:
            session.execute(entry.drop.encode("utf-8", "surrogateescape"))
            present = False
        if not present:
            left.append(entry)
    return left
