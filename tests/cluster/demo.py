"""``python -m tests.cluster.demo FOLDER``: a real Kubernetes with real pods; a namespace is backed up, lost, put back.

What ``backstay demo --cluster`` runs. As root on Linux; the first time it compiles Kubernetes, which takes ten minutes.
Everything is in FOLDER and in namespaces of the kernel that end with it.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from backstay.core.errors import BackstayError, VerificationFailed
from backstay.demo.seaweed import SeaweedServer
from tests.cluster.build import build
from tests.cluster.images import TOOLS
from tests.cluster.node import Node

SPACE = "shop"
READY_SECONDS = "60s"
CONFIG = """\
cluster: demo
stores:
  main: {{url: "s3://demo-backups", endpoint: "{endpoint}", credentials: "file:{credentials}"}}
kubernetes: {{kubeconfig: {kubeconfig}}}
drills: {{kube_apiserver: {kube_apiserver}}}
objects:
  exclude_namespaces: [kube-system, kube-node-lease, kube-public]
  schedules:
    nightly: {{schedule: "0 2 * * *", keep: {{ttl: 720h}}}}
"""


def workloads() -> list[dict[str, object]]:
    """A shop: two replicas behind a Service, settings, a password, and a job that runs every night."""
    app = {"app": "web"}
    serve = "echo serving $(cat /settings/greeting); while true; do sleep 1; done"
    container = {"name": "web", "image": TOOLS, "imagePullPolicy": "Never", "command": ["sh", "-c", serve],
                 "volumeMounts": [{"name": "settings", "mountPath": "/settings"}]}  # fmt: skip
    pod = {"containers": [container], "terminationGracePeriodSeconds": 0,
           "volumes": [{"name": "settings", "configMap": {"name": "settings"}}]}  # fmt: skip
    template = {"metadata": {"labels": app}, "spec": pod}
    job = {"spec": {"restartPolicy": "Never", "containers": [{**container, "volumeMounts": []}]}}
    return [
        _object("v1", "Namespace", SPACE, namespace=None),
        _object("v1", "ConfigMap", "settings", data={"greeting": "good morning"}),
        _object("v1", "Secret", "password", stringData={"pw": "hunter2"}),
        _object("v1", "Service", "web", spec={"selector": app, "ports": [{"port": 80}]}),
        _object("apps/v1", "Deployment", "web",
                spec={"replicas": 2, "selector": {"matchLabels": app}, "template": template}),
        _object("batch/v1", "CronJob", "report",
                spec={"schedule": "0 4 * * *", "jobTemplate": {"spec": {"template": job}}}),
    ]  # fmt: skip


def _object(version: str, kind: str, name: str, *, namespace: str | None = SPACE, **rest: object) -> dict[str, object]:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where}, **rest}


class Story:
    """One telling, in ``folder``; ``say`` prints a line."""

    def __init__(self, folder: Path, node: Node, s3: SeaweedServer, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._node = node
        self._s3 = s3
        self._say = say
        self._began = time.monotonic()

    def tell(self) -> None:
        """All of it. Raises ``CalledProcessError`` and ``VerificationFailed``."""
        self._head(f"A real Kubernetes with a node, at {self._node.url}; an S3 server at {self._s3.endpoint_url}")
        self._configure()
        whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": workloads()})
        self._say(self._node.kubectl("apply", "-f", "-", input=whole).rstrip())
        self._wait_ready()
        self._head("Back up every object there is")
        self._backstay("store", "init")
        self._backstay("check")
        self._backstay("backup", "objects")
        before = self._pods()
        self._head("Then somebody deletes the shop")
        self._kubectl("delete", "namespace", SPACE)
        self._backstay("diff", "objects/nightly")
        self._head("What a restore would do, and then do it: until the pods are ready again")
        self._backstay("restore", "objects/nightly", "--include-namespaces", SPACE, "--plan")
        self._backstay("restore", "objects/nightly", "--include-namespaces", SPACE)
        self._kubectl("get", "-n", SPACE, "pods,services,cronjobs,secrets")
        after = self._pods()
        if (len(before), [log for _, log in before]) != (len(after), [log for _, log in after]):
            raise VerificationFailed("the pods that came back do not say what those before said")
        self._head("Prove it: into a scratch control plane, every object compared")
        self._backstay("drill", "objects/nightly")
        self._backstay("status")
        took = time.monotonic() - self._began
        self._say(
            f"\nA namespace backed up, deleted, restored, its pods running and saying the same again, in {took:.0f} s."
        )

    def _configure(self) -> None:
        credentials, wrapper = self._folder / "s3-credentials", self._folder / "kube-apiserver"
        credentials.touch(mode=0o600)
        credentials.write_text(
            f"AWS_ACCESS_KEY_ID={self._s3.access_key}\nAWS_SECRET_ACCESS_KEY={self._s3.secret_key}\n"
        )
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(str(build("kubernetes")))} kube-apiserver "$@"\n')
        wrapper.chmod(0o755)
        text = CONFIG.format(
            endpoint=self._s3.endpoint_url,
            credentials=credentials,
            kubeconfig=self._node.kubeconfig,
            kube_apiserver=wrapper,
        )
        (self._folder / "backstay.yaml").write_text(text)
        self._say(text)

    def _wait_ready(self) -> None:
        self._kubectl("rollout", "status", "-n", SPACE, "deployment/web", f"--timeout={READY_SECONDS}")

    def _pods(self) -> list[tuple[str, str]]:
        """The running pods of the shop, and what each has written."""
        found = json.loads(self._node.kubectl("get", "-n", SPACE, "pods", "-l", "app=web", "-o", "json"))["items"]
        names = [pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"]
        return [(name, self._node.log(SPACE, name)) for name in names]

    def _kubectl(self, *words: str) -> None:
        self._say(f"$ kubectl {shlex.join(words)}")
        self._say(self._node.kubectl(*words).rstrip())

    def _backstay(self, *words: str) -> None:
        self._say(f"$ backstay {shlex.join(words)}")
        places = {name: str(self._folder / name.lower()) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}
        environment = {**os.environ, **places, "BACKSTAY_CONFIG": str(self._folder / "backstay.yaml")}
        subprocess.run([sys.executable, "-m", "backstay", *words], env=environment, check=True)

    def _head(self, text: str) -> None:
        self._say(f"\n== {text}   {time.monotonic() - self._began:.0f} s")


def main(folder: Path) -> int:
    """Tell the story in ``folder``, which is made and removed; the exit code."""
    if folder.exists():
        print(f"error: {folder} is there already\n\nhint: Give another with --folder.", file=sys.stderr)
        return 2
    folder.mkdir(mode=0o755, parents=True)
    try:
        with Node() as node, SeaweedServer(folder / "s3") as s3:
            Story(folder, node, s3, lambda text: print(text, flush=True)).tell()
    except BackstayError as error:
        print(f"error: {error.message}\n\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return error.returncode
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
