"""Lines that the plans of all distributions have."""

import shlex
from pathlib import Path

from backstay.core.model import Backup, State, Step
from backstay.core.units import format_count, format_size, format_span
from backstay.tiers.base import RestoreRequest
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.restore.fetch import BUMPED, NAME
from backstay.tiers.etcd.restore.modes import PATH_WORD
from backstay.tiers.etcd.restore.options import Options


def title(plane: ControlPlane, backup: Backup, request: RestoreRequest, into: str) -> str:
    """The first line of a plan."""
    age = f"{format_span(request.now - backup.finished_at)} old" if backup.state is not State.FOREIGN else "foreign"
    return f"Restore {backup.id} ({age}) into {into} on {plane.node}"


def fetch_step(backup: Backup, *, opened: bool) -> Step:
    """What is proven of the snapshot before anything is stopped."""
    promised = "" if backup.state is State.FOREIGN else ", revision, keys and HashKV as recorded"
    token = ", opened with the token" if opened else ""
    return Step(
        "fetch and check",
        f"{format_size(backup.size_bytes)}: checksum, structure{promised}{token}",
        "nothing is stopped yet",
    )


def bump_step(options: Options) -> list[Step]:
    """A snapshot with its revisions raised."""
    by = options.bump_revision
    return [Step("raise revisions", f"by {format_count(by)}, in a copy of the snapshot")] if by else []


def shown(command: list[str], work: Path | None, options: Options) -> str:
    """A command as it would be typed; without ``work`` on another machine, where the snapshot has no path yet."""
    path = str(work / (BUMPED if options.bump_revision else NAME)) if work else "SNAPSHOT"
    return shlex.join(word.replace(PATH_WORD, path) for word in command)
