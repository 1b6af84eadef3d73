"""The sentences under a plan: what is lost, what is kept, who must be stopped, what a revision bump would be for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from backstay.core.model import Backup
from backstay.core.units import counted, format_count, format_size, format_span, listed
from backstay.tiers.base import Leftover
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.restore.leftovers import BEFORE, CERTIFICATES, UNDONE, UNFINISHED
from backstay.tiers.etcd.restore.members import Live
from backstay.tiers.etcd.restore.options import DOCUMENTED_BUMP, Options

HELD = {  # what old copies are, one and several
    BEFORE: ("copy of an earlier database", "copies of earlier databases"),
    CERTIFICATES: ("folder of earlier certificates", "folders of earlier certificates"),
    UNDONE: ("restored database that was taken back", "restored databases that were taken back"),
    UNFINISHED: ("unfinished restore", "unfinished restores"),
}


def lost(backup: Backup, live: Live, now: datetime) -> str:
    """What the live cluster has that the snapshot has not."""
    at = backup.point_in_time
    since = f"everything written after {at:%Y-%m-%d %H:%M:%S} UTC, {format_span(now - at)} ago" if at else (
        "everything written since the snapshot was taken")  # fmt: skip
    words = f"Lost by this: {since}"
    if live.status is None:
        return f"{words}. The live cluster does not answer, so how much that is cannot be told ({live.why})."
    here, there = live.status.header.revision, backup.contents.get("revision")
    if not isinstance(there, int):
        return f"{words}. The live cluster is at revision {format_count(here)}; the snapshot's is not known yet."
    if here < there:
        return (
            f"{words}. The live cluster is at revision {format_count(here)}, before the snapshot's "
            f"{format_count(there)}: it is another cluster, or was restored since."
        )
    both = f"it is at {format_count(here)}, the snapshot at {format_count(there)}"
    return f"{words}: {counted(here - there, 'revision')} ({both})."


def other_cluster(backup: Backup, live: Live) -> Iterator[str]:
    """A warning where the live cluster is not the one that was backed up. A restore gives it a new id, too."""
    recorded = str(backup.source.get("cluster_id", ""))
    if live.status and recorded and recorded != f"{live.status.cluster_id:x}":
        yield (
            f"WARNING: the live cluster is {live.status.cluster_id:x}, the snapshot is of {recorded}: it was restored "
            "or made anew since, or it is another one. Are you on the right machine?"
        )


def other_machine(plane: ControlPlane, nodes: Sequence[str]) -> Iterator[str]:
    """A warning where this machine was none of the cluster's servers."""
    if nodes and plane.node not in nodes:
        yield (
            f"This machine ({plane.node}) was no server of that cluster ({listed(nodes)}): it becomes one. Remove the "
            "nodes that are no more with `kubectl delete node`, or their names stay taken."
        )


def up(nodes: Sequence[str], stop: str) -> Iterator[str]:
    """A warning where other members are running."""
    if nodes:
        yield f"WARNING: etcd runs on {listed(nodes)}. Stop it there before this is run: {stop}. The run refuses else."


def kept(plane: ControlPlane, where: str) -> str:
    """Where the database of now will be."""
    return f"Kept: the database of now, as {where}, until `backstay restore cleanup {plane.target}`."


def ready(plane: ControlPlane) -> str:
    """What is waited for, and what is not."""
    return (
        f"Ready means: systemd calls {plane.service} active, and etcd answers. Nodes and pods are not looked at: see "
        "`kubectl get nodes` afterwards."
    )


def copies_held(found: Sequence[Leftover], plane: ControlPlane) -> Iterator[str]:
    """Old copies and their space; k3s never removes its own."""
    if found:
        counts = Counter(each.kind for each in found)
        parts = [counted(counts[kind], *words) for kind, words in HELD.items() if counts[kind]]
        total = format_size(sum(each.size_bytes for each in found))
        hold, them = ("holds", "it") if len(found) == 1 else ("hold", "them")
        yield f"{listed(parts)} {hold} {total}: `backstay restore cleanup {plane.target}` removes {them}."


def bump(options: Options) -> str:
    """What is done about revisions that are given twice."""
    if options.bump_revision:
        return (
            f"All revisions are raised by {format_count(options.bump_revision)}, and what was before is marked "
            "compacted, so that nothing waits for changes it thinks it has seen (etcd issue 16028)."
        )
    return (
        "Revisions are not raised: kubelets and controllers that go on running may hold newer versions than the "
        "restored cluster has, and miss changes until it has passed them (Kubernetes issue 118501). Restart them on "
        f"every node, or raise all revisions (--bump-revision; etcd's guide takes {format_count(DOCUMENTED_BUMP)})."
    )


def stop_command(plane: ControlPlane) -> str:
    """What stops etcd on another machine of this kind."""
    if plane.flavor is Flavor.RKE2:
        return f"`systemctl stop {plane.service}`, then `rke2-killall.sh`, for its pods go on without it"
    if plane.flavor is Flavor.KUBEADM:
        return "`mv /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/`, and kube-apiserver.yaml too"
    return f"`systemctl stop {plane.service}`"
