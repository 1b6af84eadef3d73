"""A real kube-apiserver on 127.0.0.1 over an etcd that is there: one process, for the length of a drill.

In its folder, ``<folder>/api``: certificates made for it, ``kubeconfig`` and ``egress.json``; its log is
``<folder>/api.log``. Only the holder of that kubeconfig can ask it anything: it takes no anonymous requests, and knows
one certificate, of the group system:masters, signed by a CA whose key was never written.
"""

import http.client
import os
import signal
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from backstay.cluster.localapi.flags import egress_configuration, flags, kubeconfig
from backstay.cluster.localapi.programs import default_plugins
from backstay.cluster.localetcd import certificates
from backstay.cluster.localetcd.server import HOST, ClientTls, ServerTls
from backstay.cluster.processes import free_ports, is_ok
from backstay.core.errors import ToolError

GROUP = "system:masters"
START_SECONDS = 120.0  # three on idle cores; it reads every object once to fill its caches
END_SECONDS = 20.0
ATTEMPTS = 3  # another program may take a port between our finding it free and the server listening on it
TAKEN = "address already in use"
LAST_LINES = 2000


class ApiServer:
    """One server. Use it as a context manager, or call ``start`` and ``kill``.

    ``etcd`` is the client URL, with ``etcd_tls`` for https; ``prefix`` is where objects are in it. What it writes to
    etcd by itself: the roles, priorities and namespaces that every cluster has, and leases. It reaches nothing else
    (see ``flags``). The folder should have a guard (``cluster.scratch.guarded``), which knows this process too.
    """

    def __init__(
        self, folder: Path, *, program: Path, etcd: str, etcd_tls: ClientTls | None, prefix: str = "/registry"
    ) -> None:
        self.folder = folder.absolute()
        self.program = program
        self._etcd, self._etcd_tls, self._prefix = etcd, etcd_tls, prefix
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def home(self) -> Path:
        """Its own folder."""
        return self.folder / "api"

    @property
    def url(self) -> str:
        """``https://127.0.0.1:6443``."""
        return f"https://{HOST}:{self._port}"

    @property
    def kubeconfig(self) -> Path:
        """For the one client it knows; there once it was started."""
        return self.home / "kubeconfig"

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.folder / "api.log"

    def start(self) -> None:
        """Start, and return when it is ready. Raises ``ToolError`` with the end of the log; nothing runs then."""
        self.home.mkdir(mode=0o700)
        tls, client = certificates.issue(self.home, GROUP)
        egress = self.home / "egress.json"
        _write(egress, egress_configuration(self.home / "nowhere.sock"))
        plugins = default_plugins(self.program)
        for attempt in range(1, ATTEMPTS + 1):
            self._port = free_ports(1)[0]
            words = flags(
                folder=self.home,
                port=self._port,
                tls=tls,
                etcd=self._etcd,
                etcd_tls=self._etcd_tls,
                prefix=self._prefix,
                plugins=plugins,
                egress=egress,
            )
            try:
                self._launch(words)
                self._wait(tls)
            except BaseException as error:
                self.kill()
                if attempt == ATTEMPTS or not isinstance(error, ToolError) or TAKEN not in error.hint:
                    raise
            else:
                break
        _write(self.kubeconfig, kubeconfig(self.url, client))

    def kill(self) -> None:
        """End it at once, with what it started: nothing of it is worth more. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # of its own group; a wrapper script may not have become it
            process.wait(END_SECONDS)

    def last_words(self) -> str:
        """Where the log is, and the last errors in it."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:] if self.log.exists() else []
        telling = [line for line in lines if line.startswith(("E", "F", "panic"))]  # klog: E1126 ..., Error: ...
        return "\n".join([f"see {self.log}", *(telling or lines)[-5:]])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _launch(self, words: list[str]) -> None:
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
            self._process = subprocess.Popen(
                [str(self.program), *words],
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath)},  # not the caller's proxies, nor a cluster's variables
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, tls: ServerTls) -> None:
        """Until it is ready; by its certificate we know that it is ours and no other has the port."""
        context = ssl.create_default_context(cafile=str(tls.ca))
        context.load_cert_chain(tls.cert, tls.key)
        deadline = time.monotonic() + START_SECONDS
        while not is_ok(http.client.HTTPSConnection(HOST, self._port, timeout=10, context=context), "/readyz"):
            if self._process is None or self._process.poll() is not None:
                raise ToolError(f"kube-apiserver ended while starting in {self.folder}", hint=self.last_words())
            if time.monotonic() > deadline:
                raise ToolError(f"kube-apiserver was not ready within {START_SECONDS:.0f} s", hint=self.last_words())
            time.sleep(0.05)


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
