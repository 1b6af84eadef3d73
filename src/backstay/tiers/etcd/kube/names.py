"""What people call types of objects, and what kubectl calls them.

Sources: the output of ``kubectl api-resources`` (names, short names, groups); kubernetes/kubernetes,
pkg/kubeapiserver/default_storage_factory_builder.go (where etcd has another name than the API).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# group, then for each type: plural, and after a colon its short names
_BUILTIN = {
    "": (
        "bindings componentstatuses:cs configmaps:cm endpoints:ep events:ev limitranges:limits namespaces:ns nodes:no "
        "persistentvolumeclaims:pvc persistentvolumes:pv pods:po podtemplates replicationcontrollers:rc "
        "resourcequotas:quota secrets serviceaccounts:sa services:svc"
    ),
    "admissionregistration.k8s.io": (
        "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations "
        "validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations"
    ),
    "apiextensions.k8s.io": "customresourcedefinitions:crd,crds",
    "apiregistration.k8s.io": "apiservices",
    "apps": "controllerrevisions daemonsets:ds deployments:deploy replicasets:rs statefulsets:sts",
    "autoscaling": "horizontalpodautoscalers:hpa",
    "batch": "cronjobs:cj jobs",
    "certificates.k8s.io": "certificatesigningrequests:csr clustertrustbundles podcertificaterequests",
    "coordination.k8s.io": "leasecandidates leases",
    "discovery.k8s.io": "endpointslices",
    "flowcontrol.apiserver.k8s.io": "flowschemas prioritylevelconfigurations",
    "internal.apiserver.k8s.io": "storageversions",
    "networking.k8s.io": "ingressclasses ingresses:ing ipaddresses:ip networkpolicies:netpol servicecidrs",
    "node.k8s.io": "runtimeclasses",
    "policy": "poddisruptionbudgets:pdb podsecuritypolicies:psp",
    "rbac.authorization.k8s.io": "clusterrolebindings clusterroles rolebindings roles",
    "resource.k8s.io": "deviceclasses resourceclaims resourceclaimtemplates resourceslices",
    "scheduling.k8s.io": "priorityclasses:pc",
    "storage.k8s.io": (
        "csidrivers csinodes csistoragecapacities storageclasses:sc volumeattachments volumeattributesclasses:vac"
    ),
    "storagemigration.k8s.io": "storageversionmigrations",
}
GROUPS: Mapping[str, str] = {
    entry.partition(":")[0]: group for group, entries in _BUILTIN.items() for entry in entries.split()
}
STORED_AS: Mapping[str, str] = {
    "controllers": "replicationcontrollers",
    "ingress": "ingresses",
    "minions": "nodes",
    "podsecuritypolicy": "podsecuritypolicies",
    "services/endpoints": "endpoints",
    "services/specs": "services",
}
_UNCHANGED = {"endpoints"}  # plural and singular are one word
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d+)?")


@dataclass(frozen=True)
class CustomType:
    """The names that a CustomResourceDefinition gives to its objects, in lower case."""

    plural: str
    group: str
    aliases: frozenset[str]  # singular, kind and short names

    @property
    def label(self) -> str:
        """``widgets.example.com``."""
        return f"{self.plural}.{self.group}"


def singular(plural: str) -> str:
    """``ingress`` of ``ingresses``, ``networkpolicy`` of ``networkpolicies``; by the rules of Kubernetes' own types."""
    if plural in _UNCHANGED:
        return plural
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    return plural[:-2] if plural.endswith(("sses", "uses")) else plural.removesuffix("s")


def _builtin_aliases() -> dict[str, str]:
    found: dict[str, str] = {}
    for entries in _BUILTIN.values():
        for entry in entries.split():
            plural, _, short = entry.partition(":")
            for alias in (plural, singular(plural), *filter(None, short.split(","))):
                found[alias] = plural
    return found


_ALIASES = _builtin_aliases()


def custom_type(definition: Mapping[str, Any]) -> CustomType | None:
    """The names in a CustomResourceDefinition, of v1 or v1beta1; None when it has none that can be used."""
    spec = definition.get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(names, dict):
        return None
    plural, group, short = names.get("plural"), spec.get("group"), names.get("shortNames")
    if not isinstance(plural, str) or not isinstance(group, str):
        return None
    others = [names.get("singular"), names.get("kind"), *(short if isinstance(short, list) else ())]
    return CustomType(plural.lower(), group.lower(), frozenset(one.lower() for one in others if isinstance(one, str)))


def type_of(word: str, custom: Iterable[CustomType] = ()) -> str | None:
    """The type that a person means, as ``Resource.type`` has it; None for a word that names none.

    Plural, singular, kind and short names in any case, with the group (``deployments.apps``) or version and group
    (``deployments.v1.apps``) behind them. Kubernetes' own types come before custom ones of that name, as in kubectl.
    """
    name, _, rest = word.strip().lower().partition(".")
    first, _, group = rest.partition(".")
    group = group if _VERSION.fullmatch(first) else rest
    plural = _ALIASES.get(name)
    if plural is not None and group in {"", GROUPS[plural]}:
        return plural
    for one in custom:
        if group in {"", one.group} and name in {one.plural, *one.aliases}:
            return one.label
    return f"{name}.{group}" if name and "." in group else None
