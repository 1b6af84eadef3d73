"""Workloads for tests, and what is there of them."""

from typing import Any

from tests.cluster.api import Api, Object
from tests.cluster.images import TOOLS


class Workloads:
    """Those of a namespace, as ``api`` sees them."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.apps = f"/apis/apps/v1/namespaces/{namespace}"
        self.batch = f"/apis/batch/v1/namespaces/{namespace}"
        self.core = f"/api/v1/namespaces/{namespace}"

    def deployment(self, name: str, replicas: int) -> str:
        """Its path, once its pods are there."""
        return self._scaled("deployments", name, replicas)

    def stateful_set(self, name: str, replicas: int, **spec: Any) -> str:
        """Its path, once its pods are there."""
        return self._scaled("statefulsets", name, replicas, podManagementPolicy="Parallel", **spec)

    def cron_job(self, name: str, script: str) -> str:
        """Its path; it fires once a year."""
        spec = {"restartPolicy": "Never", **_pod(script)}
        job = {"spec": {"template": {"spec": spec}}}
        body = {"metadata": {"name": name}, "spec": {"schedule": "0 4 1 1 *", "jobTemplate": job}}
        self.api.post(f"{self.batch}/cronjobs", body)
        return f"{self.batch}/cronjobs/{name}"

    def run_now(self, cron_job: str, name: str) -> str:
        """The path of a Job of it, as ``kubectl create job --from`` makes one."""
        found = self.api.get(cron_job)
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": found["metadata"]["name"],
                 "uid": found["metadata"]["uid"], "controller": True}  # fmt: skip
        metadata = {"name": name, "ownerReferences": [owner]}
        self.api.post(f"{self.batch}/jobs", {**found["spec"]["jobTemplate"], "metadata": metadata})
        return f"{self.batch}/jobs/{name}"

    def pods(self, app: str) -> list[Object]:
        """The pods of a workload that are there, on their way out or not."""
        found: list[Object] = self.api.get(f"{self.core}/pods?labelSelector=app%3D{app}")["items"]
        return found

    def replicas(self, path: str) -> int:
        """What it is to have."""
        return int(self.api.get(path)["spec"]["replicas"])

    def _scaled(self, plural: str, name: str, replicas: int, **more: Any) -> str:
        template = {"metadata": {"labels": {"app": name}}, "spec": _pod("sleep 3600")}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **more}
        self.api.post(f"{self.apps}/{plural}", {"metadata": {"name": name}, "spec": spec})
        self.api.wait(f"{self.core}/pods?labelSelector=app%3D{name}", lambda found: len(found["items"]) == replicas)
        return f"{self.apps}/{plural}/{name}"


def _pod(script: str) -> Object:
    container = {"name": "main", "image": TOOLS, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
    return {"containers": [container], "terminationGracePeriodSeconds": 0}
