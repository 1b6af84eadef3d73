"""A real Kubernetes cluster of one node for tests: pods run, are logged, are killed when they take too much memory.

with Node() as node:
    node.api.post("/api/v1/namespaces/default/pods", {...})    # image: TOOLS (busybox), or one of import_image
    node.log("default", "web")

Root and Linux only; containerd, runc, the CNI plugins, nft and busybox of Debian. Everything is in namespaces of its
own (processes, network, mounts, cgroups): nothing is reached from outside but the API server, on 127.0.0.1, and
nothing is left when it stops, nor when its owner is killed. About 850 MB of memory.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from backstay.cluster.processes import alive
from backstay.cluster.tempfolder import temp_folder
from backstay.core.errors import ToolError, ToolMissing
from tests.cluster import containerd, images, init
from tests.cluster.api import moments
from tests.cluster.build import build
from tests.cluster.users import Access, Users

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
STOP_SECONDS = 60.0
MODULES = ("kubernetes", "coredns", "podtool")
PROGRAMS = {  # and the package of Debian that has it
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
    "busybox": "busybox-static",
    "ip": "iproute2",
    f"{containerd.PLUGINS}/bridge": "containernetworking-plugins",
}
NAMESPACES = ("--fork", "--pid", "--mount-proc", "--net", "--mount", "--ipc", "--uts", "--kill-child")


class Node(Access):
    """One cluster. A context manager. Its folder is below the system's one for temporary files."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path()

    def start(self) -> Self:
        """Start it; returns when the node is ready. Raises ``ToolError`` with the last words of what is not."""
        require()
        for module in MODULES:
            build(module)
        sweep()
        try:
            self.folder = self._undo.enter_context(temp_folder("node"))
            self._start()
            self.users = Users(self.folder / "plane/users")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End everything. Safe to call twice."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(STOP_SECONDS)
            finally:
                self._process.kill()  # which takes the namespace's first process along, and so all
                self._process.wait()
                self._process = None
        self._undo.close()

    def import_image(
        self,
        name: str,
        *folders: Path,
        entrypoint: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """An image with a layer of all that is in each folder; pods name it with ``imagePullPolicy: Never``."""
        client = containerd.ctr(self.folder / "containerd")
        images.import_folders(client, name, folders, entrypoint=entrypoint, environment=environment)

    def log(self, namespace: str, pod: str, container: str = "") -> str:
        """What a pod has written."""
        query = f"?container={container}" if container else ""
        return self.api.call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log{query}").decode(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening, (self.folder / "inside.log").open("wb") as log:
            self.url = f"https://127.0.0.1:{listening.getsockname()[1]}"
            inherited = listening.fileno()
            first = [sys.executable, "-I", "-S", init.__file__, str(self.folder)]
            then = [sys.executable, "-m", "tests.cluster.inside", str(self.folder), str(inherited)]
            self._process = subprocess.Popen(
                ["unshare", *NAMESPACES, "--propagation", "private", "--", *first, *then],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[inherited],
                start_new_session=True,  # Ctrl-C is for the owner, whose end is ours
            )
        failed = self.folder / "failed"
        for _ in moments(START_SECONDS, pause=0.05):
            if (self.folder / "ready").exists():
                return
            if failed.exists() or self._process.poll() is not None:
                break
        said = failed if failed.exists() else self.folder / "inside.log"
        raise ToolError(f"the node did not start: {said.read_text() if said.exists() else ''}")


def require() -> None:
    """Raise ``ToolMissing`` where a node cannot run."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ToolMissing("a Kubernetes node needs Linux and root", hint="Run these tests as root on Linux.")
    if missing := missing_packages():
        raise ToolMissing(
            f"a Kubernetes node needs {', '.join(missing)}",
            hint=f"Install with: apt-get install --no-install-recommends {' '.join(missing)}",
        )


def sweep() -> None:
    """Remove cgroups and folders of nodes whose owner and whose first process were both killed; the rest is gone then.

    What has the id of a living process in its name is left alone.
    """
    for place in [*init.CGROUPS.glob("backstay-node-*"), *init.CGROUPS.glob("*/backstay-node-*")]:
        pid = place.name.removeprefix("backstay-node-").partition("-")[0]
        if pid.isdigit() and not alive(int(pid)):
            init.remove_cgroups(place.name)
    with temp_folder("node"):  # which does the same for folders
        pass


def missing_packages() -> list[str]:
    """The Debian packages that a node needs and this machine has not got."""
    return [package for program, package in PROGRAMS.items() if shutil.which(program) is None]


if __name__ == "__main__":
    print(*missing_packages())
