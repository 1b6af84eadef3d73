"""What a drill must know of the live cluster before it writes there: who else would act on it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from backstay.cluster.base import Cluster, Object, Resource
from backstay.cluster.parts import at, items

ADMISSION = "admissionregistration.k8s.io"
HOOKS = (
    Resource(ADMISSION, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False),
    Resource(ADMISSION, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False),
)
SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)


@dataclass(frozen=True)
class Hook:
    """A rule of a webhook: of which API groups and plurals it is asked, where ``*`` means all."""

    name: str
    groups: frozenset[str]
    plurals: frozenset[str]

    def sees(self, resource: str) -> bool:
        """Whether it is asked about objects of this kind (``deployments.apps``)."""
        plural, _, group = resource.partition(".")
        return bool(self.groups & {group, "*"} and self.plurals & {plural, "*"})


def acting_webhooks(cluster: Cluster) -> Iterator[Hook]:
    """Webhooks that do something when an object is really made, which they do not do on a dry run. Raises what the
    lists raise.

    Source: admissionregistration.k8s.io/v1, ``sideEffects``; only ``None`` says that there are none.
    """
    for body in _bodies(cluster, HOOKS):
        for hook in items(body, "webhooks"):
            for rule in items(hook, "rules") if hook.get("sideEffects") != "None" else ():
                plurals = frozenset(str(one).partition("/")[0] for one in rule.get("resources") or ())
                yield Hook(str(hook.get("name")), frozenset(map(str, rule.get("apiGroups") or ())), plurals)


def groups_elsewhere(cluster: Cluster) -> frozenset[str]:
    """API groups that other API servers serve: whether these know what a dry run is, nobody can say. Raises what the
    list raises."""
    return frozenset(
        str(at(body, "spec").get("group")) for body in _bodies(cluster, (SERVICES,)) if at(body, "spec", "service")
    )


def _bodies(cluster: Cluster, kinds: Iterable[Resource]) -> Iterator[Object]:
    for kind in kinds:
        for item in cluster.list(kind):
            yield msgspec.json.decode(item.json, type=dict)
