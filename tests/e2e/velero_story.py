"""Backstay and a real Velero over one bucket: a configuration, commands of both, and a namespace with objects."""

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from tests.cluster.velero import Velero
from tests.e2e.test_objects_cli import Story, config_map

SYNC_SECONDS = 90.0  # Velero looks into the bucket once a minute, whatever its location says
NEVER_BACK = ("ConfigMap/kube-root-ca.crt",)  # every namespace gets its own
OURS = ("velero.io/", "backstay.io/")  # labels of what was restored
KINDS = "configmap,secret,service,serviceaccount,deployment,role,resourcequota"


@dataclass
class VeleroStory(Story):
    """``velero`` has its location on ``velero/`` in the bucket of the store, or in ``rescue/`` beside."""

    velero: Velero | None = field(default=None, repr=False)

    def configure(self, encryption="", kubeconfig=None, more=""):
        super().configure(encryption, kubeconfig)
        file = self.folder / "backstay.yaml"
        bucket, endpoint = self.options.bucket, self.options.endpoint_url
        rescue = (
            f'  rescue: {{url: "s3://{bucket}/rescue", endpoint: "{endpoint}", credentials: "file:{self.folder}/s3"}}\n'
        )
        text = file.read_text().replace("kubernetes:", f"{rescue}kubernetes:", 1)
        file.write_text(text + more)

    @contextmanager
    def with_velero(self, plane, prefix="velero"):
        """A Velero in a namespace named after that of the test."""
        with Velero(plane, self.options, prefix=prefix, namespace=f"velero-{self.namespace}") as self.velero:
            yield self.velero

    def names(self):
        """Of Velero's backups in the bucket's folder ``velero/``."""
        return sorted({key.split("/")[2] for key in self.keys("velero/backups/")})

    def restored_by_velero(self, backup, into):
        """Have Velero restore a backup into another namespace; it must have no error."""
        spec = {"backupName": backup, "namespaceMapping": {self.namespace: into}}
        self.velero.make("Restore", "restores", f"to-{into}", spec)
        status = self.velero.ended("restores", f"to-{into}")["status"]
        assert status["phase"] == "Completed", self.velero.cli("restore", "describe", f"to-{into}")


def listed_by(velero, name):
    """Seconds until Velero has the backup."""
    begun = time.monotonic()
    velero.plane.api.wait(velero.path("backups", name), bool, SYNC_SECONDS)
    return time.monotonic() - begun


def named(found):
    """The names in a list that the API server gave."""
    return {item["metadata"]["name"] for item in found["items"]}


def furnish(plane, namespace):
    """Objects of several kinds."""
    pods = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a.invalid/b:1"}]}}
    made = [
        config_map("settings", {"limit": "100", "text": "Grüße \u2028"}),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "stringData": {"pw": "hunter2"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "most"}, "spec": {"hard": {"pods": "9"}}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": pods},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        },
    ]
    made += [config_map(f"map-{number}", {"number": str(number)}) for number in range(40)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    plane.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=text)
    plane.api.wait(
        f"/apis/apps/v1/namespaces/{namespace}/deployments/web",
        lambda found: found.get("status", {}).get("observedGeneration"),
    )


def objects_of(plane, namespace):
    """The namespace's objects by kind and name, without what a server gives each anew."""
    found = json.loads(plane.kubectl("get", "-n", namespace, KINDS, "-o", "json"))["items"]
    return {name: plain for name, plain in map(_plain, found) if name not in NEVER_BACK}


def _plain(found):
    name = f"{found['kind']}/{found['metadata']['name']}"
    labels = {key: value for key, value in found["metadata"].get("labels", {}).items() if not key.startswith(OURS)}
    spec = {key: value for key, value in found.get("spec", {}).items() if key not in {"clusterIP", "clusterIPs"}}
    rest = {key: value for key, value in found.items() if key not in {"metadata", "status", "spec"}}
    return name, {"labels": labels, "spec": spec, **rest}


def story_of(plane, kube_apiserver, namespace, options, store, folder):
    """A story whose namespace is furnished."""
    made = VeleroStory(folder, store, replace(options), plane.kubeconfig, kube_apiserver, namespace)
    made.configure()
    furnish(plane, namespace)
    return made
