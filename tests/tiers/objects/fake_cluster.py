"""A Kubernetes API server in memory: objects by kind, namespace and name, and faults where a test wants them.

It keeps the rules that captures and restores meet: no object without its namespace, none twice, resourceVersion as
the lock of a replace, uid and creationTimestamp of the server's own. It knows nothing of schemas or controllers.
"""

import copy
import itertools
import json
import threading
import uuid

from backstay.cluster.base import Discovery, Event, Executed, Item, Resource
from backstay.core.errors import ObjectConflict, ObjectExists, ObjectNotFound

VERBS = frozenset({"get", "list", "create", "update", "patch", "delete", "watch"})


def kind(name, kind, *, version="v1", namespaced=True, verbs=VERBS):
    """A resource by its full name: ``kind("deployments.apps", "Deployment")``."""
    plural, _, group = name.partition(".")
    return Resource(group, version, plural, kind, namespaced, frozenset(verbs), (version,))


NAMESPACES = kind("namespaces", "Namespace", namespaced=False)
CONFIGMAPS = kind("configmaps", "ConfigMap")
SECRETS = kind("secrets", "Secret")
SERVICES = kind("services", "Service")
PODS = kind("pods", "Pod")
NODES = kind("nodes", "Node", namespaced=False)
SERVICEACCOUNTS = kind("serviceaccounts", "ServiceAccount")
PVS = kind("persistentvolumes", "PersistentVolume", namespaced=False)
PVCS = kind("persistentvolumeclaims", "PersistentVolumeClaim")
EVENTS = kind("events", "Event")
DEPLOYMENTS = kind("deployments.apps", "Deployment")
CRDS = kind("customresourcedefinitions.apiextensions.k8s.io", "CustomResourceDefinition", namespaced=False)
CLUSTERROLES = kind("clusterroles.rbac.authorization.k8s.io", "ClusterRole", namespaced=False)
EVENTS_NEW = kind("events.events.k8s.io", "Event")
BUILT_IN = (
    NAMESPACES,
    CONFIGMAPS,
    SECRETS,
    SERVICES,
    PODS,
    NODES,
    SERVICEACCOUNTS,
    PVS,
    PVCS,
    EVENTS,
    DEPLOYMENTS,
    CRDS,
    CLUSTERROLES,
    EVENTS_NEW,
)


