"""A drill of objects in the live cluster, where there is no kube-apiserver for a control plane of its own.

Every object is given to the API server as a dry run, and the answer compared. What cannot act is then really made, in
namespaces of the drill's own and by the path of every restore, read back, compared and removed. Nothing else is
written.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import replace

import msgspec

from backstay.cluster.base import Cluster, Resource
from backstay.core.errors import ClusterDenied, ObjectExists
from backstay.core.model import Backup, Finding, Level, Outcome, Plan, Severity, Step
from backstay.core.units import counted, format_count
from backstay.tiers.base import RestoreRequest, ScratchJournal, Source
from backstay.tiers.objects.archive.spooled import Entry, Spooled
from backstay.tiers.objects.change.clean import labels_of
from backstay.tiers.objects.change.leave import NEVER
from backstay.tiers.objects.drill import spaces
from backstay.tiers.objects.drill.around import acting_webhooks
from backstay.tiers.objects.drill.common import ObjectsDrill
from backstay.tiers.objects.drill.compare import CODE, SHOWN, told
from backstay.tiers.objects.drill.fence import Fenced
from backstay.tiers.objects.drill.harmless import MADE
from backstay.tiers.objects.drill.made import Made
from backstay.tiers.objects.drill.trial import tried
from backstay.tiers.objects.live import live_objects
from backstay.tiers.objects.names import NAMESPACES
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.parallel import each
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.request import Options, Policy
from backstay.tiers.objects.restore.run import OWNERS, Restore
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.survey import Action, Survey
from backstay.tiers.objects.restore.tally import called
from backstay.tiers.objects.settings import World

IN_CLUSTER = "in_cluster"  # in the details of a plan
RESTORING = ("fetch", "try", "restore")  # a real restore makes what was only tried here; it takes no longer than this
KINDS_TOLD = 6
TRIED, LIVE, LEFT, OTHERS = "objects.tried", "objects.live", "objects.drill_left", "objects.drill_others"
PROVEN = (
    "Whatever acts is taken from what is created: replicas, schedules, ports, labels, annotations, finalizers; the dry "
    "run has it all. No pod runs: what is proven are the objects, not that workloads become ready."
)
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True, versions=("v1",))


def plan(world: World, backup: Backup, request: RestoreRequest) -> Plan:
    """What a drill would do, by the manifest and the cluster's webhooks. Raises what the cluster raises."""
    cluster = world.cluster()
    version = cluster.version()
    hooks = [*acting_webhooks(cluster)]
    acting = {name: hook.name for name in sorted(MADE) for hook in hooks if hook.sees(name)}
    kinds = Counter({str(name): int(number) for name, number in backup.contents.get("kinds", {}).items()})
    made = Counter({name: number for name, number in kinds.items() if name in MADE - acting.keys()})
    only = Counter({name: number for name, number in kinds.items() if name not in made and name not in NEVER})
    drill, number = spaces.new_drill(request.stamp), int(backup.contents.get("namespaces", 0))
    found = spaces.others(cluster, world.scratch_root, world.now())
    notes = [f"Created: {_kinds(made)}."] if made else []
    notes += [f"Only tried: {_kinds(only)}."] if only else []
    notes += [f"{name} are only tried: the webhook {hook} acts when one is made." for name, hook in acting.items()]
    if found.abandoned:
        notes.append(
            f"{counted(len(found.abandoned), 'namespace')} that an earlier drill has left will be removed first."
        )
    return Plan(
        action="drill",
        target=backup.target,
        title=f"Drill {backup.id} into namespaces of its own in {cluster.url}, Kubernetes {version}",
        steps=(
            Step("start", counted(number, "namespace"), f"called NAME{spaces.WORD}{drill}"),
            Step("try", f"up to {counted((made + only).total(), 'object')}", "by dry run, of which nothing stays"),
            Step("restore", f"up to {counted(made.total(), 'object')}", "as every restore does"),
            Step("compare", "what was created is read back and held against the backup"),
            Step("remove", "the namespaces, with all in them", "the next drill does it when this one is killed"),
        ),
        notes=(*notes, PROVEN),
        details={
            IN_CLUSTER: True, "backup": backup.id, "stamp": request.stamp, "kubernetes": version, "drill": drill,
            "made": sorted(MADE - acting.keys()),
        },
    )  # fmt: skip


