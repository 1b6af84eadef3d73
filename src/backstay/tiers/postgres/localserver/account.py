"""The account that a PostgreSQL server runs under.

PostgreSQL refuses to run as root. Everyone else runs it as themselves; root gives it to ``nobody``. Where
``nobody`` cannot reach the programs or the folder (a checkout below ``/root``), setpriv (util-linux) leaves
the server one capability, to pass through folders, so that no folder needs to be opened.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstay.core.errors import ToolMissing

SERVANT = "nobody"
CAPABILITIES = {2: "dac_read_search", 1: "dac_override"}  # bit in CapBnd: name; the weaker first


@dataclass(frozen=True)
class Account:
    """How to start a program: put ``prefix`` before its arguments and give ``popen`` to subprocess."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    popen: dict[str, Any] = field(default_factory=dict)

    def command(self, *arguments: str | Path) -> list[str]:
        """The whole command line."""
        return [*self.prefix, *map(str, arguments)]

    def own(self, path: Path) -> None:
        """Give ``path`` to the account. Only root can, and only root needs to."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def choose_account(paths: Iterable[Path]) -> Account:
    """The account for a server that must reach ``paths``. Raises ``ToolMissing`` where root has none."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(SERVANT)
    except KeyError:
        raise ToolMissing(
            f"PostgreSQL refuses to run as root, and there is no account `{SERVANT}` to run it",
            hint="run the same command as an ordinary user",
        ) from None
    uid, gid = entry.pw_uid, entry.pw_gid
    unreachable = [path for path in paths if not _reachable(path, uid, gid)]
    if not unreachable:
        return Account(uid, gid, popen={"user": uid, "group": gid, "extra_groups": []})
    return Account(uid, gid, prefix=_setpriv(uid, gid, unreachable[0]))


def _reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether the account may pass through every folder above ``path``."""
    return all(_may_pass(folder.stat(), uid, gid) for folder in path.absolute().resolve().parents)


def _may_pass(folder: os.stat_result, uid: int, gid: int) -> bool:
    if folder.st_uid == uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _setpriv(uid: int, gid: int, unreachable: Path) -> tuple[str, ...]:
    program = shutil.which("setpriv")
    capability = next((name for bit, name in CAPABILITIES.items() if _bounding_set() >> bit & 1), None)
    if program is None or capability is None:
        raise ToolMissing(
            f"PostgreSQL refuses to run as root, and the account `{SERVANT}` cannot reach {unreachable}",
            hint="run the same command as an ordinary user, or in a folder that every account may enter",
        )
    sets: Sequence[str] = ("--inh-caps", "--ambient-caps", "--bounding-set")
    keep = [word for name in sets for word in (name, f"-all,+{capability}")]
    return (program, "--reuid", str(uid), "--regid", str(gid), "--clear-groups", *keep)


def _bounding_set() -> int:
    """The capabilities that a child may have at all; none where the system does not say (proc(5), CapBnd)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:")), 0)
