"""Backup of a very small database: all of Backstay's time is its start and its bookkeeping, and a script is faster."""

from functools import partial

from bench.arena import Arena
from bench.backup import BACKSTAY, SCRIPT, backstay, script
from bench.figures import as_json, disturbance, ratio, rounds
from bench.measure import spread
from bench.result import Result


def run(arena: Arena) -> Result:
    """Measure both."""
    name = arena.small_database
    found = rounds(arena, "small", {SCRIPT: partial(script, arena, name), BACKSTAY: partial(backstay, arena, name)})
    return Result(
        "small",
        "Backup of 1,000 rows into SeaweedFS",
        ("", "seconds"),
        [(way, spread([one.seconds for one in runs], ".2f")) for way, runs in found.items()],
        [f"Backstay takes {ratio(found[BACKSTAY], found[SCRIPT])} the time of the script.", *disturbance(found)],
        {way: {"runs": [as_json(one) for one in runs]} for way, runs in found.items()},
    )