class Drill(ObjectsDrill):
    """One run."""

    _left: bool  # whether there are, or may be, namespaces of it
    _made: Counter[str]  # by kind: objects created, and equal to those in the backup
    _tried: Counter[str]  # only tried

    def run(self, source: Source) -> Outcome:
        """See ``Tier.drill``."""
        self._left, self._made, self._tried = False, Counter(), Counter()
        started, backup, drill = self.clock(), source.backup, str(self.plan.details["drill"])
        with (
            self.judging(backup.id),
            spaces.running(self.scratch_root, drill),
            self.spooled(source) as archive,
        ):
            self._drill(source, archive, drill)
        made, only = self._made.total(), self._tried.total()
        what = f"{counted(made, 'object')} created in the cluster itself and compared, {format_count(only)} only tried"
        server = f"the cluster itself, Kubernetes {self.plan.details['kubernetes']}"
        outcome = self.outcome(backup, self.clock() - started, f"came back: {what}", server, RESTORING)
        level = Level.RESTORED if made or self.went_wrong else Level.READABLE  # a failure takes back what was proven
        return replace(outcome, facts={**outcome.facts, "level": level.word, "created": made, "tried": only})

    def what_is_left(self) -> str:
        """A sentence for a drill that was cut short."""
        if not self._left:
            return super().what_is_left()
        return (
            "No live object was touched, but namespaces of the drill may be there: the next drill removes them, or "
            f"`kubectl delete namespace -l {spaces.DRILL}={self.plan.details['drill']}`."
        )

    def _drill(self, source: Source, archive: Spooled, drill: str) -> None:
        cluster = self.world.cluster()
        names = {*archive.namespaces(), *(entry.name for entry in archive.entries(NAMESPACES))}
        own = {name: spaces.space_of(name, drill) for name in sorted(names)}
        fence = Fenced(cluster, own.values(), self.plan.details["made"])
        self._sweep(cluster)
        try:
            with self.phase("start"):
                self._start(cluster, archive, own, drill)
            with self.phase("try"):
                survey = self._try(fence, archive, own)
            if not self.went_wrong:  # it names all that would fail; a part of them once more tells nothing new
                self._make(source, fence, archive, own)
            self._tell(fence, survey)
        finally:
            with self.phase("remove"):
                self._remove(cluster, drill)

    def _start(self, cluster: Cluster, archive: Spooled, own: dict[str, str], drill: str) -> None:
        self._left = True
        for name, space in own.items():
            entry = archive.find(NAMESPACES, "", name)
            stored = labels_of(msgspec.json.decode(archive.read(entry), type=dict)) if entry else {}
            spaces.make(cluster, space, drill, str(self.plan.details["stamp"]), stored)

        def account(entry: Entry) -> None:
            metadata = {"name": entry.name, "namespace": own[entry.namespace]}
            with suppress(ObjectExists, ClusterDenied):  # if denied, pods cannot be tried, which is told
                cluster.create(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

        each(archive.entries(ACCOUNTS.name), account)  # a pod cannot be tried without its own

    def _try(self, fence: Fenced, archive: Spooled, own: dict[str, str]) -> Survey:
        """Every object as a dry run. What the API server says against one is found."""
        stamp = str(self.plan.details["stamp"])
        survey, unable = tried(fence, archive, own, stamp, self.world.spool)
        refused = [line for line in survey.told() if line.action is Action.CONFLICT]
        for line in refused[:SHOWN]:
            self._say(f"{called(line.resource, line.namespace, line.name)}: {line.reason}", TRIED, Severity.ERROR)
        if (more := survey.counts[Action.CONFLICT] - SHOWN) > 0:
            self._say(f"and {format_count(more)} more objects that are refused", TRIED, Severity.ERROR)
        self.not_drilled(f"{name} ({why})" for name, why in unable.items())
        return survey

    def _make(self, source: Source, fence: Fenced, archive: Spooled, own: dict[str, str]) -> None:
        """What is really made, by the path of every restore; then it is compared."""
        others = [name for name in archive.resources() if name not in self.plan.details["made"]]
        options = Options(exclude_resources=tuple(others), namespace_map=own, existing=Policy.UPDATE)
        journal = ScratchJournal()
        journal.record(OWNERS)  # owners act on what they own; most of them are not here
        details = {"options": options.as_data(), "stamp": self.plan.details["stamp"]}
        made = Plan("restore", self.plan.target, self.plan.title, (), details=details)
        world = replace(self.world, cluster=lambda: fence)
        outcome = Restore(world, made, journal, self.progress).run(source)
        self.phases |= {name: outcome.phases[name] for name in ("fetch", "restore")}
        self.findings += [finding for finding in outcome.findings if finding.severity is not Severity.OK]
        with self.phase("compare"), live_objects(self.world.spool) as live:
            served = Served(fence)
            held = Made(fence, Chosen(options, archive, served.kinds), served, own, live)
            self.findings += told(held.differences())
        self._made = held.equal
        if self._made and not self.went_wrong:
            words = f"{counted(held.equal.total(), 'object')} created in {counted(len(own), 'namespace')} of its own"
            self._say(f"{words} and read back, each as in the backup", CODE)

    def _tell(self, fence: Fenced, survey: Survey) -> None:
        """What was left out, what was only tried, and what not even that."""
        for reason, number in survey.reasons.most_common():
            self._say(f"{counted(number, 'object')} left out: {reason}", "restore.left")
        live = 0
        for name, counts in survey.kinds.items():
            only = counts[Action.CREATE] + counts[Action.CHANGE] - fence.untried[name] - self._made[name]
            resource = survey.served.find(name)
            if resource is not None and resource.namespaced:
                only += counts[Action.UNCHANGED]
            else:
                live += counts[Action.UNCHANGED]
            if only > 0:
                self._tried[name] = only
        if live:
            self._say(f"{counted(live, 'object')} in no namespace: the cluster has each as in the backup", LIVE)
        if self._tried:
            words = f"{counted(self._tried.total(), 'object')} tried by dry run only: {_kinds(self._tried)}"
            self._say(words, TRIED)
        self.not_drilled(
            f"{counted(number, 'object')} of {name} ({fence.reasons[name]})" for name, number in fence.untried.items()
        )

    def _say(self, words: str, code: str, severity: Severity = Severity.OK) -> None:
        self.findings.append(Finding(severity, words, code))

    def _sweep(self, cluster: Cluster) -> None:
        """Remove what drills that were killed have left; those that may run are left alone."""
        found = spaces.others(cluster, self.scratch_root, self.world.now())
        if found.abandoned:
            self.progress.phase("removing what an earlier drill left")
        stuck = spaces.remove(cluster, found.abandoned, Patience())
        for words in stuck:
            self._say(words, LEFT, Severity.WARNING)
        if number := len(found.abandoned) - len(stuck):
            self._say(f"{counted(number, 'namespace')} that an earlier drill had left: removed", LEFT)
        if not stuck:
            spaces.forget(self.scratch_root, {item.labels[spaces.DRILL] for item in found.abandoned})
        if found.running:
            words = f"namespaces of drills that may be running were left alone: {', '.join(found.running)}"
            self._say(words, OTHERS, Severity.WARNING)

    def _remove(self, cluster: Cluster, drill: str) -> None:
        stuck = spaces.remove(cluster, spaces.of_drill(cluster, drill), Patience())
        for words in stuck:
            self._say(f"{words}. The next drill tries again", LEFT, Severity.WARNING)
        self._left = bool(stuck)
        if not stuck:
            spaces.forget(self.scratch_root, [drill])


def _kinds(counts: Counter[str]) -> str:
    """``configmaps 200, secrets 3 and 2 kinds more``."""
    shown = ", ".join(f"{name} {format_count(number)}" for name, number in counts.most_common(KINDS_TOLD))
    more = len(counts) - KINDS_TOLD
    return f"{shown} and {counted(more, 'kind')} more" if more > 0 else shown
