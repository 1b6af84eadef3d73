"""Which claim may have which volume: a claim keeps the volume's name only while that is really the volume's claim.

A claim that names a volume which is another's, or which does not come back, would wait for it for ever. Without the
name it gets a new, empty volume.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.cluster.parts import at


class Volumes:
    """By name, the claim of each volume there is (or will be); None for one that is free."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[str, str] | None] = {}

    @classmethod
    def of(cls, cluster: Cluster, resource: Resource | None) -> "Volumes":
        """Those in the cluster; none where it does not have the kind."""
        found = cls()
        for item in cluster.list(resource) if resource else ():
            found.add(msgspec.json.decode(item.json, type=dict))
        return found

    def add(self, volume: Object) -> None:
        """One more, as the API has it."""
        claim = at(volume, "spec", "claimRef")
        owner = (claim.get("namespace", ""), claim["name"]) if claim.get("name") else None
        self._claims[volume["metadata"]["name"]] = owner

    def has(self, name: str) -> bool:
        """Whether there is one of this name."""
        return name in self._claims

    def release(self, claim: Object) -> bool:
        """Take the volume's name out of a claim that cannot have it; whether that was so."""
        spec: Mapping[str, Any] = at(claim, "spec")
        wanted = spec.get("volumeName")
        if not wanted or self._may_have(claim, str(wanted)):
            return False
        claim["spec"] = {key: value for key, value in spec.items() if key != "volumeName"}
        return True

    def _may_have(self, claim: Object, volume: str) -> bool:
        if volume not in self._claims:
            return False
        owner = self._claims[volume]
        metadata = claim["metadata"]
        return owner is None or owner == (metadata.get("namespace"), metadata["name"])
