"""What runs in a node's namespaces: the control plane, containerd, kubelet, kube-proxy and CoreDNS.

    python -m tests.cluster.inside FOLDER SOCKET

``init`` starts it as the owner asks (``node``). It writes FOLDER/ready when pods can be made, else FOLDER/failed, and
then passes connections from the inherited socket on to the API server, until everything here is killed.
"""

import json
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from backstay.core.errors import ToolError
from tests.cluster import containerd, images, network
from tests.cluster.api import moments
from tests.cluster.build import build
from tests.cluster.control_plane import ControlPlane, Place
from tests.cluster.init import CGROUPS

NAME = "node"
PORT = 6443
DOMAIN = "cluster.local"
START_SECONDS = 60.0
PLACE = Place("0.0.0.0", network.NODE, PORT, network.SERVICES, network.FIRST_SERVICE)  # noqa: S104 - inside only
COREFILE = """\
.:53 {{
  bind {address}
  errors
  cache 5
  kubernetes {domain} {{
    kubeconfig {kubeconfig} test
  }}
}}
"""


class Inside:
    """The servers of one node, each with its log in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.plane = ControlPlane(folder / "plane", scheduler=True, place=PLACE)

    def start(self) -> None:
        """Everything, in the order in which one needs the other; ready when the node is."""
        network.make_bridge()
        self._launch("containerd", containerd.configure(self.folder / "containerd"))
        self.plane.start()
        self._wait("containerd", (self.folder / "containerd/sock").exists)
        self._import_images()
        kubeconfig = str(self.plane.kubeconfig)
        program = str(self.plane.program)
        self._launch("coredns", [str(build("coredns")), "-conf", self._corefile(kubeconfig)])
        self._launch("kube-proxy", [program, "kube-proxy", *_proxy_flags(kubeconfig)])
        _make_cgroups(self.folder.name)
        self._launch("kubelet", [program, "kubelet", *self._kubelet_flags(kubeconfig)])
        self._wait("kubelet", self._is_ready)

    def _import_images(self) -> None:
        ctr = containerd.ctr(self.folder / "containerd")
        podtool = build("podtool")
        pause = images.pause_folder(self.folder / "pause", podtool)
        images.import_folders(ctr, images.PAUSE, [pause], entrypoint=["/podtool", "pause"])
        images.import_folders(ctr, images.TOOLS, [images.tools_folder(self.folder / "tools", podtool)])

    def _is_ready(self) -> bool:
        nodes = self.plane.api.get("/api/v1/nodes")["items"]
        conditions = [each for node in nodes for each in node["status"].get("conditions", [])]
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def _corefile(self, kubeconfig: str) -> str:
        file = self.folder / "Corefile"
        file.write_text(COREFILE.format(address=network.NODE, domain=DOMAIN, kubeconfig=kubeconfig))
        return str(file)

    def _kubelet_flags(self, kubeconfig: str) -> list[str]:
        file = self.folder / "kubelet.json"
        file.write_text(json.dumps(_kubelet_configuration(self.folder)))
        flags = {
            "config": str(file),
            "kubeconfig": kubeconfig,
            "root-dir": str(self.folder / "kubelet"),
            "cert-dir": str(self.folder / "kubelet-certificates"),
            "hostname-override": NAME,
            "node-ip": network.NODE,
        }
        return [f"--{name}={value}" for name, value in flags.items()]

    def _launch(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=self.folder,
                env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Until it is ready. Raises ``ToolError`` with its last words when it ends, or takes too long."""
        for _ in moments(START_SECONDS, pause=0.05):
            if self._processes[name].poll() is not None:
                break
            if ready():
                return
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        raise ToolError(f"{name} ended, or was not ready within {START_SECONDS:.0f} s:\n" + "\n".join(lines[-25:]))


def _make_cgroups(name: str) -> None:
    """What the cgroups of all pods go below; kubelet wants it to be there."""
    if (CGROUPS / "cgroup.controllers").exists():  # version 2, where a group has what its parent hands on
        for controller in ("cpu", "cpuset", "io", "memory", "pids"):
            with suppress(OSError):
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
        (CGROUPS / name).mkdir()
        return
    for hierarchy in CGROUPS.iterdir():
        (hierarchy / name).mkdir(exist_ok=True)  # some are two names of one


def _proxy_flags(kubeconfig: str) -> list[str]:
    flags = {
        "kubeconfig": kubeconfig,
        "hostname-override": NAME,
        "proxy-mode": "nftables",
        "cluster-cidr": network.PODS,
        # Pods of one bridge would answer each other directly, from an address that was not asked.
        "masquerade-all": "true",
        "conntrack-max-per-core": "0",
        "conntrack-tcp-timeout-established": "0",
        "conntrack-tcp-timeout-close-wait": "0",
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def _kubelet_configuration(folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},  # it listens in the namespace only
        "clusterDNS": [network.NODE],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "containerRuntimeEndpoint": f"unix://{folder}/containerd/sock",
        "podLogsDir": str(folder / "logs"),
        "volumePluginDir": str(folder / "plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{folder.name}",  # what ``init`` removes
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "10Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "10s",
    }


def main() -> None:
    """Start everything and say how it went; then pass connections on."""
    folder, inherited = Path(sys.argv[1]), int(sys.argv[2])
    try:
        Inside(folder).start()
        network.forward(socket.socket(fileno=inherited), PORT)
        (folder / "ready").touch()
    except BaseException:  # noqa: BLE001 - the owner, who waits, is told of any
        (folder / "failed.part").write_text(traceback.format_exc())
        os.rename(folder / "failed.part", folder / "failed")  # noqa: PTH104
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
