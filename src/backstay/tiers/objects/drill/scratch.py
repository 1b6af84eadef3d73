"""A drill of objects: restored into an empty control plane of their own, read back, compared, timed and removed.

The way is that of every restore. No controller runs there and no webhook is called, so that an object stays as it was
made: each must be equal to the one in the backup, both normalised.
"""

from contextlib import AbstractContextManager
from dataclasses import replace

from backstay.cluster.base import Cluster
from backstay.cluster.localapi.programs import NAME, SETTING, find_kube_apiserver, minor_of, version_of
from backstay.cluster.localapi.scratch import ScratchPlane, connected, scratch_plane
from backstay.cluster.localetcd.programs import find
from backstay.cluster.scratch import sweep
from backstay.core.errors import DrillFailed, ToolTooOld
from backstay.core.model import Backup, Outcome, Plan, Step
from backstay.core.units import counted, format_count, format_size
from backstay.tiers.base import RestoreRequest, ScratchJournal, Source
from backstay.tiers.objects.archive.spooled import Spooled
from backstay.tiers.objects.drill.common import ObjectsDrill, opening
from backstay.tiers.objects.drill.compare import compared, unchecked
from backstay.tiers.objects.restore.plan import plan_restore
from backstay.tiers.objects.restore.request import Options, Policy
from backstay.tiers.objects.restore.run import Restore
from backstay.tiers.objects.restore.tally import Fate
from backstay.tiers.objects.settings import World

ALLOWED = "drills.objects_in_cluster"
RESTORING = ("fetch", "restore", "owners")  # what a real restore would take, but for waiting until pods run
PUT = (Fate.CREATED, Fate.UPDATED, Fate.RECREATED, Fate.UNCHANGED)


def plan(world: World, backup: Backup, request: RestoreRequest) -> Plan:
    """What a drill would do. Raises ``DrillFailed`` without kube-apiserver, ``ToolMissing`` without etcd, and
    ``ToolTooOld`` when kube-apiserver is older than the cluster was."""
    program = find_kube_apiserver(world.kube_apiserver)
    if program is None:
        raise DrillFailed(
            f"{backup.id} cannot be drilled: there is no {NAME} on this machine to restore it into",
            hint=f"Install it (https://www.downloadkubernetes.com) on PATH, or set {SETTING} to where it is. "
            f"Or allow {ALLOWED} (or say --in-cluster): a drill into namespaces of its own in the live cluster. "
            f"`backstay verify {backup.id}` reads the backup without either. Nothing was started.",
        )
    find("etcd", world.etcd_bin)
    version, recorded = version_of(program), str(backup.source.get("version", ""))
    if minor_of(version) < minor_of(recorded):
        raise ToolTooOld(
            f"{backup.id} is of Kubernetes {recorded}, and the {NAME} found here is {version}",
            hint=f"Install {NAME} {recorded} or newer, or set {SETTING} to where it is. Nothing was started.",
        )
    where = f"a scratch control plane, Kubernetes {version}, on this machine"
    number = int(backup.contents.get("objects", 0))
    return Plan(
        action="drill",
        target=backup.target,
        title=f"Drill {backup.id} into {where}",
        steps=(
            Step("start", where, "it reaches nothing else"),
            Step("restore", f"{counted(number, 'object')}, {format_size(backup.size_bytes)}", "as every restore does"),
            Step("compare", "every object read back and held against the backup"),
            Step("remove", "everything again", "also when it is killed"),
        ),
        notes=("No pod runs there: what is proven are the objects, not that workloads become ready.",),
        details={"backup": backup.id, "stamp": request.stamp, "kubernetes": version},
    )


class Drill(ObjectsDrill):
    """One run, in a control plane of its own."""

    def run(self, source: Source) -> Outcome:
        """See ``Tier.drill``."""
        started, backup = self.clock(), source.backup
        with self.judging(backup.id):
            sweep(self.scratch_root)
            with self.spooled(source) as archive, self._scratch() as plane, connected(plane.kubeconfig) as cluster:
                self.phases["start"] = self.clock() - started
                self._drill(source, archive, cluster)
        seconds, server = self.clock() - started, f"Kubernetes {self.plan.details['kubernetes']}"
        return self.outcome(backup, seconds, "was restored and compared", server, RESTORING)

    def _drill(self, source: Source, archive: Spooled, cluster: Cluster) -> None:
        skipped = unchecked(archive, cluster)
        options = Options(exclude_resources=tuple(skipped), existing=Policy.UPDATE)
        scratch = replace(self.world, cluster=lambda: cluster)
        restored = self._restore(source, archive, scratch, options)
        with self.phase("compare"):
            self.findings += compared(self.schedule, scratch, archive, options, restored)
        self.not_drilled(f"{name} ({why})" for name, why in skipped.items())

    def _restore(self, source: Source, archive: Spooled, world: World, options: Options) -> int:
        """How many objects were put. What the restore says against the backup is found."""
        request = RestoreRequest(
            stamp=str(self.plan.details["stamp"]),
            now=self.world.now(),
            scratch=True,
            options=options.as_data(),
            source=lambda: source,
        )
        made = plan_restore(self.schedule, world, source.backup, request, opening(archive))
        outcome = Restore(world, made, ScratchJournal(), self.progress).run(source)
        self.phases |= outcome.phases
        self.findings += outcome.findings
        put = sum(int(outcome.facts[fate.value]) for fate in PUT)
        self.progress.note(f"{format_count(put)} objects")
        return put

    def _scratch(self) -> AbstractContextManager[ScratchPlane]:
        self.progress.phase("starting")
        program = find_kube_apiserver(self.world.kube_apiserver)
        if program is None:
            raise DrillFailed(f"there is no {NAME} on this machine any more", hint=f"Set {SETTING}.")
        etcd = find("etcd", self.world.etcd_bin)
        return scratch_plane(self.scratch_root, self.schedule.name, kube_apiserver=program, etcd=etcd)
