"""The namespaces that objects go into: there before the first object, and not on their way out."""

from dataclasses import dataclass, field

from backstay.cluster.base import Cluster
from backstay.cluster.parts import at
from backstay.core.errors import ClusterError, ClusterUnreachable, ObjectExists, ObjectNotFound
from backstay.tiers.objects.change.clean import MARK
from backstay.tiers.objects.change.transform import Left, Transform
from backstay.tiers.objects.names import NAMESPACES
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.existing import NAMESPACE, Existing


@dataclass
class Namespaces:
    """Makes the ones that are missing, as the backup has them, when the first object of each comes. For one thread."""

    cluster: Cluster
    existing: Existing
    chosen: Chosen
    transform: Transform
    stamp: str
    _known: dict[str, str] = field(default_factory=dict)  # name -> why nothing can be put there; empty: it can

    def why_not(self, namespace: str, original: str) -> str:
        """Why objects cannot be put into a namespace, which is there when this returns; empty when they can. Raises
        ``ClusterUnreachable``."""
        if namespace not in self._known:
            self._known[namespace] = self._ensure(namespace, original)
        return self._known[namespace]

    def _ensure(self, namespace: str, original: str) -> str:
        try:
            live = self.cluster.get(NAMESPACE, namespace)
            if not _is_ending(live):
                return ""
            self.existing.wait_gone(NAMESPACE, live)
        except ObjectNotFound:
            pass
        except ClusterUnreachable:
            raise  # it says nothing of the namespace
        except ClusterError as error:
            return f"the namespace {namespace}: {error.message}"
        return self._make(namespace, original)

    def _make(self, namespace: str, original: str) -> str:
        try:
            self.cluster.create(NAMESPACE, self._body(namespace, original))
        except ObjectExists:
            pass
        except ClusterUnreachable:
            raise
        except ClusterError as error:
            return f"the namespace {namespace} could not be made: {error.message}"
        return ""

    def _body(self, namespace: str, original: str) -> dict[str, object]:
        """As the backup has it, where it does."""
        stored = self.chosen.read(NAMESPACES, "", original)
        made = self.transform(NAMESPACES, stored) if stored else Left("")
        if isinstance(made, Left):
            metadata = {"name": namespace, "labels": {MARK: self.stamp}}
            return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        return made.body


def _is_ending(live: dict[str, object]) -> bool:
    return bool(at(live, "metadata").get("deletionTimestamp")) or at(live, "status").get("phase") == "Terminating"
