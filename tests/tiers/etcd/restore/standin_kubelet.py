"""A stand-in for the kubelet: runs etcd for as long as its manifest is in the folder of static pods.

Only that: it reads the command of ``etcd.yaml`` and runs it. A context manager; leaving it ends what it started.
"""

import subprocess
import threading

import yaml

POLL_SECONDS = 0.05
STOP_SECONDS = 20


class Kubelet:
    """Watches ``folder`` from a thread."""

    def __init__(self, folder):
        self.folder = folder
        self.seen = []  # the manifests that were there, each time that changed
        self._etcd = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(STOP_SECONDS)
        self._stop()

    def _watch(self):
        while not self._end.wait(POLL_SECONDS):
            names = sorted(path.name for path in self.folder.glob("*.yaml"))
            if not self.seen or self.seen[-1] != names:
                self.seen.append(names)
            if "etcd.yaml" in names and (self._etcd is None or self._etcd.poll() is not None):
                manifest = yaml.safe_load((self.folder / "etcd.yaml").read_text())
                command = manifest["spec"]["containers"][0]["command"]
                self._etcd = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            elif "etcd.yaml" not in names:
                self._stop()

    def _stop(self):
        if self._etcd is not None:
            self._etcd.terminate()
            self._etcd.wait(STOP_SECONDS)
            self._etcd = None
