"""A real PostgreSQL server of one's own, on 127.0.0.1, in one folder: for the demo, the tests, the benchmark.

In the folder: ``data`` (the cluster), ``password`` (the superuser's, readable by its owner only), ``port``
and ``server.log``. The server listens on one free loopback port and on no Unix socket.
"""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from backstay.cluster.processes import alive, free_ports, mentions
from backstay.core.errors import ToolError
from backstay.core.model import EMPTY
from backstay.tiers.postgres.localserver.account import Account, choose_account
from backstay.tiers.postgres.localserver.programs import find_bin, version_of

if TYPE_CHECKING:
    import psycopg

__all__ = ["THROWAWAY", "PostgresServer", "find_bin"]

HOST = "127.0.0.1"
SUPERUSER = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 60.0
ATTEMPTS = 3  # another program may take the port between our finding it free and the server listening on it
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# Fast and unsafe: for clusters that nobody will miss. An operating system crash may destroy one.
THROWAWAY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}


class PostgresServer:
    """One cluster and the server on it. Use it as a context manager, or call ``start`` and ``stop``.

    The server has a session of its own: Ctrl-C in the terminal does not reach it, and it outlives this
    program when ``stop`` is not called. A second object on the same folder finds it again. ``options`` are
    settings of the server.
    """

    def __init__(self, bin_dir: Path, folder: Path, *, options: Mapping[str, str] = EMPTY) -> None:
        self.bin_dir = bin_dir
        self.folder = folder.absolute()
        self.host = HOST
        self.superuser = SUPERUSER
        self.version = version_of(bin_dir)
        self._options = dict(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._account: Account | None = None

    def __repr__(self) -> str:
        return f"<PostgresServer {self.version} in {self.folder}>"

    @property
    def data(self) -> Path:
        """The cluster's data folder."""
        return self.folder / "data"

    @property
    def password_file(self) -> Path:
        """The file that holds the superuser's password."""
        return self.folder / "password"

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self.password_file.read_text().strip()

    @property
    def port(self) -> int:
        """The port of the last start. It stays the same over restarts while nothing else takes it."""
        return int((self.folder / "port").read_text())

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or ``None`` when none runs on this cluster."""
        pid = _first_line(self.data / "postmaster.pid")
        return pid if pid is not None and mentions(pid, str(self.data)) else None

    def start(self) -> None:
        """Make the cluster if there is none, start the server, return when it accepts connections.

        Raises ``ToolError`` with the end of the server's log, or ``ToolMissing``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self.folder.chmod(0o711)
        account = self._account = choose_account([self.bin_dir / "postgres", self.data])
        if not (self.data / "PG_VERSION").exists():
            self._initdb(account)
        for attempt in range(1, ATTEMPTS + 1):
            before = self._log_size()
            self._launch(account, keep_port=attempt == 1)
            try:
                self._wait_until_ready()
                return
            except BaseException as error:
                self.stop("immediate")
                again = isinstance(error, ToolError) and self._passing_trouble(before)
                if attempt == ATTEMPTS or not again:
                    raise

    def stop(self, mode: str = "fast") -> None:
        """End the server and wait for it: ``fast`` or ``immediate``. Safe to call twice."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, STOP_SIGNALS[mode])
        self._wait_until_gone(pid)

    def crash(self) -> None:
        """Kill the postmaster (SIGKILL), as a power cut would; its children end by themselves."""
        pid = self.pid
        if pid is None:
            raise ToolError(f"no PostgreSQL server runs in {self.folder}", hint="Nothing was killed.")
        os.kill(pid, signal.SIGKILL)
        self._wait_until_gone(pid)

    def restart(self) -> None:
        """Stop (fast) and start again, on the same port."""
        self.stop()
        self.start()

    def conninfo(self, dbname: str = "postgres") -> dict[str, Any]:
        """What ``psycopg.connect`` takes to be the superuser in ``dbname``. Holds the password."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.superuser,
            "password": self.password,
            "dbname": dbname,
            "connect_timeout": 10,
        }

    def connect(self, dbname: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """A new connection of the superuser, in autocommit mode; the caller closes it."""
        import psycopg

        return psycopg.connect(**self.conninfo(dbname), autocommit=True)

    def program(self, name: str) -> Path:
        """The path of ``pg_dump``, ``psql`` and so on, of the server's own version."""
        return self.bin_dir / name

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that the server wrote."""
        log = self.folder / "server.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initdb(self, account: Account) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        account.own(self.data)
        _write_private(self.password_file, secrets.token_urlsafe(24) + "\n")
        account.own(self.password_file)
        sync = ["--no-sync"] if self._options.get("fsync") == "off" else []
        done = subprocess.run(
            account.command(
                self.program("initdb"),
                f"--pgdata={self.data}",
                f"--username={SUPERUSER}",
                f"--pwfile={self.password_file}",
                "--auth-host=scram-sha-256",
                "--auth-local=scram-sha-256",
                "--encoding=UTF8",
                "--data-checksums",
                *_flags(self.version),
                *sync,
            ),
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_SECONDS,
            check=False,
            **account.popen,
        )
        if done.returncode != 0:
            said = "\n".join(done.stderr.splitlines()[-10:])
            raise ToolError(f"initdb of PostgreSQL {self.version} failed in {self.folder}", hint=said)

    def _launch(self, account: Account, *, keep_port: bool) -> None:
        file = self.folder / "port"
        if not (keep_port and file.exists()):
            file.write_text(str(free_ports(1)[0]))
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            **self._options,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # Private: in a server's errors are values of the rows that it refused.
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.folder / "server.log", append, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                account.command(self.program("postgres"), "-D", self.data, *flags),
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **account.popen,
            )

    def _wait_until_ready(self) -> None:
        """Until line 8 of postmaster.pid says so (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PM_STATUS)."""
        deadline = time.monotonic() + START_SECONDS
        pid_file = self.data / "postmaster.pid"
        while True:
            if self._process is None or self._process.poll() is not None:
                raise ToolError(
                    f"PostgreSQL {self.version} ended while starting in {self.folder}", hint=self.log_tail()
                )
            lines = _lines(pid_file)
            if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                return
            if time.monotonic() > deadline:
                raise ToolError(
                    f"PostgreSQL {self.version} was not ready within {START_SECONDS:.0f} s",
                    hint=self.log_tail(),
                )
            time.sleep(0.02)

    def _wait_until_gone(self, pid: int | None) -> None:
        """Until the postmaster has ended. One that we started must be reaped, or its id would stay taken."""
        process, self._process = self._process, None
        deadline = time.monotonic() + STOP_SECONDS
        while (process is not None and process.poll() is None) or (pid is not None and alive(pid)):
            if time.monotonic() > deadline:
                self._process = process
                raise ToolError(
                    f"PostgreSQL {self.version} in {self.folder} did not stop within {STOP_SECONDS:.0f} s",
                    hint=self.log_tail(),
                )
            time.sleep(0.01)

    def _log_size(self) -> int:
        log = self.folder / "server.log"
        return log.stat().st_size if log.exists() else 0

    def _passing_trouble(self, since: int) -> bool:
        """Whether the log tells of a taken port, or of children of a killed postmaster still ending."""
        with (self.folder / "server.log").open("rb") as log:
            log.seek(since)
            said = log.read().decode(errors="replace")
        if "pre-existing shared memory block" in said:
            time.sleep(1)
            return True
        return "Address already in use" in said


def _flags(version: str) -> list[str]:
    """One collation on every machine: code points, of which 17 and later have their own copy. And few words."""
    major = int(version.split(".", 1)[0])
    quiet = ["--no-instructions"] if major >= 14 else []
    if major >= 17:
        return [*quiet, "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [*quiet, "--locale=C.UTF-8"]


def _environment() -> dict[str, str]:
    """Only what a server needs: the caller's PG* variables would change what it does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _first_line(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None
