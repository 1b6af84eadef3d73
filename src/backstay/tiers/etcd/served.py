"""Whether a restored etcd is a cluster again: a real kube-apiserver started on it, and every object read through it.

It has to decode each one, in whatever version it was stored, to list it. What it cannot say without more than etcd
holds is named, and counts as not checked: kinds of APIs that this version no longer has, objects encrypted at rest, and
custom resources that a webhook of the cluster would have to convert.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backstay.cluster.base import Cluster, Resource
from backstay.cluster.localapi.programs import SETTING, find_kube_apiserver, minor_of, version_of
from backstay.cluster.localapi.scratch import connected, serving
from backstay.cluster.localetcd.server import ClientTls
from backstay.core.errors import ClusterError, ClusterUnreachable, ToolError
from backstay.core.model import Backup, Finding, Severity
from backstay.core.units import counted
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.kube.names import GROUPS
from backstay.tiers.etcd.kube.objects import encrypted, resource_of
from backstay.tiers.etcd.scratch import Scratch

CODE = "etcd.served"
ATTEMPTS = 3  # events end, and the server itself makes and removes objects in its first seconds
SHOWN = 5
PATIENCE_SECONDS = 5.0  # what an API server cannot decode, it does not decode later
BY_WEBHOOK = "conversion webhook"  # apiextensions-apiserver, conversion/webhook_converter.go


@dataclass(frozen=True)
class Reader:
    """The API server a drill reads a restored etcd with; ``program`` None: with none, ``why`` says so."""

    program: Path | None
    version: str = ""  # v1.37.2
    why: Finding | None = None


def reader_for(plane: ControlPlane, backup: Backup) -> Reader:
    """Which it is, if one is here and can be used. Raises ``ToolMissing`` for one that was named and is not there,
    ``ToolError`` for one that does not run."""
    if "namespaces" not in backup.contents.get("resources", {}):
        return Reader(None)  # no cluster keeps its objects there
    program = find_kube_apiserver(plane.kube_apiserver)
    if program is None:
        words = f"not checked whether Kubernetes starts on it: there is no kube-apiserver here ({SETTING} names one)"
        return Reader(None, why=Finding(Severity.OK, words, CODE))
    version, recorded = version_of(program), str(backup.source.get("kubernetes_version", ""))
    if minor_of(version) < minor_of(recorded):
        words = (
            f"not checked whether Kubernetes starts on it: the kube-apiserver here is {version}, and the cluster's "
            f"nodes were {recorded}"
        )
        return Reader(None, version, Finding(Severity.WARNING, words, CODE))
    return Reader(program, version)


def served(plane: ControlPlane, scratch: Scratch, backup: Backup, program: Path, version: str) -> Iterator[Finding]:
    """Start it on the running ``scratch`` and compare what it lists with the keys that are there. Raises ``ToolError``
    when it does not start, or is not reached."""
    tls = scratch.tls
    if tls.cert is None or tls.key is None:
        raise ToolError("the scratch etcd has no client certificate")
    shown = ClientTls(tls.ca, tls.cert, tls.key)
    prefix = plane.prefix.rstrip("/")
    same = minor_of(version) == minor_of(str(backup.source.get("kubernetes_version", "")))
    with EtcdClient(scratch.server.endpoint, tls) as etcd:
        sealed = _take_out_encrypted(etcd, prefix)
        with (
            serving(scratch.folder, program, scratch.server.endpoint, shown, prefix) as api,
            connected(api.kubeconfig, PATIENCE_SECONDS) as cluster,
        ):
            yield from _Reading(cluster, etcd, prefix, version, strict=same, untold=sealed).findings()


def _take_out_encrypted(etcd: EtcdClient, prefix: str) -> dict[str, str]:
    """Take out what is encrypted at rest, and say of which kinds that was: an API server without the keys reads none of
    a kind of which it cannot read one, and with Secrets it never becomes ready."""
    found: Counter[str] = Counter()
    for item in etcd.range(prefix.encode() + b"/"):
        resource = resource_of(item.key, prefix)
        if resource is not None and encrypted(item.value):
            found[resource.type] += 1
            etcd.delete(item.key)
    return {kind: f"{number} encrypted at rest" for kind, number in found.items()}


@dataclass
class _Reading:
    """``strict``: the server is of the cluster's own version, so what it cannot read is damage."""

    cluster: Cluster
    etcd: EtcdClient
    prefix: str
    version: str
    strict: bool
    untold: dict[str, str]  # why nothing can be said, by kind
    read: dict[str, int] = field(default_factory=dict)  # objects, by kind
    differing: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)  # why, by kind

    def findings(self) -> Iterator[Finding]:
        self._read_all()
        objects = f"{counted(sum(self.read.values()), 'object')} of {counted(len(self.read), 'kind')}"
        if not self.differing:
            words = f"kube-apiserver {self.version} serves it: {objects} read, as many of each as there are keys"
            yield Finding(Severity.OK, words, CODE)
        else:
            words = f"kube-apiserver {self.version} shows other objects than there are keys: {_some(self.differing)}"
            yield Finding(Severity.ERROR, words, CODE)
        if self.unread:
            severity = Severity.ERROR if self.strict else Severity.WARNING
            words = f"kube-apiserver {self.version} cannot read what is there: {_some(self.unread)}"
            yield Finding(severity, words, CODE)
        if self.untold:
            yield Finding(Severity.OK, f"not read through kube-apiserver: {_some(self.untold)}", CODE)

    def _read_all(self) -> None:
        """Kinds whose numbers differ are read again, keys and all: a moment lies between the two."""
        keys = self._keys()
        wanted = set(keys)
        for attempt in range(1, ATTEMPTS + 1):
            known = {_type_of(resource): resource for resource in self.cluster.discover().resources}
            for kind in sorted(wanted):
                self._read(kind, known)
            keys = self._keys()
            wanted = {kind for kind, number in self.read.items() if number != keys.get(kind, 0)}
            if not wanted or attempt == ATTEMPTS:
                break
        for kind in sorted(wanted):
            self.differing[kind] = f"{self.read[kind]}, {counted(keys.get(kind, 0), 'key')}"

    def _read(self, kind: str, known: Mapping[str, Resource]) -> None:
        resource = known.get(kind)
        if resource is None or "list" not in resource.verbs:
            self.untold[kind] = f"not served by {self.version}"
            return
        try:
            self.read[kind] = sum(1 for _ in self.cluster.list(resource))
        except ClusterUnreachable:  # it ended: that says nothing of what it was to read
            raise
        except ClusterError as error:
            if BY_WEBHOOK in error.message:
                self.untold[kind] = "its versions are converted by a webhook"
            else:
                self.unread[kind] = error.message

    def _keys(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for item in self.etcd.range(self.prefix.encode() + b"/", keys_only=True):
            resource = resource_of(item.key, self.prefix)
            if resource is not None:
                found[resource.type] += 1
        return found


def _type_of(resource: Resource) -> str:
    """As ``kube.objects`` calls what it finds under a key."""
    return resource.plural if GROUPS.get(resource.plural) == resource.group else f"{resource.plural}.{resource.group}"


def _some(said: Mapping[str, str]) -> str:
    shown = [f"{kind} ({why})" for kind, why in list(said.items())[:SHOWN]]
    return "; ".join(shown) + (f"; and {len(said) - SHOWN} more kinds" if len(said) > SHOWN else "")
