"""A stand-in for ``systemctl``: ``start [--no-block]``, ``stop`` and ``is-active`` of the units in a scratch folder.

It reads ExecStart and EnvironmentFile of ``$STANDIN_ROOT/etc/systemd/system/<unit>.service`` as systemd does, in their
simplest forms, and keeps the id of what it started in ``$STANDIN_ROOT/run``. It ends only what it started, by that id.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(os.environ["STANDIN_ROOT"])
UNITS, RUN = ROOT / "etc/systemd/system", ROOT / "run"
STOP_SECONDS = 30


def main(verb, *words):
    name = words[-1].removesuffix(".service")
    RUN.mkdir(exist_ok=True)
    with (RUN / "systemctl.log").open("a") as log:
        log.write(f"{verb} {name}\n")
    if verb == "is-active":
        state = state_of(name)
        print(state)
        return 0 if state == "active" else 3
    unit = UNITS / f"{name}.service"
    if not unit.exists():
        print(f"Failed to {verb} {name}.service: Unit {name}.service not found.", file=sys.stderr)
        return 5
    if verb == "stop" and (ROOT / "stop-fails").exists():
        print(f"Job for {name}.service canceled.", file=sys.stderr)
        return 1
    return start(name, unit.read_text()) if verb == "start" else stop(name)


def start(name, text):
    if state_of(name) == "active":
        return 0
    text = re.sub(r"\\\n", " ", text)
    words = shlex.split(re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)[-1])
    env = {"PATH": os.environ["PATH"], "STANDIN_ROOT": str(ROOT)}
    for path in re.findall(r"^EnvironmentFile=-?(.+)$", text, re.MULTILINE):
        lines = (ROOT / path.lstrip("/")).read_text().splitlines() if (ROOT / path.lstrip("/")).exists() else []
        env |= dict(line.split("=", 1) for line in lines if "=" in line)
    with (RUN / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            words, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (RUN / f"{name}.pid").write_text(str(process.pid))
    return 0


def stop(name):
    pid = pid_of(name)
    if pid and is_alive(pid):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while is_alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
    (RUN / f"{name}.pid").unlink(missing_ok=True)
    return 0


def state_of(name):
    pid = pid_of(name)
    if pid is None:
        return "inactive"
    return "active" if is_alive(pid) else "failed"


def pid_of(name):
    try:
        return int((RUN / f"{name}.pid").read_text())
    except FileNotFoundError:
        return None


def is_alive(pid):
    """A zombie, which nobody may be there to collect, is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
