"""Drills of what ``Capturing`` backs up, by the jobs as in production."""

from dataclasses import dataclass, replace

from backstay.catalog.proofs import standing
from backstay.core.model import NoProgress, TierKind
from backstay.jobs import drill
from backstay.tiers.objects.drill import spaces
from backstay.tiers.objects.restore.existing import NAMESPACE
from backstay.tiers.objects.restore.put import Putter
from backstay.tiers.objects.tier import ObjectsTier
from tests.tiers.objects.capturing import Capturing


@dataclass
class Drilling(Capturing):
    """As ``Capturing``, with the whole tier."""

    kube_apiserver: str | None = None

    @property
    def world(self):
        return replace(super().world, kube_apiserver=self.kube_apiserver)

    @property
    def context(self):
        tier = ObjectsTier({self.schedule.name: self.schedule}, self.world)
        return replace(super().context, tiers={TierKind.OBJECTS: tier})

    def drill(self, made):
        """Plan and run a drill."""
        return drill.run(self.context, drill.plan(self.context, made), made, NoProgress())


@dataclass
class InCluster(Drilling):
    """As ``Drilling``, where it was allowed and no kube-apiserver is at hand."""

    allowed: bool = True

    @property
    def world(self):
        return replace(super().world, drill_in_cluster=self.allowed)

    def plan(self, made, **options):
        """What a drill would do."""
        return drill.plan(self.context, made, options)

    def drill(self, made, progress=None, **options):
        """Plan and run one."""
        return drill.run(self.context, self.plan(made, **options), made, progress or NoProgress())

    def level(self, made):
        """What the store says of a backup."""
        proofs = self.context.catalogs.holding(made).proofs.read(made.target)
        proof = standing(proofs).get(made.id)
        return proof and proof.level

    def spaces(self):
        """Names of namespaces that are, by their label, of a drill."""
        return [item.name for item in self.cluster.list(NAMESPACE, labels=spaces.DRILL)]


def careless(monkeypatch):
    """Let a restore lose the object ``lost`` and change the data of ``changed``."""
    put = Putter.put

    def carelessly(self, resource, ready):
        if ready.name == "lost":
            ready.body["metadata"]["name"] = "elsewhere"
        if ready.name == "changed":
            ready.body["data"] = {"a": "2"}
        return put(self, resource, ready)

    monkeypatch.setattr(Putter, "put", carelessly)
