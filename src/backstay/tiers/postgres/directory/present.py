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
UNION ALL SELECT CASE WHEN k.contype = 'f' THEN 'FK CONSTRAINT' ELSE 'CONSTRAINT' END, n.nspname,
 c.relname || ' ' || k.conname
 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'TRIGGER', n.nspname, c.relname || ' ' || t.tgname
 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal
UNION ALL SELECT 'RULE', n.nspname, c.relname || ' ' || r.rulename
 FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'POLICY', n.nspname, c.relname || ' ' || p.polname
 FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL SELECT 'INDEX ATTACH', n.nspname, c.relname
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE c.relkind IN ('i', 'I')
UNION ALL SELECT 'STATISTICS', n.nspname, s.stxname
 FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
UNION ALL SELECT 'EVENT TRIGGER', '', evtname FROM pg_event_trigger
UNION ALL SELECT 'PUBLICATION', '', pubname FROM pg_publication
UNION ALL SELECT 'SUBSCRIPTION', '', subname FROM pg_subscription
UNION ALL SELECT 'PUBLICATION TABLE', n.nspname, p.pubname || ' ' || c.relname
 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
 JOIN pg_namespace n ON n.oid = c.relnamespace
"""
# An owner is given in a second statement, which a kill may have prevented: these are made again.
MADE_AGAIN = {"STATISTICS", "EVENT TRIGGER", "PUBLICATION"}


def name(entry: Entry) -> str:
    """What tells an object from all others of its database."""
    kind = entry.desc or ""
    schema = "" if kind in {"EVENT TRIGGER", "PUBLICATION", "SUBSCRIPTION"} else entry.namespace or ""
    return f"{kind}\0{schema}\0{entry.tag}"


def names(session: "Session[tuple[Any, ...]]") -> frozenset[str]:
    """The names of what is there."""
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
