"""One restore at work: what its steps share, and the checks that are the same for every distribution."""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from backstay.core.errors import BackstayError, RestoreError
from backstay.core.model import Finding, Plan, Progress, Severity
from backstay.core.units import counted, format_count, format_duration
from backstay.tiers.base import Journal
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.messages import MemberStatus
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.restore import members
from backstay.tiers.etcd.restore.copies import Mark, mark_from
from backstay.tiers.etcd.restore.fetch import Proven
from backstay.tiers.etcd.restore.ledger import Ledger
from backstay.tiers.etcd.restore.services import Service, System, in_use

READY, REPLACE = "ready", "replace"  # steps: what undoing needs is noted; the restored database is in place
SHORT_LIVED = {  # they come and go by themselves
    "events",
    "events.events.k8s.io",
    "leases",
    "masterleases",
    "peerserverleases",
    "(other)",
}
RENAMED = {"nodes": "minions", "services": "services/specs", "endpoints": "services/endpoints"}
GONE_EARLY = 3  # polls in a row that see a service down before it is given up


@dataclass
class Work:
    """What the steps of one restore share. ``folder`` is this restore's own, known by its stamp."""

    plane: ControlPlane
    plan: Plan
    system: System
    ledger: Ledger
    progress: Progress
    phases: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    token: Callable[[], str] = lambda: ""  # the server token of k3s or RKE2

    @classmethod
    def of(cls, plane: ControlPlane, plan: Plan, system: System, journal: Journal, progress: Progress) -> "Work":
        """From what the tier is given."""
        return cls(plane, plan, system, Ledger(journal, Path(plan.details["work"])), progress)

    @property
    def details(self) -> Any:
        """Of the plan."""
        return self.plan.details

    @property
    def folder(self) -> Path:
        """Where the snapshot, the steps and the logs of this restore are."""
        return self.ledger.folder

    @property
    def stamp(self) -> str:
        """Names everything this restore makes."""
        return str(self.details["stamp"])

    @property
    def service(self) -> Service:
        """The unit of the control plane."""
        return Service(str(self.details["service"]), self.system)

    def is_done(self, step: str) -> bool:
        """Whether this run or an earlier one recorded it."""
        return step in self.ledger.done

    @contextmanager
    def phase(self, step: str, total_bytes: int | None = None) -> Iterator[dict[str, Any]]:
        """A step: shown, timed, and recorded when it is done, with what was put into the given dict."""
        started, facts = self.system.clock(), dict[str, Any]()
        self.progress.phase(step, total_bytes=total_bytes)
        yield facts
        self.phases[step] = self.system.clock() - started
        self.ledger.record(step, **facts, seconds=round(self.phases[step], 3))

    @property
    def live(self) -> Mark | None:
        """What the live database is known by; None where there was none, or the restore did not come so far."""
        return mark_from(self.ledger.facts(READY).get("live"))

    def tidy(self, keep: Collection[str] = ()) -> None:
        """Remove this restore's own folder: the snapshot is in the store, the steps are in the journal. With ``keep``
        these stay in it, and the folder, until a cleanup."""
        for path in self.folder.iterdir() if keep and self.folder.is_dir() else ():
            if path.name not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Way(Protocol):
    """How one kind of control plane is stopped, given another database, and started. Each can be done again."""

    def is_in_place(self) -> bool:
        """Whether the restored database, whole, is where etcd reads it."""

    def is_untouched(self) -> bool:
        """Whether the database that was live before is where etcd reads it, by the disk rather than the journal."""

    def prepare(self, proven: Proven) -> None:
        """All that can be done beside, before anything is stopped; records ``ready`` with what undoing needs."""

    def discard(self) -> None:
        """Remove what ``prepare`` made and nothing uses."""

    def stop(self) -> None:
        """Stop it; return when no etcd has the database open."""

    def replace(self, proven: Proven) -> None:
        """The restored database instead of the live one, which is moved aside. Nothing is running."""

    def put_back(self) -> None:
        """The database that was live before, if any, back in its place, whatever had been done. Nothing is running."""

    def start(self) -> None:
        """Begin to start it; nothing when it runs."""

    def was_running(self) -> bool:
        """Whether it ran before the restore."""

    def kept(self) -> str:
        """Where the database is that was live before; empty where there was none."""

    def needed(self) -> Collection[str]:
        """What of the restore's folder undoing needs even when all went well."""


def healthy(plane: ControlPlane, system: System) -> MemberStatus | None:
    """This machine's member, when it answers, is no learner and knows a leader."""
    return next((status for _, status in _answering(plane, system) if status.leader_id and not status.is_learner), None)


