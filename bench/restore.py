"""Restore: ``backstay restore --to``, which compares what it loaded, against psql and against pg_restore."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from statistics import median

from backstay.core.errors import VerificationFailed
from backstay.core.units import format_size
from backstay.demo.compare import differences
from bench import backup, scripts
from bench.arena import Arena
from bench.figures import (
    PROCESSORS,
    Rounds,
    as_json,
    disturbance,
    json_result,
    rounds,
    row,
    seconds,
    timed,
    times,
)
from bench.measure import Run
from bench.result import Ratio, Result
from bench.targets import SHOP

SCRIPT, BACKSTAY = "aws s3 cp | gunzip | psql", "backstay restore --to"
FOLDER = f"aws s3 cp, pg_restore -j{backup.JOBS}"
COLUMNS = ("", "seconds", "MB/s", "WAL", "peak RSS", *PROCESSORS)


class Restores:
    """Restores of one database into a new one that is removed after; the first of each way is looked at row by row."""

    def __init__(self, arena: Arena, database: str) -> None:
        self._arena = arena
        self._original = arena.fingerprint(database)
        self._looked_at: set[str] = set()
        self.analyze: dict[str, list[float]] = defaultdict(list)
        self.phases: dict[str, list[dict[str, float]]] = defaultdict(list)
        self.logged: dict[str, list[int]] = defaultdict(list)

    def script(self, way: str, load: Callable[[str], Run]) -> Run:
        """As a script has it, into an empty database; ANALYZE is timed apart."""
        name = "restored_by_script"
        self._arena.create_database(name)
        before = self._arena.logged_bytes()
        run = load(name)
        self.analyze[way].append(timed(lambda: self._arena.analyze(name)))
        self._finish(way, name, before)
        return run

    def backstay(self, way: str, target: str) -> Run:
        """The command as users type it; it makes the database, loads it, analyses it and compares it."""
        name = "restored_by_backstay"
        command = self._arena.backstay("restore", target, "--to", name, "--json", "--no-progress")
        before = self._arena.logged_bytes()
        run = self._arena.run(command, env=self._arena.environment)
        self.phases[way].append(json_result(run)["phases_seconds"])
        self._finish(way, name, before)
        return run

    def said(self, way: str) -> str:
        """The phases of Backstay's restores."""
        phases = self.phases[way]
        names = dict.fromkeys(name for one in phases for name in one)
        return ", ".join(f"{name} {median(one.get(name, 0.0) for one in phases):.1f} s" for name in names)

    def _finish(self, way: str, name: str, logged_before: int) -> None:
        self.logged[way].append(self._arena.logged_bytes() - logged_before)
        if way not in self._looked_at:
            self._looked_at.add(way)
            if different := differences(self._original, self._arena.fingerprint(name)):
                raise VerificationFailed(
                    f"{way}: {name} is not what was backed up: {different[0]}", hint="; ".join(different[1:9])
                )
        self._arena.drop_database(name)


def run(arena: Arena) -> Result:
    """Measure all three."""
    backup.once(arena)
    plain = backup.plain_bytes(arena, SHOP)
    restores = Restores(arena, SHOP)
    psql = partial(scripts.pipe_and_load, arena, SHOP)
    pg_restore = partial(scripts.fetch_and_restore, arena, SHOP, jobs=backup.JOBS)
    ways = {
        BACKSTAY: partial(restores.backstay, BACKSTAY, SHOP),
        SCRIPT: partial(restores.script, SCRIPT, psql),
        FOLDER: partial(restores.script, FOLDER, pg_restore),
    }
    found = rounds(arena, "restore", ways)
    result = Result("restore", f"Restore of {format_size(plain)} of rows as text into a new database", COLUMNS)
    for name, runs in found.items():
        logged = restores.logged[name]
        result.rows.append(row(name, runs, plain, format_size(int(median(logged)))))
        result.figures[name] = {"logged_bytes": logged, "runs": [as_json(one) for one in runs]}
    result.figures |= {"plain_bytes": plain, "script_analyze_seconds": restores.analyze, "phases": restores.phases}
    result.notes = _notes(found, restores)
    result.ratios = [
        Ratio(f"restore: {SCRIPT}, to Backstay", f"{times(found[SCRIPT], found[BACKSTAY]):.2f}", "at least 1.6"),
        Ratio(f"restore: {FOLDER}, to Backstay", f"{times(found[FOLDER], found[BACKSTAY]):.2f}", "at least 1.1"),
    ]
    return result


def _notes(found: Rounds, restores: Restores) -> list[str]:
    own = seconds(found[BACKSTAY])
    fetch = median(one.steps[0] for one in found[FOLDER])
    with_analyze = [
        f"{(seconds(found[way]) + median(taken)) / own:.2f} times for {way}" for way, taken in restores.analyze.items()
    ]
    return [
        f"With the ANALYZE that Backstay includes, in times of Backstay's: {', '.join(with_analyze)}.",
        f"Fetching the folder takes {fetch:.1f} s of pg_restore's way, which has Backstay's session settings.",
        f"Backstay's phases: {restores.said(BACKSTAY)}.",
        "Every row and definition of the databases restored in each way equals the original's.",
        *disturbance(found),
    ]
