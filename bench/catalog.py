"""The catalog: ``list`` and ``status`` over 10,000 manifests of 15 targets, with an empty cache and with a full one."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from backstay.app import App, open_app
from backstay.catalog import keys, manifest, proofs
from backstay.catalog.cache import ManifestCache
from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.catalog.foreign import Naming
from backstay.config.load import load
from backstay.core.model import Artifact, Backup, Finding, Level, Proof, Severity, State, Target, TierKind
from backstay.core.units import format_stamp
from backstay.jobs.context import Context
from backstay.report import status
from backstay.store.base import Store
from backstay.store.wrap import Metered, Usage
from bench.arena import Arena
from bench.figures import PROCESSORS, as_json, mib, processors
from bench.measure import Run, spread
from bench.result import Result

BUCKET = "bench-catalog"
TARGETS = [Target(TierKind.POSTGRES, f"database{number:02}") for number in range(1, 16)]
MANIFESTS = 10_000
PROVEN_EVERY = 7  # one drill a week
TABLES = 23
WRITERS = 8
RUNS = 3
EMPTY, FULL = "empty", "full"
PAGE = 1000  # objects in one answer to a list request
Action = Callable[[Context], object]


def run(arena: Arena) -> Result:
    """Fill a bucket, then ask."""
    config = arena.folder / "catalog.yaml"
    arena.configure(config, BUCKET, {target.name: "" for target in TARGETS})
    now = datetime.now(UTC)
    arena.say(f"writing {MANIFESTS:,} manifests")
    with arena.bucket(BUCKET) as store:
        written = _fill(store, now)
    title = (
        f"Catalog of {MANIFESTS:,} manifests and {written - MANIFESTS:,} proofs of {len(TARGETS)} targets, in SeaweedFS"
    )
    result = Result("catalog", title, ("", "seconds", "requests", "peak RSS", *PROCESSORS))
    for command, action in (("list", _list), ("status", partial(_status, now=now))):
        times = _times(arena, config, command)
        asked = _requests(arena, config, action)
        for kind, runs in times.items():
            took = spread([one.seconds for one in runs], ".2f")
            peak = mib(max(one.peak_bytes for one in runs))
            row = (f"backstay {command}, {kind} cache", took, f"{asked[kind]:,}", peak, *processors(runs))
            result.rows.append(row)
        result.figures[command] = {
            kind: {"runs": [as_json(one) for one in runs], "requests": asked[kind]} for kind, runs in times.items()
        }
    result.notes = ["Empty: nothing in the local cache. Full: the same command again."]
    return result


def _times(arena: Arena, config: Path, command: str) -> dict[str, list[Run]]:
    """The command as users type it, from a cold start of the program."""
    cache = arena.folder / "catalog-cache"
    env = {**arena.environment, "BACKSTAY_CONFIG": str(config), "XDG_CACHE_HOME": str(cache)}
    found: dict[str, list[Run]] = {EMPTY: [], FULL: []}
    for _ in range(RUNS):
        shutil.rmtree(cache, ignore_errors=True)
        for runs in found.values():
            runs.append(arena.run(arena.backstay(command, "--json"), env=env))
    arena.say(f"  {command}: {EMPTY} cache {found[EMPTY][-1].seconds:.1f} s, {FULL} {found[FULL][-1].seconds:.1f} s")
    return found


def _requests(arena: Arena, config: Path, action: Action) -> dict[str, int]:
    """What the same question asks of the store, counted within this process."""
    found = {}
    with open_app(load(config, arena.environment), arena.environment) as app:
        for kind in (EMPTY, FULL):
            metered = Metered(app.stores["main"])
            with closing(ManifestCache(arena.folder / "counted", str(action))) as cache:
                action(_counted(app, metered, cache))
            found[kind] = _count(metered.usage)
    return found


def _counted(app: App, store: Store, cache: ManifestCache) -> Context:
    """The application's context, with its catalog over another store and cache."""
    context = app.context
    catalog = Catalog(
        store,
        name="main",
        cluster=context.cluster,
        now=context.now,
        new_id=lambda: "",
        cache=cache,
        foreign={target: Naming(one.prefix, one.base) for target, one in context.settings.items()},
    )
    return replace(context, catalogs=Catalogs({"main": catalog}, dict.fromkeys(context.settings, "main"), "main"))


