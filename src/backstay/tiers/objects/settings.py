"""What the configuration says of the objects tier: one ``Schedule`` for each target, over one cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from backstay.cluster.base import Cluster
from backstay.core.model import Target, TierKind


@dataclass(frozen=True)
class Selection:
    """Which objects a schedule takes. Empty ``namespaces`` and ``resources`` mean all; patterns are shell globs.

    Resources are named ``deployments.apps`` or ``pods``. ``labels`` is a label selector in kubectl's form.
    ``cluster_scoped`` says whether objects outside namespaces are taken; None: all of them when all namespaces are
    selected and no label selector is set, and otherwise the Namespace objects of what is selected and what it needs
    (``related``).
    """

    namespaces: tuple[str, ...] = ()
    exclude_namespaces: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    exclude_resources: tuple[str, ...] = ()
    labels: str = ""
    cluster_scoped: bool | None = None


@dataclass(frozen=True)
class Schedule:
    """One target of the tier. ``ttl`` goes into Velero's view as its expiration, None: it never expires there."""

    name: str
    selection: Selection = Selection()
    ttl: timedelta | None = None
    cron: str = ""  # for Velero's view only

    @property
    def target(self) -> Target:
        """``objects/k3s-daily-backup``."""
        return Target(TierKind.OBJECTS, self.name)


@dataclass(frozen=True)
class ByVelero:
    """Velero takes the backups: into its storage location of this name; it is waited for so long."""

    location: str = "default"
    timeout: timedelta = timedelta(hours=4)


@dataclass(frozen=True)
class World:
    """What the tier works with: the cluster (connected to at first use), a clock, and a folder for spooled archives."""

    cluster: Callable[[], Cluster]
    now: Callable[[], datetime]
    spool: Path
    velero_namespace: str = "velero"
    by_velero: ByVelero | None = None  # None: Backstay takes the objects itself
    encrypted: bool = False  # whether artifacts are: Velero cannot read such, so they go into a folder beside its own
    workers: int = 4
    kube_apiserver: str | None = None  # the program that drills restore into; None: that on PATH
    drill_in_cluster: bool = False  # whether drills may use the live cluster where there is no such program
    etcd_bin: str | None = None  # a folder in which etcd is looked for before PATH
    scratch: Path | None = None  # where servers of drills live; None: beside the spool

    @property
    def scratch_root(self) -> Path:
        """Where servers of drills live."""
        return self.scratch or self.spool.parent / "scratch"
