"""One table with nine tenths of the data, by 1, 2 and 4 workers: where one worker for each table gains nothing.

pg_dump and pg_restore work on a local folder here, with nothing sent or fetched, so that only their workers are
compared; Backstay's times are to and from the store as ever.
"""

from functools import partial

from backstay.core.units import format_size
from bench import backup, scripts
from bench.arena import Arena
from bench.figures import PROCESSORS, Rounds, as_json, disturbance, mib, rounds, row, times
from bench.measure import Run
from bench.restore import Restores
from bench.result import Ratio, Result
from bench.targets import LEDGER, WORKERS, ledger

COLUMNS = ("", "seconds", "MB/s", "peak RSS", *PROCESSORS)
ROUNDS = 2  # of six ways each, backwards and forwards
LIMIT_BYTES = 200 << 20  # of memory, for Backstay with the most workers
BACKUP, RESTORE = "backstay backup", "backstay restore --to"
DUMP, LOAD = "pg_dump -Fd -j{}", "pg_restore -j{}"


def run(arena: Arena) -> Result:
    """Measure backups, then restores."""
    database, times = arena.ledger, min(arena.runs, ROUNDS)
    backups = rounds(arena, "one table, backup", _backups(arena), times=times)
    plain = backup.plain_bytes(arena, ledger(1))
    restores = Restores(arena, database)
    found = {**backups, **rounds(arena, "one table, restore", _restores(arena, restores), times=times)}
    size = format_size(arena.size_bytes(database))
    title = f"One table with nine tenths of {format_size(plain)} of rows as text, {size} on the server"
    result = Result("onetable", title, COLUMNS)
    for name, runs in found.items():
        result.rows.append(row(name, runs, plain))
        result.figures[name] = {"runs": [as_json(one) for one in runs]}
    result.figures |= {"plain_bytes": plain, "phases": restores.phases, "script_analyze_seconds": restores.analyze}
    result.notes = _notes(found, restores)
    result.ratios = _ratios(found)
    return result


def _backups(arena: Arena) -> dict[str, partial[Run]]:
    own = {_own(BACKUP, n): partial(backup.backstay, arena, ledger(n)) for n in WORKERS}
    return {**own, **{DUMP.format(n): partial(scripts.dump_locally, arena, LEDGER, n) for n in WORKERS}}


def _restores(arena: Arena, restores: Restores) -> dict[str, partial[Run]]:
    ways = {_own(RESTORE, n): partial(restores.backstay, _own(RESTORE, n), ledger(n)) for n in WORKERS}
    for n in WORKERS:
        load = partial(scripts.restore_locally, arena, LEDGER, jobs=n)
        ways[LOAD.format(n)] = partial(restores.script, LOAD.format(n), load)
    return ways


def _own(command: str, workers: int) -> str:
    return f"{command}, {workers} worker{'s' if workers > 1 else ''}"


def _notes(found: Rounds, restores: Restores) -> list[str]:
    holds = "within" if _peak(found) <= LIMIT_BYTES else "above"
    return [
        *(f"Backstay's phases with {n}: {restores.said(_own(RESTORE, n))}." for n in WORKERS),
        f"Peak RSS of Backstay with 4 workers is {mib(_peak(found))}: {holds} the limit of {mib(LIMIT_BYTES)}.",
        "Every row and definition of the databases restored in each way equals the original's.",
        *disturbance(found),
    ]


def _peak(found: Rounds) -> int:
    ways = (_own(BACKUP, max(WORKERS)), _own(RESTORE, max(WORKERS)))
    return max(one.peak_bytes for way in ways for one in found[way])


def _ratios(found: Rounds) -> list[Ratio]:
    """How each scales with its workers, and how the two compare with the same number."""
    ratios = []
    for what, command, rival in (("backup", BACKUP, DUMP), ("restore", RESTORE, LOAD)):
        for name, ways in (
            ("Backstay", [_own(command, n) for n in WORKERS]),
            (rival.format("N"), [rival.format(n) for n in WORKERS]),
        ):
            gains = " / ".join(f"{times(found[ways[0]], found[way]):.2f}" for way in ways)
            ratios.append(Ratio(f"one table, {what}: {name}, speed with 1 / 2 / 4 workers", gains))
        against = " / ".join(f"{times(found[rival.format(n)], found[_own(command, n)]):.2f}" for n in WORKERS)
        ratios.append(Ratio(f"one table, {what}: {rival.format('N')}, to Backstay with N = 1 / 2 / 4", against))
    ratios.append(
        Ratio("one table: Backstay's peak RSS with 4 workers", mib(_peak(found)), f"at most {mib(LIMIT_BYTES)}")
    )
    return ratios
