"""A real control plane to measure against, filled straight into its etcd: a hundred thousand creates take minutes."""

import random
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from tests.cluster.control_plane import ControlPlane

from backstay.tiers.etcd.api.client import EtcdClient

TXN_PUTS = 120
NAMESPACES = 40
MADE = "2026-11-01T00:00:00Z"


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """An API server over an etcd of its own, without controllers."""
    with ControlPlane(folder, controllers=False) as plane:
        yield plane


def configmaps(count: int, namespace: str) -> Iterator[dict[str, Any]]:
    """So many ConfigMaps of about a kilobyte, two thirds of it alike in all."""
    chance = random.Random(count)
    for number in range(count):
        name = f"settings-{number:07d}"
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/name": f"app-{number % 97}", "app.kubernetes.io/managed-by": "bench"},
            },
            "data": {
                "application.properties": "\n".join(f"setting.{line}={chance.getrandbits(64):x}" for line in range(20)),
                "mode": "production",
                "notes": "What an operator would write about this application, the same for each. " * 4,
            },
        }


def fill(plane: ControlPlane, count: int) -> None:
    """Put ``count`` ConfigMaps over NAMESPACES namespaces into its etcd, as the API server would have stored them."""
    with EtcdClient(plane.etcd_endpoint) as client:
        client.txn(_stored(_namespace(f"team-{number}"), "namespaces") for number in range(NAMESPACES))
        for number in range(NAMESPACES):
            space = f"team-{number}"
            each = (_stored(body, "configmaps") for body in configmaps(count // NAMESPACES, space))
            while batch := list(islice(each, TXN_PUTS)):
                client.txn(batch)


def _namespace(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/metadata.name": name}
    status, spec = {"phase": "Active"}, {"finalizers": ["kubernetes"]}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": status,
    }


def _stored(body: dict[str, Any], resource: str) -> tuple[bytes, bytes]:
    metadata = body["metadata"] | {"uid": str(uuid.uuid4()), "creationTimestamp": MADE}
    place: Iterable[str] = (resource, *([metadata["namespace"]] if "namespace" in metadata else []), metadata["name"])
    return f"/registry/{'/'.join(place)}".encode(), msgspec.json.encode(body | {"metadata": metadata})
