"""How many sessions may work at once."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection as Session

MOST = 8  # unless the user says more
_SPARE = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""


def worker_count(session: "Session[tuple[Any, ...]]", wanted: int | None) -> int:
    """``wanted``, or one for each core of this machine that this process may use; at most half of the connections that
    the server has to spare, so that others still get in, and at least 1."""
    row = session.execute(_SPARE).fetchone()
    spare = int(row[0]) // 2 if row else 1
    return max(1, min(wanted or min(MOST, cores()), spare))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
