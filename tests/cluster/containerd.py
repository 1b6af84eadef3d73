"""containerd of Debian, with all its files in one folder, and pods on the node's bridge."""

import json
from pathlib import Path

from tests.cluster.images import PAUSE
from tests.cluster.network import BRIDGE, FIRST_POD, PODS

PLUGINS = "/usr/lib/cni"

CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


def configure(folder: Path) -> list[str]:
    """Write its configuration below ``folder``; the command that starts it."""
    (folder / "cni").mkdir(parents=True)
    pool = {"subnet": PODS, "rangeStart": FIRST_POD}
    addresses = {"type": "host-local", "dataDir": str(folder / "addresses"), "ranges": [[pool]]}
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isDefaultGateway": True,
        "hairpinMode": True,  # a pod may be its own service's answer
        "ipam": addresses,
    }
    pods = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
    (folder / "cni/10-pods.conflist").write_text(json.dumps(pods))
    file = folder / "config.toml"
    file.write_text(CONFIG.format(folder=folder, pause=PAUSE, plugins=PLUGINS))
    return ["containerd", "--config", str(file)]


def ctr(folder: Path) -> list[str]:
    """Its client, with the flags to reach it and the images that pods see."""
    return ["ctr", "--address", str(folder / "sock"), "--namespace", "k8s.io"]
