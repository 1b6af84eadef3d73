"""The namespaces of a drill in the live cluster: made, known again by label and name together, and removed.

A drill that was killed leaves them. Whether it still runs is known on its own machine by a file that it holds a lock
on; elsewhere a drill counts as ended after ``ABANDONED``. Nothing without both the label and the name is ever deleted.
"""

import fcntl
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from backstay.cluster.base import Cluster, Item, Object
from backstay.core.errors import ClusterError, DrillFailed, ObjectConflict, ObjectExists, ObjectNotFound
from backstay.core.units import format_duration, parse_time
from backstay.tiers.objects.change.clean import MARK
from backstay.tiers.objects.labels import MOST_LABEL
from backstay.tiers.objects.restore.existing import NAMESPACE, what_keeps
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.selection import EXCLUDE_LABEL

DRILL = "backstay.io/drill"  # the label on its namespaces: which drill
WORD = "--drill-"
ABANDONED = timedelta(hours=6)  # no drill takes as long
REMOVE_SECONDS = 300.0
SECURITY = "pod-security.kubernetes.io/"  # labels that only admission reads: what pods may be tried
_DRILL = re.compile(r"\d{4}-[0-9a-f]{6}")
_FOLDER = "in-cluster"


def new_drill(stamp: str) -> str:
    """What a drill is known by: ``0211-1f3a9c`` for one of ``20260211-154344``."""
    return f"{stamp[4:8]}-{secrets.token_hex(3)}"


def space_of(namespace: str, drill: str) -> str:
    """``shop--drill-0211-1f3a9c``; of a long name the beginning and six digits of its sha256."""
    suffix = f"{WORD}{drill}"
    room = MOST_LABEL - len(suffix)
    if len(namespace) > room:
        namespace = f"{namespace[: room - 7]}-{hashlib.sha256(namespace.encode()).hexdigest()[:6]}"
    return f"{namespace}{suffix}"


def is_of_a_drill(item: Item) -> bool:
    """Whether a namespace was made by a drill: by its label and by its name."""
    drill = item.labels.get(DRILL, "")
    return bool(_DRILL.fullmatch(drill)) and item.name.endswith(f"{WORD}{drill}")


def make(cluster: Cluster, name: str, drill: str, stamp: str, stored: Mapping[str, str]) -> None:
    """One namespace; of the labels it had, ``stored``, those of Pod Security. Raises ``DrillFailed`` where it is there,
    and what the API server says."""
    kept = {key: value for key, value in stored.items() if key.startswith(SECURITY)}
    labels = {**kept, DRILL: drill, MARK: stamp, EXCLUDE_LABEL: "true"}
    body: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    try:
        cluster.create(NAMESPACE, body)
    except ObjectExists as error:
        raise DrillFailed(f"the namespace {name} is there already", hint="Run the drill again.") from error


def of_drill(cluster: Cluster, drill: str) -> list[Item]:
    """The namespaces of one drill. Raises what the list raises."""
    return [item for item in cluster.list(NAMESPACE, labels=f"{DRILL}={drill}") if is_of_a_drill(item)]


def remove(cluster: Cluster, spaces: Iterable[Item], patience: Patience) -> list[str]:
    """Delete them, each by its uid, and wait until they are gone; what is still there in the end, with what keeps it.
    Raises what the API server says."""
    left = {item.name: item for item in spaces if is_of_a_drill(item)}
    for item in left.values():
        with suppress(ObjectNotFound, ObjectConflict):  # gone, or another one by now
            cluster.delete(NAMESPACE, item.name, uid=item.uid)
    for _ in patience.rounds(REMOVE_SECONDS if left else 0):
        there = {item.name: item.uid for item in cluster.list(NAMESPACE, labels=DRILL)}
        left = {name: item for name, item in left.items() if there.get(name) == item.uid}
        if not left:
            return []
    took = format_duration(REMOVE_SECONDS)
    return [f"{name} is still being removed after {took}: {_what_keeps(cluster, name)}" for name in sorted(left)]


def _what_keeps(cluster: Cluster, name: str) -> str:
    try:
        return what_keeps(cluster.get(NAMESPACE, name))
    except ClusterError as error:
        return error.message


@dataclass(frozen=True)
class Others:
    """Namespaces of other drills: those that ended without removing them, and the drills that may still run."""

    abandoned: tuple[Item, ...]
    running: tuple[str, ...]


def others(cluster: Cluster, root: Path, now: datetime) -> Others:
    """Found by their label. Raises what the list raises."""
    abandoned, running = [], set()
    for item in filter(is_of_a_drill, cluster.list(NAMESPACE, labels=DRILL)):
        drill = item.labels[DRILL]
        ended = _has_ended(root, drill)
        if ended is None:
            made = msgspec.json.decode(item.json, type=dict)["metadata"]["creationTimestamp"]
            ended = now - parse_time(made) > ABANDONED
        if ended:
            abandoned.append(item)
        else:
            running.add(drill)
    return Others(tuple(abandoned), tuple(sorted(running)))


@contextmanager
def running(root: Path, drill: str) -> Iterator[None]:
    """The drill counts as running for the length of a block and as ended after it, also when this process is killed."""
    folder = root / _FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / drill).open("w") as held:
        with suppress(OSError):  # no locks on this file system: then only its age says that a drill has ended
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def forget(root: Path, drills: Iterable[str]) -> None:
    """Drills that have left nothing."""
    for drill in drills:
        (root / _FOLDER / drill).unlink(missing_ok=True)


def _has_ended(root: Path, drill: str) -> bool | None:
    """None where this machine does not know."""
    try:
        with (root / _FOLDER / drill).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
