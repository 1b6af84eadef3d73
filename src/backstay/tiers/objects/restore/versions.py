"""In which version of its API an object is given to the cluster: the one it was stored in, while that is served."""

from dataclasses import replace

from backstay.cluster.base import Object, Resource
from backstay.tiers.objects.restore.chosen import Chosen


def version_in(chosen: Chosen, resource: str) -> str:
    """The version that the backup has of a kind, from its first object; empty where it has none."""
    first = next(chosen.entries(resource), None)
    return version_of(first[1]) if first else ""


def version_of(body: Object) -> str:
    """``v1`` of ``apps/v1``."""
    return str(body.get("apiVersion", "")).rpartition("/")[2]


def at_version(resource: Resource, version: str) -> Resource:
    """The kind at this version where it is served, and as it is otherwise."""
    if version == resource.version or version not in resource.versions:
        return resource
    return replace(resource, version=version)
