"""pg_restore on the table of contents alone: definitions, rights, indexes; the rows go in another way."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from backstay.cluster.proc import TAIL_LINES, Process
from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import RestoreError, ToolError
from backstay.tiers.postgres.database import Database
from backstay.tiers.postgres.directory.toc import Entry, Toc
from backstay.tiers.postgres.load import OPTIONS
from backstay.tiers.postgres.programs import Program, find_pg_restore
from backstay.tiers.postgres.selection import LEAVES, map_roles, outside

OF_THE_SERVER = {"DATABASE", "DATABASE PROPERTIES", "DATABASE ACL", "ROLE"}  # made by Backstay, never by the archive
# Written by a pg_dump that is older than its server, refused by servers as old as it: minor releases of 2026 keep the
# setting for themselves.
INTERNAL = re.compile(r"^ALTER TABLE ONLY [^\n]* ALTER COLUMN [^\n]* SET \(pg_attver=\d+\);\n", re.MULTILINE)
_ERROR = re.compile(r"(?:pg_restore: )?(?:error: )?(?:could not execute query: )?(?:ERROR|FATAL):\s+(.*)")

TOLERANT_JOBS = 8  # so that the words of all of them fit into what is kept of a program's words
WITH_ROLES = {"ACL", "DEFAULT ACL", "POLICY"}
TRANSACTION_TIMEOUT = 170000  # the first server that knows the setting, and the first pg_restore that makes it

StoppedBy = Callable[[Callable[[], None]], AbstractContextManager[None]]


@dataclass(frozen=True)
class PgRestore:
    """Restores chosen entries of an archive into ``dbname``. Made by ``opened``.

    ``tolerant`` is for a server that does not know a setting which pg_restore makes at the start of each session.
    """

    database: Database
    dbname: str
    program: Program
    folder: Path
    tolerant: bool = False

    def run(self, entries: Sequence[Entry], stopped_by: StoppedBy, *, jobs: int = 1, memory: str | None = None) -> None:
        """Restore just these entries, in the archive's order; so many at once as their dependencies allow.

        ``memory`` is another ``maintenance_work_mem`` than usual. Raises ``RestoreError`` with the server's words about
        the first that failed.
        """
        if not entries:
            return
        options = OPTIONS + (f" -c maintenance_work_mem={memory}" if memory else "")
        argv = [
            self.program.path,
            *([] if self.tolerant else ["--exit-on-error"]),
            "--no-password",
            f"--dbname={self.dbname}",
            f"--jobs={min(jobs, TOLERANT_JOBS) if self.tolerant else jobs}",
        ]
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix="list-", suffix=".txt") as chosen:
            chosen.writelines(f"{entry.dump_id};\n" for entry in entries)
            chosen.flush()
            argv += [f"--use-list={chosen.name}", str(self.folder)]
            with (
                self.database.connection.environment(self.dbname, PGOPTIONS=options) as (env, handles),
                Process(argv, env=env, pass_fds=handles) as process,
                stopped_by(process.stop),
            ):
                try:
                    process.check()
                except ToolError as error:
                    if self.tolerant and only_unknown_settings(process.tail):
                        return
                    raise RestoreError(
                        f"{self.database.target} cannot be restored into {self.dbname}: {_first_error(process.tail)}",
                        hint="The live database was not touched.",
                        tail=process.tail,
                    ) from error


@contextmanager
def opened(
    database: Database, dbname: str, toc: Toc, roles: Mapping[str, str], server_version: int
) -> Iterator[PgRestore]:
    """pg_restore on ``toc`` with the roles in it renamed, in a folder that is gone at the end. ``server_version`` is as
    170011 for 17.11.

    Raises ``RestoreError`` for an archive that reaches beyond its database, ``ToolMissing``.
    """
    for entry in toc.entries:
        statement = (entry.defn or "").encode("utf-8", "surrogateescape")
        if entry.desc not in OF_THE_SERVER and statement.startswith(LEAVES):
            raise outside(statement)
    program = find_pg_restore(database.bin, toc.version[:2], server_version // 10000)
    tolerant = server_version < TRANSACTION_TIMEOUT <= program.version[0] * 10000
    with temp_folder("toc") as folder:
        renamed = replace(toc, entries=tuple(_renamed(entry, roles) for entry in toc.entries))
        (folder / "toc.dat").write_bytes(renamed.attaching_in_turn().encode())
        yield PgRestore(database, dbname, program, folder, tolerant)


def _renamed(entry: Entry, roles: Mapping[str, str]) -> Entry:
    defn = entry.defn or ""
    if entry.desc == "TABLE":
        defn = INTERNAL.sub("", defn)
    elif entry.desc in WITH_ROLES:  # owners are named apart
        lines = defn.encode("utf-8", "surrogateescape").splitlines(keepends=True)
        defn = b"".join(map_roles(line, roles) for line in lines).decode("utf-8", "surrogateescape")
    owner = roles.get(entry.owner, entry.owner) if entry.owner else entry.owner
    return replace(entry, defn=defn if entry.defn is not None else None, owner=owner)


def only_unknown_settings(tail: Sequence[str]) -> bool:
    """Whether every error was about a setting that an older server does not know, and none can have been missed.

    Counted in the whole text: jobs write into one pipe piece by piece, so that a line may begin within another's.
    """
    said = "\n".join(tail)
    refused = said.count('could not execute query: ERROR:  unrecognized configuration parameter "')
    settings = said.count("Command was: SET ")
    whole = said.count("error: ") == refused == said.count("Command was: ") == settings
    ended = bool(tail) and "errors ignored on restore: " in tail[-1]
    return ended and whole and len(tail) < TAIL_LINES


def _first_error(tail: Sequence[str]) -> str:
    """The first ERROR, and the statement it is about: the next lines begin with ``Command was:``."""
    for at, line in enumerate(tail):
        if match := _ERROR.search(line):
            command = next((rest for rest in tail[at + 1 : at + 4] if rest.startswith("Command was:")), "")
            return match[1] + (f" ({command.removeprefix('Command was: ')[:120]})" if command else "")
    return " / ".join(tail[-3:]) or "pg_restore ended without a word"
