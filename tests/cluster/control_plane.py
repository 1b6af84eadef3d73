"""A real Kubernetes control plane for tests: etcd, the API server and, if wanted, the controllers and the scheduler.

with ControlPlane(tmp_path / "plane") as plane:
    plane.api.get("/api/v1/namespaces/default")
    plane.api_of("nobody").get(...)        # raises ApiError: 403
    Client(plane.kubeconfig)               # or .kubeconfig_of("nobody")

Ready in about four seconds with controllers. There are no nodes: pods stay pending (``node`` has one).
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from backstay.cluster.localetcd.programs import find
from backstay.cluster.localetcd.server import EtcdServer
from backstay.cluster.processes import free_ports
from backstay.core.errors import ToolError
from backstay.tiers.etcd.controlplane import TlsFiles
from tests.cluster import guard
from tests.cluster.api import moments
from tests.cluster.build import build
from tests.cluster.users import Access, Users

START_SECONDS = 60.0
GUARD_SECONDS = 40.0
ATTEMPTS = 3  # another program may take a port between our finding it free and the server listening on it


@dataclass(frozen=True)
class Place:
    """Where the API server listens, what it calls itself to pods, and the addresses of services."""

    bind: str = "127.0.0.1"
    advertise: str = "127.0.0.1"
    port: int = 0  # a free one
    services: str = "10.0.0.0/24"
    first_service: str = "10.0.0.1"  # that of the API server itself


class ControlPlane(Access):
    """One control plane in ``folder``, which is its own and is removed at the end. A context manager.

    ``etcd``: the URL of a running one to use instead of one of its own (with ``etcd_tls``), such as a restored one;
    it is left running. ``api_flags``: further flags of kube-apiserver. When the process that made it is gone, however
    that went, a guard process ends everything.
    """

    def __init__(
        self,
        folder: Path,
        *,
        controllers: bool = True,
        scheduler: bool = False,
        etcd: str = "",
        etcd_tls: TlsFiles | None = None,
        api_flags: Sequence[str] = (),
        place: Place | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.place = place or Place()
        self._parts = [part for part, on in (("controllers", controllers), ("scheduler", scheduler)) if on]
        self._etcd_url = etcd
        self._etcd_tls = etcd_tls
        self._api_flags = tuple(api_flags)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._etcd: EtcdServer | None = None
        self.program = Path()

    @property
    def etcd_endpoint(self) -> str:
        """The client URL of its etcd."""
        return self._etcd_url or self._own_etcd.endpoint

    def start(self) -> Self:
        """Start everything, and return when it answers. Raises ``ToolError`` with a server's last words."""
        self.program = build("kubernetes")
        self.folder.mkdir(mode=0o700, parents=True)
        self._start_guard()
        try:
            hosts = ["127.0.0.1", self.place.advertise, self.place.first_service, "localhost"]
            service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            self.users = Users(self.folder / "users", [*dict.fromkeys(hosts), *service])
            if not self._etcd_url:
                self._own_etcd.start()
            self._start_api_server()
            for part in self._parts:
                self._launch(part, self._controllers() if part == "controllers" else self._scheduler())
            if "controllers" in self._parts:
                # The first thing they do that every pod needs; before it, none can be made.
                self.api.wait("/api/v1/namespaces/default/serviceaccounts/default", bool, START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End everything and remove the folder. Safe to call twice."""
        for process in self._processes.values():
            process.kill()  # told to end, an API server first waits for its watchers; nothing of it is kept
        for process in self._processes.values():
            process.wait(GUARD_SECONDS)
        self._processes.clear()
        if self._etcd is not None:
            self._etcd.kill()
        if self._guard is not None:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait(GUARD_SECONDS)
            self._guard = None

    def pids(self) -> list[int]:
        """The ids of its servers that run."""
        return guard.servers_in(self.folder)

    def last_words(self, name: str) -> str:
        """The end of a server's log: ``api``, ``controllers`` or ``scheduler``."""
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _own_etcd(self) -> EtcdServer:
        if self._etcd is None:
            self._etcd = EtcdServer(self.folder / "etcd", program=find("etcd"), fsync=False)
        return self._etcd

    def _start_guard(self) -> None:
        command = [sys.executable, "-I", "-S", guard.__file__, str(self.folder)]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def _start_api_server(self) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            port = self.place.port or free_ports(1)[0]
            self.url = f"https://127.0.0.1:{port}"
            self._launch("api", self._api_server(port))
            try:
                self._wait_ready()
                return
            except ToolError as error:
                if attempt == ATTEMPTS or self.place.port or "address already in use" not in str(error):
                    raise

    def _wait_ready(self) -> None:
        api = self.api
        for _ in moments(START_SECONDS, pause=0.05):
            if self._processes["api"].poll() is not None:
                raise ToolError(f"kube-apiserver ended while starting:\n{self.last_words('api')}")
            try:
                # Only ours knows this token: another server may have the port.
                api.call("GET", "/readyz")
                return
            except Exception:  # noqa: BLE001, S112 - refused, reset, 401 and 500 all mean: not yet
                continue
        raise ToolError(f"kube-apiserver was not ready within {START_SECONDS:.0f} s:\n{self.last_words('api')}")

    def _api_server(self, port: int) -> list[str]:
        users = self.users.folder
        flags = {
            "etcd-servers": self.etcd_endpoint,
            "bind-address": self.place.bind,
            "advertise-address": self.place.advertise,
            "secure-port": str(port),
            "cert-dir": str(users),
            "tls-cert-file": str(self.users.server.cert),
            "tls-private-key-file": str(self.users.server.key),
            "client-ca-file": str(self.ca),
            "token-auth-file": str(users / "tokens.csv"),
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(users / "sa.pub"),
            "service-account-signing-key-file": str(users / "sa.key"),
            "service-cluster-ip-range": self.place.services,
            # It refuses to tell pods a loopback address; where there are no pods there is nobody to tell.
            "endpoint-reconciler-type": "none" if self.place.advertise.startswith("127.") else "lease",
            "kubelet-preferred-address-types": "InternalIP",
            "allow-privileged": "true",
        }
        if self._etcd_tls:
            flags |= {"etcd-cafile": str(self._etcd_tls.ca)}
            flags |= {"etcd-certfile": str(self._etcd_tls.cert), "etcd-keyfile": str(self._etcd_tls.key)}
        return ["kube-apiserver", *_words(flags), *self._api_flags]

    def _controllers(self) -> list[str]:
        flags = {
            "kubeconfig": str(self.kubeconfig),
            "service-account-private-key-file": str(self.users.folder / "sa.key"),
            "root-ca-file": str(self.ca),
            "use-service-account-credentials": "true",
            "kube-api-qps": "300",  # at the usual 20 a second, the accounts of its controllers alone take 5 s
            "kube-api-burst": "600",
            # Where nothing is scheduled there are no nodes, and those that a test makes up are left as they are.
            "controllers": "*,-nodeipam" if "scheduler" in self._parts else "*,-nodeipam,-nodelifecycle",
            "leader-elect": "false",
            "secure-port": "0",
        }
        return ["kube-controller-manager", *_words(flags)]

    def _scheduler(self) -> list[str]:
        flags = {"kubeconfig": str(self.kubeconfig), "leader-elect": "false", "secure-port": "0"}
        return ["kube-scheduler", *_words(flags)]

    def _launch(self, name: str, words: list[str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [str(self.program), *words],
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath)},  # not the caller's KUBECONFIG, nor its proxies
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _words(flags: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
