"""Snapshots that k3s took by itself, as ``list`` shows them: they are in no store of ours, and have no id."""

from typing import TYPE_CHECKING, Any

from backstay.cli.output import Style
from backstay.cli.session import Session
from backstay.cli.table import Cell, Column, table
from backstay.core.units import exact_time, format_age, format_size

if TYPE_CHECKING:
    from backstay.tiers.etcd.elsewhere import OwnSnapshot

COLUMNS = (
    Column("SNAPSHOT OF K3S ITSELF"),
    Column("AGE", right=True),
    Column("STATE"),
    Column("SIZE", right=True),
    Column("NODE", optional=1),
    Column("WHERE", optional=2),
)
SHOWN = 12


def own_snapshots_table(found: "list[OwnSnapshot]", session: Session) -> str:
    """The newest of them."""
    now = session.now()
    rows = [
        (
            one.name,
            format_age(one.taken_at, now) if one.taken_at else "-",
            Cell("failed", Style.BAD) if one.error or not one.ready else Cell("foreign", Style.FAINT),
            format_size(one.size_bytes),
            one.node,
            one.location,
        )
        for one in found[:SHOWN]
    ]
    more = f"\nand {len(found) - SHOWN} older; --json has all" if len(found) > SHOWN else ""
    return "\n" + table(COLUMNS, rows, session.output.paint, session.output.width) + more


def own_snapshot_fields(one: "OwnSnapshot") -> dict[str, Any]:
    """The JSON twin; ``id`` is null, for it cannot be named to a command but by its file."""
    return {
        "id": None,
        "state": "foreign",
        "name": one.name,
        "node": one.node or None,
        "location": one.location,
        "started_at": exact_time(one.taken_at) if one.taken_at else None,
        "size_bytes": one.size_bytes,
        "ready": one.ready,
        "error": one.error or None,
    }
