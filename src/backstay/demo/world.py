"""The demo's world: one folder with PostgreSQL, etcd and S3 servers, their secrets and a ``backstay.yaml``.

Nothing is written outside the folder, and nothing listens but on 127.0.0.1. The folder is the demo's own when it
holds ``demo.json``; another one that is not empty is never touched.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from backstay.cluster.localetcd import certificates
from backstay.cluster.localetcd.programs import find
from backstay.cluster.localetcd.server import EtcdServer
from backstay.cluster.processes import alive, command_line, mentions
from backstay.core.errors import UsageError
from backstay.demo.data import SAMPLES
from backstay.demo.seaweed import SOCKETS, SeaweedServer
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.controlplane import TlsFiles
from backstay.tiers.postgres.localserver.programs import need_bin
from backstay.tiers.postgres.localserver.server import PostgresServer

MARK = "demo.json"
MAJOR = 18
MEMBER = "server-1"
BUCKET = "demo-backups"
STOP_SECONDS = 10.0
SCHEDULES = ("10 3 * * *", "20 3 * * *", "30 3 * * *", "40 3 * * *")


class World:
    """The servers and files of one demo. ``claim`` first; ``stop`` and ``remove`` work on what an earlier run left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.config = self.folder / "backstay.yaml"
        self.postgres = PostgresServer(need_bin(MAJOR), self.folder / "postgres")
        self.s3 = SeaweedServer(self.folder / "s3")
        self.etcd = self._etcd()

    def claim(self) -> None:
        """Take the folder: new, empty, or left by a demo that no longer runs. Raises ``UsageError``."""
        if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
            raise UsageError(f"{self.folder} is not a folder", hint="Give another with --folder. Nothing was changed.")
        if self.folder.exists() and any(self.folder.iterdir()):
            self._need_own("Give an empty or a new one with --folder.")
            if self.running():
                raise UsageError(
                    f"a demo is running in {self.folder}", hint=f"Stop it first: backstay demo --stop{self.option}"
                )
            self.remove()
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._write_mark()

    def start(self) -> None:
        """Start the servers. When one fails, ``stop`` ends the others."""
        self.postgres.start()
        if not self._tls.exists():
            self._tls.mkdir(mode=0o700, parents=True)
            certificates.issue(self._tls)
        self.etcd.start()
        self.s3.start()
        self._write_mark()

    def configure(self) -> str:
        """Write ``backstay.yaml`` and the files its secrets are in; return its text."""
        credentials = self.folder / "s3-credentials"
        credentials.touch(mode=0o600)
        credentials.write_text(f"AWS_ACCESS_KEY_ID={self.s3.access_key}\nAWS_SECRET_ACCESS_KEY={self.s3.secret_key}\n")
        text = _configuration(self.postgres, self.s3, credentials) + self._etcd_configuration()
        self.config.write_text(text)
        return text

    def environment(self) -> Mapping[str, str]:
        """The environment for ``backstay`` commands: this configuration, and all they keep inside the folder."""
        folders = {"XDG_CACHE_HOME": str(self.folder / "cache"), "XDG_STATE_HOME": str(self.folder / "state")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "AWS_", "BACKSTAY_"))}
        return {**kept, "BACKSTAY_CONFIG": str(self.config), **folders}

    def running(self) -> bool:
        """Whether a server of an earlier demo still runs here, or another demo is at work."""
        demo = self._mark().get("demo_pid", 0)
        servers = (self.postgres.pid, self.etcd.pid, self._s3_pid())
        return any(pid is not None for pid in servers) or (demo != os.getpid() and _works(demo))

    def stop(self) -> bool:
        """End the servers, those of an earlier run too; whether there were any. Safe to call twice."""
        s3_pid = self._s3_pid()
        found = any(pid is not None for pid in (s3_pid, self.postgres.pid, self.etcd.pid))
        self.postgres.stop("immediate")  # nobody needs the checkpoint: the folder goes
        self.etcd.kill()
        self.s3.stop()
        if s3_pid is not None:
            _end_s3(s3_pid)
        return found

    def remove(self) -> None:
        """Delete the folder. The servers must have ended. Raises ``UsageError`` for a folder not our own."""
        if self.folder.exists():
            self._need_own("Nothing was removed.")
            shutil.rmtree(self.folder)

    def cluster(self) -> EtcdClient:
        """A client of etcd; the caller closes it."""
        tls = certificates.paths(self._tls)[1]
        return EtcdClient(self.etcd.endpoint, TlsFiles(tls.ca, tls.cert, tls.key))

    def lose_etcd(self) -> None:
        """The disk under it is gone."""
        self.etcd.kill()
        shutil.rmtree(self.etcd.data)

    @property
    def _tls(self) -> Path:
        return self.folder / "etcd-tls"

    def _etcd(self) -> EtcdServer:
        tls = certificates.paths(self._tls)[0]
        return EtcdServer(self.folder / "etcd", program=find("etcd"), name=MEMBER, tls=tls, fsync=False)

    def _etcd_configuration(self) -> str:
        tls = certificates.paths(self._tls)[1]
        return f"""
etcd:
  flavor: etcd
  node: {MEMBER}
  endpoints: [{self.etcd.endpoint}]
  ca_file: {tls.ca}
  cert_file: {tls.cert}
  key_file: {tls.key}
  data_dir: {self.etcd.data}
  bin: {self.etcd.program.parent}
  schedule: "0 2 * * *"
  keep: {{days: 7}}
"""

    def _need_own(self, hint: str) -> None:
        if not (self.folder / MARK).is_file():
            raise UsageError(f"{self.folder} is not empty and not the demo's own", hint=hint)

    @property
    def option(self) -> str:
        """What names this folder to `backstay demo`, where that is needed."""
        return "" if self.folder == Path.cwd() / ".demo" else f" --folder {self.folder}"

    def _s3_pid(self) -> int | None:
        pid = self._mark().get("s3_pid", 0)
        return pid if pid and mentions(pid, str(self.s3.folder)) else None

    def _mark(self) -> dict[str, int]:
        try:
            found = json.loads((self.folder / MARK).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {name: value for name, value in found.items() if isinstance(value, int)}

    def _write_mark(self) -> None:
        mark = {"about": "a folder of `backstay demo`", "demo_pid": os.getpid(), "s3_pid": self.s3.pid or 0}
        (self.folder / MARK).write_text(json.dumps(mark) + "\n")


def _works(demo_pid: int) -> bool:
    """Whether that id is still a Python program, as the demo is."""
    return bool(demo_pid) and mentions(demo_pid, Path(sys.executable).name)


def _end_s3(pid: int) -> None:
    """End an S3 server that another process started, and remove the sockets that it leaves in /tmp."""
    ports = re.findall(r"\.(?:port|grpc)=(\d+)", command_line(pid))
    for force in (signal.SIGTERM, signal.SIGKILL):
        if not alive(pid):
            break
        os.killpg(pid, force)
        deadline = time.monotonic() + (1 if force == signal.SIGTERM else STOP_SECONDS)
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
    for port in ports:
        for path in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
            path.unlink(missing_ok=True)


def _configuration(postgres: PostgresServer, s3: SeaweedServer, credentials: Path) -> str:
    databases = "".join(
        f'    {kind + ":":9} {{schedule: "{schedule}"}}   # {SAMPLES[kind].about}\n'
        for kind, schedule in zip(SAMPLES, SCHEDULES, strict=True)
    )
    return f"""\
cluster: demo
timezone: UTC

stores:
  main:
    url: s3://{BUCKET}
    endpoint: {s3.endpoint_url}
    credentials: file:{credentials}

postgres:
  host: {postgres.host}
  port: {postgres.port}
  user: {postgres.superuser}
  password: file:{postgres.password_file}
  bin: {postgres.bin_dir}
  keep: {{daily: 7, weekly: 4}}
  databases:
{databases}"""
