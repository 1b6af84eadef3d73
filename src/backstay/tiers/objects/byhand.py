"""The steps of a restore of objects with stock tools alone."""

from collections.abc import Iterator
from shlex import quote

from backstay.tiers.objects.settings import World


def by_hand(name: str, world: World) -> Iterator[str]:
    """See ``Captured.restore_by_hand``; ``name`` is Velero's, ``{objects}`` the command that prints the archive."""
    if world.encrypted:
        yield "Needed: age and the identity. Velero cannot read it so; `backstay export velero` makes what it can."
    else:
        yield (
            f"With Velero on a cluster, a minute after its storage location has this folder: velero -n "
            f"{world.velero_namespace} restore create --from-backup {quote(name)} --wait"
        )
    yield "Without it, unpack: mkdir objects; {objects} | tar -xf - -C objects; cd objects/resources"
    yield "An object is a file: <kind>/namespaces/<namespace>/<name>.json, <kind>/cluster/<name>.json"
    yield (
        "Take out what belongs to the old cluster, and put it in (here ConfigMaps of the namespace shop): "
        "for file in configmaps/namespaces/shop/*.json; do jq 'del(.metadata.uid, .metadata.resourceVersion, "
        ".metadata.generation, .metadata.creationTimestamp, .metadata.ownerReferences, .metadata.managedFields, "
        '.status)\' "$file" | kubectl create -f -; done'
    )
    yield "Of a Service take out .spec.clusterIP and .spec.clusterIPs too, but where they are None."
    yield (
        "In this order: customresourcedefinitions.apiextensions.k8s.io, namespaces, storageclasses.storage.k8s.io, "
        "persistentvolumeclaims, serviceaccounts, roles and bindings, secrets, configmaps, then the rest; webhook "
        "configurations last."
    )
