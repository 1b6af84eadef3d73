"""A real Velero for tests: its server as a process beside a control plane, with its own CRDs and its plugin for S3.

with Velero(plane, options, prefix="velero") as velero:
    velero.cli("backup", "get")
    plane.api.wait(velero.path("backups", "daily-20260211154344"), bool)

It lives in the folder of the control plane, whose guard ends it when the test process is gone. There is no node agent:
volumes are not looked at.
"""

import json
import os
import signal
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from backstay.cluster.processes import free_ports
from backstay.core.errors import ToolError
from backstay.store.s3_options import S3Options
from tests.cluster.api import ApiError, Object, moments
from tests.cluster.build import build
from tests.cluster.control_plane import ControlPlane

PLUGIN = "velero-plugin-for-aws"
START_SECONDS = 90.0  # five seconds on idle cores
CLI_SECONDS = 120.0
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SYNC = "2s"


def install_definitions(plane: ControlPlane) -> None:
    """Velero's CRDs, as its own program prints them."""
    command = [str(build("velero")), "install", "--crds-only", "--dry-run", "-o", "json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=CLI_SECONDS).stdout
    start = printed.index("{")
    items = json.JSONDecoder().raw_decode(printed[start:])[0]["items"]
    for one in items:
        _made(plane, DEFINITIONS, one)
    for one in items:
        path = f"{DEFINITIONS}/{one['metadata']['name']}"
        plane.api.wait(path, lambda found: _condition(found, "Established"))


class Velero:
    """One ``velero server`` over a control plane, with the location ``default`` in a bucket. A context manager.

    ``prefix`` is Velero's folder in the bucket; ``namespace`` is made and removed.
    """

    def __init__(
        self, plane: ControlPlane, bucket: S3Options, *, prefix: str = "velero", namespace: str = "velero"
    ) -> None:
        self.plane = plane
        self.namespace = namespace
        self.folder = plane.folder / "velero" / namespace
        self._bucket = bucket
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and return when its location is available. Raises ``ToolError`` with its last words."""
        built = build("velero")
        (self.folder / "plugins").mkdir(mode=0o700, parents=True)
        # By names in this folder, which is how the guard knows them; the server starts itself and the plugin again.
        (self.folder / "velero").symlink_to(built)
        os.link(built.parent / PLUGIN, self.folder / "plugins" / PLUGIN)
        install_definitions(self.plane)
        self._install()
        self._launch()
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it and remove its namespace. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its plugins are in its group
        process.wait(START_SECONDS)
        self.plane.api.delete(f"/api/v1/namespaces/{self.namespace}")

    def pause(self) -> None:
        """Let it do nothing until ``resume``."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def path(self, plural: str, name: str = "") -> str:
        """Where the API server has a kind of Velero's, or one object of it."""
        start = f"/apis/velero.io/v1/namespaces/{self.namespace}/{plural}"
        return f"{start}/{name}" if name else start

    def make(self, kind: str, plural: str, name: str, spec: Object, **more: Any) -> Object:
        """Create an object of Velero's."""
        body = {"apiVersion": "velero.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec, **more}
        return self.plane.api.post(self.path(plural), body)

    def ended(self, plural: str, name: str) -> Object:
        """A Backup or a Restore as soon as it is over."""
        last = ("Completed", "Failed", "PartiallyFailed", "FailedValidation")
        return self.plane.api.wait(
            self.path(plural, name), lambda found: found.get("status", {}).get("phase") in last, CLI_SECONDS
        )

    def cli(self, *words: str) -> str:
        """What ``velero`` prints. Raises ``AssertionError`` with its complaint."""
        done = subprocess.run(
            [str(self.folder / "velero"), f"--kubeconfig={self.plane.kubeconfig}", f"-n={self.namespace}", *words],
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=CLI_SECONDS,
        )
        if done.returncode != 0:
            raise AssertionError(f"velero {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join((self.folder / "server.log").read_text(errors="replace").splitlines()[-15:])

    def _install(self) -> None:
        """Namespace, keys, a Deployment of its name, which it asks for at a restore, and the one location."""
        _made(self.plane, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                                 "metadata": {"name": self.namespace}})  # fmt: skip
        bucket = self._bucket
        keys = (
            f"[default]\naws_access_key_id={bucket.access_key_id}\naws_secret_access_key={bucket.secret_access_key}\n"
        )
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud"}, "stringData": {"cloud": keys}}
        self.plane.api.post(f"/api/v1/namespaces/{self.namespace}/secrets", secret)
        pods = {
            "metadata": {"labels": {"deploy": "velero"}},
            "spec": {"containers": [{"name": "velero", "image": "velero.invalid/velero:1"}]},
        }
        spec = {"replicas": 0, "selector": {"matchLabels": {"deploy": "velero"}}, "template": pods}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "velero"}, "spec": spec}
        self.plane.api.post(f"/apis/apps/v1/namespaces/{self.namespace}/deployments", deployment)
        config = {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": bucket.endpoint_url or ""}
        location: Object = {
            "provider": "aws",
            "default": True,
            "backupSyncPeriod": SYNC,
            "validationFrequency": SYNC,
            "credential": {"name": "cloud", "key": "cloud"},
            "objectStorage": {"bucket": bucket.bucket, "prefix": self._prefix},
            "config": {**config, "checksumAlgorithm": ""},
        }
        # Said to be available from the start: else the first look into the bucket is a minute later.
        self.make("BackupStorageLocation", "backupstoragelocations", "default", location, status={"phase": "Available"})

    def _launch(self) -> None:
        metrics, profiler = free_ports(2)
        flags = {
            "kubeconfig": str(self.plane.kubeconfig),
            "namespace": self.namespace,
            "plugin-dir": str(self.folder / "plugins"),
            "metrics-address": f"127.0.0.1:{metrics}",
            "profiler-address": f"127.0.0.1:{profiler}",
            "default-volumes-to-fs-backup": "false",
            "garbage-collection-frequency": "5s",
            "client-qps": "500",
            "client-burst": "500",
        }
        with (self.folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self.folder / "velero"), "server", *(f"--{name}={value}" for name, value in flags.items())],
                cwd=self.folder,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": str(self.folder),
                    "TMPDIR": str(self.folder),
                    "AWS_EC2_METADATA_DISABLED": "true",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self) -> None:
        assert self._process is not None
        location: Object = {}
        for _ in moments(START_SECONDS, pause=0.2):
            if self._process.poll() is not None:
                raise ToolError(f"velero ended while starting:\n{self.last_words()}")
            location = self.plane.api.get(self.path("backupstoragelocations", "default")).get("status", {})
            if location.get("phase") == "Available" and location.get("lastValidationTime"):
                return
        raise ToolError(f"velero's location was not available: {location}\n{self.last_words()}")


def _made(plane: ControlPlane, path: str, body: Object) -> None:
    """Make it unless it is there."""
    try:
        plane.api.post(path, body)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


def _condition(found: Object, name: str) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(one["type"] == name and one["status"] == "True" for one in conditions)
