"""An object of the same name is there already: is it the same, and if not, what becomes of it."""

from dataclasses import dataclass

from backstay.cluster.base import Cluster, Object, Resource
from backstay.cluster.parts import at, items
from backstay.core.errors import ClusterError, ObjectConflict, ObjectExists, ObjectNotFound
from backstay.core.units import format_duration, listed
from backstay.tiers.objects.change.clean import MARK, labels_of
from backstay.tiers.objects.change.transform import Ready
from backstay.tiers.objects.fields import field_changes
from backstay.tiers.objects.names import CLAIMS, CRDS, NAMESPACES, VOLUMES
from backstay.tiers.objects.normalise import normalise, same
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.request import Policy
from backstay.tiers.objects.restore.tally import Fate, Result

DIFFERS = "it is there and differs, and was left alone (existing: skip)"
KEPT_BY_OWNER = "it is there, and its owner keeps it"
HOLDS_OTHERS = frozenset({NAMESPACES, CRDS, VOLUMES, CLAIMS})  # a delete would take objects or data with it
# What these have made, another of the same name does not take over, or takes it as it is.
_MAKES_ANEW = frozenset({"jobs.batch", "cronjobs.batch", "replicasets.apps", "replicationcontrollers"})
_WITH_SELECTOR = frozenset({"deployments.apps", "daemonsets.apps", "statefulsets.apps"})


@dataclass(frozen=True)
class Existing:
    """What to do, by ``policy``. ``stamp`` is that of this restore."""

    cluster: Cluster
    policy: Policy
    stamp: str
    patience: Patience

    def settle(self, resource: Resource, ready: Ready) -> Result:
        """Do it. Raises ``ObjectNotFound`` when it is gone meanwhile, ``ObjectConflict`` while others change it, and
        ``ClusterError`` in the API server's words."""
        live = self.cluster.get(resource, ready.name, ready.namespace)
        if at(live, "metadata").get("deletionTimestamp"):
            self.wait_gone(resource, live)
            return self._create(resource, ready, Fate.CREATED)
        if labels_of(live).get(MARK) == self.stamp or ready.with_owner:
            return Result(Fate.CREATED)  # by this restore, before it was cut short; or by its new owner just now
        return self._decide(resource, ready, live)

    def wait_gone(self, resource: Resource, live: Object) -> None:
        """Until an object is no more. Raises ``ClusterError`` that says what keeps it."""
        metadata = live["metadata"]
        name, namespace = str(metadata["name"]), str(metadata.get("namespace", ""))
        for _ in self.patience.rounds(self.patience.gone):
            try:
                live = self.cluster.get(resource, name, namespace)
            except ObjectNotFound:
                return
            if at(live, "metadata").get("uid") != metadata.get("uid"):
                return  # another one by now
        raise ClusterError(
            f"it is still being deleted after {format_duration(self.patience.gone)}: {what_keeps(live)}",
            hint="See to what its finalizers wait for, then run the restore again.",
        )

    def _decide(self, resource: Resource, ready: Ready, live: Object) -> Result:
        if resource.name == "serviceaccounts" and ready.name == "default" and self._is_ours(ready.namespace):
            return self._merge_account(resource, ready, live)
        if same(resource.name, live, ready.body):
            return Result(Fate.UNCHANGED, restored=MARK in labels_of(live))
        if ready.history:
            return Result(Fate.SKIPPED, KEPT_BY_OWNER)
        if self.policy is Policy.SKIP:
            return Result(Fate.SKIPPED, DIFFERS)
        if self.policy is Policy.UPDATE or resource.name in HOLDS_OTHERS:
            if reason := why_not_onto(resource, ready.body, live):
                return Result(Fate.FAILED, reason)
            self.cluster.replace(resource, onto(resource, ready.body, live))
            return Result(Fate.UPDATED)
        return self._recreate(resource, ready, live)

    def _merge_account(self, resource: Resource, ready: Ready, live: Object) -> Result:
        """The cluster makes the ``default`` ServiceAccount with the namespace, so here it counts as made."""
        merged = _merged_account(ready, live)
        if merged != live:
            self.cluster.replace(resource, merged)
        return Result(Fate.CREATED)

    def _recreate(self, resource: Resource, ready: Ready, live: Object) -> Result:
        uid = str(live["metadata"].get("uid", ""))
        orphan = _leaves(resource, live, ready.body)
        self.cluster.delete(resource, ready.name, ready.namespace, uid=uid, orphan=orphan)
        self.wait_gone(resource, live)
        return self._create(resource, ready, Fate.RECREATED)

    def _create(self, resource: Resource, ready: Ready, fate: Fate) -> Result:
        try:
            self.cluster.create(resource, ready.body)
        except ObjectExists as error:
            raise ObjectConflict("somebody else made it again at the same moment") from error
        return Result(fate)

    def _is_ours(self, namespace: str) -> bool:
        """Whether this restore has made the namespace."""
        try:
            found = next(iter(self.cluster.list(NAMESPACE, fields=f"metadata.name={namespace}")), None)
        except ClusterError:
            return False
        return found is not None and found.labels.get(MARK) == self.stamp


