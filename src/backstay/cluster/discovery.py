"""Which kinds an API server serves, and which it cannot say.

Aggregated discovery (KEP-3352, Kubernetes 1.26 and newer) answers in two requests; older servers are asked group by
group. A group version whose backend is down is ``Stale`` there, or left out; the APIService says why. An API server
that has just started leaves out all custom resources for a moment, although their APIServices are there.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from backstay.cluster.answers import Asked, printable
from backstay.cluster.base import Discovery, Resource
from backstay.cluster.wire import Wire
from backstay.core.errors import ClusterDenied, ClusterError, ClusterUnreachable, ObjectNotFound

AGGREGATED = ",".join(
    [f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")]
    + ["application/json"]
)
STALE = "Stale"
APISERVICES = Asked("GET", "/apis/apiregistration.k8s.io/v1/apiservices", "list", "apiservices.apiregistration.k8s.io")
GROUP_SECONDS = 3.0  # patience with one group of a server without aggregated discovery
START_SECONDS = 10.0  # patience with what an API server has left out: while it starts, it asks for 5 s (503)
ABSENT = "it has an APIService, and the API server does not say its kinds"


class Kind(msgspec.Struct):
    """``responseKind``; its group and version are empty where they are those of the list."""

    kind: str = ""


class Served(msgspec.Struct):
    """One resource of an aggregated answer."""

    resource: str
    response_kind: Kind | None = msgspec.field(name="responseKind", default=None)
    scope: str = ""
    verbs: list[str] = []


class Version(msgspec.Struct):
    """One version of a group, in the server's order of preference."""

    version: str
    resources: list[Served] = []
    freshness: str = "Current"


class Name(msgspec.Struct):
    """Of a group; empty for the core group."""

    name: str = ""


class Group(msgspec.Struct):
    """One group of an aggregated answer."""

    metadata: Name
    versions: list[Version] = []


class Groups(msgspec.Struct):
    """``APIGroupDiscoveryList``, or one of the older ``APIGroupList`` and ``APIVersions``, told apart by ``kind``."""

    kind: str
    items: list[Group] = []
    groups: list[dict[str, Any]] = []
    versions: list[str] = []


def discover(wire: Wire) -> Discovery:
    """Everything served now. Raises as ``Cluster`` says; a group that fails is in ``failed``, not an error."""
    groups, failed, absent = _look(wire)
    if there := _wait(wire, absent):
        groups, failed, absent = _look(wire)
        failed.update(dict.fromkeys(absent & there, ABSENT))
    resources = [resource for group in groups for resource in _resources(group, failed)]
    return Discovery(tuple(sorted(resources, key=lambda each: (each.group, each.plural))), failed)


def _look(wire: Wire) -> tuple[list[Group], dict[str, str], set[str]]:
    """Every group, the group versions that fail, each with the reason, and those with an APIService that is said to be
    available and of which there is no word."""
    failed: dict[str, str] = {}
    groups: list[Group] = []
    for path in ("/api", "/apis"):
        found = wire.json(Asked("GET", path, headers={"Accept": AGGREGATED}), Groups)
        groups += found.items if found.kind == "APIGroupDiscoveryList" else _one_by_one(wire, found, failed)
    told = {_joined(group.metadata.name, each.version): each for group in groups for each in group.versions}
    failed.update({name: "its API server does not answer" for name, each in told.items() if each.freshness == STALE})
    services = _services(wire)
    failed.update({name: why for name, why in services.items() if why})
    return groups, failed, services.keys() - told.keys() - failed.keys()


def _wait(wire: Wire, absent: Iterable[str]) -> set[str]:
    """Those of the group versions that are served after all, once they are, or that give an error. Not found: a
    definition that was never accepted, or has just been deleted."""
    there, seconds = set(), START_SECONDS
    for name in sorted(absent):
        try:
            wire.json(Asked("GET", _path(name)), dict, seconds=seconds)
        except ObjectNotFound:
            continue
        except ClusterError:
            seconds = 0.0  # that was the time for all of them
        there.add(name)
    return there


def _resources(group: Group, failed: Mapping[str, str]) -> Iterator[Resource]:
    """Each kind of a group once, at the first version that can list it (or else the first that has it)."""
    name = group.metadata.name
    seen: dict[str, list[tuple[str, Served]]] = {}
    for version in group.versions:
        if _joined(name, version.version) in failed:
            continue
        for served in version.resources:
            if served.response_kind is not None and served.response_kind.kind:
                seen.setdefault(served.resource, []).append((version.version, served))
    for plural, offers in seen.items():
        version_name, best = next((each for each in offers if "list" in each[1].verbs), offers[0])
        others = [each for each, _ in offers if each != version_name]
        yield Resource(
            group=name,
            version=version_name,
            plural=plural,
            kind=best.response_kind.kind if best.response_kind else "",
            namespaced=best.scope == "Namespaced",
            verbs=frozenset(best.verbs),
            versions=(version_name, *others),
        )


def _one_by_one(wire: Wire, found: Groups, failed: dict[str, str]) -> list[Group]:
    """What servers before 1.26 give, in the newer form: a document for each version of each group."""
    if found.kind == "APIVersions":
        return [Group(Name(), [each for name in found.versions if (each := _version(wire, "", name, failed))])]
    groups = []
    for said in found.groups:
        name, names = str(said["name"]), [str(each["version"]) for each in said.get("versions") or []]
        preferred = str((said.get("preferredVersion") or {}).get("version") or "")
        names.sort(key=lambda each, first=preferred: each != first)  # type: ignore[misc] # stable: the rest as it was
        groups.append(Group(Name(name), [each for one in names if (each := _version(wire, name, one, failed))]))
    return groups


def _version(wire: Wire, group: str, version: str, failed: dict[str, str]) -> Version | None:
    name = _joined(group, version)
    try:
        said = wire.json(Asked("GET", _path(name)), dict, seconds=GROUP_SECONDS)
    except (ClusterUnreachable, ObjectNotFound) as error:
        if not error.context.get("status"):
            raise  # no answer at all: not this group alone
        failed[name] = str(error)
        return None
    return Version(
        version,
        [
            Served(
                str(each["name"]),
                Kind(str(each.get("kind") or "")),
                "Namespaced" if each.get("namespaced") else "Cluster",
                [str(verb) for verb in each.get("verbs") or []],
            )
            for each in said.get("resources") or []
            if "/" not in str(each.get("name", "/"))
        ],
    )


def _services(wire: Wire) -> dict[str, str]:
    """The group versions that have an APIService, with its words where it is not available, else without any; nothing
    where one may not ask."""
    try:
        found = wire.json(APISERVICES, dict)
    except (ClusterDenied, ObjectNotFound):
        return {}
    services = {}
    for item in found.get("items") or []:
        spec, conditions = item.get("spec") or {}, (item.get("status") or {}).get("conditions") or []
        name = _joined(str(spec.get("group") or ""), str(spec.get("version")))
        services[name] = ""
        for each in conditions:
            if each.get("type") == "Available" and each.get("status") == "False":
                services[name] = f"not available: {printable(str(each.get('message') or each.get('reason') or ''))}"
    return services


def _joined(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def _path(group_version: str) -> str:
    """Where the API server says the kinds of a group version."""
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
