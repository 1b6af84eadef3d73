"""Which kinds and namespaces a schedule takes, of those that the API server has.

As Velero (pkg/discovery/helper.go, pkg/backup/item_collector.go) it takes every kind that can be listed, read, made and
deleted: what cannot be made cannot be restored (``componentstatuses``, ``pods.metrics.k8s.io``). Of the same objects
under two groups it takes one. Three things are not as there: Events are left out unless they are asked for by name,
because no restore brings them back; a namespace that is excluded does not leave out what is in no namespace; and an API
group that does not say its kinds is an omission, not a line in a log.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from backstay.cluster.base import Cluster, Discovery, Item, Resource
from backstay.core.errors import ClusterError, SourceError
from backstay.core.units import counted, listed
from backstay.tiers.objects.names import NAMESPACES
from backstay.tiers.objects.related import RELATED
from backstay.tiers.objects.settings import Selection

NEEDED_VERBS = frozenset({"list", "create", "get", "delete"})
EXCLUDE_LABEL = "velero.io/exclude-from-backup"
EVENTS = frozenset({"events", "events.events.k8s.io"})
# The same objects under another group: the second is left out where the first is served.
SAME = {
    "events": "events.events.k8s.io",
    "deployments.apps": "deployments.extensions",
    "daemonsets.apps": "daemonsets.extensions",
    "replicasets.apps": "replicasets.extensions",
    "networkpolicies.networking.k8s.io": "networkpolicies.extensions",
    "ingresses.networking.k8s.io": "ingresses.extensions",
}
# Measurements: these groups of the Kubernetes project hold nothing that could be made, so nothing is lost without them.
READ_ONLY_GROUPS = frozenset({"metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"})


@dataclass(frozen=True)
class Chosen:
    """What a run will list. ``namespaces`` are the Namespace objects by name; ``lists`` is the namespace of each list
    that a namespaced kind needs, or just an empty text for one list of all. ``deferred``: only Namespace objects of
    objects that were taken are wanted. ``related`` are kinds of which only those are wanted that taken ones need.
    ``being_deleted`` and ``labelled`` count namespaces left out for that."""

    version: str
    kinds: tuple[Resource, ...]
    namespace_kind: Resource
    namespaces: Mapping[str, Item]
    namespaces_seen: int
    lists: tuple[str, ...]
    deferred: bool
    with_namespaces: bool
    related: tuple[Resource, ...] = ()
    left_out: tuple[str, ...] = ()  # kinds that could be taken and are not wanted
    being_deleted: int = 0
    labelled: int = 0
    omissions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """``68 kinds, all 12 namespaces but 4``; ``12 kinds, 1 of 12 namespaces, with what they need outside``."""
        taken, seen = len(self.namespaces), self.namespaces_seen
        words = f"all {seen:,} namespaces" if taken == seen else f"all {seen:,} namespaces but {seen - taken:,}"
        if taken * 2 < seen:
            words = f"{taken:,} of {counted(seen, 'namespace')}"
        more = ", with what they need outside" if self.related else ""
        return f"{counted(len(self.kinds) + self.with_namespaces, 'kind')}, {words}{more}"


MOST_LISTS = 8  # namespaces that are listed one by one; more of them: all in one list, of which the others are dropped


def choose(cluster: Cluster, selection: Selection) -> Chosen:
    """Ask the API server for its kinds and namespaces. Raises ``SourceError`` where the namespaces cannot be listed,
    ``ClusterUnreachable``, ``ClusterDenied``."""
    version, discovery = cluster.version(), cluster.discover()
    namespace_kind = next((one for one in discovery.resources if one.name == NAMESPACES), None)
    if namespace_kind is None:
        raise SourceError(
            f"{cluster.url} does not say that it has namespaces: {discovery.failed.get('v1', 'no kind of that name')}",
            hint="Nothing was stored. Is it an API server of Kubernetes?",
        )
    try:
        all_namespaces = list(cluster.list(namespace_kind))
    except ClusterError as error:
        raise SourceError(
            f"the namespaces of {cluster.url} cannot be listed: {error.message}",
            hint=f"{error.hint} Nothing was stored.".strip(),
        ) from error
    kinds, matched = choose_kinds(discovery.resources, selection)
    wanted = [one for one in all_namespaces if namespace_is_selected(selection, one.name)]
    alive = [one for one in wanted if not one.deleting]
    taken = {one.name: one for one in alive if one.labels.get(EXCLUDE_LABEL) != "true"}
    related = related_kinds(discovery.resources, kinds, selection)
    wants_namespaces = not selection.resources or any(matches(NAMESPACES, one) for one in selection.resources)
    omissions, warnings = judge_failed(discovery, selection, matched)
    return Chosen(
        version=version,
        kinds=tuple(one for one in kinds if one.name != NAMESPACES),
        namespace_kind=namespace_kind,
        namespaces=taken,
        namespaces_seen=len(all_namespaces),
        lists=tuple(sorted(taken)) if selection.namespaces and len(taken) <= MOST_LISTS else ("",),
        deferred=bool(selection.labels) or not wants_namespaces,
        with_namespaces=not any(matches(NAMESPACES, one) for one in selection.exclude_resources),
        related=tuple(related),
        left_out=tuple(
            one.name for one in discovery.resources if one.verbs >= NEEDED_VERBS and one not in (*kinds, *related)
        ),
        being_deleted=len(wanted) - len(alive),
        labelled=len(alive) - len(taken),
        omissions=tuple(omissions),
        warnings=(*warnings, *_unmatched(selection, matched, [one.name for one in all_namespaces])),
    )


def choose_kinds(resources: Sequence[Resource], selection: Selection) -> tuple[list[Resource], set[str]]:
    """The kinds to take, and which of the patterns that include kinds fit one."""
    able = [one for one in resources if one.verbs >= NEEDED_VERBS]
    names = {one.name for one in able}
    hidden = {second for first, second in SAME.items() if first in names}
    hidden |= {name for name in EVENTS if not _asked_for(name, selection.resources)}
    scoped = cluster_scope(selection)
    taken, matched = [], set()
    for one in able:
        fitting = {pattern for pattern in selection.resources if matches(one.name, pattern)}
        matched |= fitting
        if one.name in hidden or not (one.namespaced or scoped or one.name == NAMESPACES):
            continue
        if (fitting or not selection.resources) and not any(
            matches(one.name, two) for two in selection.exclude_resources
        ):
            taken.append(one)
    return taken, matched


def related_kinds(resources: Sequence[Resource], taken: Sequence[Resource], selection: Selection) -> list[Resource]:
    """The kinds of which only those objects are taken that others need; none where somebody said what is wanted. As
    with Velero, kinds that are included by name do not leave them out, and kinds that are excluded are."""
    if selection.cluster_scoped is not None:
        return []
    return [
        one
        for one in resources
        if one.name in RELATED
        and one.verbs >= NEEDED_VERBS
        and one not in taken
        and not any(matches(one.name, pattern) for pattern in selection.exclude_resources)
    ]


def cluster_scope(selection: Selection) -> bool | None:
    """Whether objects in no namespace are taken: all of them, none, or (None) those that others need."""
    if selection.cluster_scoped is not None:
        return selection.cluster_scoped
    return True if selection.namespaces in {(), ("*",)} and not selection.labels else None


def namespace_is_selected(selection: Selection, name: str) -> bool:
    """Whether a namespace is one of those that the patterns mean."""
    if any(fnmatchcase(name, pattern) for pattern in selection.exclude_namespaces):
        return False
    return not selection.namespaces or any(fnmatchcase(name, pattern) for pattern in selection.namespaces)


def matches(name: str, pattern: str) -> bool:
    """Whether a resource (``deployments.apps``) is meant by a pattern: by its full name, or by its plural alone, which
    means it in every group."""
    return fnmatchcase(name, pattern) or ("." not in pattern and fnmatchcase(name.partition(".")[0], pattern))


def judge_failed(discovery: Discovery, selection: Selection, matched: Iterable[str]) -> tuple[list[str], list[str]]:
    """Omissions and warnings for the group versions that did not say their kinds; nothing for those whose kinds are
    not wanted."""
    omissions, warnings = [], []
    open_patterns = [one for one in selection.resources if one not in set(matched) or "*" in one or "?" in one]
    for group_version, reason in sorted(discovery.failed.items()):
        group = group_version.rpartition("/")[0]
        wanted = not selection.resources or any(_may_be_in(group, pattern) for pattern in open_patterns)
        if not wanted or any(_is_all_of(group, pattern) for pattern in selection.exclude_resources):
            continue
        said = f"the kinds of {group_version} are not known: {reason}"
        if group in READ_ONLY_GROUPS:
            warnings.append(f"{said}; there is nothing in it that could be restored")
        else:
            omissions.append(said)
    return omissions, warnings


def _asked_for(name: str, patterns: Sequence[str]) -> bool:
    """By name, not by a pattern that means it among others."""
    return any(matches(name, one) and "*" not in one and "?" not in one for one in patterns)


def _may_be_in(group: str, pattern: str) -> bool:
    """Whether a pattern may mean a kind of this group that nobody knows."""
    plural, dot, groups = pattern.partition(".")
    return not dot or fnmatchcase(group, groups) or ("*" in plural and fnmatchcase(f"x.{group}", pattern))


def _is_all_of(group: str, pattern: str) -> bool:
    return pattern.startswith("*") and matches(f"x.{group}", pattern)


def _unmatched(selection: Selection, matched: set[str], namespaces: Sequence[str]) -> list[str]:
    """A sentence for what the configuration names and the cluster does not have."""
    missing = [one for one in selection.resources if one not in matched]
    found = [f"no kind that can be backed up is called {listed(missing, last='or')}"] if missing else []
    missing = [one for one in selection.namespaces if not any(fnmatchcase(name, one) for name in namespaces)]
    return found + ([f"no namespace is called {listed(missing, last='or')}"] if missing else [])


def describe(selection: Selection) -> dict[str, Any]:
    """The selection as the manifest has it: only what is set."""
    found: dict[str, Any] = {
        "namespaces": list(selection.namespaces),
        "exclude_namespaces": list(selection.exclude_namespaces),
        "resources": list(selection.resources),
        "exclude_resources": list(selection.exclude_resources),
        "labels": selection.labels,
    }
    scope = cluster_scope(selection)
    scoped = "related" if scope is None else scope
    return {**{key: value for key, value in found.items() if value}, "cluster_scoped": scoped}
