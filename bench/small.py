"""Backup of a very small database: all of Backstay's time is its start and its bookkeeping, and a script is faster."""

from functools import partial

from bench.arena import Arena
from bench.backup import BACKSTAY, SCRIPT, backstay
from bench.figures import PROCESSORS, as_json, disturbance, processors, rounds, times
from bench.measure import spread
from bench.result import Ratio, Result
from bench.scripts import dump_and_pipe


def run(arena: Arena) -> Result:
    """Measure both."""
    name = arena.small_database
    ways = {SCRIPT: partial(dump_and_pipe, arena, name), BACKSTAY: partial(backstay, arena, name)}
    found = rounds(arena, "small", ways)
    return Result(
        "small",
        "Backup of 1,000 rows into SeaweedFS",
        ("", "seconds", *PROCESSORS),
        [(way, spread([one.seconds for one in runs], ".2f"), *processors(runs)) for way, runs in found.items()],
        disturbance(found),
        {way: {"runs": [as_json(one) for one in runs]} for way, runs in found.items()},
        [Ratio(f"backup of 1,000 rows: Backstay, to {SCRIPT}", f"{times(found[BACKSTAY], found[SCRIPT]):.2f}")],
    )
