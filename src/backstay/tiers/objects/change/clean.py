"""What a cluster writes into an object by itself, taken out before it is given to another one.

Source: Kubernetes API conventions, "Metadata"; what Velero strips (pkg/restore/restore.go, resetMetadata).
"""

from collections.abc import Mapping
from typing import Any

from backstay.cluster.base import Object
from backstay.cluster.parts import at

MARK = "backstay.io/restore"  # the label on everything a restore has made: the restore's stamp
SERVER_METADATA = (
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",  # by uid: with the old one the garbage collector would delete the object
    "managedFields",
)
OF_A_DELETION = frozenset({"foregroundDeletion", "orphan"})  # finalizers that are part of a delete under way


def clean(body: Object) -> Object:
    """The object without what the API server wrote, its status and the mark of an earlier restore; changed in place.

    Finalizers stay, as with Velero: whoever put one there counts on being asked.
    """
    metadata = body.setdefault("metadata", {})
    for key in SERVER_METADATA:
        metadata.pop(key, None)
    body.pop("status", None)
    drop_keys(metadata, "labels", {MARK})
    if "finalizers" in metadata:
        metadata["finalizers"] = [name for name in metadata["finalizers"] or () if name not in OF_A_DELETION]
    for key in ("labels", "annotations", "finalizers"):
        if key in metadata and not metadata[key]:
            del metadata[key]
    return body


def drop_keys(parent: Any, name: str, keys: set[str] | frozenset[str]) -> None:
    """Remove ``keys`` of the map ``parent[name]``, and the map itself when it is empty then."""
    found = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(found, dict):
        return
    for key in keys:
        found.pop(key, None)
    if not found:
        del parent[name]


def labels_of(body: Object) -> Mapping[str, str]:
    """Its labels; none where it has none."""
    found: dict[str, str] = at(body, "metadata", "labels")
    return found


def annotations_of(body: Object) -> Mapping[str, str]:
    """Its annotations; none where it has none."""
    found: dict[str, str] = at(body, "metadata", "annotations")
    return found
