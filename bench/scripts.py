"""The rivals, as scripts have them: SQL text through gzip and psql, and a directory of ``pg_dump -Fd`` and pg_restore.

Each gets the server, its programs and the AWS command line as they come. pg_restore also gets the session settings that
Backstay loads with, and the memory that it builds these indexes with: nobody should win by a setting that the other
only lacks.
"""

import os
import shlex
import shutil
from pathlib import Path

from backstay.tiers.postgres.directory.sorting import LEAST_BYTES
from backstay.tiers.postgres.load import SETTINGS
from bench.arena import SCRIPT_BUCKET, Arena
from bench.measure import Run

QUIET = "--only-show-errors"


def dump_and_pipe(arena: Arena, database: str) -> Run:
    """``pg_dump | gzip | aws s3 cp -``."""
    return arena.run(
        arena.postgres("pg_dump", database),
        ["gzip"],
        arena.aws("s3", "cp", "-", f"s3://{SCRIPT_BUCKET}/{text_key(database)}", QUIET),
        env=arena.script_environment,
    )


def pipe_and_load(arena: Arena, database: str, into: str) -> Run:
    """``aws s3 cp - | gunzip | psql``."""
    return arena.run(
        arena.aws("s3", "cp", f"s3://{SCRIPT_BUCKET}/{text_key(database)}", "-"),
        ["gunzip"],
        arena.postgres("psql", "-X", "-q", "-d", into),
        env=arena.script_environment,
    )


def dump_to_nowhere(arena: Arena, database: str) -> Run:
    """``pg_dump > /dev/null``: what one session can read, and nothing done with it."""
    command = shlex.join(arena.postgres("pg_dump", database))
    return arena.run(["sh", "-c", f"exec {command} > /dev/null"], env=arena.script_environment)


def dump_and_send(arena: Arena, database: str, jobs: int) -> Run:
    """``pg_dump -Fd -jN`` into a local folder, which is then sent."""
    folder = _empty(arena, "dumped")
    send = arena.aws("s3", "cp", "--recursive", str(folder), f"s3://{SCRIPT_BUCKET}/{folder_key(database)}", QUIET)
    return arena.steps([[_dump(arena, database, folder, jobs)], [send]], arena.script_environment)


def fetch_and_restore(arena: Arena, database: str, into: str, jobs: int) -> Run:
    """The folder fetched, then ``pg_restore -jN``."""
    folder = _empty(arena, "fetched")
    fetch = arena.aws("s3", "cp", "--recursive", f"s3://{SCRIPT_BUCKET}/{folder_key(database)}", str(folder), QUIET)
    return arena.steps([[fetch], [_restore(arena, folder, into, jobs)]], _tuned(arena))


def dump_locally(arena: Arena, database: str, jobs: int) -> Run:
    """``pg_dump -Fd -jN`` into a local folder that stays there."""
    return arena.run(_dump(arena, database, _empty(arena, database), jobs), env=arena.script_environment)


def restore_locally(arena: Arena, database: str, into: str, jobs: int) -> Run:
    """``pg_restore -jN`` of what ``dump_locally`` has left."""
    return arena.run(_restore(arena, arena.folder / database, into, jobs), env=_tuned(arena))


def there(arena: Arena, database: str) -> bool:
    """Whether both have been stored."""
    with arena.bucket(SCRIPT_BUCKET) as store:
        return all(any(store.list(prefix)) for prefix in (text_key(database), folder_key(database)))


def stored_bytes(arena: Arena, prefix: str) -> int:
    """Of all objects whose keys begin like this."""
    with arena.bucket(SCRIPT_BUCKET) as store:
        return sum(found.size_bytes for found in store.list(prefix))


def text_key(database: str) -> str:
    """Where SQL text is stored."""
    return f"{database}.sql.gz"


def folder_key(database: str) -> str:
    """Where a directory is stored."""
    return f"{database}.dir/"


def _dump(arena: Arena, database: str, folder: Path, jobs: int) -> list[str]:
    return arena.postgres("pg_dump", "-Fd", f"-j{jobs}", "-f", str(folder), database)


def _restore(arena: Arena, folder: Path, into: str, jobs: int) -> list[str]:
    return arena.postgres("pg_restore", f"-j{jobs}", "-d", into, str(folder))


def _tuned(arena: Arena) -> dict[str, str]:
    settings = {**SETTINGS, "maintenance_work_mem": f"{LEAST_BYTES >> 20}MB"}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return {**arena.script_environment, "PGOPTIONS": options}


def _empty(arena: Arena, name: str) -> Path:
    """A folder that is not there yet. What was in it is on its way to the disk: not in the time of what follows."""
    folder = arena.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()
    return folder
