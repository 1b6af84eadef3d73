"""A drill: the snapshot restored into an etcd of its own by the stock tool, started, asked, timed and removed.

What a server of the control plane would do with it beyond that (k3s opening its bootstrap data, Kubernetes starting on
it) is checked as far as it can be without one: the token must open it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backstay.cluster.proc import run
from backstay.cluster.scratch import sweep
from backstay.core.errors import Corrupt, DrillFailed, NotFound, SourceError, ToolError, ToolTooOld
from backstay.core.model import Backup, Finding, Outcome, Plan, Progress, Severity, Step
from backstay.core.units import counted, format_count, format_size
from backstay.tiers.base import RestoreRequest, Source
from backstay.tiers.etcd import verify
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.backup import SNAPSHOT
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.facts import look_into, read_facts
from backstay.tiers.etcd.file.census import OTHER, resource
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.localserver.programs import find, version_of
from backstay.tiers.etcd.restore.fetch import fetch
from backstay.tiers.etcd.scratch import NAME, Scratch, scratch_etcd

RESTORING = ("fetch", "restore", "start")  # what a real restore would take, but for stopping and joining
RESTORE_SECONDS = 1800.0
FREE_SHARE = 2.5  # the snapshot and the database made of it lie on the disk together
SHOWN = 5


def plan(plane: ControlPlane, backup: Backup, request: RestoreRequest) -> Plan:
    """What a drill would do. Raises ``ToolMissing`` without etcd's programs, ``ToolTooOld`` when they are older than
    the etcd that was backed up."""
    version = version_of(find("etcd", plane.bin))
    find("etcdutl", plane.bin)
    recorded = str(backup.source.get("server_version", ""))
    if _minor(version) < _minor(recorded):
        raise ToolTooOld(
            f"{backup.id} is of etcd {recorded}, and the etcd found here is {version}",
            hint=f"Install etcd {recorded} or newer, or set etcd.bin to a folder that has it. Nothing was started.",
        )
    size = int(backup.contents.get("size_bytes", 0))
    keys = f"{counted(int(backup.contents.get('keys', 0)), 'key')}, {format_size(size)}"
    where = f"a scratch etcd {version} on this machine"
    return Plan(
        action="drill",
        target=backup.target,
        title=f"Drill {backup.id} into {where}",
        steps=(
            Step("fetch", format_size(backup.size_bytes), f"needs {format_size(int(size * FREE_SHARE))} for a while"),
            Step("restore", keys, "etcdutl snapshot restore"),
            Step("start", where),
            Step("check", "HashKV, revision, keys of every resource, server token"),
            Step("remove", "everything again", "also when it is killed"),
        ),
        details={"backup": backup.id, "stamp": request.stamp, "etcd": version},
    )


@dataclass
class Drill:
    """One run. ``scratch_root`` is where scratch servers live; ``clock`` gives seconds."""

    plane: ControlPlane
    plan: Plan
    scratch_root: Path
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    phases: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def run(self, source: Source) -> Outcome:
        """See ``Tier.drill``."""
        started = self.clock()
        sweep(self.scratch_root)
        with scratch_etcd(self.plane, self.scratch_root) as scratch:
            try:
                self._run(source, scratch)
            except OSError as error:
                raise DrillFailed(
                    f"{source.backup.id} could not be drilled: {error.strerror or error} in {scratch.folder}",
                    hint="That says nothing of the backup. Nothing is left of it.",
                ) from error
        bad = any(finding.severity is Severity.ERROR for finding in self.findings)
        restoring = sum(self.phases.get(name, 0.0) for name in RESTORING)
        return Outcome(
            target=self.plan.target,
            ok=not bad,
            message=f"{source.backup.id} {'did NOT come back as it should' if bad else 'was restored and checked'}",
            duration_seconds=self.clock() - started,
            findings=tuple(self.findings),
            phases=self.phases,
            facts={"restore_seconds": round(restoring, 3), "server": f"etcd {self.plan.details['etcd']}"},
        )

    def _run(self, source: Source, scratch: Scratch) -> None:
        backup = source.backup
        artifact = backup.artifact(SNAPSHOT)
        with self._phase("fetch", artifact.plain_size_bytes if artifact else None):
            try:
                path = fetch(source, scratch.folder, self.progress)
            except (Corrupt, NotFound) as error:
                self.findings.append(Finding(Severity.ERROR, error.message, error.code))
                return
            except (OSError, SourceError) as error:
                why = error.message if isinstance(error, SourceError) else f"{error.strerror} in {scratch.folder}"
                raise DrillFailed(
                    f"{backup.id} could not be drilled: {why}",
                    hint="That says nothing of the backup. Nothing is left of the drill.",
                ) from error
        with self._phase("check"):
            self.findings += verify.look(path, self.plane, backup, self.progress)
        if any(finding.severity is Severity.ERROR for finding in self.findings):
            return
        with self._phase("restore"):
            if not self._restore(path, scratch):
                return
        with self._phase("start"):
            scratch.start()
        with self._phase("compare"):
            with EtcdClient(scratch.server.endpoint, scratch.tls) as client:
                self.findings += self._compare(client, path, backup)
            self.findings += self._token(path)

    def _restore(self, path: Path, scratch: Scratch) -> bool:
        peer = scratch.server.peer_url
        argv = [
            str(find("etcdutl", self.plane.bin)), "snapshot", "restore", str(path), "--data-dir",
            str(scratch.server.data), "--name", NAME, "--initial-cluster", f"{NAME}={peer}",
            "--initial-advertise-peer-urls", peer,
        ]  # fmt: skip
        try:
            run(argv, env={}, deadline=RESTORE_SECONDS)
        except ToolError as error:
            if "no space left" in error.message.lower():
                raise DrillFailed(
                    f"the drill could not be done: no space left in {scratch.folder}",
                    hint="That says nothing of the backup. Nothing is left of it.",
                ) from error
            self.findings.append(Finding(Severity.ERROR, f"etcdutl does not restore it: {error.message}", error.code))
            return False
        return True

    def _compare(self, client: EtcdClient, path: Path, backup: Backup) -> Iterator[Finding]:
        """What the restored etcd says of itself, against the manifest."""
        contents = backup.contents
        # The last record may have been compacted away: the server is then at the revision of that compaction.
        revision = max(int(contents["revision"]), int(contents["compact_revision"]))
        answer = client.hash_kv(revision)
        expected = int(contents["hash_kv"])
        if answer.compact_revision > int(contents["compact_revision"]):
            expected = survey(path, compact_revision=answer.compact_revision).hash_kv
        same = answer.hash == expected
        words = f"HashKV at revision {format_count(revision)} is {'that' if same else 'NOT that'} of the cluster"
        yield Finding(Severity.OK if same else Severity.ERROR, words, "etcd.hash_kv")
        found = self._resources(client)
        recorded = contents.get("resources", {})
        wrong = [name for name in sorted({*found, *recorded}) if found.get(name, 0) != recorded.get(name, 0)]
        if wrong:
            said = [f"{name} {found.get(name, 0)}, expected {recorded.get(name, 0)}" for name in wrong[:SHOWN]]
            yield Finding(Severity.ERROR, f"other keys than the backup has: {'; '.join(said)}", "etcd.keys")
            return
        total = f"{counted(sum(found.values()), 'key')} of {counted(len(found), 'resource')}"
        yield Finding(Severity.OK, f"{total} read back, as many of each as in the manifest", "etcd.keys")

    def _resources(self, client: EtcdClient) -> dict[str, int]:
        found: dict[str, int] = {}
        prefix = self.plane.prefix.rstrip("/").encode() + b"/"
        for item in client.range(b"", keys_only=True):
            name = _resource_of(item.key, prefix)
            found[name] = found.get(name, 0) + 1
        return found

    def _token(self, path: Path) -> Iterator[Finding]:
        if not self.plane.is_rancher:
            return
        checked = read_facts(look_into(path, self.plane), self.plane).token
        if checked is None:
            words = "the server token is not known here: whether it opens this was not checked"
            yield Finding(Severity.WARNING, words, "etcd.token")
        elif checked.opens:
            words = f"the server token opens it: {counted(len(checked.files), 'file')} of the servers"
            yield Finding(Severity.OK, words, "etcd.token")
        else:
            yield Finding(Severity.ERROR, f"the server token does not open it: {checked.why}", "etcd.token")

    @contextmanager
    def _phase(self, name: str, total_bytes: int | None = None) -> Iterator[None]:
        started = self.clock()
        self.progress.phase(name, total_bytes=total_bytes)
        yield
        self.phases[name] = self.clock() - started


def _resource_of(key: bytes, prefix: bytes) -> str:
    if not key.startswith(prefix):
        return OTHER
    first, _, rest = key.removeprefix(prefix).partition(b"/")
    return resource(first, rest.partition(b"/")[0])


def _minor(version: str) -> tuple[int, ...]:
    parts = version.removeprefix("v").split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
