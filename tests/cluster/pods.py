"""Pods for tests: what they are, and how they end."""

from typing import Any

from tests.cluster.api import Object
from tests.cluster.images import TOOLS
from tests.cluster.node import Node

FINAL = ("Succeeded", "Failed")


def pod(name: str, script: str, *, image: str = TOOLS, **spec: Any) -> Object:
    """A pod that runs a shell script once; ``spec`` changes what it says beside its one container."""
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
    whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}


def run(node: Node, namespace: str, made: Object, seconds: float = 60.0) -> Object:
    """Make a pod, and what it is when it has ended."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    node.api.post(path, made)
    return node.api.wait(f"{path}/{made['metadata']['name']}", has_ended, seconds)


def has_ended(found: Object) -> bool:
    """Whether its containers have."""
    return found["status"]["phase"] in FINAL


def is_ready(found: Object) -> bool:
    """Whether services send to it."""
    conditions = {each["type"]: each["status"] for each in found["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"
