"""``python -m bench [NAME...] [--json FILE] [--runs N]``; bench/run.sh calls it."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from backstay import __version__
from backstay.core.errors import BackstayError
from backstay.core.units import format_duration
from bench import backup, catalog, etcd, objects, onetable, restore, small, startup
from bench.arena import Arena
from bench.measure import cores
from bench.result import Result, summary

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS: Mapping[str, Callable[[Arena], Result]] = {
    "startup": startup.run,
    "small": small.run,
    "backup": backup.run,
    "restore": restore.run,
    "onetable": onetable.run,
    "etcd": etcd.run,
    "objects": objects.run,
    "catalog": catalog.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks, or all; 0 when all could be measured."""
    parser = argparse.ArgumentParser(prog="bench/run.sh", description="Benchmarks; see docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--runs", type=int, default=3, help="of each backup and restore (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown or given.runs < 1:
        parser.error(f"no such benchmark: {', '.join(unknown)}" if unknown else "--runs is at least 1")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _measure([name for name in BENCHMARKS if name in (given.names or BENCHMARKS)], given.runs, given.json)
    except KeyboardInterrupt:
        _say("interrupted; the servers are stopped and their folder is removed")
        return 130
    except BackstayError as error:
        sys.stderr.write(f"error: {error}\n{error.hint}\n")
        return 1


def _measure(names: Sequence[str], runs: int, file: Path | None) -> int:
    started = time.monotonic()
    with Arena(ROOT / ".bench", ROOT / ".venv-bench", runs, _say) as arena:
        machine = {"cores": cores(), "Backstay": __version__, **arena.versions()}
        _say("\n".join(f"{name}: {value}" for name, value in machine.items()))
        results = [BENCHMARKS[name](arena) for name in names]
    _say("\n" + "\n\n".join(result.text() for result in results))
    _say("\n" + summary(results, cores()))
    took = format_duration(time.monotonic() - started)
    _say(f"\nmeasured in {took} on {machine['cores']} cores; compare ratios, not seconds")
    if file:
        ratios = [asdict(ratio) for result in results for ratio in result.ratios]
        figures = {result.name: result.figures for result in results}
        file.write_text(json.dumps({"machine": machine, "ratios": ratios, "benchmarks": figures}, indent=2) + "\n")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
