"""An object of a backup as it is given to the cluster: the whole way, in one order.

Left out or not, by kind, cleaned, mapped, modified, marked. What a user's modifiers say comes last but for the
namespace and the mark, so that they see the object as it would be made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from backstay.cluster.base import Object
from backstay.cluster.parts import at, items
from backstay.tiers.objects.change.clean import MARK, annotations_of, clean
from backstay.tiers.objects.change.jsonpatch import PatchError
from backstay.tiers.objects.change.kinds import change_kind, drop_node_ports, drop_sources
from backstay.tiers.objects.change.leave import Around, owner_in, reason_to_leave
from backstay.tiers.objects.change.maps import (
    STARTS_AT_ONCE,
    map_images,
    map_namespaces,
    map_storage_classes,
    scale_to_zero,
)
from backstay.tiers.objects.change.modifiers import modify
from backstay.tiers.objects.names import CLAIMS, SNAPSHOTS
from backstay.tiers.objects.restore.request import Options

_RESTORE_STATUS = "velero.io/restore-status"
_HISTORY = frozenset({"replicasets.apps", "controllerrevisions.apps"})


@dataclass(frozen=True)
class Ready:
    """An object as it is to be. ``status`` where it is to be restored too; ``owners`` are the references it had, by
    which it is given back to them once they are there. ``history`` is what a workload has made to be rolled back to: it
    comes after its owner, and only where it is missing; ``with_owner`` then says that the owner is new, too."""

    body: Object
    status: Any = None
    owners: tuple[Mapping[str, Any], ...] = ()
    history: bool = False
    with_owner: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The one it goes into; empty for cluster-scoped objects."""
        return str(self.body["metadata"].get("namespace", ""))


@dataclass(frozen=True)
class Left:
    """An object that is not restored, and why."""

    reason: str


class Transform:
    """The changes of one restore. ``stamp`` marks what it makes; without one nothing is marked."""

    def __init__(self, options: Options, around: Around, stamp: str = "") -> None:
        self._options = options
        self._around = around
        self._stamp = stamp
        self._rules = options.rules()

    def __call__(self, resource: str, stored: Object) -> Ready | Left:
        """What becomes of an object, which is used up. Raises ``PatchError`` for a modifier that does not fit."""
        options, around = self._options, self._around
        if reason := reason_to_leave(resource, stored, around):
            return Left(reason)
        if options.replicas_zero and resource == STARTS_AT_ONCE:
            return Left("a pod that stands alone would start at once")
        namespace = str(stored["metadata"].get("namespace", ""))
        history = resource in _HISTORY and owner_in(around, stored) is not None
        status = stored.get("status") if self._wants_status(resource, stored) else None
        owners = tuple(items(stored, "metadata", "ownerReferences"))
        body = self._changed(resource, stored)
        if options.replicas_zero or (history and resource == "replicasets.apps"):
            scale_to_zero(resource, body)  # its Deployment scales the one it needs
        identity = body["metadata"].get("namespace"), body["metadata"]["name"]
        body = modify(self._rules, resource, namespace, body)
        return Ready(self._signed(body, *identity), status, owners, history)

    def _changed(self, resource: str, stored: Object) -> Object:
        options = self._options
        if resource == "services" and not options.preserve_node_ports:
            drop_node_ports(stored, all_of_them=False)
        if resource == CLAIMS:
            drop_sources(stored, self._snapshot_comes_back)
        body = clean(change_kind(resource, stored))
        map_namespaces(resource, body, options.namespace_map)
        map_storage_classes(resource, body, options.storage_class_map)
        map_images(resource, body, options.image_map)
        return body

    def _snapshot_comes_back(self, namespace: str, name: str) -> bool:
        if not self._around.has(SNAPSHOTS, namespace, name):
            return False
        found = self._around.read(SNAPSHOTS, namespace, name)
        return found is not None and not reason_to_leave(SNAPSHOTS, found, self._around)

    def _signed(self, body: Object, namespace: str | None, name: str) -> Object:
        if not isinstance(body.get("metadata"), dict):
            raise PatchError("a modifier took the metadata away")
        metadata = body["metadata"]
        metadata["name"] = name
        if namespace is not None:
            metadata["namespace"] = namespace
        if self._stamp:
            metadata["labels"] = {**(metadata.get("labels") or {}), MARK: self._stamp}
        return body

    def _wants_status(self, resource: str, stored: Object) -> bool:
        asked = any(fnmatchcase(resource, pattern) for pattern in self._options.with_status)
        return bool(at(stored, "status")) and (asked or annotations_of(stored).get(_RESTORE_STATUS) == "true")
