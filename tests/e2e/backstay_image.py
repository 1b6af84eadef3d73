"""Backstay's own image, for pods: this checkout and what it needs, as the lock file has it, on Debian with PostgreSQL.

The packages are for the Python of Debian trixie, whatever Python runs the tests.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.cluster.build import cache

ROOT = Path(__file__).parents[2]
PODFS = Path(__file__).with_name("podfs.sh")
PYTHON = "3.13"
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")
HOME = "opt/backstay"
SECONDS = 600.0


def debian(rootfs: Path) -> Path:
    """The lower layer: what ``rootfs.sh`` made, with Python; made once, and not to be changed."""
    done = subprocess.run([PODFS, rootfs], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def program(folder: Path) -> Path:
    """The upper layer, made in ``folder``: the command ``backstay``."""
    target = folder / HOME
    shutil.copytree(_packages(), target, copy_function=_link)
    _pip("install", "--no-deps", "--no-build-isolation", "--target", str(target), str(ROOT))
    command = folder / "usr/local/bin/backstay"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nPYTHONPATH=/{HOME} exec python3 -m backstay "$@"\n')
    command.chmod(0o755)
    return folder


def needed(lock: str) -> str:
    """The part of a lock file that Backstay itself needs: not the tests, nor the demo."""
    queue = [Requirement("backstay")]
    wanted: set[tuple[str, frozenset[str]]] = set()
    while queue:
        one = queue.pop()
        extras = frozenset(one.extras)
        if (_plain(one.name), extras) not in wanted:
            wanted.add((_plain(one.name), extras))
            queue += [each for each in map(Requirement, distribution(one.name).requires or []) if _holds(each, extras)]
    names = {name for name, _ in wanted}
    entries = re.finditer(r"^(\S+?)==.*(?:\n +.*)*", lock, re.MULTILINE)
    return "".join(f"{entry[0]}\n" for entry in entries if _plain(entry[1]) in names)


def _packages() -> Path:
    """They, installed; kept in the cache for as long as the lock file says the same."""
    lock = needed((ROOT / "requirements.lock").read_text())
    machine = os.uname().machine
    mark = hashlib.sha256(f"{lock}{PYTHON}{PLATFORMS}{machine}".encode()).hexdigest()[:12]
    whole = cache() / f"packages-{mark}"
    if not whole.exists():
        cache().mkdir(parents=True, exist_ok=True)
        part = cache() / f"packages.part-{os.getpid()}"
        listed = part / "wanted"
        part.mkdir()
        try:
            listed.write_text(lock)
            wheels = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
            wheels += [f"--platform={platform}_{machine}" for platform in PLATFORMS]
            target = ["--no-deps", "--target", str(part / "installed")]
            _pip("install", "--require-hashes", *wheels, *target, "--requirement", str(listed))
            for old in cache().glob("packages-*"):
                shutil.rmtree(old)
            (part / "installed").rename(whole)
        finally:
            shutil.rmtree(part)
    return whole


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr


def _link(source: str, target: str) -> None:
    """Nobody writes to either of the two; where they are on two disks, a copy."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _holds(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Whether it counts there, for a package that was asked for with these extras."""
    there = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**there, "extra": each}) for each in {"", *extras})
