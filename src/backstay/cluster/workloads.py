"""What a restore asks of one workload: how much of it runs, that it stops and starts, and what is left of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.cluster.parts import at, controller_of, items, selector_of
from backstay.cluster.ready import PODS, is_seen, lacks, replicas_of, why_not
from backstay.core.errors import RestoreError
from backstay.core.units import counted

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", namespaced=True)
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet", namespaced=True)
CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob", namespaced=True)
JOBS = Resource("batch", "v1", "jobs", "Job", namespaced=True)
POD_OWNERS = {DEPLOYMENTS.name: "ReplicaSet", STATEFUL_SETS.name: "StatefulSet"}
GRACE_SECONDS = 30.0  # of a pod that does not say; Kubernetes' own default
POD_SECONDS, JOB_SECONDS = 60.0, 600.0  # for a pod beyond its grace; for a Job to end by itself
OURS = "backstay"  # the field manager of what Backstay changes


@dataclass(frozen=True)
class Workload(ABC):
    """One of them; ``body`` is always what ``look`` gave a moment ago. Methods raise ``ClusterError`` and its kinds."""

    cluster: Cluster
    resource: Resource
    namespace: str
    name: str
    switch: ClassVar[str]  # the field of its spec that its count is in
    seconds: ClassVar[float]  # that the next of what runs may take to end

    def __str__(self) -> str:
        return f"{self.resource.kind.lower()}/{self.name}"

    def look(self) -> Object:
        """What it is now. Raises ``ObjectNotFound``."""
        return self.cluster.get(self.resource, self.name, self.namespace)

    def left(self, body: Object) -> list[str]:
        """What of it still runs, once it was told to stop. Raises ``RestoreError`` when something has started it."""
        if self.count(body):
            who = f" by {', '.join(found)}" if (found := self._others(body)) else ""
            raise RestoreError(
                f"{self} was started again{who} while it was to be stopped",
                hint="Pause what keeps it at its replicas (Argo CD, Flux, KEDA, an operator), or stop it your own way "
                "and add --apps-stopped.",
            )
        return self.running(body)

    @abstractmethod
    def count(self, body: Object) -> int:
        """The replicas it is to have; of a CronJob 1, or 0 when it is suspended."""

    @abstractmethod
    def words(self, count: int) -> str:
        """``3 replicas``"""

    @abstractmethod
    def scale(self, count: int, *, dry_run: bool = False) -> None:
        """Give it so many; only ask whether that is allowed with ``dry_run``."""

    @abstractmethod
    def running(self, body: Object) -> list[str]:
        """What of it runs."""

    @abstractmethod
    def not_ready(self, body: Object) -> str:
        """What it lacks to be ready, and why; empty when it is."""

    def patience(self, body: Object) -> float:
        """How many seconds the next of what runs may take to end; a pod has its grace period on top."""
        grace = at(body, "spec", "template", "spec").get("terminationGracePeriodSeconds")
        return self.seconds + (GRACE_SECONDS if grace is None else float(grace))

    def keeps_from_stopping(self, body: Object) -> str:
        """Why it must not be scaled to zero: a StatefulSet may be told to delete its volumes then. Else empty."""
        if at(body, "spec", "persistentVolumeClaimRetentionPolicy").get("whenScaled") == "Delete":
            return "its volumes are deleted when it is scaled down (persistentVolumeClaimRetentionPolicy.whenScaled)"
        return ""

    def _others(self, body: Object) -> list[str]:
        """Who else has set the switch, by the managers of its fields (kubernetes.io, "Server-Side Apply")."""
        fields = items(body, "metadata", "managedFields")
        found = {str(one.get("manager")) for one in fields if f"f:{self.switch}" in at(one, "fieldsV1", "f:spec")}
        return sorted(found - {OURS})


class Scaled(Workload):
    """A Deployment or StatefulSet. Its scale is all that is changed, which is a right of its own."""

    switch = "replicas"
    seconds = POD_SECONDS

    def count(self, body: Object) -> int:
        """See ``Workload.count``."""
        return replicas_of(body)

    def words(self, count: int) -> str:
        """See ``Workload.words``."""
        return counted(count, "replica")

    def scale(self, count: int, *, dry_run: bool = False) -> None:
        """See ``Workload.scale``. The subresource: kubernetes.io, API reference, "Scale v1 autoscaling"."""
        where = {"name": self.name, "namespace": self.namespace}
        body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": where, "spec": {"replicas": count}}
        self.cluster.apply(self.resource, body, force=True, dry_run=dry_run, subresource="scale")

    def running(self, body: Object) -> list[str]:
        """Its pods, those that are on their way out too. Others with its labels (a Job's) are none of it."""
        if not is_seen(body):
            return [f"{self}, which its controller has not looked at"]
        kind = POD_OWNERS[self.resource.name]
        return [f"pod {name}" for name, pod in self._pods(body) if (controller_of(pod) or {}).get("kind") == kind]

    def not_ready(self, body: Object) -> str:
        """See ``Workload.not_ready``."""
        return why_not(self.cluster, self.resource, body) if lacks(self.resource.name, body) else ""

    def _pods(self, body: Object) -> Iterator[tuple[str, Object]]:
        """Those that have not ended."""
        for item in self.cluster.list(PODS, namespace=self.namespace, labels=selector_of(body)):
            pod = msgspec.json.decode(item.json, type=dict)
            if at(pod, "status").get("phase") not in {"Succeeded", "Failed"}:
                yield item.name, pod


class Scheduled(Workload):
    """A CronJob: suspended, and its Jobs that run are waited for."""

    switch = "suspend"
    seconds = JOB_SECONDS

    def count(self, body: Object) -> int:
        """See ``Workload.count``."""
        return 0 if at(body, "spec").get("suspend") else 1

    def words(self, count: int) -> str:
        """See ``Workload.words``."""
        return "on its schedule" if count else "suspended"

    def scale(self, count: int, *, dry_run: bool = False) -> None:
        """See ``Workload.scale``."""
        where = {"name": self.name, "namespace": self.namespace}
        body = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, "metadata": where}
        self.cluster.apply(self.resource, {**body, "spec": {"suspend": not count}}, force=True, dry_run=dry_run)

    def running(self, body: Object) -> list[str]:
        """Its Jobs that have not ended (kubernetes.io, "Jobs", section "Terminal Job conditions")."""
        found = []
        for item in self.cluster.list(JOBS, namespace=self.namespace):
            job = msgspec.json.decode(item.json, type=dict)
            ended = any(
                one.get("type") in {"Complete", "Failed"} and one.get("status") == "True"
                for one in items(job, "status", "conditions")
            )
            its = (controller_of(job) or {}).get("uid") == body["metadata"]["uid"]
            if its and not ended and not at(job, "spec").get("suspend"):
                found.append(f"job {item.name}")
        return found

    def not_ready(self, body: Object) -> str:  # noqa: ARG002 - there is nothing to wait for
        """See ``Workload.not_ready``: its time comes."""
        return ""


def workload(cluster: Cluster, namespace: str, app: str) -> Workload:
    """The one named ``deployment/cardboard``, ``statefulset/queue`` or ``cronjob/report``."""
    kind, _, name = app.partition("/")
    if kind == "cronjob":
        return Scheduled(cluster, CRON_JOBS, namespace, name)
    return Scaled(cluster, DEPLOYMENTS if kind == "deployment" else STATEFUL_SETS, namespace, name)
