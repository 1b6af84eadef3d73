"""Which parts of a dump are restored, and under which roles; the same for SQL text and for an archive's entries."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backstay.core.errors import RestoreError
from backstay.tiers.postgres.dumptext import qualified, quote_always, unquote

LEAVES = (b"DROP DATABASE ", b"CREATE DATABASE ", b"ALTER DATABASE ", b"DROP ROLE ", b"DROP TABLESPACE ")
_ROLE_WORDS = re.compile(rb'\b(OWNER TO|TO|FROM|FOR ROLE|AUTHORIZATION) ("(?:[^"]|"")*"|[a-z_][a-z0-9_$]*)')
_WITH_ROLES = (b"ALTER ", b"GRANT ", b"REVOKE ", b"CREATE POLICY ")
_INDEX_TABLE = re.compile(rb' ON (?:ONLY )?("(?:[^"]|"")*"|[^\s".(]+)\.("(?:[^"]|"")*"|[^\s".(]+)')
_NOT_IN_A_COPY = {
    "FK CONSTRAINT",
    "INDEX ATTACH",
    "MATERIALIZED VIEW DATA",
    "TRIGGER",
    "EVENT TRIGGER",
    "RULE",
    "POLICY",
    "ROW SECURITY",
    "PUBLICATION",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "SUBSCRIPTION",
    "STATISTICS",
}
_COMMENTS_KEPT = ("TABLE ", "COLUMN ", "SCHEMA ", "TYPE ", "DOMAIN ", "FUNCTION ", "EXTENSION ", "SEQUENCE ")


@dataclass(frozen=True)
class Selection:
    """Which tables' rows to load; nothing chosen means all. Every table's definition comes, so that all types fit."""

    tables: frozenset[str] = frozenset()
    schemas: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.tables or self.schemas)

    def has(self, schema: str, table: str) -> bool:
        """The table's rows are wanted."""
        return not self or schema in self.schemas or qualified(schema, table) in self.tables

    def wants(self, kind: str, name: str, schema: str) -> bool:
        """Whether an object of a dump belongs into a copy of the selected tables; of an index, ask ``wants_index``."""
        if not self:
            return True
        if kind == "TABLE DATA":
            return self.has(schema, name)
        if kind in _NOT_IN_A_COPY or kind.startswith("BLOB"):
            return False
        if kind == "CONSTRAINT":
            return any(self.has(schema, name[:cut]) for cut in _spaces(name))
        if kind == "COMMENT":
            return name.startswith(_COMMENTS_KEPT)
        return not (kind == "ACL" and name.startswith("LARGE OBJECT"))

    def wants_index(self, definition: bytes) -> bool:
        """Whether ``CREATE INDEX ...`` is of a selected table."""
        match = _INDEX_TABLE.search(definition)
        return not self or bool(match and self.has(unquote(match[1]), unquote(match[2])))


def map_roles(statement: bytes, roles: Mapping[str, str]) -> bytes:
    """A statement with the roles in it renamed, where it is one that names roles."""

    def mapped(match: re.Match[bytes]) -> bytes:
        name = unquote(match[2])
        return match[0] if name not in roles else match[1] + b" " + quote_always(roles[name]).encode()

    if not roles or not statement.startswith(_WITH_ROLES):
        return statement
    return _ROLE_WORDS.sub(mapped, statement)


def outside(statement: bytes) -> RestoreError:
    """The error for a statement that would leave the database it is loaded into."""
    line = statement.decode("utf-8", "replace").strip()[:80]
    return RestoreError(
        f"the dump wants to reach beyond the database it is loaded into: {line}",
        hint="It was made with --create or by pg_dumpall, or it was tampered with. Nothing live was touched. "
        "Load it by hand where it can do no harm.",
    )


def _spaces(name: str) -> Iterator[int]:
    """Where a constraint's header ``table constraint`` may be split."""
    return (index for index, character in enumerate(name) if character == " ")