NAMESPACE = Resource("", "v1", "namespaces", "Namespace", namespaced=False, versions=("v1",))


def onto(resource: Resource, body: Object, live: Object) -> Object:
    """The object of the backup as it replaces the live one: what can never change, and what only the live one knows,
    is the live one's. Owners and finalizers are, too: they are by uid, or somebody waits for them."""
    metadata = dict(body["metadata"])
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != MARK}
    made = at(live, "metadata", "labels").get(MARK)
    metadata["labels"] = {**labels, MARK: made} if made else labels
    for key in ("resourceVersion", "uid", "ownerReferences", "finalizers"):
        metadata.pop(key, None)
        if key in live["metadata"]:
            metadata[key] = live["metadata"][key]
    if not metadata["labels"]:
        del metadata["labels"]
    result = {**body, "metadata": metadata}
    for key in _KEPT.get(resource.name, ()):
        _keep(result, live, key)
    if resource.name == NAMESPACES:
        result["spec"] = live.get("spec", {})
    if resource.name == "jobs.batch":
        _keep_job_labels(result, live)
    return result


def why_not_onto(resource: Resource, body: Object, live: Object) -> str:
    """Why ``onto`` would not make the live object what the backup has; empty where it would."""
    if resource.name == VOLUMES:
        return ""  # whose claim it is counts as it is now
    wanted = onto(resource, body, live)
    before, after = (normalise(resource.name, one, owners=False) for one in (wanted, body))
    fields = [change.path for change in field_changes(resource.name, before, after)]
    if not fields:
        return ""
    differ = "differ" if len(fields) > 1 else "differs"
    words = f"{listed(fields)} {differ} and can never change in an object that is there; it was left alone"
    return words if resource.name in HOLDS_OTHERS else f"{words} (--existing recreate makes it anew)"


def _leaves(resource: Resource, live: Object, body: Object) -> bool:
    """Whether what belongs to an object is left when that is deleted to be made again, to belong to the new one. Not so
    pods that the new one would not take: they would run beside its own. Claims are left, whatever becomes of pods."""
    if resource.name in _MAKES_ANEW:
        return False
    kept = at(live, "spec", "persistentVolumeClaimRetentionPolicy").get("whenDeleted") == "Delete"
    alike = at(live, "spec", "selector") == at(body, "spec", "selector")
    return resource.name not in _WITH_SELECTOR or alike or kept


_KEPT = {
    "persistentvolumeclaims": (
        "volumeName",
        "volumeMode",
        "storageClassName",
        "accessModes",
        "dataSource",
        "dataSourceRef",
    ),
    "persistentvolumes": ("claimRef",),
    "services": ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"),
    "pods": ("nodeName", "priority", "ephemeralContainers"),
    "jobs.batch": ("selector",),
}


def _keep(result: Object, live: Object, key: str) -> None:
    spec = dict(result.get("spec") or {})
    if key in at(live, "spec"):
        spec[key] = live["spec"][key]
        result["spec"] = spec


def _keep_job_labels(result: Object, live: Object) -> None:
    """The template of a job cannot change; the job controller's own labels are part of it."""
    template = dict(at(result, "spec", "template"))
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = at(live, "spec", "template", "metadata", "labels")
    result["spec"] = {**result["spec"], "template": {**template, "metadata": metadata}}


def _merged_account(ready: Ready, live: Object) -> Object:
    """A live ServiceAccount with what the backup's has besides: pull secrets above all, without which no pod of the
    namespace gets its images."""
    merged = {**live, "metadata": {**live["metadata"]}}
    for key in ("secrets", "imagePullSecrets"):
        have = items(live, key)
        if more := [one for one in items(ready.body, key) if one not in have]:
            merged[key] = [*have, *more]
    for key in ("labels", "annotations"):
        both = {**at(ready.body, "metadata", key), **at(live, "metadata", key)}
        both.pop(MARK, None)
        if both:
            merged["metadata"][key] = both
    return merged


def what_keeps(live: Object) -> str:
    """What an object that is being deleted waits for: its finalizers; of a namespace, what is left in it."""
    metadata = at(live, "metadata")
    words = [
        str(condition.get("message"))
        for condition in items(live, "status", "conditions")
        if condition.get("status") == "True" and condition.get("message")
    ]
    finalizers = [*(metadata.get("finalizers") or ()), *(at(live, "spec").get("finalizers") or ())]
    if finalizers:
        words.append(f"finalizers {', '.join(map(str, finalizers))}")
    return "; ".join(words) or "nothing says what it waits for"
