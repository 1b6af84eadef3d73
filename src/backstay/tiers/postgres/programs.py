"""Finding PostgreSQL's client programs, of a version that can do the work.

pg_dump must be of the server's major version or newer (pg_dump documentation, Notes). psql must know ``\\restrict``,
so that a dump can be loaded without the right to run commands on this machine (CVE-2025-8714).
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backstay.cluster.proc import run
from backstay.core.errors import ToolMissing, ToolTooOld

DEBIAN = Path("/usr/lib/postgresql")
READS_SINCE = {(1, 14): 12, (1, 15): 16, (1, 16): 17}  # the first pg_restore of each version of archives
RESTRICT_SINCE = {14: 19, 15: 14, 16: 10, 17: 6}  # minor release by major; every release from 18 on has it


@dataclass(frozen=True)
class Program:
    """One program and its version, ``18.6`` as ``(18, 6)``."""

    path: str
    version: tuple[int, int]

    @property
    def version_text(self) -> str:
        """``18.6``"""
        return f"{self.version[0]}.{self.version[1]}"


def find_pg_dump(folder: str | None, server: tuple[int, int], target: str, where: str) -> Program:
    """The oldest pg_dump that is not older than the server. Raises ``ToolMissing`` or ``ToolTooOld``."""
    found = list(_find("pg_dump", folder))
    fit = [program for program in found if program.version[0] >= server[0]]
    if not fit:
        newest = max(found, key=lambda program: program.version)
        raise ToolTooOld(
            f"pg_dump {newest.version_text} cannot dump a PostgreSQL {server[0]}.{server[1]} server "
            f"({target} at {where})",
            hint=f"Install PostgreSQL {server[0]} client programs, or set postgres.bin to a folder that has them. "
            "Nothing was written.",
        )
    return min(fit, key=lambda program: program.version)


def find_psql(folder: str | None) -> Program:
    """The newest psql, one that has ``\\restrict``. Raises ``ToolMissing`` or ``ToolTooOld``."""
    newest = max(_find("psql", folder), key=lambda program: program.version)
    major, minor = newest.version
    if major < min(RESTRICT_SINCE) or minor < RESTRICT_SINCE.get(major, 0):
        raise ToolTooOld(
            f"psql {newest.version_text} cannot load a dump safely: it has no restricted mode",
            hint="Install PostgreSQL client programs of August 2025 or later, or set postgres.bin to their folder.",
        )
    return newest


def find_pg_restore(folder: str | None, archive: tuple[int, int] = (1, 16), server: int = 0) -> Program:
    """A pg_restore that reads an archive of this version: the one that is nearest to the server's, which knows all
    that it says; else the newest. Raises ``ToolMissing``, and ``ToolTooOld`` when none reads it."""
    found = list(_find("pg_restore", folder))
    fit = [program for program in found if program.version[0] >= READS_SINCE.get(archive, 0)]
    if not fit:
        newest = max(found, key=lambda program: program.version)
        raise ToolTooOld(
            f"pg_restore {newest.version_text} cannot read an archive of version {archive[0]}.{archive[1]}",
            hint=f"Install PostgreSQL {READS_SINCE[archive]} client programs or newer, or set postgres.bin to their "
            "folder. Nothing was changed.",
        )
    return min(fit, key=lambda program: (abs(program.version[0] - server), -program.version[0], -program.version[1]))


def find_pg_amcheck(folder: str | None) -> Program:
    """The newest pg_amcheck. Raises ``ToolMissing``."""
    return max(_find("pg_amcheck", folder), key=lambda program: program.version)


def _find(name: str, folder: str | None) -> Iterator[Program]:
    """Every copy of the program: only in ``folder`` when given, else on PATH and where Debian keeps the versions."""
    if folder:
        places = [Path(folder) / name]
    else:
        on_path = shutil.which(name)
        places = [Path(on_path)] if on_path else []
        places += sorted(DEBIAN.glob(f"*/bin/{name}"))
    programs = [version for place in places if place.exists() and (version := _version(str(place)))]
    if not programs:
        raise ToolMissing(
            f"{name} was not found" + (f" in {folder}" if folder else " on PATH"),
            hint="Install the PostgreSQL client programs, or set postgres.bin to a folder that has them.",
        )
    yield from programs


@lru_cache
def _version(path: str) -> Program | None:
    """Ask the program; Debian's wrapper on PATH answers for the newest it knows."""
    text = run([path, "--version"], env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}, deadline=20)
    match = re.search(r"\) (\d+)(?:\.(\d+))?", text)
    return Program(path, (int(match[1]), int(match[2] or 0))) if match else None
