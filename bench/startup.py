"""Start-up: ``backstay --help`` against a bare interpreter, and one that imports the command line library."""

import subprocess
import sys
from functools import partial
from statistics import median

from bench.arena import Arena
from bench.figures import timed
from bench.measure import spread
from bench.result import Ratio, Result

TIMES = 20
BARE, LIBRARY, HELP = "python -c pass", "python -c 'import cyclopts'", "backstay --help"


def run(arena: Arena) -> Result:
    """The median of 20 starts of each, in turn."""
    commands = {BARE: ["-c", "pass"], LIBRARY: ["-c", "import cyclopts"], HELP: ["-m", "backstay", "--help"]}
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(TIMES + 1):
        for name, arguments in commands.items():
            command = [sys.executable, *arguments]
            taken = timed(partial(subprocess.run, command, env=arena.environment, check=True, capture_output=True))
            if number:  # the first reads the files from disk
                found[name].append(taken * 1000)
    arena.say(f"  startup: {TIMES} starts of each")
    middle = {name: median(times) for name, times in found.items()}
    return Result(
        "startup",
        f"Start-up, {TIMES} times each",
        ("", "milliseconds"),
        [(name, spread(times, ".0f")) for name, times in found.items()],
        ["Bound by one core: an interpreter reading modules."],
        {name: {"milliseconds": times} for name, times in found.items()},
        [Ratio(f"start: {HELP}, to the import of its library", f"{middle[HELP] / middle[LIBRARY]:.2f}")],
    )
