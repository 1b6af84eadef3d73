"""Where kube-apiserver is, and what it says of itself: its version, and the admission plugins it would run.

No package of the Python index has it; Kubernetes' releases do (https://www.downloadkubernetes.com), and servers of
kubeadm as an image. k3s has it inside a program of its own, which cannot be asked for it alone.
"""

import os
import re
import shutil
from pathlib import Path

from backstay.cluster.processes import asked
from backstay.core.errors import ToolError, ToolMissing

NAME = "kube-apiserver"
SETTING = "drills.kube_apiserver"
VERSION = re.compile(r"Kubernetes (v\d+\.\d+\.\d+\S*)")
# The help of --disable-admission-plugins: "... in the default enabled plugins list (A, B, C). Comma-delimited ..."
PLUGINS = re.compile(r"--disable-admission-plugins .*?default enabled plugins list \(([A-Za-z, ]+)\)", re.DOTALL)


def find_kube_apiserver(configured: str | None) -> Path | None:
    """The program: the one that was named, else that on PATH; None where there is none.

    Raises ``ToolMissing`` for one that was named and is not there: whoever named it does not mean another.
    """
    if not configured:
        found = shutil.which(NAME)
        return Path(found).absolute() if found else None
    if os.path.isfile(configured) and os.access(configured, os.X_OK):  # noqa: PTH113 - Path.is_file raises where it may not look
        return Path(configured).absolute()
    raise ToolMissing(
        f"{configured}, named as {SETTING}, is not a program that this account can run",
        hint=f"Correct {SETTING}, or leave it out: `{NAME}` is then looked for on PATH. Nothing was started.",
        program=NAME,
    )


def version_of(program: Path) -> str:
    """``v1.37.2``. Raises ``ToolError`` when the program does not say."""
    said = _said(program, "--version")
    found = VERSION.search(said)
    if found is None:
        raise ToolError(f"{program} does not say its version", hint=f"Is it {NAME}? It said: {said.strip()[-300:]}")
    return found[1]


def default_plugins(program: Path) -> tuple[str, ...]:
    """The admission plugins that run unless they are disabled; they differ from version to version, and a name that
    the program does not know keeps it from starting. Raises ``ToolError`` when its help does not list them."""
    found = PLUGINS.search(_said(program, "--help"))
    if found is None:
        raise ToolError(
            f"{program} does not list its admission plugins in its help",
            hint=f"Is it {NAME}? Without knowing them, webhooks of the restored cluster would be called. "
            "Nothing was started.",
        )
    return tuple(name.strip() for name in found[1].split(",") if name.strip())


def minor_of(version: str) -> tuple[int, int]:
    """``(1, 37)`` of ``v1.37.2+k3s1``; ``(0, 0)`` where there is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _said(program: Path, word: str) -> str:
    done = asked(program, word)
    return done.stdout or done.stderr
