"""Everything of the machine that a restore of etcd touches: services, programs, disks, processes; nothing else does.

``System`` comes in as a parameter, so that the same code works on a scratch folder. Sources: systemctl(1); bbolt,
bolt_unix.go (an open database holds flock(2) on its file); proc(5).
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backstay.core.errors import RestoreError, ToolError, ToolMissing
from backstay.core.units import format_duration

TAIL_BYTES = 64 << 10
END_SECONDS = 20.0  # after SIGTERM, before SIGKILL
DATABASE = "member/snap/db"
STARTED_FOR = "BACKSTAY_STARTED_FOR"  # in the environment of what a restore starts, and of what that starts: its folder
KNOWN_PLACES = ("/usr/local/bin", "/usr/bin", "/opt/bin", "/var/lib/rancher/rke2/bin")


@dataclass(frozen=True)
class Patience:
    """How long each part may take, in seconds."""

    stop: float = 180.0
    reset: float = 900.0  # k3s reads, checks and writes the whole database, then starts etcd for a moment
    start: float = 900.0
    majority: float = 30.0  # for one of several members, the others of which may not be restored yet
    undo: float = 120.0  # etcd may need other servers to answer
    answer: float = 5.0  # one question to one member
    poll: float = 2.0
    program: float = 60.0  # one that only says its version


def free_bytes(folder: Path) -> int:
    """Free bytes of the file system that ``folder`` is, or would be, on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def programs_environment() -> dict[str, str]:
    """What programs are run with: nothing of the caller's K3S_*, RKE2_* or ETCD* reaches them."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TZ") if name in os.environ}
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return kept | {"PATH": os.pathsep.join([*path, *(place for place in KNOWN_PLACES if place not in path)])}


@dataclass(frozen=True)
class System:
    """One machine. ``root`` is what paths of the distribution (units, manifests) begin with."""

    root: Path = Path("/")
    hostname: str = field(default_factory=lambda: socket.gethostname().lower())
    environment: Mapping[str, str] = field(default_factory=programs_environment)
    patience: Patience = Patience()
    euid: Callable[[], int] = os.geteuid
    free_bytes: Callable[[Path], int] = free_bytes
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def find(self, name: str, bin_folder: str | None = None) -> Path:
        """The program ``name`` in ``bin_folder``, else on the path of the programs. Raises ``ToolMissing``."""
        found = shutil.which(name, path=bin_folder) if bin_folder else None
        found = found or shutil.which(name, path=self.environment.get("PATH", os.defpath))
        if found is None:
            raise ToolMissing(
                f"the program `{name}` is not on this machine",
                hint="Run this on a server of the cluster, or name the folder of the program (etcd.bin). "
                "Nothing was changed.",
                program=name,
            )
        return Path(found)

    def ask(self, argv: Sequence[str | Path], *, deadline: float | None = None) -> tuple[int, str]:
        """Exit code and output of a short program. Raises ``ToolMissing``, or ``ToolError`` when it does not end."""
        words = [str(word) for word in argv]
        try:
            said = subprocess.run(
                words,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=deadline or self.patience.program,
                check=False,
                start_new_session=True,  # Ctrl-C reaches Backstay alone, which ends what it began in order
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"`{' '.join(words)}` did not end within {format_duration(error.timeout)}",
                hint="See `systemctl status` and the journal of the service for what it waits for.",
            ) from error
        except OSError as error:
            raise ToolMissing(f"{words[0]} cannot be run: {error.strerror}", hint="Is it installed?") from error
        return said.returncode, said.stdout.strip()

    def addresses(self) -> set[str]:
        """The addresses of this machine, but for those that it alone sees; empty where they cannot be told."""
        try:
            code, said = self.ask(["hostname", "-I"])
        except ToolError:
            return set()
        return set(said.split()) if code == 0 else set()

    def wait_until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether ``holds`` came true in time; it is asked at least once."""
        deadline = self.clock() + seconds
        while not holds():
            if self.clock() >= deadline:
                return False
            self.sleep(self.patience.poll)
        return True


