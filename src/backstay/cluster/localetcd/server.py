"""A real etcd member of one's own, on 127.0.0.1, in one folder: for drills, the demo, the tests, the benchmark.

In the folder: ``data`` (etcd's own), ``ports``, ``pid`` and ``server.log``.
Flags and their meaning: etcd's documentation, "Configuration options"; what ``/health`` answers: "Monitoring etcd".
"""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from backstay.cluster.processes import alive, free_ports, is_ok, mentions
from backstay.core.errors import ToolError
from backstay.core.model import EMPTY

HOST = "127.0.0.1"
START_SECONDS = 60.0  # half a second on idle cores, two for three members that must elect a leader
STOP_SECONDS = 20.0
READY = b"ready to serve client requests"  # etcd's embed/serve.go
ATTEMPTS = 3  # another program may take a port between our finding it free and the server listening on it


@dataclass(frozen=True)
class ServerTls:
    """The certificate the member shows to clients and peers, and the CA that theirs must be signed by."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True)
class ClientTls:
    """The certificate a client shows, and the CA that the server's must be signed by."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True)
class _Ports:
    client: int
    peer: int
    health: int


class EtcdServer:
    """One member. Use it as a context manager, or call ``start`` and ``stop``.

    ``client_port`` and ``peer_port`` 0: free ones, the same again at each later start while nothing else takes them.
    ``initial_cluster`` (``a=https://127.0.0.1:1,b=...``) is for members of more than one; these want ``launch`` for
    each before ``wait`` for any. ``fsync=False``: for data that nobody will miss; an operating system crash may
    destroy them. ``options`` are further flags of etcd without their dashes.

    The server has a session of its own: Ctrl-C in the terminal does not reach it, and it outlives this program when
    ``stop`` is not called. A second object on the same folder finds it again, and ``start`` then only waits for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: Path,
        name: str = "default",
        client_port: int = 0,
        peer_port: int = 0,
        tls: ServerTls | None = None,
        initial_cluster: str | None = None,
        fsync: bool = True,
        options: Mapping[str, str] = EMPTY,
    ) -> None:
        self.folder = folder.absolute()
        self.program = program
        self.name = name
        self._wanted = (client_port, peer_port)
        self._tls = tls
        self._initial_cluster = initial_cluster
        self._fsync = fsync
        self._options = dict(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __repr__(self) -> str:
        return f"<EtcdServer {self.name} in {self.folder}>"

    @property
    def data(self) -> Path:
        """etcd's data folder. What ``etcdutl snapshot restore --data-dir`` made here is served by ``start``."""
        return self.folder / "data"

    @property
    def endpoint(self) -> str:
        """The client URL, such as ``http://127.0.0.1:2379``; known before the start."""
        return f"{self._scheme}://{HOST}:{self._ports.client}"

    @property
    def peer_url(self) -> str:
        """The peer URL; known before the start, for ``initial_cluster`` and ``etcdutl snapshot restore``."""
        return f"{self._scheme}://{HOST}:{self._ports.peer}"

    @property
    def log(self) -> Path:
        """What the server wrote, JSON lines."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        """The id of the process that runs on this folder, or ``None``."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid  # just after its start it has no command line yet
        try:
            text = (self.folder / "pid").read_text().strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() and mentions(int(text), f"{self._data_flag} ") else None

    def start(self) -> None:
        """Start, unless it runs already, and return when the member is healthy.

        Raises ``ToolError`` with the end of the server's log; nothing is left running then.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.launch()
                self.wait()
                return
            except BaseException as error:
                self.kill()
                taken = isinstance(error, ToolError) and b"address already in use" in self._said()
                if attempt == ATTEMPTS or not taken or any(self._wanted) or self._initial_cluster:
                    raise
                (self.folder / "ports").unlink()

    def launch(self) -> None:
        """Start the process, unless it runs already, and do not wait for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.pid is not None:
            return
        self.data.mkdir(mode=0o700, exist_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.log, append, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                [str(self.program), *self._flags()],
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath)},  # the caller's ETCD_* would change what it does
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.folder / "pid").write_text(f"{self._process.pid}\n")

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Until the member is healthy: it knows a leader and answers reads. Raises ``ToolError``.

        One that we launched must have said so in its log as well: another etcd may have its ports, and be healthy.
        """
        deadline = time.monotonic() + seconds
        while (self._process is not None and READY not in self._said()) or not _healthy(self._ports.health):
            if self.pid is None:
                raise ToolError(f"etcd ended while starting in {self.folder}", hint=self.last_words())
            if time.monotonic() > deadline:
                raise ToolError(f"etcd was not healthy within {seconds:.0f} s", hint=self.last_words())
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server and wait for it; by force when it takes over 20 s. Its data stay. Safe to call twice."""
        self._signal(signal.SIGTERM, STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a power cut would. Safe to call twice."""
        self._signal(signal.SIGKILL, STOP_SECONDS)
        self._process = None
        (self.folder / "pid").unlink(missing_ok=True)

    def last_words(self) -> str:
        """Where the log is, and the last errors in it."""
        lines = self.log.read_text(errors="replace").splitlines()[-2000:] if self.log.exists() else []
        telling = [words for words in map(_error_in, lines) if words]
        return "\n".join([f"see {self.log}", *telling[-5:]])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _scheme(self) -> str:
        return "https" if self._tls else "http"

    @property
    def _data_flag(self) -> str:
        return f"--data-dir={self.data}"

    @property
    def _ports(self) -> _Ports:
        """Client, peer and health port; chosen once and kept in a file, which a running server goes by."""
        file = self.folder / "ports"
        if file.exists():
            kept = _Ports(*map(int, file.read_text().split()))
            asked = _Ports(self._wanted[0] or kept.client, self._wanted[1] or kept.peer, kept.health)
            if asked == kept or self.pid is not None:
                return kept
        else:
            free = free_ports(3)
            asked = _Ports(self._wanted[0] or free[0], self._wanted[1] or free[1], free[2])
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{asked.client} {asked.peer} {asked.health}\n")
        return asked

    def _flags(self) -> list[str]:
        settings = {
            "name": self.name,
            "listen-client-urls": self.endpoint,
            "advertise-client-urls": self.endpoint,
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": self._initial_cluster or f"{self.name}={self.peer_url}",
            "listen-metrics-urls": f"http://{HOST}:{self._ports.health}",
            "logger": "zap",
            "log-level": "info",
            "log-outputs": "stderr",
        }
        if self._tls:
            for prefix in ("", "peer-"):
                settings[f"{prefix}trusted-ca-file"] = str(self._tls.ca)
                settings[f"{prefix}cert-file"] = str(self._tls.cert)
                settings[f"{prefix}key-file"] = str(self._tls.key)
                settings[f"{prefix}client-cert-auth"] = "true"
        if not self._fsync:
            settings["unsafe-no-fsync"] = "true"
        return [self._data_flag, *(f"--{name}={value}" for name, value in (settings | self._options).items())]

    def _signal(self, number: signal.Signals, seconds: float) -> None:
        """Send it and wait until the process has ended, or the time is over."""
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _running(self._process, pid) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _said(self) -> bytes:
        """What the server wrote since it was launched."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()


def _running(process: subprocess.Popen[bytes] | None, pid: int) -> bool:
    """A process that we started must be reaped, or its id would stay taken."""
    return process.poll() is None if process is not None and process.pid == pid else alive(pid)


def _healthy(port: int) -> bool:
    """A member without room for writes (the NOSPACE alarm) is alive all the same."""
    return is_ok(http.client.HTTPConnection(HOST, port, timeout=5), "/health?exclude=NOSPACE")


def _error_in(line: str) -> str:
    """The message and the error of a log line that tells of one, else nothing. Panics are not JSON."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line.strip()
    if not isinstance(entry, dict) or entry.get("level") not in {"error", "fatal", "panic"}:
        return ""
    return ": ".join(str(entry[name]) for name in ("msg", "error") if entry.get(name))
