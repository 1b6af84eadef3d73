"""One wave of a restore: its objects read and changed in one thread, put into the cluster by several."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from backstay.cluster.base import Cluster, Object, Resource
from backstay.core.errors import ClusterError, ClusterUnreachable
from backstay.core.model import Progress
from backstay.core.units import format_count
from backstay.tiers.objects.archive.spooled import Entry
from backstay.tiers.objects.change.jsonpatch import PatchError
from backstay.tiers.objects.change.transform import Left, Ready, Transform
from backstay.tiers.objects.names import CLAIMS, CRDS, VOLUMES
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.definitions import wait_established
from backstay.tiers.objects.restore.namespaces import Namespaces
from backstay.tiers.objects.restore.order import Wave
from backstay.tiers.objects.restore.owners import Known
from backstay.tiers.objects.restore.parallel import each
from backstay.tiers.objects.restore.put import Putter
from backstay.tiers.objects.restore.ready import WORKLOADS
from backstay.tiers.objects.restore.served import Served, can_create
from backstay.tiers.objects.restore.tally import Fate, Result, Tally
from backstay.tiers.objects.restore.versions import version_of
from backstay.tiers.objects.restore.volumes import Volumes

NO_CREATE = "the API takes no new objects of the kind"


@dataclass(frozen=True)
class _Job:
    """One object on its way into the cluster."""

    resource: Resource
    entry: Entry
    ready: Ready


@dataclass
class Waves:
    """What all waves of one run work with. ``others`` collects workloads that were there and are to be waited for, too:
    those that were changed, and those that an earlier restore has made, which may not have become ready in its time."""

    cluster: Cluster
    chosen: Chosen
    served: Served
    transform: Transform
    namespaces: Namespaces
    putter: Putter
    known: Known
    progress: Progress
    threads: int
    others: set[tuple[str, str, str]] = field(default_factory=set)
    _volumes: Volumes = field(default_factory=Volumes)
    _tally: Tally = field(default_factory=Tally)
    _owned: set[str] = field(default_factory=set)

    def do(self, wave: Wave) -> dict[str, Any]:
        """Put all objects of the wave; the facts of it for a journal: counts, failures, and the kinds that had owners.

        Raises ``ClusterUnreachable``.
        """
        self.progress.phase(f"restoring {wave.name}")
        self._tally, self._owned = Tally(), set()
        if CLAIMS in wave.resources:
            self._volumes = Volumes.of(self.cluster, self.served.find(VOLUMES))
        each(self._jobs(wave), self._put, self.threads)
        if CRDS in wave.resources:
            self._establish()
        return {**self._tally.as_facts(), "owned": sorted(self._owned)}

    def _jobs(self, wave: Wave) -> Iterator[_Job]:
        for name in wave.resources:
            if self.served.find(name) is None:
                self._refuse(name)
                continue
            for entry, body in self.chosen.entries(name):
                job = self._job(entry, body)
                if isinstance(job, Result):
                    self._tell(entry, job)
                else:
                    yield job

    def _refuse(self, name: str) -> None:
        """All objects of a kind that the cluster does not have; those that would be left out anyway are."""
        refused = 0
        for entry, body in self.chosen.entries(name):
            made = self._transformed(entry, body)
            if isinstance(made, Left):
                self._tell(entry, Result(Fate.SKIPPED, made.reason))
            else:
                refused += 1
        if refused:
            self._tally.refuse(name, refused, self.served.why_not(name))

    def _job(self, entry: Entry, body: Object) -> _Job | Result:
        """The object ready to be put, or why it is not."""
        resource = self.served.find(entry.resource, version_of(body))
        assert resource is not None, "looked up by the caller"  # noqa: S101 - a mistake in this program
        made = self._transformed(entry, body)
        if isinstance(made, Left):
            return Result(Fate.SKIPPED, made.reason)
        if isinstance(made, Result):
            return made
        if not can_create(resource):
            return Result(Fate.SKIPPED, NO_CREATE)
        if made.namespace and (reason := self.namespaces.why_not(made.namespace, entry.namespace)):
            return Result(Fate.FAILED, reason)
        made.body["apiVersion"] = resource.api_version  # where the stored one is not served any more
        if entry.resource == CLAIMS:
            self._volumes.release(made.body)
        if made.history:
            return self._history(resource, entry, made)
        if made.owners:
            self._owned.add(entry.resource)
        return _Job(resource, entry, made)

    def _history(self, resource: Resource, entry: Entry, made: Ready) -> _Job | Result:
        """What a workload can be rolled back to, with its owner from the start: one without an owner is taken by any
        workload whose selector fits."""
        try:
            references = self.known.references(made.owners, made.namespace)
            new = any(self.known.find(owner, made.namespace).ours for owner in made.owners)
        except ClusterUnreachable:
            raise
        except ClusterError as error:
            return Result(Fate.FAILED, error.message)
        if not references:
            return Result(Fate.FAILED, "its owner is not there")
        body = {**made.body, "metadata": {**made.body["metadata"], "ownerReferences": references}}
        return _Job(resource, entry, replace(made, body=body, with_owner=new))

    def _transformed(self, entry: Entry, body: Object) -> Ready | Left | Result:
        try:
            return self.transform(entry.resource, body)
        except PatchError as error:
            return Result(Fate.FAILED, f"a resource modifier does not fit: {error}")

    def _put(self, job: _Job) -> None:
        result = self.putter.put(job.resource, job.ready)
        if (result.fate is Fate.UPDATED or result.restored) and job.resource.name in WORKLOADS:
            self.others.add((job.resource.name, job.ready.namespace, job.ready.name))
        self._tell(job.entry, result)

    def _tell(self, entry: Entry, result: Result) -> None:
        self._tally.add(entry.resource, entry.namespace, entry.name, result)
        self.progress.advance(entry.size)
        if self._tally.total % 50 == 0:
            self.progress.note(f"{format_count(self._tally.total)} objects")

    def _establish(self) -> None:
        """Wait until what was defined is served, and look anew at what the cluster has."""
        resource = self.served.find(CRDS)
        if resource is None:
            return
        names = [entry.name for entry, body in self.chosen.entries(CRDS) if self._is_there(resource, entry)]
        for name, reason in wait_established(self.cluster, resource, names, self.putter.patience):
            self._tally.complain(f"{CRDS} {name}", reason)
        self.served.again()

    def _is_there(self, resource: Resource, entry: Entry) -> bool:
        """Whether a definition was put and did not fail."""
        return f"{resource.name} {entry.name}" not in {what for what, _ in self._tally.failures}
