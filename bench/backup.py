"""Backup: Backstay against the scripts, and against ``pg_dump`` alone, which only several sessions can beat."""

from collections.abc import Callable
from functools import partial
from typing import Any

from backstay.core.units import format_size
from backstay.tiers.postgres.workers import MOST
from bench import scripts
from bench.arena import Arena
from bench.figures import PROCESSORS, Rounds, as_json, disturbance, json_result, ratio, rounds, row, times
from bench.measure import Run, cores
from bench.result import Ratio, Result
from bench.targets import SHOP, SHOP_CONTENT, SHOP_SQL, SMALL_CONTENT

JOBS = min(MOST, cores())  # as many as Backstay takes when it is not told
BACKSTAY, CONTENT, TEXT = "backstay backup", "  with proof: content", "  with format: sql"
SCRIPT, FLOOR = "pg_dump | gzip | aws s3 cp", "pg_dump > /dev/null"
FOLDER = f"pg_dump -Fd -j{JOBS}, aws s3 cp"
TARGETS = {BACKSTAY: SHOP, CONTENT: SHOP_CONTENT, TEXT: SHOP_SQL}
COLUMNS = ("", "seconds", "MB/s", "stored", "peak RSS", *PROCESSORS)


def run(arena: Arena) -> Result:
    """Measure all of them."""
    shop = arena.database
    content = hashes_content(arena)
    ways: dict[str, Callable[[], Run]] = {
        way: partial(backstay, arena, target) for way, target in TARGETS.items() if content or way != CONTENT
    }
    ways[SCRIPT] = partial(scripts.dump_and_pipe, arena, shop)
    ways[FOLDER] = partial(scripts.dump_and_send, arena, shop, JOBS)
    ways[FLOOR] = partial(scripts.dump_to_nowhere, arena, shop)
    found = rounds(arena, "backup", ways)
    plain, stored = plain_bytes(arena, SHOP), _stored(arena, found)
    title = f"Backup of {format_size(plain)} of rows as text, {format_size(arena.size_bytes(shop))} on the server"
    result = Result("backup", f"{title}, into SeaweedFS", COLUMNS)
    for name, runs in found.items():
        kept = stored[name]
        result.rows.append(row(name, runs, plain, format_size(kept) if kept else "-"))
        result.figures[name] = {"stored_bytes": kept, "runs": [as_json(one) for one in runs]}
    result.figures["plain_bytes"] = plain
    result.notes = _notes(found, stored)
    result.ratios = _ratios(found)
    return result


def backstay(arena: Arena, target: str) -> Run:
    """The command as users type it, with its result as JSON."""
    return arena.run(arena.backstay("backup", target, "--json", "--no-progress"), env=arena.environment)


def once(arena: Arena) -> None:
    """Make sure that there is a backup by each, to restore from."""
    shop = arena.database
    if not scripts.there(arena, shop):
        scripts.dump_and_pipe(arena, shop)
        scripts.dump_and_send(arena, shop, JOBS)
        backstay(arena, shop)


def plain_bytes(arena: Arena, target: str) -> int:
    """The rows of the newest backup as text: the same bytes in both formats, and all but some kB of the SQL text."""
    artifacts = manifest(arena, target)["artifacts"]
    return sum(int(one["plain_size_bytes"]) for one in artifacts if _holds_rows(one["role"]))


def manifest(arena: Arena, target: str) -> dict[str, Any]:
    """That of the newest backup."""
    found: dict[str, Any] = arena.ask("show", f"{target}@latest", "--json")["manifest"]
    return found


def hashes_content(arena: Arena) -> bool:
    """Whether ``proof: content`` has an effect; asked of a backup of few rows."""
    assert arena.small_database
    backstay(arena, SMALL_CONTENT)
    return any("content" in table for table in manifest(arena, SMALL_CONTENT)["contents"]["tables"].values())


def _holds_rows(role: str) -> bool:
    return role.endswith(".dat") or ".dat.part" in role


def _stored(arena: Arena, found: Rounds) -> dict[str, int]:
    """Bytes in the store, by way; 0 for what stores nothing."""
    by_backstay = {way: int(json_result(found[way][-1])["size_bytes"]) for way in TARGETS if way in found}
    keys = {SCRIPT: scripts.text_key(SHOP), FOLDER: scripts.folder_key(SHOP)}
    return {**by_backstay, **{way: scripts.stored_bytes(arena, key) for way, key in keys.items()}, FLOOR: 0}


def _notes(found: Rounds, stored: dict[str, int]) -> list[str]:
    dump, send = (sum(one.steps[step] for one in found[FOLDER]) / len(found[FOLDER]) for step in (0, 1))
    skipped = ["proof: content writes no hashes in this version, so that there is nothing to measure."]
    return [
        f"The script takes {ratio(found[SCRIPT], found[BACKSTAY])} the time of Backstay.",
        f"pg_dump -Fd takes {dump:.1f} s to write its folder, and sending it {send:.1f} s.",
        f"Backstay stores {stored[BACKSTAY] / stored[SCRIPT]:.2f} times the bytes of the script.",
        *([] if CONTENT in found else skipped),
        *disturbance(found),
    ]


def _ratios(found: Rounds) -> list[Ratio]:
    own = found[BACKSTAY]
    ratios = [
        Ratio(f"backup: {SCRIPT}, to Backstay", f"{times(found[SCRIPT], own):.2f}", "at least 3"),
        Ratio(f"backup: {FOLDER}, to Backstay", f"{times(found[FOLDER], own):.2f}", "above 1"),
        Ratio(f"backup: Backstay, to {FLOOR}", f"{times(own, found[FLOOR]):.2f}", "at most 1.3"),
        Ratio("backup: Backstay's format sql, to directory", f"{times(found[TEXT], own):.2f}"),
    ]
    if CONTENT in found:
        ratios.append(Ratio("backup: proof content, to counts", f"{times(found[CONTENT], own):.2f}"))
    return ratios
