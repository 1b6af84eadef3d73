"""Backup: Backstay against ``pg_dump | gzip | aws s3 cp -``, and against ``pg_dump`` alone, which nobody can beat."""

import shlex
from functools import partial
from statistics import median

from backstay.core.units import format_size
from bench.arena import SCRIPT_BUCKET, Arena
from bench.figures import PROCESSORS, Rounds, as_json, disturbance, json_result, mib, processors, ratio, rounds
from bench.measure import Run, spread
from bench.result import Result

SCRIPT, BACKSTAY, FLOOR = "pg_dump | gzip | aws s3 cp", "backstay backup", "pg_dump > /dev/null"
COLUMNS = ("", "seconds", "MB/s", "stored", "peak RSS", *PROCESSORS)


def run(arena: Arena) -> Result:
    """Measure all three."""
    shop = arena.database
    ways = {
        SCRIPT: partial(script, arena, shop),
        BACKSTAY: partial(backstay, arena, shop),
        FLOOR: partial(_floor, arena),
    }
    found = rounds(arena, "backup", ways)
    plain = plain_bytes(arena)
    stored = {SCRIPT: script_bytes(arena), BACKSTAY: json_result(found[BACKSTAY][-1])["size_bytes"], FLOOR: 0}
    result = Result("backup", f"Backup of {format_size(plain)} of SQL text into SeaweedFS", COLUMNS)
    for name, runs in found.items():
        result.rows.append(_row(name, runs, plain, stored[name]))
        result.figures[name] = {"stored_bytes": stored[name], "runs": [as_json(one) for one in runs]}
    result.figures["plain_bytes"] = plain
    result.notes = _notes(found, stored)
    return result


def script(arena: Arena, database: str) -> Run:
    """The pipeline as scripts have it."""
    return arena.run(
        arena.postgres("pg_dump", database),
        ["gzip"],
        arena.aws("s3", "cp", "-", f"s3://{SCRIPT_BUCKET}/{script_key(database)}", "--only-show-errors"),
        env=arena.script_environment,
    )


def backstay(arena: Arena, database: str) -> Run:
    """The command as users type it, with its result as JSON."""
    return arena.run(arena.backstay("backup", database, "--json", "--no-progress"), env=arena.environment)


def once(arena: Arena) -> None:
    """Make sure that there is a backup by each, to restore from."""
    with arena.bucket(SCRIPT_BUCKET) as store:
        there = any(True for _ in store.list(script_key(arena.database)))
    if not there:
        script(arena, arena.database)
        backstay(arena, arena.database)


def plain_bytes(arena: Arena) -> int:
    """The SQL text of the newest backup, before compression."""
    shown = arena.ask("show", f"{arena.database}@latest", "--json")
    artifacts = shown["manifest"]["artifacts"]
    return next(int(one["plain_size_bytes"]) for one in artifacts if one["role"] == "dump")


def script_bytes(arena: Arena) -> int:
    """What the script stored."""
    with arena.bucket(SCRIPT_BUCKET) as store:
        return store.head(script_key(arena.database)).size_bytes


def script_key(database: str) -> str:
    """Where the script puts the dump of a database."""
    return f"{database}.sql.gz"


def _floor(arena: Arena) -> Run:
    command = shlex.join(arena.postgres("pg_dump", arena.database))
    return arena.run(["sh", "-c", f"exec {command} > /dev/null"], env=arena.script_environment)


def _row(name: str, runs: list[Run], plain: int, stored: int) -> tuple[str, ...]:
    seconds = [one.seconds for one in runs]
    return (
        name,
        spread(seconds),
        f"{plain / 1e6 / median(seconds):.0f}",
        format_size(stored) if stored else "-",
        mib(max(one.peak_bytes for one in runs)),
        *processors(runs),
    )


def _notes(found: Rounds, stored: dict[str, int]) -> list[str]:
    return [
        f"The script takes {ratio(found[SCRIPT], found[BACKSTAY])} the time of Backstay.",
        f"Backstay takes {ratio(found[BACKSTAY], found[FLOOR])} the time of pg_dump alone.",
        f"Backstay stores {stored[BACKSTAY] / stored[SCRIPT]:.2f} times the bytes of the script.",
        *disturbance(found),
    ]