def _list(context: Context) -> None:
    context.catalogs.levels()
    for _ in context.catalogs.backups(foreign=True):
        pass


def _status(context: Context, now: datetime) -> None:
    status.build(context, now=now)


def _count(usage: Usage) -> int:
    """One request for each call, and one more for each further page of a list."""
    return usage.gets + usage.heads + usage.puts + usage.deletes + usage.lists + usage.listed_objects // PAGE


def _fill(store: Store, now: datetime) -> int:
    """Write all; returns how many objects."""
    with ThreadPoolExecutor(WRITERS) as pool:
        jobs = [pool.submit(store.put, key, (body,)) for key, body in _objects(now)]
        for job in jobs:
            job.result()
    return len(jobs)


def _objects(now: datetime) -> Iterator[tuple[str, bytes]]:
    """One backup of each target a day, back from today, and a proof for each seventh."""
    days = (now.replace(hour=3, minute=0, second=0, microsecond=0) - timedelta(days=day) for day in itertools.count(1))
    runs = ((day, target) for day in days for target in TARGETS)
    for number, (started, target) in enumerate(itertools.islice(runs, MANIFESTS)):
        backup = _backup(target, started, number)
        yield keys.manifest_key(target, backup.stamp), manifest.encode(backup)
        if (number // len(TARGETS)) % PROVEN_EVERY == 0:
            yield keys.proof_key(target, backup.stamp, "drill"), proofs.encode(_proof(backup))


def _backup(target: Target, started: datetime, number: int) -> Backup:
    stamp = format_stamp(started)
    finished = started + timedelta(seconds=30)
    key = f"postgres-backups/{target.name}/{target.name}-{stamp}"
    artifacts = [_artifact("dump", f"{key}.sql.gz", number), _artifact("globals", f"{key}.globals.sql.gz", number)]
    return Backup(
        target=target,
        stamp=stamp,
        cluster="bench",
        state=State.COMPLETE,
        started_at=started,
        finished_at=finished,
        point_in_time=started,
        artifacts=tuple(artifacts),
        tools={"backstay": "0.1.0", "pg_dump": "18.6"},
        source={"server_version": "18.6", "where": "postgres:5432", "database": target.name, "format": "sql"},
        contents=_contents(target, number),
        restore_by_hand=(
            f"Fetch: aws s3 cp {key}.sql.gz .",
            f"Load: gunzip -c {key}.sql.gz | psql -X -d {target.name}",
        ),
    )


def _contents(target: Target, number: int) -> dict[str, Any]:
    tables = {
        f"public.table{table:02}": {"rows": number * table, "kind": "table", "size_bytes": 8192 * (number + table)}
        for table in range(TABLES)
    }
    return {
        "rows": sum(entry["rows"] for entry in tables.values()),
        "tables": tables,
        "sequences": {f"public.table{table:02}_id_seq": {"value": number, "called": True} for table in range(TABLES)},
        "large_objects": 0,
        "extensions": {"plpgsql": "1.0", "pgcrypto": "1.3"},
        "objects": {"table": TABLES, "index": 2 * TABLES, "view": 3},
        "database": {"name": target.name, "owner": target.name, "encoding": "UTF8", "size_bytes": 10**8 + number},
    }


def _artifact(role: str, key: str, number: int) -> Artifact:
    return Artifact(role, key, 10**7 + number, f"{number:064x}", 4 * 10**7 + number, f"{number + 1:064x}", ("gzip",))


def _proof(backup: Backup) -> Proof:
    finding = Finding(Severity.OK, f"{backup.contents['rows']:,} rows in {TABLES} tables, each equal", "postgres.rows")
    phases = {"fetch": 0.8, "load": 3.1, "compare": 1.2}
    return Proof(backup.id, Level.RESTORED, True, backup.finished_at, sum(phases.values()), (finding,), phases, "drill")