def _answering(plane: ControlPlane, system: System) -> Iterator[tuple[str, MemberStatus]]:
    for endpoint in members.own_endpoints(plane):
        try:
            with EtcdClient(endpoint, plane.tls) as client:
                status = client.status(seconds=system.patience.answer)
        except (BackstayError, OSError):  # not yet: certificates and all may still be on their way
            continue
        yield endpoint, status


def wait_healthy(work: Work, at_least: int, seconds: float, *, by_service: bool) -> MemberStatus:
    """Until etcd answers at revision ``at_least`` or later, and systemd calls the service active.

    Raises ``RestoreError`` that says what is in place.
    """
    seen: list[MemberStatus] = []
    downs = 0

    def ready() -> bool:
        nonlocal downs
        state = work.service.state if by_service else "active"
        downs = downs + 1 if state in {"failed", "inactive"} else 0
        status = healthy(work.plane, work.system) if state == "active" else None
        seen.extend([status] if status else [])
        return status is not None or downs >= GONE_EARLY

    started = work.system.clock()
    if not work.system.wait_until(ready, seconds) or downs >= GONE_EARLY:
        took = format_duration(work.system.clock() - started)
        raise RestoreError(
            f"{work.plan.target}: the restored database is in place, but etcd does not answer after {took}"
            + (f" ({work.service.name} is {work.service.state})" if by_service else ""),
            hint=f"Look at `journalctl -u {work.service.name}`. `--resume` waits again, `--rollback` puts the database "
            "back that was there before.",
        )
    status = seen[-1]
    if status.header.revision < at_least:
        raise RestoreError(
            f"{work.plan.target}: etcd answers at revision {format_count(status.header.revision)}, the snapshot was at "
            f"{format_count(at_least)}: it is not the restored database that is being served",
            hint="`--rollback` puts the database back that was there before.",
        )
    return status


def wait_free(system: System, etcd_dir: Path) -> None:
    """Until no etcd has the database open. Raises ``RestoreError``; nothing was moved then."""
    if not system.wait_until(lambda: not in_use(etcd_dir), system.patience.stop):
        raise RestoreError(
            f"an etcd still has {etcd_dir} open after the stop",
            hint="Find it with `fuser` or `crictl ps` and end it, then run again with --resume. Nothing was moved.",
        )


def compare(work: Work, proven: Proven) -> list[Finding]:
    """Keys of each resource against the snapshot. Controllers are at work already: fewer is a warning, none an error.

    What lives for a short time by itself is left out.
    """
    lasting = {name: count for name, count in proven.resources.items() if name not in SHORT_LIVED}
    try:
        found = _counted(work, lasting)
    except BackstayError as error:
        return [Finding(Severity.WARNING, f"the keys could not be counted: {error.message}", "etcd.keys")]
    words = {name: f"{name} {format_count(found[name])} of {format_count(count)}" for name, count in lasting.items()}
    if none := [words[name] for name in lasting if not found[name]]:
        return [Finding(Severity.ERROR, f"resources of the snapshot are missing: {', '.join(none)}", "etcd.keys")]
    if fewer := [words[name] for name, count in lasting.items() if found[name] < count]:
        text = f"fewer keys than in the snapshot, so soon after the start: {', '.join(fewer)}"
        return [Finding(Severity.WARNING, text, "etcd.keys")]
    counts = f"{counted(sum(found.values()), 'key')} of {counted(len(lasting), 'resource')}"
    return [Finding(Severity.OK, f"{counts}, none fewer than in the snapshot", "etcd.keys")]


def _counted(work: Work, names: Iterable[str]) -> dict[str, int]:
    """Live keys of each resource. Raises ``SourceError``."""
    answering = [endpoint for endpoint, _ in _answering(work.plane, work.system)]
    with EtcdClient((answering or list(work.plane.endpoints))[0], work.plane.tls) as client:
        return {name: _count(client, name, work.plane.prefix) for name in names}


def _count(client: EtcdClient, name: str, prefix: str) -> int:
    """Keys below that of the resource, and a key that is one by itself: ``/registry/health``, which kine makes, is
    counted by its name too (``census.resource``)."""
    below = prefix_of(name, prefix)
    alone = {below[:-1], f"{prefix.rstrip('/')}/{name}".encode()}
    return client.count(below) + sum(client.get(key) is not None for key in alone)


def prefix_of(resource: str, prefix: str) -> bytes:
    """Where kube-apiserver keeps a resource by the name that ``kubectl get`` takes (``deployments``, ``x.group``)."""
    plural, _, group = resource.partition(".")
    path = f"{group}/{plural}" if group else RENAMED.get(plural, plural)
    return f"{prefix.rstrip('/')}/{path}/".encode()