class FakeCluster:
    """See ``backstay.cluster.base.Cluster``. ``calls`` lists the verb, kind, namespace and name of each call."""

    url = "https://10.0.0.1:6443"

    def __init__(self, *resources):
        self.resources = {one.name: one for one in resources or BUILT_IN}
        self.objects = {}  # (kind, namespace, name) -> dict
        self.failed = {}  # of discovery: group version -> reason
        self.calls = []
        self.closed = False
        self.git_version = "v1.37.2"
        self._faults = []
        self._lock = threading.RLock()
        self._counter = itertools.count(1)

    # For tests.

    def fail(self, verb, resource="", error=None, *, name="", after=0, times=None):
        """Raise ``error`` (or call it with the cluster, if it is a function) at this verb and kind, for ``times`` calls
        (None: always); of a list, when ``after`` items have been given."""
        self._faults.append(
            {"verb": verb, "resource": resource, "name": name, "error": error, "after": after, "times": times}
        )

    def put(self, resource, name, namespace="", **fields):
        """Store an object as a controller would, and its namespace; ``labels`` and such go into metadata."""
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        for key in ("labels", "annotations", "deletionTimestamp", "ownerReferences", "finalizers"):
            if key in fields:
                metadata[key] = fields.pop(key)
        with self._lock:
            if namespace and ("namespaces", "", namespace) not in self.objects:
                self.put(NAMESPACES, namespace)
            return self._store(resource, {"metadata": metadata, **fields})

    def peek(self, resource, name, namespace=""):
        """The stored object, or None."""
        return self.objects.get((resource.name, namespace, name))

    def names(self, resource, namespace=None):
        """Sorted names of a kind."""
        keys = sorted(self.objects)
        return [key[2] for key in keys if key[0] == resource.name and namespace in (None, key[1])]

    # As the protocol has it.

    def version(self):
        self._called("version")
        return self.git_version

    def discover(self):
        self._called("discover")
        return Discovery(tuple(sorted(self.resources.values())), dict(self.failed))

    def list(self, resource, *, namespace="", labels="", fields="", inconsistent=lambda _words: None):
        self._called("list", resource, namespace)
        with self._lock:
            found = [self.objects[key] for key in sorted(self.objects) if key[0] == resource.name]
        wanted = [
            one
            for one in found
            if namespace in ("", one["metadata"].get("namespace", ""))
            and _matches(one, labels)
            and _fields(one, fields)
        ]
        for number, one in enumerate(wanted):
            self._fault("list", resource, "", number)
            yield _item(one)
        self._fault("list", resource, "", len(wanted), end=True)

    def get(self, resource, name, namespace=""):
        self._called("get", resource, namespace, name)
        return copy.deepcopy(self._find(resource, name, namespace))

    def create(self, resource, body, *, dry_run=False):
        name, namespace = body["metadata"].get("name", ""), body["metadata"].get("namespace", "")
        self._called("create", resource, namespace, name)
        with self._lock:
            self._known(resource)
            if resource.namespaced and ("namespaces", "", namespace) not in self.objects:
                raise ObjectNotFound(f'namespaces "{namespace}" not found')
            if (resource.name, namespace, name) in self.objects:
                raise ObjectExists(f'{resource.name} "{name}" already exists')
            return self._store(resource, body, dry_run=dry_run)

    def apply(self, resource, body, *, force=False, dry_run=False, subresource=""):
        name, namespace = body["metadata"]["name"], body["metadata"].get("namespace", "")
        self._called("apply", resource, namespace, name)
        with self._lock:
            self._known(resource)
            live = self.peek(resource, name, namespace)
            if live is None and resource.namespaced and ("namespaces", "", namespace) not in self.objects:
                raise ObjectNotFound(f'namespaces "{namespace}" not found')
            wanted = {"status": body.get("status", {})} if subresource == "status" else body
            return self._store(resource, _merged(live or {}, wanted), dry_run=dry_run)

    def replace(self, resource, body, *, dry_run=False, subresource=""):
        name, namespace = body["metadata"]["name"], body["metadata"].get("namespace", "")
        self._called("replace", resource, namespace, name)
        with self._lock:
            live = self._find(resource, name, namespace)
            version = body["metadata"].get("resourceVersion", "")
            if version and version != live["metadata"]["resourceVersion"]:
                raise ObjectConflict(f'{resource.name} "{name}": the object has been modified')
            wanted = {**live, "status": body.get("status", {})} if subresource == "status" else body
            return self._store(resource, wanted, dry_run=dry_run)

    def delete(self, resource, name, namespace="", *, uid="", orphan=False, dry_run=False):
        self._called("delete", resource, namespace, name)
        with self._lock:
            live = self._find(resource, name, namespace)
            if uid and uid != live["metadata"]["uid"]:
                raise ObjectConflict(f'{resource.name} "{name}": the UID in the precondition does not match')
            if dry_run:
                return
            del self.objects[resource.name, namespace, name]
            self._collect(live["metadata"]["uid"], orphan)
            if resource.name == "namespaces":
                for key in [key for key in self.objects if key[1] == name]:
                    del self.objects[key]

    def watch(self, resource, *, namespace="", labels="", fields="", seconds):
        for item in self.list(resource, namespace=namespace, labels=labels, fields=fields):
            yield Event("ADDED", json.loads(item.json))

    def execute(self, namespace, pod, argv, *, container="", stdin=b"", timeout):
        self._called("execute", PODS, namespace, pod)
        return Executed(0, b"", b"")

    def close(self):
        self.closed = True

    # Inside.

    def _called(self, verb, resource=None, namespace="", name=""):
        known = resource.name if resource else ""
        with self._lock:
            self.calls.append((verb, known, namespace, name))
        if verb != "list":
            self._fault(verb, resource, name)

    def _fault(self, verb, resource, name, given=0, *, end=False):
        for fault in self._faults:
            if fault["verb"] != verb or fault["resource"] not in ("", resource.name if resource else ""):
                continue
            if fault["name"] not in ("", name) or fault["times"] == 0:
                continue
            if fault["after"] != given and not (end and fault["after"] > given):
                continue
            if fault["times"] is not None:
                fault["times"] -= 1
            if isinstance(fault["error"], BaseException):
                raise fault["error"]
            fault["error"](self)

    def _collect(self, uid, orphan):
        """As the garbage collector: what had this owner loses it, and goes where it had no other."""
        for key, one in list(self.objects.items()):
            owners = one["metadata"].get("ownerReferences") or []
            kept = [owner for owner in owners if owner["uid"] != uid]
            if kept:
                one["metadata"]["ownerReferences"] = kept
            elif owners and orphan:
                del one["metadata"]["ownerReferences"]
            elif owners:
                del self.objects[key]

    def _known(self, resource):
        if resource.name not in self.resources:
            raise ObjectNotFound("the server could not find the requested resource")

    def _find(self, resource, name, namespace):
        self._known(resource)
        live = self.objects.get((resource.name, namespace, name))
        if live is None:
            raise ObjectNotFound(f'{resource.name} "{name}" not found')
        return live

    def _store(self, resource, body, *, dry_run=False):
        made = copy.deepcopy(body)
        made = {"apiVersion": resource.api_version, "kind": resource.kind, **made}
        metadata = made["metadata"]
        live = self.objects.get((resource.name, metadata.get("namespace", ""), metadata["name"]))
        kept = live["metadata"] if live else {}
        number = next(self._counter)
        metadata["uid"] = kept.get("uid") or str(uuid.UUID(int=number))
        metadata["creationTimestamp"] = kept.get("creationTimestamp", "2026-02-11T15:43:44Z")
        metadata["resourceVersion"] = str(number)
        if not dry_run:
            self.objects[resource.name, metadata.get("namespace", ""), metadata["name"]] = made
        return copy.deepcopy(made)


