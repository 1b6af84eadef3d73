"""Custom resources of real projects, validated by their real definitions: backed up, proven, and drilled.

The definitions are not part of this repository: BACKSTAY_CRDS names the folder that has them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane

FOLDER = Path(os.environ.get("BACKSTAY_CRDS") or Path(__file__).parents[3] / "shared" / "crds")
CONFIG = """\
cluster: definitions
stores: {{main: {{url: "file://{folder}/store"}}}}
kubernetes: {{kubeconfig: {kubeconfig}}}
drills: {{kube_apiserver: {kube_apiserver}}}
objects: {{schedules: {{nightly: {{schedule: "0 2 * * *"}}}}}}
"""
RULE = {"alert": "Down", "expr": "up == 0", "for": "5m", "labels": {"severity": "critical"}}
SAMPLES = {
    "velero.yaml": [
        ("velero.io/v1", "Schedule", "daily", {"schedule": "0 2 * * *", "template": {"ttl": "720h0m0s"}}),
        ("velero.io/v1", "BackupStorageLocation", "default",
         {"provider": "aws", "objectStorage": {"bucket": "backups", "prefix": "velero"}}),
    ],
    "longhorn.yaml": [
        ("longhorn.io/v1beta2", "RecurringJob", "backup",
         {"name": "backup", "task": "backup", "cron": "0 5 * * *", "retain": 7, "concurrency": 2, "groups": []}),
    ],
    "prometheus-operator.yaml": [
        ("monitoring.coreos.com/v1", "PrometheusRule", "alerts", {"groups": [{"name": "a", "rules": [RULE]}]}),
        ("monitoring.coreos.com/v1", "ServiceMonitor", "web",
         {"selector": {"matchLabels": {"app": "web"}}, "endpoints": [{"port": "http", "interval": "30s"}]}),
    ],
    "csi-snapshot.yaml": [
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshot", "before",
         {"source": {"volumeSnapshotContentName": "before"}, "volumeSnapshotClassName": "fast"}),
    ],
}  # fmt: skip


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs real definitions: set BACKSTAY_CRDS to a folder that has them")
def test_they_come_back_as_they_were(kubernetes_program, kube_apiserver, tmp_path):
    (tmp_path / "store").mkdir()
    environment = {**os.environ, "BACKSTAY_CONFIG": str(tmp_path / "backstay.yaml")}
    environment |= {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}

    def backstay(*words):
        command = [sys.executable, "-m", "backstay", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with ControlPlane(tmp_path / "plane", controllers=False) as plane:
        for file in SAMPLES:
            plane.kubectl("apply", "--server-side", "-f", str(FOLDER / file))
        plane.kubectl("wait", "--for=condition=Established", "--all", "crd", "--timeout=60s")
        items = [
            {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}
            for samples in SAMPLES.values()
            for version, kind, name, spec in samples
        ]
        plane.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        text = CONFIG.format(folder=tmp_path, kubeconfig=plane.kubeconfig, kube_apiserver=kube_apiserver)
        (tmp_path / "backstay.yaml").write_text(text)
        made = [json.loads(line) for line in backstay("backup", "nightly", "--json").splitlines()]
        assert made[-1]["message_type"] in {"result", "summary"}
        kinds = json.loads(backstay("show", "nightly", "--json"))["manifest"]["contents"]["kinds"]
        plurals = {"schedules.velero.io", "backupstoragelocations.velero.io", "recurringjobs.longhorn.io",
                   "prometheusrules.monitoring.coreos.com", "servicemonitors.monitoring.coreos.com",
                   "volumesnapshots.snapshot.storage.k8s.io"}  # fmt: skip
        assert {plural: kinds.get(plural) for plural in plurals} == dict.fromkeys(plurals, 1)
        assert kinds["customresourcedefinitions.apiextensions.k8s.io"] > 30
        backstay("verify", "nightly")
        assert "PROVEN" in backstay("drill", "nightly")
