"""What the benchmarks of pipelines share: rounds in alternating order, ratios of medians, figures as JSON."""

import json
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from bench.arena import Arena
from bench.measure import Run

Rounds = Mapping[str, list[Run]]
SERVERS = ("PostgreSQL", "SeaweedFS")
PROCESSORS = ("client CPU s", *SERVERS, "cores busy")
DISTURBED = 0.2  # of a core, on average over a run: others, the kernel, and this program that watches


def rounds(arena: Arena, what: str, ways: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
    """Each way once a round; every other round backwards, so that none always comes first."""
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(arena.runs):
        order = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in order:
            found[name].append(ways[name]())
            arena.say(f"  {what} {number + 1}/{arena.runs}  {name}: {found[name][-1].seconds:.1f} s")
    return found


def ratio(slower: list[Run], faster: list[Run]) -> str:
    """How many times the median time of the one is that of the other."""
    return f"{seconds(slower) / seconds(faster):.2f} times"


def processors(runs: list[Run]) -> tuple[str, ...]:
    """Processor seconds of the programs and of each server, and the cores that all kept busy: see PROCESSORS."""
    everything = [one.client_seconds + sum(one.servers.values()) for one in runs]
    return (
        f"{median(one.client_seconds for one in runs):.1f}",
        *(f"{median(one.servers[name] for one in runs):.1f}" for name in SERVERS),
        f"{median(used / one.seconds for used, one in zip(everything, runs, strict=True)):.1f}",
    )


def seconds(runs: list[Run]) -> float:
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