def _item(one):
    metadata = one["metadata"]
    text = json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()
    return Item(
        metadata["name"],
        metadata.get("namespace", ""),
        metadata.get("uid", ""),
        metadata.get("resourceVersion", ""),
        metadata.get("labels") or {},
        "deletionTimestamp" in metadata,
        text,
    )


def _matches(one, selector):
    """``a=b``, ``a==b``, ``a!=b``, ``a``, ``!a``, joined by commas: enough for tests."""
    labels = one["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        if "!=" in part:
            key, _, value = part.partition("!=")
            fits = labels.get(key) != value
        elif "=" in part:
            key, _, value = part.replace("==", "=").partition("=")
            fits = labels.get(key) == value
        else:
            fits = (part.lstrip("!") in labels) != part.startswith("!")
        if not fits:
            return False
    return True


def _fields(one, selector):
    """``metadata.name=x``, joined by commas."""
    for part in filter(None, selector.split(",")):
        path, _, value = part.partition("=")
        here = one
        for key in path.split("."):
            here = here.get(key, {}) if isinstance(here, dict) else {}
        if here != value:
            return False
    return True


def _merged(live, wanted):
    """Maps merged key by key; anything else is replaced."""
    if not (isinstance(live, dict) and isinstance(wanted, dict)):
        return copy.deepcopy(wanted)
    return {**live, **{key: _merged(live.get(key), value) for key, value in wanted.items()}}
