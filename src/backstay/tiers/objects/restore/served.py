"""The kinds that the cluster has, and what to say of one that it has not."""

from backstay.cluster.base import Cluster, Resource
from backstay.tiers.objects.restore.versions import at_version


class Served:
    """What discovery says; ``again`` asks anew, once definitions were made."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.again()

    def again(self) -> None:
        """Ask the API server. Raises what it raises."""
        found = self._cluster.discover()
        self.kinds = {resource.name: resource for resource in found.resources}
        self._by_kind = {(resource.group, resource.kind): resource for resource in found.resources}
        self._failed = dict(found.failed)

    def find(self, name: str, version: str = "") -> Resource | None:
        """A kind at the version given, where it is served at that one; None where the cluster does not have it."""
        resource = self.kinds.get(name)
        return at_version(resource, version) if resource and version else resource

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """``Deployment`` of ``apps/v1``; the version does not matter."""
        return self._by_kind.get((api_version.rpartition("/")[0], kind))

    def why_not(self, name: str) -> str:
        """Why a kind is not there."""
        group = name.partition(".")[2]
        for failed, reason in self._failed.items():
            if failed.rpartition("/")[0] == group:
                return f"the API server cannot say what {failed} has: {reason}"
        return "the cluster does not have this kind; its definition, or the API server that adds it, comes first"


def can_create(resource: Resource) -> bool:
    """Whether the API takes new objects of the kind at all."""
    return not resource.verbs or "create" in resource.verbs
