"""Drills of objects: into a control plane of their own; or, where that cannot be had and it was allowed, into
namespaces of their own in the live cluster (docs/decisions/0022)."""

from backstay.cluster.localapi.programs import find_kube_apiserver
from backstay.core.model import Backup, Outcome, Plan, Progress
from backstay.tiers.base import RestoreRequest, Source
from backstay.tiers.objects.drill import incluster, scratch
from backstay.tiers.objects.settings import Schedule, World

__all__ = ["plan", "run"]


def plan(schedule: Schedule, world: World, backup: Backup, request: RestoreRequest) -> Plan:  # noqa: ARG001 - as others
    """What a drill would do. ``request.options`` may have ``in_cluster``: true means the live cluster in any case.

    Raises ``DrillFailed`` without kube-apiserver where the live cluster was not allowed, ``ToolMissing`` without etcd,
    ``ToolTooOld`` when kube-apiserver is older than the cluster was, and what the live cluster raises.
    """
    asked = bool(request.options.get("in_cluster"))
    if asked or (world.drill_in_cluster and find_kube_apiserver(world.kube_apiserver) is None):
        return incluster.plan(world, backup, request)
    return scratch.plan(world, backup, request)


def run(schedule: Schedule, world: World, plan: Plan, source: Source, progress: Progress) -> Outcome:
    """Do what ``plan`` says; see ``Tier.drill``."""
    way = incluster.Drill if plan.details.get(incluster.IN_CLUSTER) else scratch.Drill
    return way(schedule, world, plan, progress).run(source)
