"""Namespaces, storage classes, images and replicas changed on the way back."""

from collections.abc import Mapping

from backstay.cluster.base import Object
from backstay.cluster.parts import at, items
from backstay.tiers.objects.names import APISERVICES, CLAIMS, CRDS, NAMESPACES, VOLUMES, WEBHOOKS

POD_TEMPLATES = {  # where a kind has its pod template
    "deployments.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "replicationcontrollers": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
    "podtemplates": ("template",),
    "pods": (),
}
_WITH_REPLICAS = frozenset({"deployments.apps", "statefulsets.apps", "replicasets.apps", "replicationcontrollers"})
_BINDINGS = frozenset({"rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"})
_REFERENCES = {
    VOLUMES: ("spec", "claimRef"),
    CRDS: ("spec", "conversion", "webhook", "clientConfig", "service"),
    APISERVICES: ("spec", "service"),
}
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
NOWHERE = "backstay.io/scaled-to-zero"  # a node label that no node has: a DaemonSet with this selector has no pods


def map_namespaces(resource: str, body: Object, mapping: Mapping[str, str]) -> None:
    """Its own namespace, the subjects of bindings, the claim of a volume, the Service that answers for webhooks,
    conversions and APIs; a Namespace object by its name."""
    if not mapping:
        return
    metadata = body["metadata"]
    if resource == NAMESPACES:
        metadata["name"] = mapping.get(metadata["name"], metadata["name"])
    elif metadata.get("namespace") in mapping:
        metadata["namespace"] = mapping[metadata["namespace"]]
    for place in _references(resource, body):
        if place.get("namespace") in mapping:
            place["namespace"] = mapping[place["namespace"]]


def _references(resource: str, body: Object) -> list[Object]:
    """The parts of an object that name another in a namespace."""
    if resource in _BINDINGS:
        return items(body, "subjects")
    if resource in WEBHOOKS:
        return [at(hook, "clientConfig", "service") for hook in items(body, "webhooks")]
    path = _REFERENCES.get(resource)
    return [at(body, *path)] if path else []


def map_storage_classes(resource: str, body: Object, mapping: Mapping[str, str]) -> None:
    """Of claims, volumes and the claim templates of StatefulSets."""
    if not mapping:
        return
    if resource in {CLAIMS, VOLUMES}:
        _map_class(body, mapping)
    elif resource == "statefulsets.apps":
        for template in items(body, "spec", "volumeClaimTemplates"):
            _map_class(template, mapping)


def _map_class(body: Object, mapping: Mapping[str, str]) -> None:
    for place, key in (
        (at(body, "spec"), "storageClassName"),
        (at(body, "metadata", "annotations"), _CLASS_ANNOTATION),
    ):
        if place.get(key) in mapping:
            place[key] = mapping[place[key]]


def map_images(resource: str, body: Object, mapping: Mapping[str, str]) -> None:
    """Of all containers. A key is an image or its beginning up to a /, : or @; the longest that fits counts."""
    path = POD_TEMPLATES.get(resource)
    if not mapping or path is None:
        return
    spec = at(body, *path, "spec")
    for kind in ("initContainers", "containers"):
        for container in items(spec, kind):
            if isinstance(container.get("image"), str):
                container["image"] = mapped_image(container["image"], mapping)


def mapped_image(image: str, mapping: Mapping[str, str]) -> str:
    """``registry.local/app:1`` for ``docker.io/app:1`` and ``{docker.io: registry.local}``."""
    fits = [old for old in mapping if image.startswith(old) and (old[-1:] in "/:@" or image[len(old) :][:1] in "/:@")]
    if not fits:
        return image
    longest = max(fits, key=len)
    return mapping[longest] + image[len(longest) :]


def scale_to_zero(resource: str, body: Object) -> None:
    """A workload that starts nothing. Pods that stand alone have no such form: see ``STARTS_AT_ONCE``."""
    if resource in _WITH_REPLICAS:
        body.setdefault("spec", {})["replicas"] = 0
    elif resource in {"jobs.batch", "cronjobs.batch"}:
        body.setdefault("spec", {})["suspend"] = True
    elif resource == "daemonsets.apps":
        template = body.setdefault("spec", {}).setdefault("template", {})
        template.setdefault("spec", {}).setdefault("nodeSelector", {})[NOWHERE] = "true"


STARTS_AT_ONCE = "pods"
