"""What a dump has written and seen, whatever its format: the tier makes the manifest of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from backstay.core.errors import DumpIncomplete
from backstay.core.model import Artifact
from backstay.tiers.base import File
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.facts import Facts


@dataclass(frozen=True)
class Dumped:
    """``rows`` by table; ``sequences`` as value and whether it was called; ``files`` is the file of each table, before
    compression, where tables have files; ``globals_file`` is where roles go. In ``by_hand`` stands DATABASE for its
    name."""

    format: str
    artifacts: tuple[Artifact, ...]
    rows: Mapping[str, int]
    sequences: Mapping[str, tuple[int, bool]]
    large_objects: int
    globals_file: File
    by_hand: tuple[str, ...]
    guide: File | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def client_encoding(facts: Facts) -> str:
    """In which encoding text is dumped: UTF-8, except where the server does not know what its bytes mean."""
    return "SQL_ASCII" if facts.database["encoding"] == "SQL_ASCII" else "UTF8"


def check_large_objects(database: Database, facts: Facts, found: int) -> None:
    """Raise ``DumpIncomplete`` unless the dump has as many large objects as the database."""
    if found != facts.large_objects:
        raise DumpIncomplete(
            f"the dump of {database.target} has {found:,} large objects, the database {facts.large_objects:,}",
            hint="Before PostgreSQL 19 a role that is not their owner cannot dump them: use a superuser.",
        )
