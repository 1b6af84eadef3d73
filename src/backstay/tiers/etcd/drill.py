"""A drill: the snapshot restored into an etcd of its own by the stock tool, started, asked, timed and removed.

What a server of the control plane would do with it beyond that is checked as far as it can be without one: the token of
k3s must open its bootstrap data, and where there is a kube-apiserver it is started on it and reads every object.
"""

from collections.abc import Iterator
from pathlib import Path

from backstay.cluster.localetcd.programs import find, version_of
from backstay.cluster.proc import run
from backstay.cluster.scratch import sweep
from backstay.core.errors import ClusterError, Corrupt, DrillFailed, NotFound, SourceError, ToolError, ToolTooOld
from backstay.core.model import Backup, Finding, Outcome, Plan, Severity, Step
from backstay.core.units import counted, format_count, format_size
from backstay.tiers.base import RestoreRequest, Source
from backstay.tiers.etcd import verify
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.drilling import Drilling, of_token
from backstay.tiers.etcd.facts import look_into, read_facts
from backstay.tiers.etcd.file.census import resource_of
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.restore.fetch import fetch, size_of
from backstay.tiers.etcd.scratch import NAME, Scratch, scratch_etcd
from backstay.tiers.etcd.served import reader_for, served

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
    reader = reader_for(plane, backup)
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
            *(
                [Step("serve", f"every object read through kube-apiserver {reader.version}", "it reaches nothing else")]
                if reader.program
                else []
            ),
            Step("remove", "everything again", "also when it is killed"),
        ),
        notes=(reader.why.message,) if reader.why else (),
        details={"backup": backup.id, "stamp": request.stamp, "etcd": version},
    )


class Drill(Drilling):
    """One run, in an etcd of its own."""

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
        seconds, server = self.clock() - started, f"etcd {self.plan.details['etcd']}"
        return self.outcome(source.backup, seconds, "was restored and checked", server)

    def _run(self, source: Source, scratch: Scratch) -> None:
        backup = source.backup
        with self.phase("fetch", size_of(backup)):
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
        with self.phase("check"):
            self.findings += verify.look(path, self.plane, backup, self.progress)
        if self.went_wrong:
            return
        with self.phase("restore"):
            if not self._restore(path, scratch):
                return
        with self.phase("start"):
            scratch.start()
        with self.phase("compare"):
            with EtcdClient(scratch.server.endpoint, scratch.tls) as client:
                self.findings += self._compare(client, path, backup)
            if self.plane.is_rancher:
                self.findings.append(of_token(read_facts(look_into(path, self.plane), self.plane).token))
        self._serve(scratch, backup)

    def _serve(self, scratch: Scratch, backup: Backup) -> None:
        """As the last: the API server writes to the etcd it is started on."""
        reader = reader_for(self.plane, backup)
        if reader.why is not None:
            self.findings.append(reader.why)
        if reader.program is None or self.went_wrong:
            return
        try:
            with self.phase("serve"):
                self.findings += served(self.plane, scratch, backup, reader.program, reader.version)
        except (ToolError, ClusterError) as error:
            raise DrillFailed(
                f"{backup.id} was restored, and could not be read through kube-apiserver: {error.message}",
                hint=f"{error.hint}\netcd itself has all of it. Nothing is left of the drill.".strip(),
            ) from error

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
            name = resource_of(item.key, prefix)
            found[name] = found.get(name, 0) + 1
        return found


def _minor(version: str) -> tuple[int, ...]:
    parts = version.removeprefix("v").split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
