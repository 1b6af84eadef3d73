"""A small Kubernetes cluster as its etcd sees it: objects under the keys and in the form of an API server.

There is no API server here. The objects are stored as JSON, which is how custom resources are stored and which an API
server reads for any other; names, shapes and churn are those of a cluster that a few people run applications on.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.api.keys import MAX_TXN_OPERATIONS

APPS = {"shop": ("web", "cart", "search"), "wiki": ("wiki",), "media": ("jellyfin", "transcoder"), "ops": ("grafana",)}
NODES = ("server-1", "server-2", "server-3", "agent-1", "agent-2")
PODS_EACH = 24
VERSION = "v1.37.2"
SEED = 20261126
CHURN = 40  # rounds in which nodes and pods report, as they do all day
DELETED = ("deployments", "shop", "search")  # what somebody deletes by mistake

Object = dict[str, Any]


def fill(client: EtcdClient) -> int:
    """Write the cluster, let it live for a while, compact as an API server does every five minutes; the number of
    live keys."""
    objects = dict(_everything())
    _write(client, objects)
    chance = random.Random(SEED)  # noqa: S311 - the same cluster each time, nothing secret
    names = [key for key in objects if "/pods/" in key or "/leases/" in key]
    for turn in range(CHURN):
        changed = chance.sample(names, len(names) // 4)
        for key in changed:
            objects[key]["metadata"]["annotations"] = {"demo/turn": str(turn)}
        _write(client, {key: objects[key] for key in changed})
        if turn == CHURN // 2:
            half = client.status().header.revision
    client.compact(half)
    client.delete(b"/registry/events/shop/", prefix=True)
    return client.count(b"")


def delete_one(client: EtcdClient) -> None:
    """The mistake: `kubectl delete deployment`, with what belongs to it."""
    resource, namespace, name = DELETED
    client.delete(f"/registry/{resource}/{namespace}/{name}".encode())
    client.delete(f"/registry/pods/{namespace}/{name}-".encode(), prefix=True)


def fingerprint(client: EtcdClient) -> tuple[int, str]:
    """How many keys there are, and one hash over every key, value and revision."""
    digest, count = hashlib.sha256(), 0
    for item in client.range(b""):
        numbers = f"{item.create_revision} {item.mod_revision} {item.version}"
        digest.update(b"%d %b %d %b %b" % (len(item.key), item.key, len(item.value), item.value, numbers.encode()))
        count += 1
    return count, digest.hexdigest()


def _write(client: EtcdClient, objects: dict[str, Object]) -> None:
    pairs = [(key.encode(), _encoded(value)) for key, value in objects.items()]
    for start in range(0, len(pairs), MAX_TXN_OPERATIONS):
        client.txn(pairs[start : start + MAX_TXN_OPERATIONS])


def _everything() -> Iterator[tuple[str, Object]]:
    for node in NODES:
        roles = {"node-role.kubernetes.io/control-plane": "true"} if node.startswith("server") else {}
        status = {"nodeInfo": {"kubeletVersion": VERSION, "osImage": "Debian GNU/Linux 13 (trixie)"}}
        yield "/registry/minions/" + node, _object("v1", "Node", "", node, labels=roles, status=status)
        yield _namespaced("leases", "kube-node-lease", node, "coordination.k8s.io/v1", "Lease")
    for namespace in ("default", "kube-system", "kube-node-lease", *APPS):
        yield "/registry/namespaces/" + namespace, _object("v1", "Namespace", "", namespace)
        yield _namespaced("serviceaccounts", namespace, "default", "v1", "ServiceAccount")
        config = {"kube-root.crt": "demo\n" * 60}
        yield _namespaced("configmaps", namespace, "kube-root-ca.crt", "v1", "ConfigMap", data=config)
    for namespace, apps in APPS.items():
        for app in apps:
            yield from _app(namespace, app)
    for number in range(300):
        note = {"reason": "Scheduled", "message": f"assigned to {NODES[number % len(NODES)]}"}
        yield _namespaced("events", "shop" if number % 3 else "ops", f"web.{number:016x}", "v1", "Event", **note)
    rule: Object = {"spec": {"forProvider": {"region": "eu-central-1"}, "size": 3}}
    yield "/registry/example.org/caches/shop/sessions", _object("example.org/v1", "Cache", "shop", "sessions", **rule)


def _app(namespace: str, app: str) -> Iterator[tuple[str, Object]]:
    labels = {"app.kubernetes.io/name": app}
    container = {
        "name": app,
        "image": f"registry.example.org/{app}:1.4.2",
        "envFrom": [{"secretRef": {"name": app}}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
    }
    template: Object = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": PODS_EACH, "selector": {"matchLabels": labels}, "template": template}
    yield _namespaced("deployments", namespace, app, "apps/v1", "Deployment", labels=labels, spec=spec)
    yield _namespaced("secrets", namespace, app, "v1", "Secret", type="Opaque", data={"password": "ZGVtbw=="})
    port: Object = {"spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}}
    yield f"/registry/services/specs/{namespace}/{app}", _object("v1", "Service", namespace, app, **port)
    for number in range(PODS_EACH):
        name = f"{app}-{number:05d}"
        placed = {**template["spec"], "nodeName": NODES[number % len(NODES)]}
        yield _namespaced("pods", namespace, name, "v1", "Pod", labels=labels, spec=placed)


def _namespaced(resource: str, namespace: str, name: str, version: str, kind: str, **more: Any) -> tuple[str, Object]:
    return f"/registry/{resource}/{namespace}/{name}", _object(version, kind, namespace, name, **more)


def _object(
    version: str, kind: str, namespace: str, name: str, labels: dict[str, str] | None = None, **more: Any
) -> Object:
    seed = hashlib.sha256(f"{kind}/{namespace}/{name}".encode()).hexdigest()
    metadata = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "uid": f"{seed[:8]}-{seed[8:12]}-4{seed[13:16]}-8{seed[17:20]}-{seed[20:32]}",
        "creationTimestamp": "2026-11-20T08:00:00Z",
        **({"labels": labels} if labels else {}),
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def _encoded(found: Object) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode()
