"""Archives made of plain objects, and restores of them into a cluster in memory."""

import copy
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backstay.core.model import Backup, NoProgress, Plan, State, Target, TierKind
from backstay.tiers.base import RestoreRequest, ScratchJournal
from backstay.tiers.objects.archive.paths import path_of
from backstay.tiers.objects.archive.spooled import spooled
from backstay.tiers.objects.archive.writer import END, TarWriter
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.plan import plan_restore
from backstay.tiers.objects.restore.run import Restore
from backstay.tiers.objects.settings import Schedule, World
from tests.tiers.objects import fake_cluster as fakes

AT = datetime(2026, 2, 11, 15, 43, 44, tzinfo=UTC)
STAMP = "20261126-113000"
MARK = "backstay.io/restore"
SCHEDULE = Schedule("daily")
PLURALS = {"NetworkPolicy": "networkpolicies", "StorageClass": "storageclasses", "PriorityClass": "priorityclasses"}
KINDS = (
    *fakes.BUILT_IN,
    fakes.kind("replicasets.apps", "ReplicaSet"),
    fakes.kind("statefulsets.apps", "StatefulSet"),
    fakes.kind("daemonsets.apps", "DaemonSet"),
    fakes.kind("controllerrevisions.apps", "ControllerRevision"),
    fakes.kind("jobs.batch", "Job"),
    fakes.kind("cronjobs.batch", "CronJob"),
    fakes.kind("endpoints", "Endpoints"),
    fakes.kind("resourcequotas", "ResourceQuota"),
    fakes.kind("limitranges", "LimitRange"),
    fakes.kind("leases.coordination.k8s.io", "Lease"),
    fakes.kind("clusterrolebindings.rbac.authorization.k8s.io", "ClusterRoleBinding", namespaced=False),
    fakes.kind("rolebindings.rbac.authorization.k8s.io", "RoleBinding"),
    fakes.kind(
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        namespaced=False,
    ),
    fakes.kind("apiservices.apiregistration.k8s.io", "APIService", namespaced=False),
)
NAME_OF = {(kind.api_version, kind.kind): kind.name for kind in KINDS}


def stored(kind: str, name: str, namespace: str = "", *, api: str = "v1", **fields: Any) -> dict[str, Any]:
    """An object as a backup holds it; ``labels``, ``annotations``, owner references and finalizers are metadata."""
    metadata: dict[str, Any] = {
        "name": name,
        "uid": f"old-{kind}-{name}",
        "resourceVersion": "77",
        "creationTimestamp": "2025-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    }
    if namespace:
        metadata["namespace"] = namespace
    for key in ("labels", "annotations", "ownerReferences", "finalizers"):
        if key in fields:
            metadata[key] = fields.pop(key)
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def owner(kind: str, name: str, api: str = "apps/v1", *, controller: bool = True) -> dict[str, Any]:
    """An owner reference by the old uid."""
    return {"apiVersion": api, "kind": kind, "name": name, "uid": f"old-{kind}-{name}", "controller": controller}


def resource_of(body: dict[str, Any]) -> str:
    """``deployments.apps``, also for kinds that no cluster knows."""
    known = NAME_OF.get((body["apiVersion"], body["kind"]))
    if known:
        return known
    group = body["apiVersion"].rpartition("/")[0]
    plural = PLURALS.get(body["kind"], f"{body['kind'].lower()}s")
    return f"{plural}.{group}" if group else plural


def tar_of(objects: list[dict[str, Any]]) -> list[bytes]:
    """An archive with these objects."""
    writer = TarWriter(AT)
    members = [writer.member("metadata/version", b"1.1.0\n")]
    for body in objects:
        metadata = body["metadata"]
        path = path_of(resource_of(body), metadata.get("namespace", ""), metadata["name"])
        members.append(writer.member(path, json.dumps(body).encode()))
    return [*members, END]


BACKUP = Backup(Target(TierKind.OBJECTS, "daily"), "20260211-154344", "home", State.COMPLETE, AT, AT, AT)


@dataclass
class ArchiveSource:
    """A ``Source`` over chunks in memory."""

    chunks: list[bytes]
    backup: Backup = BACKUP

    @contextmanager
    def open(self, role):
        assert role == "objects"
        yield iter(self.chunks)


@dataclass
class Restoring:
    """Restores of ``objects`` into ``cluster``. Nothing waits for long: pauses are counted, not slept."""

    folder: Path
    objects: list[dict[str, Any]]
    cluster: Any = field(default_factory=lambda: fakes.FakeCluster(*KINDS))
    threads: int = 4
    slept: list[float] = field(default_factory=list)

    @property
    def world(self) -> World:
        return World(lambda: self.cluster, lambda: AT, self.folder / "spool")

    @property
    def source(self) -> ArchiveSource:
        return ArchiveSource(tar_of(self.objects))

    @contextmanager
    def opened(self):
        self.world.spool.mkdir(parents=True, exist_ok=True)
        with spooled(iter(self.source.chunks), self.world.spool) as archive:
            yield archive

    def plan(self, **options: Any) -> Plan:
        request = RestoreRequest(STAMP, AT, options=options)
        return plan_restore(SCHEDULE, self.world, BACKUP, request, self.opened)

    def run(self, journal=None, plan=None, **options: Any):
        plan = plan or bare_plan(**options)
        restore = Restore(
            self.world, plan, journal or ScratchJournal(), NoProgress(), patience=self.patience, threads=self.threads
        )
        return restore.run(self.source)

    @property
    def patience(self) -> Patience:
        """A clock that only sleeping moves."""
        return Patience(sleep=self.slept.append, clock=lambda: sum(self.slept), gone=3, established=3, settle=1)

    def state(self):
        """What is in the cluster, without what differs from run to run."""
        found = {}
        for key, kept in self.cluster.objects.items():
            body = copy.deepcopy(kept)
            for name in ("uid", "resourceVersion", "creationTimestamp"):
                body["metadata"].pop(name, None)
            for reference in body["metadata"].get("ownerReferences", ()):
                reference["uid"] = "of its owner"
            found[key] = body
        return found


def bare_plan(**options: Any) -> Plan:
    """As ``plan_restore`` would make it, for tests that are not about plans."""
    from backstay.tiers.objects.restore.request import options_of

    details = {"options": options_of(options).as_data(), "stamp": STAMP}
    return Plan("restore", BACKUP.target, "", (), details=json.loads(json.dumps(details)))


def established(cluster, *kinds):
    """Serve these kinds, as the API server does a moment after their definitions were made."""
    create = cluster.create

    def making(resource, body, *, dry_run=False):
        made = create(resource, body, dry_run=dry_run)
        if resource.name == fakes.CRDS.name and not dry_run:
            key = (resource.name, "", body["metadata"]["name"])
            cluster.objects[key]["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
            cluster.resources.update({kind.name: kind for kind in kinds if kind.name == body["metadata"]["name"]})
        return made

    cluster.create = making
