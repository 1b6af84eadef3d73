"""Restore: ``backstay restore --to``, which compares what it loaded, against ``aws s3 cp - | gunzip | psql``."""

from statistics import median

from backstay.core.errors import VerificationFailed
from backstay.core.units import format_size
from backstay.demo.compare import Fingerprint, differences
from bench import backup
from bench.arena import SCRIPT_BUCKET, Arena
from bench.figures import (
    PROCESSORS,
    Rounds,
    as_json,
    disturbance,
    json_result,
    mib,
    processors,
    ratio,
    rounds,
    seconds,
    timed,
)
from bench.measure import Run, spread
from bench.result import Result

SCRIPT, BACKSTAY = "aws s3 cp | gunzip | psql", "backstay restore --to"
COLUMNS = ("", "seconds", "MB/s", "WAL", "peak RSS", *PROCESSORS)


class _Restores:
    """The two ways, each into a new database that is removed after; the first of each is looked at row by row."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._original = arena.fingerprint(arena.database)
        self._looked_at: set[str] = set()
        self.analyze: list[float] = []
        self.phases: list[dict[str, float]] = []
        self.logged: dict[str, list[int]] = {SCRIPT: [], BACKSTAY: []}

    def script(self) -> Run:
        """As the script has it, into an empty database; ANALYZE is timed apart."""
        name = "restored_by_script"
        self._arena.create_database(name)
        before = self._arena.logged_bytes()
        run = self._arena.run(
            self._arena.aws("s3", "cp", f"s3://{SCRIPT_BUCKET}/{backup.script_key(self._arena.database)}", "-"),
            ["gunzip"],
            self._arena.postgres("psql", "-X", "-q", "-d", name),
            env=self._arena.script_environment,
        )
        self.analyze.append(timed(lambda: self._arena.analyze(name)))
        self.logged[SCRIPT].append(self._arena.logged_bytes() - before)
        self._finish(name)
        return run

    def backstay(self) -> Run:
        """The command as users type it; it makes the database, loads it, analyses it and compares it."""
        name = "restored_by_backstay"
        command = self._arena.backstay("restore", self._arena.database, "--to", name, "--json", "--no-progress")
        before = self._arena.logged_bytes()
        run = self._arena.run(command, env=self._arena.environment)
        self.logged[BACKSTAY].append(self._arena.logged_bytes() - before)
        self.phases.append(json_result(run)["phases_seconds"])
        self._finish(name)
        return run

    def _finish(self, name: str) -> None:
        if name not in self._looked_at:
            self._looked_at.add(name)
            _must_equal(self._original, self._arena.fingerprint(name), name)
        self._arena.drop_database(name)


def run(arena: Arena) -> Result:
    """Measure both."""
    backup.once(arena)
    plain = backup.plain_bytes(arena)
    restores = _Restores(arena)
    found = rounds(arena, "restore", {SCRIPT: restores.script, BACKSTAY: restores.backstay})
    result = Result("restore", f"Restore of {format_size(plain)} of SQL text into a new database", COLUMNS)
    for name, runs in found.items():
        result.rows.append(_row(name, runs, plain, restores.logged[name]))
        result.figures[name] = {"logged_bytes": restores.logged[name], "runs": [as_json(one) for one in runs]}
    result.figures |= {"plain_bytes": plain, "script_analyze_seconds": restores.analyze, "phases": restores.phases}
    result.notes = _notes(found, restores)
    return result


def _row(name: str, runs: list[Run], plain: int, logged: list[int]) -> tuple[str, ...]:
    return (
        name,
        spread([one.seconds for one in runs]),
        f"{plain / 1e6 / seconds(runs):.0f}",
        format_size(int(median(logged))),
        mib(max(one.peak_bytes for one in runs)),
        *processors(runs),
    )


def _notes(found: Rounds, restores: _Restores) -> list[str]:
    analyze = median(restores.analyze)
    with_analyze = (seconds(found[SCRIPT]) + analyze) / seconds(found[BACKSTAY])
    names = dict.fromkeys(name for phases in restores.phases for name in phases)
    phases = ", ".join(f"{name} {median(one[name] for one in restores.phases):.1f} s" for name in names)
    return [
        f"The script takes {ratio(found[SCRIPT], found[BACKSTAY])} the time of Backstay, which compares as well.",
        f"With the ANALYZE that Backstay includes, the script takes {with_analyze:.2f} times the time.",
        f"Backstay's phases: {phases}.",
        "Every row and definition of both restored databases equals the original's.",
        *disturbance(found),
    ]


def _must_equal(original: Fingerprint, restored: Fingerprint, name: str) -> None:
    different = differences(original, restored)
    if different:
        raise VerificationFailed(f"{name} is not what was backed up: {different[0]}", hint="; ".join(different[1:9]))
