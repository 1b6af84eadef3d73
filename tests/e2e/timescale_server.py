"""A PostgreSQL 17 server with TimescaleDB, in the Debian folder that ``rootfs.sh`` makes."""

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backstay.cluster.processes import free_ports, mentions
from backstay.core.errors import ToolError
from backstay.core.model import EMPTY
from backstay.tiers.postgres.localserver.account import Account
from backstay.tiers.postgres.localserver.server import HOST, SUPERUSER, PostgresServer

PROGRAMS = "/usr/lib/postgresql/17/bin"

# Quiet (nothing leaves the machine) and small. The folder has no /dev/shm of its own.
SETTINGS = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "16",
    "max_worker_processes": "32",
    "dynamic_shared_memory_type": "mmap",
}


class TimescaleServer(PostgresServer):
    """As ``PostgresServer``, with its programs and its folder below ``rootfs``, which it calls ``/``.

    ``bin_dir`` holds the client programs, which run outside. ``folder`` must be below ``rootfs``; root only.
    """

    def __init__(self, rootfs: Path, bin_dir: Path, folder: Path, *, options: Mapping[str, str] = EMPTY) -> None:
        super().__init__(bin_dir, folder, options={**SETTINGS, **options})
        self.rootfs = rootfs.absolute()
        said = subprocess.run(self._command("postgres", "--version"), capture_output=True, text=True, check=True)
        self.version = said.stdout.split()[2]

    @property
    def inner_data(self) -> str:
        """The data folder as the server sees it."""
        return f"/{self.data.relative_to(self.rootfs)}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or ``None`` when none runs on this cluster."""
        file = self.data / "postmaster.pid"
        first = file.read_text().split("\n", 1)[0] if file.exists() else ""
        return int(first) if first.isdigit() and mentions(int(first), self.inner_data) else None

    def _command(self, program: str, *arguments: str) -> list[str]:
        # chroot becomes the program: the process that we start is the postmaster, and we can wait for it.
        inner = [f"{PROGRAMS}/{program}", *arguments]
        return ["chroot", "--userspec=postgres:postgres", str(self.rootfs), *inner]

    def _initdb(self, account: Account) -> None:
        """``account`` is not used: the postgres account of the Debian folder owns what this makes."""
        uid, gid = _postgres_ids(self.rootfs)
        self.data.mkdir(mode=0o700)
        self.password_file.write_text(secrets.token_urlsafe(24) + "\n")
        self.password_file.chmod(0o600)
        for path in (self.data, self.password_file):
            os.chown(path, uid, gid)
        command = self._command(
            "initdb",
            f"--pgdata={self.inner_data}",
            f"--username={SUPERUSER}",
            f"--pwfile=/{self.password_file.relative_to(self.rootfs)}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
        )
        done = subprocess.run(command, **_quiet(), capture_output=True, text=True, errors="replace", timeout=60)
        if done.returncode != 0:
            raise ToolError(f"initdb failed in {self.folder}", hint="\n".join(done.stderr.splitlines()[-10:]))

    def _launch(self, account: Account, *, keep_port: bool) -> None:
        file = self.folder / "port"
        if not (keep_port and file.exists()):
            file.write_text(str(free_ports(1)[0]))
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            **self._options,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        file_mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.folder / "server.log", file_mode, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", self.inner_data, *flags),
                **_quiet(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _quiet() -> dict[str, Any]:
    # The caller's PG* variables would change what a server does, and it must not hold the caller's folder.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    return {"cwd": "/", "env": environment, "stdin": subprocess.DEVNULL}


def _postgres_ids(rootfs: Path) -> tuple[int, int]:
    """The numbers of the account there; the same name may have others here."""
    for line in (rootfs / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == "postgres":
            return int(uid), int(gid)
    raise ToolError(f"there is no account `postgres` in {rootfs}", hint="remove the folder: it is made again")
