"""The whole story of Kubernetes objects as a user types it, against a real API server and a real S3 server."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest

from backstay.store.s3 import S3Options, S3Store

CONFIG = """\
cluster: story
stores:
  main: {{url: "s3://{bucket}", endpoint: "{endpoint}", credentials: "file:{credentials}"}}
kubernetes: {{kubeconfig: {kubeconfig}}}
drills: {{kube_apiserver: {kube_apiserver}}}
{encryption}
objects:
  include_namespaces: [{namespace}]
  schedules:
    nightly: {{schedule: "0 2 * * *", keep: {{ttl: 720h}}}}
"""


@dataclass
class Story:
    """A configuration, and commands under it."""

    folder: Path
    bucket: S3Store
    options: S3Options
    kubeconfig: Path
    kube_apiserver: Path
    namespace: str

    def configure(self, encryption="", kubeconfig=None):
        credentials = self.folder / "s3"
        credentials.touch(mode=0o600)
        key, secret = self.options.access_key_id, self.options.secret_access_key
        credentials.write_text(f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n")
        text = CONFIG.format(
            bucket=self.options.bucket,
            endpoint=self.options.endpoint_url,
            credentials=credentials,
            kubeconfig=kubeconfig or self.kubeconfig,
            kube_apiserver=self.kube_apiserver,
            namespace=self.namespace,
            encryption=encryption,
        )
        (self.folder / "backstay.yaml").write_text(text)

    @property
    def environment(self):
        places = {name: str(self.folder / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}
        return {**os.environ, **places, "BACKSTAY_CONFIG": str(self.folder / "backstay.yaml"), "NO_COLOR": "1"}

    def command(self, *words):
        return [sys.executable, "-m", "backstay", *words]

    def type(self, *words, code=0):
        """Run a command; what it printed. It must end with ``code``."""
        done = subprocess.run(self.command(*words), env=self.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def keys(self, prefix=""):
        return [info.key for info in self.bucket.list(prefix)]


@pytest.fixture
def story(control_plane, kube_apiserver, namespace, seaweed_bucket, open_s3, tmp_path):
    options = seaweed_bucket()
    made = Story(tmp_path, open_s3(options), options, control_plane.kubeconfig, kube_apiserver, namespace)
    made.configure()
    manifest = [
        config_map("settings", {"limit": "100"}),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "stringData": {"pw": "hunter2"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}},
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifest})
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=text)
    return made


def config_map(name, data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_backed_up_changed_lost_and_put_back(story, control_plane):
    kubectl, space = control_plane.kubectl, story.namespace
    assert "1 schedule of objects" in story.type("check")
    assert "objects of" in story.type("backup", "nightly")
    assert "readable" in story.type("list", "--tier", "objects")
    assert "each of" in story.type("verify", "nightly")
    folders = {key.split("/")[2] for key in story.keys("velero/")}
    assert len(folders) == 1
    assert f"velero/backups/{folders.pop()}/velero-backup.json" in story.keys("velero/")
    assert "no change" in story.type("diff", "nightly")

    kubectl("delete", "-n", space, "service", "web")
    kubectl("patch", "-n", space, "configmap", "settings", "-p", '{"data": {"limit": "10"}}')
    kubectl("patch", "-n", space, "secret", "password", "-p", '{"stringData": {"pw": "swordfish"}}')
    said = story.type("diff", "nightly")
    assert f"- services {space}/web" in said
    assert 'data.limit: "100" -> "10"' in said
    assert "hunter2" not in said
    assert "swordfish" not in said

    plan = story.type("restore", "nightly", "--plan")
    assert "1 to create" in plan
    assert "Nothing has been changed" in plan
    assert kubectl("get", "-n", space, "service", "-o", "name") == ""
    story.type("restore", "--from-schedule", "nightly", "--wait", "0")
    assert "service/web" in kubectl("get", "-n", space, "service", "-o", "name")
    assert kubectl("get", "-n", space, "configmap", "settings", "-o", "jsonpath={.data.limit}") == "10"
    story.type("restore", "nightly", "--existing", "update", "--wait", "0", "--no-input", code=4)
    assert kubectl("get", "-n", space, "configmap", "settings", "-o", "jsonpath={.data.limit}") == "10"
    story.type("restore", "nightly", "--existing", "update", "--wait", "0", "--confirm", "objects/nightly")
    assert kubectl("get", "-n", space, "configmap", "settings", "-o", "jsonpath={.data.limit}") == "100"
    assert "PROVEN" in story.type("drill", "nightly")


def test_an_encrypted_one_is_not_velero_s_until_it_is_exported(story):
    identity = pyrage.x25519.Identity.generate()
    secret = story.folder / "identity"
    secret.touch(mode=0o600)
    secret.write_text(f"{identity}\n")
    story.configure(f"encryption: {{recipients: [{identity.to_public()}]}}")
    story.type("backup", "nightly")
    assert story.keys("velero/") == []
    assert all(key.endswith(".age") for key in story.keys("velero-"))
    story.type("verify", "nightly", code=12)
    assert "each of" in story.type("verify", "nightly", "--identity", f"file:{secret}")
    view = story.folder / "view"
    story.type("export", "velero", "nightly", "--to", str(view), "--identity", f"file:{secret}")
    (folder,) = (view / "backups").iterdir()
    assert json.loads((folder / "velero-backup.json").read_text())["metadata"]["name"] == folder.name
    listed = subprocess.run(
        ["tar", "-tzf", folder / f"{folder.name}.tar.gz"], capture_output=True, text=True, check=True
    )
    assert f"resources/secrets/namespaces/{story.namespace}/password.json" in listed.stdout
    said = story.type("export", "velero", "nightly", "--to", str(view), "--identity", f"file:{secret}", code=1)
    assert "is there already" in said


def test_what_may_not_be_read_makes_it_partial(story, control_plane):
    """And a complete one stays the newest that counts."""
    story.type("backup", "nightly")
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    ]
    api, rbac = control_plane.api, "/apis/rbac.authorization.k8s.io/v1"
    name = f"few-{story.namespace}"
    about = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    api.post(f"{rbac}/clusterroles", {**about, "kind": "ClusterRole", "rules": rules})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    api.post(
        f"{rbac}/clusterrolebindings", {**about, "kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": role}
    )
    try:
        story.configure(kubeconfig=control_plane.kubeconfig_of("reader"))
        time.sleep(1)  # the second backup has another stamp
        story.type("backup", "nightly", code=3)
        said = story.type("show", "nightly@latest") + story.type("list")
        assert "partial" in said
        assert story.type("show", "nightly").count("complete") >= 1
    finally:
        api.delete(f"{rbac}/clusterrolebindings/{name}")
        api.delete(f"{rbac}/clusterroles/{name}")


def test_a_killed_backup_is_cleaned_up_and_never_seen_by_velero(story):
    """Killed as soon as the first of its files can be seen: there is no velero-backup.json then."""
    with subprocess.Popen(story.command("backup", "nightly", "--quiet"), env=story.environment) as process:
        deadline = time.monotonic() + 60
        while not story.keys("velero/") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    left = story.keys("velero")
    if not any(key.endswith("velero-backup.json") for key in left):
        assert story.type("list").count("@") == 0
    time.sleep(1)
    story.bucket.delete(story.keys("backstay/v1/leases/"))  # that of the dead run would end by itself, in five minutes
    story.type("backup", "nightly")
    folders = {key.split("/")[2] for key in story.keys("velero/backups/")}
    assert len(folders) == story.type("list").count("nightly@")
