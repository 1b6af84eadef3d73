"""What the benchmarks of pipelines share: rounds in alternating order, ratios of medians, figures as JSON."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from bench.arena import Arena
from bench.measure import Run, cores, spread

Rounds = Mapping[str, list[Run]]
SERVERS = ("PostgreSQL", "SeaweedFS")
PROCESSORS = ("client CPU s", *SERVERS, "cores busy", "bound by")
DISTURBED = 0.2  # of a core, on average over a run: others, the kernel, and this program that watches
ALL_BUSY = 0.85  # of the cores: everybody competes for them
ONE_BUSY = 0.75  # of a core, on average, by one program: the others wait for it
PROGRAMS = {"python": "Backstay", "sh": "pg_dump"}  # what was started under another name


def rounds(
    arena: Arena, what: str, ways: Mapping[str, Callable[[], Run]], *, times: int | None = None
) -> dict[str, list[Run]]:
    """Each way once a round; every other round backwards, so that none always comes first."""
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(times or arena.runs):
        order = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in order:
            found[name].append(ways[name]())
            arena.say(f"  {what} {number + 1}/{times or arena.runs}  {name}: {found[name][-1].seconds:.1f} s")
    return found


def times(slower: Sequence[Run], faster: Sequence[Run]) -> float:
    """How many times the median time of the one is that of the other."""
    return seconds(slower) / seconds(faster)


def ratio(slower: Sequence[Run], faster: Sequence[Run]) -> str:
    """The same in words."""
    return f"{times(slower, faster):.2f} times"


def row(name: str, runs: Sequence[Run], plain_bytes: int, *more: str) -> tuple[str, ...]:
    """Seconds, speed, ``more``, memory and PROCESSORS."""
    speed = f"{plain_bytes / 1e6 / seconds(runs):.0f}"
    peak = mib(max(one.peak_bytes for one in runs))
    return (name, spread([one.seconds for one in runs]), speed, *more, peak, *processors(runs))


def processors(runs: Sequence[Run]) -> tuple[str, ...]:
    """Processor seconds of the programs and of each server, the cores that all kept busy, and who bounds it."""
    busy = median(_used(one) / one.seconds for one in runs)
    return (
        f"{median(one.client_seconds for one in runs):.1f}",
        *(f"{median(one.servers[name] for one in runs):.1f}" for name in SERVERS),
        f"{busy:.1f}",
        "all cores" if busy >= ALL_BUSY * cores() else _busiest(runs),
    )


def _used(one: Run) -> float:
    return one.client_seconds + sum(one.servers.values())


def _busiest(runs: Sequence[Run]) -> str:
    """The program or server that used most, if it was at work nearly all the time."""
    shares: dict[str, list[float]] = {}
    for one in runs:
        used = [(PROGRAMS.get(use.name, use.name), use.cpu_seconds) for use in one.programs]
        for name, spent in (*used, *one.servers.items()):
            shares.setdefault(name, []).append(spent / one.seconds)
    name = max(shares, key=lambda name: median(shares[name]))
    return name if median(shares[name]) >= ONE_BUSY else "waiting"


def seconds(runs: Sequence[Run]) -> float:
    """The median time."""
    return median(one.seconds for one in runs)


def mib(size_bytes: int) -> str:
    """Memory, in the unit of its limits."""
    return f"{size_bytes / 2**20:.0f} MiB"


def disturbance(found: Rounds) -> list[str]:
    """A note when others used the machine meanwhile."""
    most = max(one.elsewhere / one.seconds for runs in found.values() for one in runs)
    return [f"Others used up to {most:.1f} cores meanwhile: repeat on a quiet machine."] if most > DISTURBED else []


def as_json(one: Run) -> dict[str, Any]:
    """All of one run."""
    return {
        "seconds": round(one.seconds, 3),
        "step_seconds": [round(step, 3) for step in one.steps],
        "programs": [
            {"name": use.name, "peak_bytes": use.peak_bytes, "cpu_seconds": round(use.cpu_seconds, 3)}
            for use in one.programs
        ],
        "server_cpu_seconds": {name: round(value, 2) for name, value in one.servers.items()},
        "elsewhere_cpu_seconds": round(one.elsewhere, 2),
    }


def json_result(one: Run) -> dict[str, Any]:
    """What a command of Backstay's said at its end, of those that print JSON lines."""
    lines = [json.loads(line) for line in one.output.splitlines()]
    found: dict[str, Any] = next(line for line in lines if line["message_type"] == "result")
    return found


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.monotonic()
    action()
    return time.monotonic() - started
