"""How much memory a B-tree is sorted in when it is built: little, as long as sorted runs are merged only once.

Sorting in memory jumps about in it, and the less of it there is, the more of that is in the processor's cache; merging
runs from a file does not jump. Measured with three indexes on 2.6 million rows: 7.1 processor seconds in 256 MB, 5.5 in
16 MB. A merge takes a buffer of 272 KiB for each run (PostgreSQL, tuplesort.c), so that all runs of ``memory`` bytes,
up to ``memory`` squared by that, are merged at once; what is larger would be written and read again.
"""

import math
from collections.abc import Sequence

from backstay.tiers.postgres.directory.toc import Entry

RUN_BUFFER_BYTES = 272 << 10
LEAST_BYTES, MOST_BYTES = 16 << 20, 256 << 20  # the most is what everything else is built with


def sort_memory(entries: Sequence[Entry], size_bytes: int) -> str | None:
    """``maintenance_work_mem`` for building ``entries`` on a table of so many bytes, which no index of it exceeds; None
    where one of them is no B-tree: other kinds gain by all that they get."""
    if not all(_is_sorted(entry) for entry in entries):
        return None
    wanted = math.isqrt(size_bytes * RUN_BUFFER_BYTES)
    return f"{min(MOST_BYTES, max(LEAST_BYTES, wanted)) >> 10}kB"


def _is_sorted(entry: Entry) -> bool:
    text = entry.defn or ""
    if entry.desc == "INDEX":
        return " USING btree (" in text
    return (" PRIMARY KEY (" in text or " UNIQUE " in text) and " WITHOUT OVERLAPS" not in text