@dataclass(frozen=True)
class Service:
    """One unit of systemd."""

    name: str
    system: System

    @property
    def state(self) -> str:
        """``active``, ``activating``, ``inactive``, ``failed``, or ``unknown`` where nothing says so."""
        try:
            return self.system.ask(["systemctl", "is-active", self.name])[1].split("\n")[0].strip() or "unknown"
        except ToolMissing:
            return "unknown"

    @property
    def runs(self) -> bool:
        """Whether it is up or coming up."""
        return self.state in {"active", "activating", "reloading"}

    def stop(self) -> None:
        """Stop it and return when it has. Raises ``RestoreError``; it may be running still then."""
        self._do("stop", [], self.system.patience.stop)

    def start(self) -> None:
        """Begin to start it, and do not wait: k3s says that it is ready only when its cluster is. ``RestoreError``."""
        self._do("start", ["--no-block"], self.system.patience.program)

    def _do(self, verb: str, flags: list[str], deadline: float) -> None:
        try:
            code, said = self.system.ask(["systemctl", verb, *flags, self.name], deadline=deadline)
        except ToolError as error:
            raise RestoreError(f"{self.name} did not {verb}: {error.message}", hint=error.hint) from error
        if code != 0:
            raise RestoreError(
                f"`systemctl {verb} {self.name}` failed: {said or f'exit code {code}'}",
                hint=f"See `systemctl status {self.name}` and `journalctl -u {self.name}`.",
            )


def in_use(etcd_dir: Path) -> bool:
    """Whether an etcd has the database in ``etcd_dir`` open, in whatever container it runs."""
    try:
        handle = os.open(etcd_dir / DATABASE, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def run_in(argv: Sequence[str], folder: Path, log: Path, *, deadline: float, env: Mapping[str, str]) -> int:
    """Run a program in ``folder`` with its words in ``log``; its exit code.

    What it says goes to a file, so that it can be read after a kill. A later run knows the program by ``folder``
    (``left_running``), which must be this restore's own. Raises ``ToolMissing``, and ``ToolError`` when the
    time was over and it was ended.
    """
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as words:
        try:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env={**env, STARTED_FOR: str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolMissing(f"{argv[0]} cannot be run: {error.strerror}", hint="Is it installed?") from error
    try:
        return process.wait(deadline)
    except subprocess.TimeoutExpired as error:
        name = Path(argv[0]).name
        raise ToolError(
            f"{name} was ended after {format_duration(deadline)} without finishing", hint=f"Its words are in {log}."
        ) from error
    finally:
        if process.poll() is None:  # also when Backstay itself is interrupted
            _end_group(process)


def last_words(log: Path) -> str:
    """The lines of a log that tell what went wrong, on one line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return "it said nothing"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "fatal" in line.lower() or "error" in line.lower()]
    return " / ".join(line[:600] for line in (telling or lines)[-2:]) or "it said nothing"


def left_running(folder: Path) -> list[int]:
    """What a killed run of the same restore left at work: programs that ``run_in`` started in ``folder``, and nobody
    else's that happens to be there, such as a shell. Pods that such a program began are elsewhere, and not among them.
    """
    wanted, mark, found = str(folder), f"{STARTED_FOR}={folder}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str((entry / "cwd").readlink()) == wanted and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # it has ended, or is not ours to see
            continue
    return sorted(found)


def end_left_running(system: System, folder: Path) -> None:
    """End them, by force when they take long. Raises ``RestoreError`` when one stays."""
    for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
        for pid in left_running(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if system.wait_until(lambda: not left_running(folder), seconds):
            return
    raise RestoreError(
        f"a program that an earlier run of this restore began does not end: {left_running(folder)}",
        hint="End these processes by their ids, then run again with --resume or --rollback.",
    )


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Nobody else does ``what`` in ``folder`` during the block: a lock that ends with its process, however that ends
    (flock(2)). Raises ``RestoreError`` where another has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RestoreError(
                f"{what} is running on this machine already", hint="Wait for its end. Nothing was changed by this run."
            ) from error
        yield
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a program and what it started: they share the session that was made for it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(END_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue
